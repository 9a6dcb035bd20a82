"""What the hub says it does: one line each, with a level, as text or as JSON. Never a token, nor what a body holds.

Events are lines for people and programs: a word, and facts about it (`run=... by=...`). Those of the logger
`stepmark.hub.audit` say who did what, when, and from where.
"""

import json
import logging
import time
from typing import Literal

from stepmark.errors import printable

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]

log = logging.getLogger("stepmark.hub")
_audit = logging.getLogger("stepmark.hub.audit")
_VALUE_MOST = 300
_REFUSALS_A_SECOND = 10


def event(what: str, level: int = logging.INFO, **facts: object) -> None:
    """Something that the hub did."""
    log.log(level, what, extra={"facts": _plain(facts)})


def audit(what: str, **facts: object) -> None:
    """Something that somebody did, or was not let do."""
    _audit.info(what, extra={"facts": _plain(facts)})


class Refusals:
    """Audit lines of what was refused: a flood of them is counted, not written."""

    def __init__(self) -> None:
        self._second, self._said, self._unsaid = 0, 0, 0

    def say(self, **facts: object) -> None:
        second = int(time.monotonic())
        if second != self._second:
            if self._unsaid:
                audit("refused", more=self._unsaid)
            self._second, self._said, self._unsaid = second, 0, 0
        if self._said < _REFUSALS_A_SECOND:
            self._said += 1
            audit("refused", **facts)
        else:
            self._unsaid += 1


def configure(form: Format, level: Level) -> None:
    """For the process: every line to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    handler.addFilter(_without_traceback)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("alembic", "asyncio", "kubernetes", "urllib3"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def _without_traceback(record: logging.LogRecord) -> bool:
    """Of a connection to the database that broke: that it did is known from who used it."""
    if record.name.startswith("sqlalchemy.pool") and record.exc_info and record.exc_info[1] is not None:
        record.msg, record.args = f"a connection was given up: {type(record.exc_info[1]).__name__}", ()
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def _plain(facts: dict[str, object]) -> dict[str, object]:
    """Values that others chose stay on one line, and short."""
    return {
        name: value if isinstance(value, int | float) else printable(str(value))[:_VALUE_MOST]
        for name, value in facts.items()
        if value is not None
    }


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", {})
        words = " ".join(f"{name}={_quoted(value)}" for name, value in facts.items())
        return f"{super().formatMessage(record)}{' ' + words if words else ''}"


def _quoted(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return json.dumps(text) if not text or any(c in text for c in ' "=') else text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record), "level": record.levelname.lower(), "logger": record.name,
            "message": record.getMessage(), **getattr(record, "facts", {}),
        }  # fmt: skip
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)
