"""Settings in files: NAME_FILE is the path of a file that contains the setting NAME. Use it with systemd's
LoadCredential and Docker's secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

_LARGEST = 64 * 1024
"""Bytes. No secret is longer, and a device such as /dev/zero never ends."""


class SecretFileError(ValueError):
    """Files cannot be used; `args` has a sentence for each file."""


class SecretFiles(PydanticBaseSettingsSource):
    """A source of settings with lower priority than the environment and .env."""

    def __init__(
        self, settings_cls: type[BaseSettings], names: Sequence[str], environment: Mapping[str, str | None]
    ) -> None:
        """`names` are the settings that files may contain; `environment` has lower-case names."""
        super().__init__(settings_cls)
        self._names, self._environment = names, environment

    def __call__(self) -> dict[str, Any]:
        """Return the content of the files by name of the setting. Raises SecretFileError."""
        found: dict[str, Any] = {}
        wrong: list[str] = []
        for name in self._names:
            if path := self._environment.get(f"{name}_file"):
                try:
                    found[name] = _secret_in(path)
                    if self._environment.get(name):
                        raise ValueError(f"and {name.upper()} are both set. Set only one of them")
                except ValueError as exc:
                    wrong.append(f"{name.upper()}_FILE {exc}")
        if wrong:
            raise SecretFileError(*wrong)
        return found

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Part of the interface, unused: `__call__` reads all files."""
        raise NotImplementedError


def read(path: str) -> bytes:
    """Return up to 64 KiB of a file. Raises ValueError with a predicate that follows the setting's name. It does not
    quote the path, because a user may have set the secret itself there."""
    try:
        with open(path, "rb") as file:
            return file.read(_LARGEST)
    except OSError as exc:
        raise ValueError(f"names a file that cannot be read: {exc.strerror}") from None


def _secret_in(path: str) -> str:
    try:
        secret = read(path).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("names a file that is not UTF-8") from None
    if not secret:
        raise ValueError("names a file that is empty")
    if not secret.isprintable():
        raise ValueError("names a file that has more than one line")
    return secret
