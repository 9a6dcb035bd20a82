"""Show the progress of a run on standard error: the current work, how many of how many, and the time left."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining

from stepmark.analysis.interference import disturbed_because
from stepmark.errors import printable
from stepmark.plan.blocks import Launch
from stepmark.report.rich_tables import shown
from stepmark.results.certificate import Certificate
from stepmark.results.record import LaunchRecord

_WARM = "not recorded: the driver compiles kernels for these GPUs"


class Counter:
    """Counts the ended launches of a stage and estimates the time left at the pace so far."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self._began = total, 0, monotonic()

    def count(self) -> None:
        """Count one more ended launch. A stage may turn out longer than was planned."""
        self.done += 1
        self.total = max(self.total, self.done)

    @property
    def seconds_left(self) -> float | None:
        """The estimated seconds left, or None before the first launch has ended."""
        return (monotonic() - self._began) / self.done * (self.total - self.done) if self.done else None

    @property
    def left(self) -> str:
        """The time left in words; empty if nothing is left or no estimate is known."""
        seconds = self.seconds_left
        if not seconds:
            return ""
        return f", about {seconds:.0f} s left" if seconds < 100 else f", about {seconds / 60:.0f} min left"


class Lines:
    """Progress without a terminal: one line per launch, given to `say`."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._counter, self._say = Counter(0), say

    def starting(self, launcher: str) -> None:
        """Report that the session is being started."""
        self._say(f"starting: {_STARTING[launcher]}")

    def warming(self, launches: int) -> None:
        """Report that this many launches come first, which are not recorded."""
        self._counter = Counter(launches)
        self._say(f"{launches} launches first, {_WARM}")

    def warmed(self, launch: Launch, seconds: float, problem: str | None) -> None:
        """Report that one of them has ended, after this time, and why it failed if it did."""
        self._counter.count()
        state = f"{seconds:.0f} s" if problem is None else f"failed after {seconds:.0f} s: {problem}"
        self._say(f"warm [{self._counter.done}/{self._counter.total}] {launch.id}: {state}")

    def checking(self, launches: int) -> None:
        """Report that the parity checks begin, with this many launches that are not timed."""
        self._counter = Counter(launches)

    def check_ended(self, launch: Launch) -> None:
        """Report that a launch of the parity checks has ended."""
        self._counter.count()
        self._say(f"parity [{self._counter.done}/{self._counter.total}] {launch.id}: done{self._counter.left}")

    def checked(self, certificate: Certificate) -> None:
        """Report that a cell's parity checks are complete."""
        self._say(f"parity {certificate.cell}: {certificate.text}")

    def started(self, launches: int) -> None:
        """Report that timing begins, with this many launches."""
        self._counter = Counter(launches)

    def added(self, launches: int) -> None:
        """Report that this many launches are made again."""
        self._counter.total += launches
        self._say(_made_again(launches))

    def finished(self, record: LaunchRecord) -> None:
        """Report that a timed launch has ended, in whatever way."""
        self._counter.count()
        state = _state(record)
        state = f"{record.header.wall_seconds:.1f} s" if state == "done" else state
        count = f"{self._counter.done}/{self._counter.total}"
        self._say(f"[{count}] {record.header.launch_id}: {state}{self._counter.left}")


class Bar:
    """Progress on a terminal: one bar per stage. The methods mean the same as those of `Lines`."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID = bar.add_task("starting", total=None)

    def starting(self, launcher: str) -> None:
        self._bar.update(self._task, description=_STARTING[launcher])

    def warming(self, launches: int) -> None:
        self._begin(_WARM, launches)

    def warmed(self, launch: Launch, seconds: float, problem: str | None) -> None:
        state = f"{seconds:.0f} s" if problem is None else "failed"
        self._bar.update(self._task, advance=1, description=shown(f"{launch.id} {state}"))

    def checking(self, launches: int) -> None:
        self._begin("parity", launches)

    def check_ended(self, launch: Launch) -> None:
        self._bar.update(self._task, advance=1, description=shown(launch.id))

    def checked(self, certificate: Certificate) -> None:
        self._bar.update(self._task, description=shown(f"parity {certificate.cell}: {certificate.badge}"))

    def started(self, launches: int) -> None:
        self._begin("first zygotes", launches)

    def added(self, launches: int) -> None:
        self._bar.update(self._task, total=self._total + launches, description=_made_again(launches))

    def finished(self, record: LaunchRecord) -> None:
        done = int(self._bar.tasks[self._task].completed) + 1
        description = shown(f"{record.header.launch_id} {_state(record).split(':')[0]}")
        self._bar.update(self._task, completed=done, total=max(done, self._total), description=description)

    @property
    def _total(self) -> int:
        return int(self._bar.tasks[self._task].total or 0)

    def _begin(self, stage: str, launches: int) -> None:
        self._bar.reset(self._task, total=launches, description=stage)


_STARTING = {"ray": "Ray and its workers", "bare": "supervisors"}


def _made_again(launches: int) -> str:
    """Say how many launches of a block are made again: the disturbed ones, and those that they are compared with."""
    which = "1 launch is" if launches == 1 else f"{launches} launches are"
    return f"{which} made again, since others on the machine disturbed the block"


def _state(record: LaunchRecord) -> str:
    """Describe how a launch ended."""
    if record.header.failure is not None:
        return f"failed: {record.header.failure.cause}"
    disturbed = disturbed_because(record.header)
    return "done" if disturbed is None else f"disturbed: {disturbed}"


def can_draw(console: Console) -> bool:
    """Return whether rich can redraw a line there: on a terminal, and in a notebook that has ipywidgets."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)


def _say_nothing(_: str) -> None:
    return None


@contextmanager
def progress(silent: bool = False) -> Iterator[Bar | Lines]:
    """Provide a bar on a terminal and in a notebook that can draw one, else lines; nothing is shown if `silent`."""
    console = Console(stderr=True)
    if silent or not can_draw(console):
        yield Lines(_say_nothing if silent else _say)
        return
    # The bar is redrawn only once a second, since the driver shares the machine with what it measures.
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), Remaining())
    with Progress(*columns, console=console, refresh_per_second=1, transient=True) as bar:
        yield Bar(bar)
