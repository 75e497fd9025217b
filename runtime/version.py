"""The version of the service, and of the package that pyproject.toml builds."""

VERSION = "1.0.0"
