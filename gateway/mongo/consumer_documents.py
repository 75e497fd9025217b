"""Converts consumers to documents and back. Fields that may contain credentials are sealed, the others are readable.

A seal is valid for one consumer and one origin of its URL. So a person who can write to the database cannot redirect
credentials by copying them to another consumer or by changing a URL.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import ValidationError

from domain.consumer import ConsumerSpec
from domain.credentials import masked_url, origin
from domain.registry import RegisteredConsumer
from domain.sentences import field_faults, joined
from domain.signing_secret import RetiringSecret, SigningSecret
from gateway.mongo.collection import Document
from gateway.mongo.secrets import Sealer, Unreadable

_SEALED = ("headers", "auth", "tls", "signingSecret")
"""Fields that may contain credentials, which the database never has in plain text. So may the user info and query of
`url`."""
_RETIRING = "retiringSecrets"
_AS_JSON = ("filter", "routes")
"""Stored as JSON: MongoDB restricts names that begin with `$` or contain a dot
(https://www.mongodb.com/docs/manual/core/dot-dollar-considerations/)."""
_TOGETHER = {"filter", "otherwise"}
"""Neither is valid without the other."""
CERTIFICATE_EXPIRES_AT = "certificateExpiresAt"
"""The field for the end of `tls`, so that watching it needs no unsealing."""
REFUSED_STATUS = "refusedStatus"
"""The field for the HTTP status that suspended the consumer."""
_NEVER = datetime.fromtimestamp(0, UTC)
MISSING: Document = {
    "revision": 0, "state": "suspended", "reason": None, "createdAt": _NEVER, "updatedAt": _NEVER, "name": "",
    "queueName": "", "spec": {}, "sealed": None,
    CERTIFICATE_EXPIRES_AT: None, REFUSED_STATUS: None, "router": None,
}  # fmt: skip
"""For what somebody who edits a document may have left out: one document must not hide the others."""


class ConsumerDocuments:
    """Converts consumers to documents and back. Thread-safe."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def resting(self, consumer_id: str, spec: ConsumerSpec, retiring: Sequence[RetiringSecret] = ()) -> Document:
        """Return the fields of a document for a spec and its replaced signing secrets."""
        replaced = [[old.secret.get_secret_value(), old.until.timestamp()] for old in retiring]
        named: Document = {"name": spec.name, "queueName": spec.queue_name}
        named[CERTIFICATE_EXPIRES_AT] = spec.tls.expires_at if spec.tls else None
        return named | self._parted(consumer_id, spec.stored(), replaced)

    def loaded(self, document: Document) -> RegisteredConsumer:
        """Return the consumer in a document. If its secrets cannot be opened, it is suspended and lacks them: an error
        would make all other consumers unreadable, and it must not deliver without its credentials, so all of them are
        faults. A consumer with invalid fields is suspended, too."""
        document = MISSING | document
        state, reason = document["state"], document["reason"]
        shut: tuple[tuple[str, str], ...] = ()
        try:
            fields, retiring = self._joined(document)
        except Unreadable as exc:
            fields, retiring, state = _shown_in(document), [], "suspended"
            shut = tuple(
                (name, f"cannot be decrypted ({exc}); give it again, or null if there is none") for name in _SEALED
            )
            reason = f"Its headers, auth, tls and signingSecret cannot be decrypted ({exc}). Set them again."
        spec, wrong = _parsed(document, fields)
        replaced: tuple[RetiringSecret, ...] = ()
        try:
            replaced = tuple(
                RetiringSecret(SigningSecret(secret), datetime.fromtimestamp(until, UTC)) for secret, until in retiring
            )
        except ValueError as exc:
            wrong += (("signingSecret", f"has a replaced secret that {exc}"),)
        if wrong:
            state, reason = "suspended", f"The stored definition is invalid. Set these fields again: {joined(wrong)}"
        return RegisteredConsumer(
            id=document["_id"],
            spec=spec,
            revision=document["revision"],
            state=state,
            reason=reason,
            created_at=document["createdAt"],
            updated_at=document["updatedAt"],
            retiring_secrets=replaced,
            faults=shut + wrong,
            router=document["router"],
        )

    def resealed(self, document: Document) -> Document:
        """Return the fields of a document with all secrets sealed under the first key. Raises Unreadable."""
        return self._parted(document["_id"], *self._joined(document))

    def _parted(self, consumer_id: str, fields: Document, retiring: list[Any]) -> Document:
        shown = {name: value for name, value in fields.items() if name not in _SEALED}
        shown["url"] = masked_url(fields["url"])
        for name in _AS_JSON:
            if isinstance(shown.get(name), dict | list):
                shown[name] = orjson.dumps(shown[name]).decode()
        sealed = {
            name: value for name, value in fields.items() if value and name not in _AS_JSON and shown.get(name) != value
        }
        if retiring:
            sealed[_RETIRING] = retiring
        place = _place(consumer_id, shown["url"])
        return {"spec": shown, "sealed": self._sealer.seal(sealed, place) if sealed else None}

    def _joined(self, document: Document) -> tuple[Document, list[Any]]:
        """Return the fields of the spec, and the replaced signing secrets. Raises Unreadable."""
        shown, sealed = _shown_in(document), document["sealed"]
        if not isinstance(sealed, str | None):
            raise Unreadable("in another form")
        opened = self._sealer.open(sealed, _place(document["_id"], str(shown.get("url")))) if sealed else {}
        retiring = opened.pop(_RETIRING, [])
        return shown | opened, retiring


def _place(consumer_id: str, url: str) -> tuple[str, str, str]:
    """Return the place for which a seal is valid: a consumer and the URL's origin, which gets the credentials."""
    return "consumer", consumer_id, origin(url)


def _shown_in(document: Document) -> Document:
    """Return the fields of the spec that are not sealed. A filter or a route that is not JSON is reported as invalid
    later."""
    shown: Document = dict(document["spec"]) if isinstance(document["spec"], dict) else {}
    for name in _AS_JSON:
        if isinstance(shown.get(name), str):
            with suppress(ValueError):
                shown[name] = orjson.loads(shown[name])
    return shown


def _parsed(document: Document, fields: Document) -> tuple[ConsumerSpec, tuple[tuple[str, str], ...]]:
    """Return the spec, and the faults of its invalid fields: another release may have stored them, or a person may have
    edited the document."""
    try:
        return ConsumerSpec.model_validate(fields, strict=False), ()  # lax: the embedded store returns 1 for true
    except ValidationError as exc:
        wrong = tuple(field_faults(ConsumerSpec, exc))
        names = {error["loc"][0] for error in exc.errors()}
    if not _TOGETHER.isdisjoint(names):
        names |= _TOGETHER
    sound = {name: value for name, value in fields.items() if name not in names}
    spec = ConsumerSpec.model_validate({"queueName": "-", "url": "http://invalid/"} | sound, strict=False)
    shown = {"queue_name": document["queueName"], "name": document["name"], "url": str(fields.get("url", ""))}
    return spec.model_copy(update=shown), wrong
