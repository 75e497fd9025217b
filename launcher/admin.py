"""The first administrator's password: made at the first start, kept until it has been shown once, then nowhere."""

from __future__ import annotations

from pathlib import Path

from launcher.api import Api
from launcher.secret_files import made_once


class FirstAdmin:
    """Who the first administrator is. The web process makes it when there is no user at all."""

    def __init__(self, username: str, given: str, data_dir: Path) -> None:
        """`given` is the operator's ADMIN_PASSWORD; without one, a password is made until one has been shown."""
        self.username = username
        self.given = bool(given)
        self._shown = data_dir / "admin_password_shown"
        self._unseen = data_dir / "admin_password"
        self.password = given or ("" if self._shown.exists() else made_once(self._unseen, 12))

    def login_to_show(self, api: Api) -> str:
        """The password to show, if it is in force and has not been shown; otherwise empty."""
        if self.given or not self.password:
            return ""
        in_force = api.accepts(self.username, self.password)  # not so when the store had users already
        self._shown.touch()
        self._unseen.unlink()
        return self.password if in_force else ""
