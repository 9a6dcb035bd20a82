"""Define the errors that a person may see. Each says what was expected, what was found and what to do.

They hold only strings, so that they can be passed from one process to another.
"""

import itertools
import re

_FIELD_CHARACTERS = 500
_ERRORS_MOST, _TEXT_CHARACTERS_MOST = 50, 20_000


# C0 and C1 controls except tab and line ends, marks that set the text's direction, and what no encoding can write.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


def clean(text: str) -> str:
    """Return the text with U+FFFD for invisible characters and those that change its direction.

    The length stays the same.
    """
    return _UNSEEN.sub("\ufffd", text)


def printable(text: str) -> str:
    """Return the text with escapes for control characters, so that no document can control a person's terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class StepmarkError(Exception):
    """Signal an error whose message is written for a person. `exit_code` is the exit code of the command line."""

    exit_code = 1


class ScenarioError(StepmarkError):
    """Signal that the scenario is refused, and that nothing of it was run."""

    exit_code = 2

    def __init__(self, path: str, expected: str, found: str, fix: str) -> None:
        super().__init__(path, expected, found, fix)
        self.path, self.expected, self.found, self.fix = map(_cut, (path, expected, found, fix))

    def __str__(self) -> str:
        return printable(f"{self.path}: expected {self.expected}, found {self.found}. {self.fix}")


def _cut(text: str) -> str:
    return text if len(text) <= _FIELD_CHARACTERS else f"{text[: _FIELD_CHARACTERS - 3]}..."


class ScenarioErrors(StepmarkError):
    """Signal all refusals of one scenario at once, so that a person can correct the file in one go.

    `errors` holds the first 50, or fewer where they are long, and `more` is the number of the others.
    """

    exit_code = 2

    def __init__(self, errors: list[ScenarioError]) -> None:
        super().__init__(errors)
        lengths = itertools.accumulate(len(str(error)) for error in errors[:_ERRORS_MOST])
        shown = max(1, sum(length <= _TEXT_CHARACTERS_MOST for length in lengths))
        self.errors, self.more = errors[:shown], len(errors[shown:])

    def __str__(self) -> str:
        more = [f"Problems not shown: {self.more}. Correct these first."] if self.more else []
        return "\n".join([*map(str, self.errors), *more])


class CannotRun(StepmarkError):
    """Signal that this machine, environment or output folder cannot do what was asked."""

    exit_code = 3


UNSUPPORTED_HERE = "unsupported here: "
"""This is how the cause begins of a launch whose own process found that its device cannot do what the cell asks for."""


class UnsupportedHere(StepmarkError):
    """Signal that this machine's device cannot do what a cell asks for, which only the cell's own process could see.

    The message begins with `UNSUPPORTED_HERE`. What follows is a reason like those that a plan gives.
    """

    exit_code = 3

    def __str__(self) -> str:
        return f"{UNSUPPORTED_HERE}{super().__str__()}"


class ModelRefused(StepmarkError):
    """Signal that a model cannot be measured as it is: its outputs are random, not finite, or of another shape."""

    exit_code = 3


class Interrupted(StepmarkError):
    """Signal that the plan ended early. Finished launches are stored, and `--resume` continues the plan."""

    exit_code = 1


class Stopped(BaseException):
    """Signal that SIGTERM or SIGHUP arrived; the argument is the signal's number.

    The program then unwinds as for Ctrl-C, so that no process is left.
    """
