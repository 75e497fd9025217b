"""TLS of one consumer: the CA certificates that it trusts, and the client certificate that it shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic.config import JsonDict

from domain.model import MASK, Credentials
from domain.pem import LONGEST, belong_together, certificates, private_key


def _certificates(pem: str) -> str:
    certificates(pem)
    return pem


def _key(pem: SecretStr) -> SecretStr:
    if pem.get_secret_value() != MASK:  # in a change: it stays what it is
        private_key(pem.get_secret_value())
    return pem


_PEM: JsonDict = {"contentMediaType": "application/x-pem-file"}
Certificates = Annotated[str, AfterValidator(_certificates), Field(max_length=LONGEST, json_schema_extra=_PEM)]


class TargetTls(Credentials):
    """TLS with the target, as PEM. `ca` replaces the CA certificates that are trusted otherwise (TARGET_CA_FILE, or the
    system's). `certificate`, with its chain, and `key` are the client certificate (mutual TLS). The key is write-only.
    """

    ca: Certificates | None = Field(None, description="CA certificates to trust, PEM")
    certificate: Certificates | None = Field(None, description="client certificate and its chain, PEM")
    key: Annotated[SecretStr, AfterValidator(_key)] | None = Field(
        None, max_length=LONGEST, json_schema_extra=_PEM, description="its private key, PEM, not encrypted; write-only"
    )

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if not (self.ca or self.certificate or self.key):
            raise ValueError("needs ca, or certificate and key")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("needs certificate and key together, or neither")
        if self.certificate and self.key and self.key.get_secret_value() != MASK:
            key = private_key(self.key.get_secret_value())
            if not belong_together(certificates(self.certificate)[0], key):
                raise ValueError("has a key that does not belong to the first certificate of `certificate`")
        return self

    @property
    def expires_at(self) -> datetime:
        """When the target cannot be reached any more: the first certificate of the client's chain has expired, or the
        last of the CA certificates."""
        shown = [one.not_valid_after_utc for one in certificates(self.certificate)] if self.certificate else []
        trusted = [max(one.not_valid_after_utc for one in certificates(self.ca))] if self.ca else []
        return min(shown + trusted)

    def unusable(self, now: datetime) -> tuple[str, str] | None:
        """Return the field that is outside its dates, and the rest of a sentence about it; None if all are valid."""
        for field, pem in (("certificate", self.certificate), ("ca", self.ca)):
            found = certificates(pem) if pem else []
            valid = [one.not_valid_before_utc <= now < one.not_valid_after_utc for one in found]
            if found and not (all(valid) if field == "certificate" else any(valid)):
                one = found[valid.index(False)]
                expired = one.not_valid_after_utc <= now
                date = one.not_valid_after_utc if expired else one.not_valid_before_utc
                return f"tls.{field}", f"{'expired on' if expired else 'is not valid before'} {written(date)}"
        return None


def written(date: datetime) -> str:
    """Return a moment as people read it."""
    return date.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
