"""Consumers as documents: what may hold credentials of a target is sealed, the rest is there to be seen.

The seal holds for one consumer and one origin of its URL, so that whoever can write to the database cannot have
credentials sent elsewhere by copying them to another consumer or by changing a URL.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from domain.consumer import ConsumerSpec
from domain.credentials import masked_url, origin
from domain.registry import RegisteredConsumer
from domain.sentences import dotted, faults, joined
from domain.signing_secret import RetiringSecret, SigningSecret
from gateway.mongo.collection import Document
from gateway.mongo.secrets import Sealer, Unreadable

_SEALED = ("headers", "auth", "tls", "signingSecret")
"""Fields that may hold credentials, and `url` when its user info or query has some: never in the clear in the
database."""
_RETIRING = "retiringSecrets"
CERTIFICATE_EXPIRES_AT = "certificateExpiresAt"
"""The field of a document that has the end of `tls`, so that nothing need be unsealed to watch it."""


class ConsumerDocuments:
    """To documents and back. Thread-safe."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def resting(self, consumer_id: str, spec: ConsumerSpec, retiring: Sequence[RetiringSecret] = ()) -> Document:
        """The fields of a document that hold the spec and the secrets that it replaced."""
        replaced = [[old.secret.get_secret_value(), old.until.timestamp()] for old in retiring]
        named: Document = {"name": spec.name, "queueName": spec.queue_name}
        named[CERTIFICATE_EXPIRES_AT] = spec.tls.expires_at if spec.tls else None
        return named | self._parted(consumer_id, spec.stored(), replaced)

    def loaded(self, document: Document) -> RegisteredConsumer:
        """The consumer. One whose secrets cannot be opened is suspended, without what was sealed: it must not hide the
        others, and must not deliver without its credentials. One whose fields are not valid is suspended, too."""
        state, reason = document["state"], document["reason"]
        try:
            fields, retiring = self._joined(document)
        except Unreadable as exc:
            fields, retiring, state = document.get("spec") or {}, [], "suspended"
            reason = f"Its headers, auth, tls and signingSecret were sealed {exc}. Set them again."
        spec, wrong = _parsed(document, fields)
        replaced: tuple[RetiringSecret, ...] = ()
        try:
            replaced = tuple(
                RetiringSecret(SigningSecret(secret), datetime.fromtimestamp(until, UTC)) for secret, until in retiring
            )
        except ValueError as exc:
            wrong += (("signingSecret", f"has replaced one that {exc}"),)
        if wrong:
            state, reason = "suspended", f"Its stored definition is not valid. Set again: {joined(wrong)}"
        return RegisteredConsumer(
            id=document["_id"],
            spec=spec,
            revision=document["revision"],
            state=state,
            reason=reason,
            created_at=document["createdAt"],
            updated_at=document["updatedAt"],
            retiring_secrets=replaced,
            faults=wrong,
        )

    def resealed(self, document: Document) -> Document:
        """The fields of a document that hold what is sealed, and what shall be, under the first key. Raises
        Unreadable."""
        return self._parted(document["_id"], *self._joined(document))

    def _parted(self, consumer_id: str, fields: Document, retiring: list[Any]) -> Document:
        shown = {name: value for name, value in fields.items() if name not in _SEALED}
        shown["url"] = masked_url(fields["url"])
        sealed = {name: value for name, value in fields.items() if value and shown.get(name) != value}
        if retiring:
            sealed[_RETIRING] = retiring
        place = _place(consumer_id, shown["url"])
        return {"spec": shown, "sealed": self._sealer.seal(sealed, place) if sealed else None}

    def _joined(self, document: Document) -> tuple[Document, list[Any]]:
        """The fields of the spec, and the secrets that it replaced. Raises Unreadable."""
        shown, sealed = document.get("spec") or {}, document["sealed"]
        opened = self._sealer.open(sealed, _place(document["_id"], str(shown.get("url")))) if sealed else {}
        retiring = opened.pop(_RETIRING, [])
        return shown | opened, retiring


def _place(consumer_id: str, url: str) -> tuple[str, str, str]:
    """What a seal holds for: the URL's origin is where the credentials are sent."""
    return "consumer", consumer_id, origin(url)


def _parsed(document: Document, fields: Document) -> tuple[ConsumerSpec, tuple[tuple[str, str], ...]]:
    """The spec, and the faults of the fields that are not valid: an earlier release, or a later one, may have taken
    them, or somebody has edited the document."""
    try:
        return ConsumerSpec.model_validate(fields, strict=False), ()  # lax: the embedded store gives 1 for true
    except ValidationError as exc:
        wrong = tuple((dotted(place), sentence) for place, sentence in faults(ConsumerSpec, exc)[0])
        names = {error["loc"][0] for error in exc.errors()}
    sound = {name: value for name, value in fields.items() if name not in names}
    spec = ConsumerSpec.model_validate({"queueName": "-", "url": "http://invalid/"} | sound, strict=False)
    shown = {"queue_name": document["queueName"], "name": document["name"], "url": str(fields.get("url", ""))}
    return spec.model_copy(update=shown), wrong
