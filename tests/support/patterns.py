"""Regular expressions that take an unprepared server down."""

from __future__ import annotations

EXPLODING = [
    "(((x{99}){99}){99}){9}",
    "(" * 9 + "x" + "{9})" * 9,
    r"(\pL{999}){999}",
    "((x?){1000}){1000}",
    "x{1,1000}" * 25,
]
"""Small as text, gigabytes once compiled."""

BACKTRACKING = ["(x+x+)+y", "^(x|xx)+$", "(x*)*y", "(?:x?){30}x{30}y", "(.*)*=(.*)*=(.*)*="]
"""Without an end on a long name of x's, for an engine that tries one way after the other."""
