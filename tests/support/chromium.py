"""Debian's Chromium for tests: without a window, quiet, and without background network requests."""

PROGRAMS = ("chromium-headless-shell", "chromium")
"""In the order of preference. The first has no window to draw, and uses half the CPU of the second."""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
