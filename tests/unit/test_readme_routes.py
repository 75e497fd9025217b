"""README's table names every route of the API, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from app import APIS

README = Path(__file__).parents[2] / "README.md"


def test_every_route_is_in_the_readme() -> None:
    table = re.findall(r"`(GET|POST|PATCH|DELETE) (/\S*)`", README.read_text())
    routes = [(operation.method, operation.path) for api in APIS for operation in api.operations]

    # `POST /login` and such may be spoken of elsewhere in the text, too
    assert set(table) == set(routes)
