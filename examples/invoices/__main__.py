"""See examples.invoices."""

import sys

from examples.invoices.main import main

sys.exit(main())
