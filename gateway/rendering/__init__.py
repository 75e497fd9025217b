"""Renders payload templates in a separate process."""
