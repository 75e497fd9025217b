"""Configuration as code: reading the installation, planning changes (pure), and applying them."""
