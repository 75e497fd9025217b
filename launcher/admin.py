"""The first administrator's password: generated at the first start, kept until it has been shown once, then deleted."""

from __future__ import annotations

from pathlib import Path

from launcher.api import Api
from launcher.secret_files import stored_secret


class FirstAdmin:
    """The first administrator. The web process creates it when there are no users."""

    def __init__(self, username: str, given: str, data_dir: Path) -> None:
        """Use the operator's ADMIN_PASSWORD, `given`. Without one, generate a password until one has been shown."""
        self.username = username
        self.given = bool(given)
        self._shown = data_dir / "admin_password_shown"
        self._unseen = data_dir / "admin_password"
        self.password = given or ("" if self._shown.exists() else stored_secret(self._unseen, 12))

    def login_to_show(self, api: Api) -> str:
        """Return the password if it is valid and was not shown before, otherwise an empty text."""
        if self.given or not self.password:
            return ""
        in_force = api.accepts(self.username, self.password)  # False if the store had users already
        self._shown.touch()
        self._unseen.unlink()
        return self.password if in_force else ""
