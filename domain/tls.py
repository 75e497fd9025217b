"""TLS settings of a consumer: the CA certificates that it trusts, and its client certificate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic.config import JsonDict

from domain.model import MASK, Credentials, unless_masked
from domain.pem import LONGEST, belong_together, certificates, private_key


def _certificates(pem: str) -> str:
    certificates(pem)
    return pem


_PEM: JsonDict = {"contentMediaType": "application/x-pem-file"}
Certificates = Annotated[str, AfterValidator(_certificates), Field(max_length=LONGEST, json_schema_extra=_PEM)]


class TargetTls(Credentials):
    """TLS settings for the target, in PEM form. `ca` replaces the CA certificates that are trusted by default
    (TARGET_CA_FILE, or the system's). `certificate`, with its chain, and `key` are the client certificate (mutual TLS).
    The key is write-only."""

    ca: Certificates | None = Field(None, description="CA certificates to trust, PEM")
    certificate: Certificates | None = Field(None, description="client certificate and its chain, PEM")
    key: Annotated[SecretStr, unless_masked(private_key)] | None = Field(
        None, max_length=LONGEST, json_schema_extra=_PEM, description="private key, PEM, not encrypted; write-only"
    )

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if not (self.ca or self.certificate or self.key):
            raise ValueError("must have ca, or certificate and key")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("must have both certificate and key, or neither")
        if self.certificate and self.key and self.key.get_secret_value() != MASK:
            key = private_key(self.key.get_secret_value())
            if not belong_together(certificates(self.certificate)[0], key):
                raise ValueError("has a key that does not match the first certificate in `certificate`")
        return self

    @property
    def expires_at(self) -> datetime:
        """The time when the configuration expires: when the first certificate of the client's chain expires, or the
        last of the CA certificates, whichever is earlier."""
        shown = [one.not_valid_after_utc for one in certificates(self.certificate)] if self.certificate else []
        trusted = [max(one.not_valid_after_utc for one in certificates(self.ca))] if self.ca else []
        return min(shown + trusted)

    def unusable(self, now: datetime) -> tuple[str, str] | None:
        """Return a field whose certificate is not valid at `now`, and a predicate ("expired on …"); None if all fields
        are valid. `certificate` is valid if all its certificates are, `ca` if one is."""
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
    """Return a time as text for people, in UTC to the minute."""
    return date.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
