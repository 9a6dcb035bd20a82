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
    """Store a cell and the cell that it is compared with, and at which execution level.

    It is the level that both stand for; where executions are compared, it is the cell's own.
    """

    level: str
    cell: Cell
    base: Cell


def pairs(scenario: Scenario, cells: tuple[Cell, ...]) -> Iterator[Pair]:
    """Yield every pair that the scenario asks for, which differs in what `spec.compare` names and in nothing else."""
    for cell in cells:
        for base in cells:
            yield from (Pair(level, cell, base) for level in _levels(scenario, cell, base))


def _levels(scenario: Scenario, cell: Cell, base: Cell) -> tuple[str, ...]:
    """Return the level at which the cell is compared with this base; none if it is not.

    Where both cells stand for several levels, as JAX's do, they are one pair all the same.
    """
    spec, shared = scenario.spec, tuple(level for level in cell.levels if level in base.levels)
    if _size(cell) != _size(base):
        return ()
    if spec.compare == "executions":
        alike = (cell.candidate, cell.precision) == (base.candidate, base.precision)
        first = spec.sweep.execution[0]
        return cell.levels[:1] if alike and first in base.levels and first not in cell.levels else ()
    if spec.compare == "precisions":
        firsts = base.precision == spec.sweep.precision[0] != cell.precision
        return shared[:1] if firsts and cell.candidate == base.candidate else ()
    firsts = base.candidate == _reference_of(cell, scenario) != cell.candidate
    return shared[:1] if firsts and cell.precision == base.precision else ()


def _size(cell: Cell) -> tuple[int, int, int | None]:
    return cell.workers, cell.batch_per_worker, cell.message_bytes


def _reference_of(cell: Cell, scenario: Scenario) -> str:
    """Return the first candidate, or, where options are compared, the first of the cell's engine, strategy, variant."""
    if scenario.spec.compare != "options":
        return scenario.spec.candidates[0].name
    own = next(one for one in scenario.spec.candidates if one.name == cell.candidate)
    kind = (own.engine, own.strategy, own.variant)
    return next(one.name for one in scenario.spec.candidates if (one.engine, one.strategy, one.variant) == kind)
