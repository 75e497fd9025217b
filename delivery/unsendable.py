"""The reasons why no request is sent for a message."""

from __future__ import annotations

from domain.outcome import Answer, ErrorClass


class Unsendable(ValueError):
    """No request can be made for a message, for example because it lacks a value that the URL needs. Other messages of
    the same queue may be valid."""

    error = ErrorClass.UNSENDABLE

    @property
    def answer(self) -> Answer:
        """The answer by which to settle the message. No request was sent to the target."""
        return Answer(None, self.error, str(self), 0.0)


class Filtered(Unsendable):
    """No request is made for a message, because it does not match the consumer's filter."""

    error = ErrorClass.FILTERED


class Routed(Unsendable):
    """No request is made for a message by this consumer, because it has routes. The text is the name of the route that
    the message takes."""

    error = ErrorClass.ROUTED


class BadTemplate(Unsendable):
    """No request can be made for any message, because the payload's template has a syntax error."""

    error = ErrorClass.TEMPLATE


class Failed(Unsendable):
    """No request is made for a message now, because the service failed. The message is not at fault."""

    error = ErrorClass.INTERNAL

    @classmethod
    def by(cls, exc: Exception) -> Failed:
        """Return the failure that an exception of the service caused. Its text may contain secrets, so only the log of
        the service has it."""
        return cls(f"The service failed with {type(exc).__name__}; its log has the details.")
