"""AMQP errors as values: a reply code, a text and a scope. Knows no sockets and raises nothing by itself.

AmqpError            a reply code with its text; its scope follows from the code
"""

# Reply codes that close only the channel; every other one closes the connection.
# AMQP 0-9-1 §1.2 ("reply-code constants", class soft-error and hard-error).
SOFT_ERRORS = frozenset({311, 312, 313, 403, 404, 405, 406})

NAMES = {
    311: "CONTENT_TOO_LARGE",
    312: "NO_ROUTE",
    313: "NO_CONSUMERS",
    320: "CONNECTION_FORCED",
    402: "INVALID_PATH",
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    501: "FRAME_ERROR",
    502: "SYNTAX_ERROR",
    503: "COMMAND_INVALID",
    504: "CHANNEL_ERROR",
    505: "UNEXPECTED_FRAME",
    506: "RESOURCE_ERROR",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
    541: "INTERNAL_ERROR",
}


class AmqpError(Exception):
    """An error with RabbitMQ's reply code and a reply text of the same meaning.

    `code` is an AMQP 0-9-1 §1.2 reply code, `text` the sentence after the code's name. `hard` says whether the error
    closes the connection or only the channel.
    """

    def __init__(self, code: int, text: str, hard: bool | None = None) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.hard = code not in SOFT_ERRORS if hard is None else hard

    @property
    def reply_text(self) -> str:
        """`NAME - text`, as RabbitMQ writes it."""
        return f"{NAMES[self.code]} - {self.text}"

    def __str__(self) -> str:
        return f"{self.code} {self.reply_text}"
