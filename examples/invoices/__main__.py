"""See examples.invoices."""

from examples.invoices.main import main

main()
