"""Signing secrets of consumers (Standard Webhooks, spec §Signature scheme)."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import GetCoreSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

_PREFIX = "whsec_"


class SigningSecret(SecretStr):
    """A secret `whsec_…`; the prefix is optional. Raises ValueError with a predicate ("must be …") for other text."""

    key: bytes
    """24 to 64 bytes"""

    def __init__(self, secret_value: str) -> None:
        super().__init__(secret_value)
        try:
            self.key = b64decode(secret_value.removeprefix(_PREFIX), validate=True)
        except ValueError:  # binascii.Error is one
            raise ValueError("must be whsec_ followed by Base64") from None
        if not 24 <= len(self.key) <= 64:
            raise ValueError(f"must decode to 24 to 64 bytes; this is {len(self.key)}")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            lambda secret: cls(secret.get_secret_value()), handler.generate_schema(SecretStr)
        )


@dataclass(frozen=True, slots=True)
class RetiringSecret:
    """A replaced signing secret. Requests are signed with it and its successor until `until`."""

    secret: SigningSecret
    until: datetime
