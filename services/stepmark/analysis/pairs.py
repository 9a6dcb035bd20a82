"""Pair each cell with the reference's cell that it is compared with, and say what a comparison needs of both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stepmark.analysis.launch import LaunchSummary
from stepmark.plan.cells import Cell
from stepmark.scenario.model import Scenario


@dataclass(frozen=True)
class Measured:
    """Store what a comparison needs of a cell.

    The seconds are by block, of its good launches. `slopes` are those of the launches' windows.
    """

    mean_seconds: Mapping[int, float]
    median_seconds: Mapping[int, float]
    slopes: tuple[float, ...] = ()

    @classmethod
    def of(cls, launches: Sequence[LaunchSummary]) -> "Measured":
        """Return what a comparison needs of these launches."""
        return cls(
            {launch.block: launch.mean_step_seconds for launch in launches},
            {launch.block: launch.median_step_seconds for launch in launches},
            tuple(launch.steady.slope for launch in launches if launch.steady.slope is not None),
        )


NOTHING = Measured({}, {})


@dataclass(frozen=True)
class Pair:
    """Store a cell and the reference's cell that it is compared with, at an execution that both stand for."""

    level: str
    cell: Cell
    base: Cell


def pairs(scenario: Scenario, cells: tuple[Cell, ...]) -> Iterator[Pair]:
    """Yield every pair that the scenario asks for."""
    reference = scenario.spec.candidates[0].name
    for cell in cells:
        if cell.candidate == reference:
            continue
        for base in cells:
            alike = _setting(base) == _setting(cell)
            for level in [level for level in cell.levels if level in base.levels]:
                if base.candidate == reference and alike:
                    yield Pair(level, cell, base)


def _setting(cell: Cell) -> tuple[str, int, int | None]:
    return cell.precision, cell.workers, cell.message_bytes
