"""Checks the targets of a consumer before it is stored: URLs, templates, certificates and secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from domain.auth import OAuth2Auth
from domain.consumer import ConsumerSpec
from domain.credentials import left_masked
from domain.errors import Invalid, TargetRefused
from domain.payload import PayloadTemplate
from domain.registry import RegisteredConsumer
from domain.route import DEFAULT, below
from domain.router import consumers_of, placed
from domain.sentences import joined
from gateway.http.target_names import TargetNames
from services.routes import check_queues

_NONE: Mapping[str, RegisteredConsumer] = MappingProxyType({})

_UNORDERED = (
    "The route {!r} has ordering, but its consumer does not, so messages can reach the route in another order. Set "
    "ordering on both."
)


class TargetChecks:
    """Thread-safe."""

    def __init__(self, targets: TargetNames, template_fault: Callable[[str], str | None]) -> None:
        """`template_fault` returns the syntax error of a template."""
        self._targets, self._template_fault = targets, template_fault

    def check(
        self, spec: ConsumerSpec, known: Mapping[str, RegisteredConsumer] = _NONE, before: ConsumerSpec | None = None
    ) -> tuple[list[ConsumerSpec], list[str]]:
        """Return the definitions of the consumers of the routes, and warnings that do not prevent the change. `known`
        are those consumers so far, by name; `before` is the consumer itself.

        Raises Invalid when a secret's value is the mask, a template has a syntax error, a new certificate is out of
        date, or the name of a route's consumer or queue is not allowed, and TargetRefused when a URL or a token URL is
        not allowed."""
        consumers = consumers_of(spec)
        if not consumers:
            return [], self._check(spec, before)
        check_queues(spec)
        warnings = []
        own = below(spec.effective_name, DEFAULT)
        for place, one in enumerate(consumers):
            earlier = known.get(one.name)
            with placed("" if one.name == own else f"routes.{place}"):
                warnings += self._check(one, earlier.spec if earlier else before if one.name == own else None)
            if one.ordering != "none" and spec.ordering == "none":
                warnings.append(_UNORDERED.format(one.name))
        return consumers, list(dict.fromkeys(warnings))

    def _check(self, spec: ConsumerSpec, before: ConsumerSpec | None) -> list[str]:
        """Return warnings about one target."""
        if masked := left_masked(spec.stored()):
            wrong = [(field, "is the mask of a hidden value; send the value itself") for field in masked]
            raise Invalid(joined(wrong), fields=wrong)
        if isinstance(spec.payload, PayloadTemplate) and (fault := self._template_fault(spec.payload.template)):
            raise Invalid.at("payload.template", fault)
        if spec.tls and (before is None or spec.tls != before.tls) and (bad := spec.tls.unusable(datetime.now(UTC))):
            raise Invalid.at(*bad)
        urls = {"url": spec.url}
        if isinstance(spec.auth, OAuth2Auth):
            urls["auth.tokenUrl"] = spec.auth.token_url
        warnings = []
        for field, url in urls.items():
            refusal, warning = self._targets.judge(url.target)
            if refusal:
                raise TargetRefused(refusal, fields=[(field, refusal)])
            warnings += [warning] if warning else []
        return warnings
