"""The errors that a person can meet. Each says what was expected, what was found and what to do.

They hold only strings, so that they survive the way from one process to another.
"""


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
        self.path, self.expected, self.found, self.fix = path, expected, found, fix

    def __str__(self) -> str:
        return printable(f"{self.path}: expected {self.expected}, found {self.found}. {self.fix}")


class ScenarioErrors(StepmarkError):
    """Every refusal of one scenario at once, so that a person corrects the file in one go."""

    exit_code = 2

    def __init__(self, errors: list[ScenarioError]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class CannotRun(StepmarkError):
    """This machine, environment or output folder cannot do what was asked."""

    exit_code = 3


class Interrupted(StepmarkError):
    """The plan ended early. What was finished is stored and `--resume` continues it."""

    exit_code = 1


class Stopped(BaseException):
    """SIGTERM or SIGHUP arrived (the argument is its number): unwind as for Ctrl-C, so that no process is left."""
