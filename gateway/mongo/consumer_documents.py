"""Consumers as documents: what may hold credentials of a target is sealed, the rest is there to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from domain.consumer import ConsumerSpec
from domain.credentials import masked_url
from domain.registry import RegisteredConsumer
from domain.sentences import dotted, faults, joined
from domain.signing_secret import RetiringSecret, SigningSecret
from gateway.mongo.collection import Document
from gateway.mongo.secrets import Sealer, Unreadable

_SEALED = ("headers", "auth", "signingSecret")
"""Fields that may hold credentials, and `url` when a password is in it: never in the clear in the database."""
_RETIRING = "retiringSecrets"
_UNREADABLE = "Its headers, auth and signingSecret were sealed under another SECRET_KEY; set them again."


class ConsumerDocuments:
    """To documents and back. Thread-safe."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def resting(self, spec: ConsumerSpec, retiring: Sequence[RetiringSecret] = ()) -> Document:
        """The fields of a document that hold the spec and the secrets that it replaced."""
        fields = spec.stored()
        sealed: Document = {key: fields.pop(key) for key in _SEALED if fields.get(key)}
        for key in _SEALED:
            fields.pop(key, None)
        shown = masked_url(spec.url)
        if shown != spec.url:
            sealed["url"], fields["url"] = spec.url, shown
        if retiring:
            sealed[_RETIRING] = [[old.secret.get_secret_value(), old.until.timestamp()] for old in retiring]
        return {
            "name": spec.name,
            "queueName": spec.queue_name,
            "spec": fields,
            "sealed": self._sealer.seal(sealed) if sealed else None,
        }

    def loaded(self, document: Document) -> RegisteredConsumer:
        """The consumer. One that no key of ours opens is suspended, without what was sealed: it must not hide the
        others, and must not deliver without its credentials. One whose fields are not valid is suspended, too."""
        fields, state, reason = dict(document.get("spec") or {}), document["state"], document["reason"]
        retiring: list[Any] = []
        try:
            opened = self._sealer.open(document["sealed"]) if document["sealed"] else {}
            retiring = opened.pop(_RETIRING, [])
            fields |= opened
        except Unreadable:
            state, reason = "suspended", _UNREADABLE
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
        """The field that holds what is sealed in a document, sealed under the first key. Raises Unreadable."""
        return {"sealed": self._sealer.reseal(document["sealed"]) if document["sealed"] else None}


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
