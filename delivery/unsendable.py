"""Why no request is made of a message."""

from __future__ import annotations

from domain.outcome import Answer, ErrorClass


class Unsendable(ValueError):
    """No request can be made of a message: it lacks what the URL needs, or has what no URL may hold. Another message
    of the same queue may well be fine."""

    error = ErrorClass.UNSENDABLE

    @property
    def answer(self) -> Answer:
        """What stands for the answer of the target, which was not asked."""
        return Answer(None, self.error, str(self), 0.0)


class Filtered(Unsendable):
    """No request is to be made of a message: the consumer's filter does not admit it."""

    error = ErrorClass.FILTERED


class BadTemplate(Unsendable):
    """No request can be made of any message: the template of the payload is none."""

    error = ErrorClass.TEMPLATE
