"""The log format: JSON for machines (LOG_FORMAT=json, the default in production) or text for people.

Each record is one line, with the time in UTC and the request's id. In the text format, a traceback follows on
separate lines. Clients cannot forge log lines. Secrets that `app/redaction.py` recognizes are removed. Use
the standard `logging` module, with `extra={...}` for your own fields.
"""

import logging
import logging.config
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter as BaseJsonFormatter

from app.redaction import may_hold_a_secret, redact, redact_all
from app.settings import Settings

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the current request. Empty outside requests."""

_RESERVED = frozenset(RESERVED_ATTRS)


def configure(settings: Settings) -> None:
    """Log to standard output. Servers and workers call this function; tests and other commands do not."""
    logging.config.dictConfig(configuration(settings))


def configuration(settings: Settings) -> dict[str, Any]:
    """The logging configuration as a dictionary. Granian also uses it, so that all log lines have the same
    format."""
    formatter = "app.logs.JsonFormatter" if settings.log_format == "json" else "app.logs.TextFormatter"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {
            "output": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stdout"}
        },
        "root": {"handlers": ["output"], "level": settings.log_level},
        "loggers": {
            "_granian": {"level": "INFO", "propagate": True},
            # Otherwise, Alembic would log two lines each time a waiting worker checks the database.
            "alembic": {"level": "WARNING"},
            # httpx logs whole URLs, some of which contain tokens.
            "httpx": {"level": "WARNING"},
        },
    }


class JsonFormatter(BaseJsonFormatter):
    """One JSON object per line: timestamp, level, logger, message, request_id and the fields in `extra`."""

    def __init__(self) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]  # its options have no types

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        log_data["timestamp"] = _time(record)
        log_data["level"] = record.levelname
        log_data["logger"] = record.name
        log_data["message"] = record.message
        if identifier := request_id.get():
            log_data["request_id"] = identifier
        super().add_fields(log_data, record, message_dict)

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        text = super().jsonify_log_record(log_data)
        if not may_hold_a_secret(text):
            return text
        # Redact each value instead of the whole JSON text, which must stay valid: a pattern could not tell
        # where a value ends.
        return super().jsonify_log_record(redact_all(log_data))


class TextFormatter(logging.Formatter):
    """A readable line. Any traceback follows, indented so that it cannot be mistaken for log lines."""

    def format(self, record: logging.LogRecord) -> str:
        # Do not repeat a value that the message already contains.
        said = record.args if isinstance(record.args, tuple) else ()
        fields = [
            f"{name}={_plain(value if isinstance(value, str) else str(redact_all(value)))}"
            for name, value in vars(record).items()
            if name not in _RESERVED and value is not None and value not in said
        ]
        if identifier := request_id.get():
            fields.append(f"request_id={identifier}")
        line = f"{_time(record)} {record.levelname} {record.name} {_plain(record.getMessage())}"
        text = " ".join([line, *fields])
        if record.exc_info:
            text += _indented(self.formatException(record.exc_info))
        if record.stack_info:
            text += _indented(self.formatStack(record.stack_info))
        return redact(text)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(text: str) -> str:
    """Escape the characters in *text* that move the cursor or start a new line (CWE-117)."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )


def _indented(text: str) -> str:
    return "".join(f"\n    {_plain(line)}" for line in text.splitlines())
