"""Logging of every process: one JSON object per line on stderr, or coloured lines on a terminal.

Our modules log events with fields through `structlog.get_logger("workerrmq.…")`. Records that gunicorn, pika, pymongo
and werkzeug log through the standard library have the same format. Never log bodies, query strings or credentials.
docs/LOGGING.md lists every event.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Literal, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from runtime.log_level import LogLevel

_QUIET = {"pika": logging.CRITICAL, "pymongo": logging.WARNING, "urllib3": logging.WARNING}
"""At lower levels these libraries log frames and documents with secrets, and pika logs each failure seven times."""

_NUMBERS = logging.getLevelNamesMapping()
_write_lock = Lock()
_level = LogLevel(logging.INFO)

log_context: ContextVar[Mapping[str, str | None]] = ContextVar("log_context", default=MappingProxyType({}))
"""Fields of all log lines that the current thread or greenlet writes, such as the id of the request that it handles."""


def configure(level: str, style: Literal["auto", "json", "console"], directory: Path | None = None) -> None:
    """Configure structlog and the standard library's logging. A later call replaces the configuration. With a
    `directory`, the level can change while the process runs (log_level.py)."""
    global _level  # noqa: PLW0603 - one log, one level
    _level = LogLevel(_NUMBERS[level.upper()], directory)
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    before = [_in_context, structlog.processors.add_log_level]
    after: list[Processor] = [_timed, structlog.processors.format_exc_info, *_renderer(console)]
    structlog.configure(
        processors=[_is_enough, *before, _named, *after],
        wrapper_class=_Bound,
        logger_factory=_Line,
        cache_logger_on_first_use=True,
    )
    handler = _Handler()
    handler.addFilter(lambda record: record.levelno >= _level.now())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *after],
            foreign_pre_chain=[*before, structlog.stdlib.add_logger_name],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler, *(other for other in root.handlers if not isinstance(other, _Handler))]
    root.setLevel(logging.DEBUG)  # the handler decides
    for name, lowest in _QUIET.items():
        logging.getLogger(name).setLevel(lowest)
    logging.getLogger("werkzeug").addFilter(_is_not_an_access_line)
    logging.captureWarnings(True)


def _renderer(console: bool) -> list[Processor]:
    if not console:
        return [_json]
    plain = structlog.dev.plain_traceback
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=plain, timestamp_key="time"
    )
    return [_escaped, renderer]


class _Bound(structlog.make_filtering_bound_logger(logging.DEBUG)):  # type: ignore[misc]
    """A logger that tells whether a level is logged now, so that callers can avoid building unused events."""

    def is_enabled_for(self, level: int) -> bool:
        return level >= _level.now()


def _is_enough(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if _NUMBERS[method.upper()] < _level.now():
        raise structlog.DropEvent
    return event


def _in_context(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {**log_context.get(), **event}


def _named(logger: WrappedLogger, _: str, event: EventDict) -> EventDict:
    event["logger"] = logger.name
    return event


def _timed(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["time"] = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
    return event


_FIRST = ("time", "level", "logger", "event")


def _json(_: WrappedLogger, __: str, event: EventDict) -> str:
    line = {key: event.pop(key, None) for key in _FIRST} | cast("dict[str, object]", event)
    return _printable(orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode(), json.dumps)


_OF_MANY_LINES = ("exception", "stack")


def _escaped(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape the strings of an event, because clients choose names and a terminal must not interpret them. The renderer
    escapes other values."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _printable(value, repr, keep="\n\t" if key in _OF_MANY_LINES else "")
    return event


def _printable(text: str, quoted: Callable[[str], str], keep: str = "") -> str:
    """Return the text with each character that is not printable, except those in `keep`, escaped by `quoted`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else quoted(char)[1:-1] for char in text)


def _is_not_an_access_line(record: logging.LogRecord) -> bool:
    # werkzeug's own request lines contain the query string; ours (middlewares/request_log.py) do not.
    return '"%s" %s %s' not in str(record.msg)


def _write(line: str) -> None:
    with _write_lock:
        sys.stderr.write(line + "\n")  # looked up each time, because it may have been replaced
        sys.stderr.flush()


class _Line:
    """The output of structlog's loggers."""

    def __init__(self, name: str = "workerrmq") -> None:
        self.name = name

    def msg(self, line: str) -> None:
        _write(line)

    debug = info = warning = error = critical = msg


class _Handler(logging.Handler):
    """The handler of the standard library's loggers."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _write(self.format(record))
        except Exception:  # noqa: BLE001 - logging requires it: a bad record must not raise in its caller
            self.handleError(record)
