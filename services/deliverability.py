"""Whether a consumer that is asked for could be delivered at all: what a worker would find out is said at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from delivery.outcome import compile_rules
from delivery.signing import decode_secret
from delivery.template import UrlTemplate
from domain.consumer import ConsumerSpec
from domain.credentials import left_masked
from domain.errors import Invalid, TargetRefused
from gateway.http.target_names import TargetNames


def check_deliverable(spec: ConsumerSpec, targets: TargetNames) -> list[str]:
    """What does not keep it from being delivered later, but does so now. Raises Invalid with the fields that are wrong,
    and TargetRefused when nothing may go to the URL."""
    secret = spec.signing_secret
    checks: dict[str, Callable[[], object]] = {
        "url": lambda: UrlTemplate(spec.url),
        "outcomes": lambda: compile_rules(spec.outcomes),
        "signingSecret": lambda: decode_secret(secret.get_secret_value()) if secret else None,
    }
    wrong = [(field, sentence) for field, check in checks.items() if (sentence := _sentence(check))]
    wrong += [
        (field, "is the mask of what is never shown; give the value itself") for field in left_masked(spec.stored())
    ]
    if wrong:
        raise invalid_consumer(wrong)
    refusal, warning = targets.judge(spec.url)
    if refusal:
        raise TargetRefused(refusal, fields=[("url", refusal)])
    return [warning] if warning else []


def invalid_consumer(wrong: Sequence[tuple[str, str]]) -> Invalid:
    """The error for a consumer of which these fields are wrong, each with its sentence."""
    return Invalid("; ".join(f"{field}: {sentence}" for field, sentence in wrong[:3]), fields=wrong)


def _sentence(check: Callable[[], object]) -> str:
    try:
        check()
    except ValueError as exc:
        return str(exc)
    return ""
