"""The errors that a person can meet. Each says what was expected, what was found and what to do.

They hold only strings, so that they survive the way from one process to another.
"""

import itertools
import re

_FIELD_CHARACTERS = 500
_ERRORS_MOST, _TEXT_CHARACTERS_MOST = 50, 20_000


# C0 and C1 controls but tab and line ends, marks and overrides of direction, what no encoding can write.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


def clean(text: str) -> str:
    """The text, of the same length, with a replacement character for what no reader sees or what turns lines around."""
    return _UNSEEN.sub("\ufffd", text)


def printable(text: str) -> str:
    """The text with control characters spelled out: a hostile document must not steer a person's terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class StepmarkError(Exception):
    """An error with a message made for a person. `exit_code` is what the command line ends with."""

    exit_code = 1


class ScenarioError(StepmarkError):
    """The scenario is refused: nothing of it was run."""

    exit_code = 2

    def __init__(self, path: str, expected: str, found: str, fix: str) -> None:
        super().__init__(path, expected, found, fix)
        self.path, self.expected, self.found, self.fix = map(_cut, (path, expected, found, fix))

    def __str__(self) -> str:
        return printable(f"{self.path}: expected {self.expected}, found {self.found}. {self.fix}")


def _cut(text: str) -> str:
    return text if len(text) <= _FIELD_CHARACTERS else f"{text[: _FIELD_CHARACTERS - 3]}..."


class ScenarioErrors(StepmarkError):
    """Every refusal of one scenario at once, so that a person corrects the file in one go.

    `errors`: the first 50, and fewer where they are long; `more`: how many others there are.
    """

    exit_code = 2

    def __init__(self, errors: list[ScenarioError]) -> None:
        super().__init__(errors)
        lengths = itertools.accumulate(len(str(error)) for error in errors[:_ERRORS_MOST])
        shown = max(1, sum(length <= _TEXT_CHARACTERS_MOST for length in lengths))
        self.errors, self.more = errors[:shown], len(errors[shown:])

    def __str__(self) -> str:
        more = [f"And {self.more} more: correct these first."] if self.more else []
        return "\n".join([*map(str, self.errors), *more])


class CannotRun(StepmarkError):
    """This machine, environment or output folder cannot do what was asked."""

    exit_code = 3


class Interrupted(StepmarkError):
    """The plan ended early. What was finished is stored and `--resume` continues it."""

    exit_code = 1


class Stopped(BaseException):
    """SIGTERM or SIGHUP arrived (the argument is its number): unwind as for Ctrl-C, so that no process is left."""
