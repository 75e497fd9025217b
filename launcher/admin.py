"""The first administrator's password: made at the first start, shown once, kept nowhere."""

from __future__ import annotations

import secrets
from pathlib import Path

from launcher.api import Api


class FirstAdmin:
    """Who the first administrator is. The web process makes it when there is no user at all."""

    def __init__(self, username: str, given: str, data_dir: Path) -> None:
        """`given` is the operator's ADMIN_PASSWORD; without one, a password is made until one has been shown."""
        self.username = username
        self.given = bool(given)
        self._shown = data_dir / "admin_password_shown"
        self.password = given or ("" if self._shown.exists() else secrets.token_urlsafe(12))

    def login_to_show(self, api: Api) -> str:
        """The password to show, if it was made just now and is in force; otherwise empty."""
        if self.given or not self.password:
            return ""
        in_force = api.accepts(self.username, self.password)  # not so when the store had users already
        self._shown.touch()
        return self.password if in_force else ""
