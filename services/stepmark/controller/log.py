"""The controller's log: one line for each thing that it does, as text or JSON. No line contains a token or a Secret."""

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from stepmark.errors import printable
from stepmark.terms import LogFormat, LogLevel

log = logging.getLogger("stepmark.controller")
_TEXT_MOST, _FRAMES = 500, 6


def of(scenario: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the `extra` of a log line about this scenario. The object may have any shape."""
    metadata = scenario.get("metadata") or {}
    return fields(namespace=metadata.get("namespace"), scenario=metadata.get("name"), **more)


def fields(**more: Any) -> dict[str, Any]:
    """Return the `extra` of a log line, with fields that programs can search for. Fields that are None are left out."""
    return {"fields": {name: value for name, value in more.items() if value is not None}}


def where(error: BaseException) -> str:
    """Return file, line and function of the calls that led to an error, outermost first, without any values."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return " > ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames)


class _Lines(logging.Formatter):
    def __init__(self, form: LogFormat) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        parts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": _clipped(record.getMessage()),
            **getattr(record, "fields", {}),
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            parts |= {"error": _clipped(f"{type(error).__name__}: {error}"), "where": where(error)}
        if self._form == "json":
            return json.dumps({name: _plain(value) for name, value in parts.items()})
        time, level, message = (parts.pop(name) for name in ("time", "level", "message"))
        more = "".join(f" {name}={json.dumps(_plain(value))}" for name, value in parts.items())
        return f"{time} {level:<7} {message}{more}"


def _clipped(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _TEXT_MOST else line[: _TEXT_MOST - 3] + "..."


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float) else _clipped(str(value))


def begin(form: LogFormat, level: LogLevel) -> None:
    """Start to write the controller's log lines to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(form))
    log.handlers, log.propagate = [handler], False
    log.setLevel(level.upper())
