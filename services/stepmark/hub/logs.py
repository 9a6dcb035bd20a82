"""The hub's log: one line for each entry, with a level, as text or as JSON. Tokens and bodies are never logged.

Events are lines for people and programs: a word and facts (`run=... by=...`). The logger `stepmark.hub.audit` records
who did what, when, and from where.
"""

import json
import logging
import time

from stepmark.errors import printable
from stepmark.terms import LogFormat, LogLevel

log = logging.getLogger("stepmark.hub")
_audit = logging.getLogger("stepmark.hub.audit")
_VALUE_MOST = 300
_REFUSALS_A_SECOND = 10


def event(what: str, level: int = logging.INFO, **facts: object) -> None:
    """Log something that the hub did."""
    log.log(level, what, extra={"facts": _plain(facts)})


def audit(what: str, **facts: object) -> None:
    """Log something that a caller did, or was refused."""
    _audit.info(what, extra={"facts": _plain(facts)})


class Refusals:
    """Write audit lines of refusals. Beyond a limit per second they are counted, not written."""

    def __init__(self) -> None:
        self._second, self._said, self._unsaid = 0, 0, 0

    def say(self, **facts: object) -> None:
        """Log one refusal, or count it if this second has too many."""
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


def configure(form: LogFormat, level: LogLevel) -> None:
    """Configure logging of the process: every line goes to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    handler.addFilter(_without_traceback)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("alembic", "asyncio", "kubernetes", "urllib3"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def _without_traceback(record: logging.LogRecord) -> bool:
    """Replace the traceback of a broken database connection by one line.

    Whoever used the connection reports the error.
    """
    if record.name.startswith("sqlalchemy.pool") and record.exc_info and record.exc_info[1] is not None:
        record.msg, record.args = f"a database connection was closed after {type(record.exc_info[1]).__name__}", ()
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def _plain(facts: dict[str, object]) -> dict[str, object]:
    """Shorten values that others chose, and keep them on one line."""
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
