"""Put the launches in order: randomised complete blocks with compared cells side by side.

Every block has every measurable cell once. Cells that are compared (by default those of one execution level, precision,
worker count, batch and message size) are neighbours, in reversed order every second block (ABBA), so that a slow drift
of the machine affects both alike.
Source: Hoefler and Belli, SC'15; docs/measuring.md.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from stepmark.plan.cells import Cell, Machine, cells
from stepmark.plan.foreign import WorkloadFacts
from stepmark.scenario.model import Scenario, WorkloadChoice
from stepmark.scenario.target import Target
from stepmark.terms import Compared, StartKind


@dataclass(frozen=True)
class Probe:
    """Mark a launch as untimed: a reference, whose results are written to `file`, or a cell that is compared with one.

    `accumulate` is its number of micro-batches, which for a reference may stand for other cells' workers. `logits` says
    whether the logits of the first batch are written or compared, and `layers` whether what goes into each layer and
    comes out of it is.
    """

    file: str
    writes: bool
    accumulate: int
    logits: bool = True
    layers: bool = False


@dataclass(frozen=True)
class Start:
    """Mark a launch that ends with its first finished step, in a process of its own.

    `cache` is the name of the folder in which frameworks keep what they compile. `workload` is the model that is built,
    which after an edit is not the scenario's.
    """

    kind: StartKind
    cache: str
    workload: WorkloadChoice


@dataclass(frozen=True)
class Launch:
    """Describe one measurement of one cell in one block.

    `seed` is the launch's own, the same on all ranks and in every run. `attempt` is 0, or 1 where the launch is made
    again. `warm` marks a launch that is not recorded (`plan/warm.py`), `start` one that is measured up to its first
    step only (`plan/starts.py`), and `target` one that trains to an accuracy (`plan/learning.py`).
    """

    cell: Cell
    block: int
    position: int
    seed: int
    probe: Probe | None = None
    attempt: int = 0
    warm: bool = False
    start: Start | None = None
    target: Target | None = None

    @property
    def is_timed(self) -> bool:
        """Return whether this is a launch of a run, whose steps are timed in windows and proven afterwards."""
        return self.probe is None and not self.warm and self.start is None and self.target is None

    @property
    def id(self) -> str:
        """Return the name of the launch in its run."""
        if self.start is not None:
            return f"{self.start.kind}.{launch_id(self.cell, self.block, self.attempt)}"
        if self.target is not None:
            return f"learning.{launch_id(self.cell, self.block, self.attempt)}"
        if self.warm:
            return f"warm.{self.cell.key}"
        if self.probe is not None:
            return f"{'reference' if self.probe.writes else 'parity'}.{self.cell.key}"
        return launch_id(self.cell, self.block, self.attempt)


def launch_id(cell: Cell, block: int, attempt: int) -> str:
    """Return the name of a timed launch in its run."""
    again = f"a{attempt}" if attempt else ""
    return f"b{block:03d}{again}.{cell.key}"


@dataclass(frozen=True)
class Plan:
    """Hold all that may be measured.

    The first `measurement.launches` blocks always are; others only if precision needs them.
    """

    scenario: Scenario
    machine: Machine
    cells: tuple[Cell, ...]
    blocks: tuple[tuple[Launch, ...], ...]
    facts: WorkloadFacts | None = None

    @property
    def measurable(self) -> tuple[Cell, ...]:
        """Return the cells that are supported."""
        return tuple(cell for cell in self.cells if cell.unsupported is None)

    @property
    def workers(self) -> int:
        """Return the largest worker count that is measured, or 0 if nothing is."""
        return max((cell.workers for cell in self.measurable), default=0)


def make_plan(scenario: Scenario, machine: Machine, facts: WorkloadFacts | None = None) -> Plan:
    """Return the plan of a scenario on a machine. The same scenario, seed and machine always give the same plan.

    `facts` is what foreign code says of the scenario's workload, or None for a workload of stepmark's own.
    """
    found = cells(scenario, machine, facts.unavailable if facts is not None else None)
    measurement = scenario.spec.measurement
    count = measurement.max_launches or measurement.launches
    groups = _compared_groups([cell for cell in found if cell.unsupported is None], scenario.spec.compare)
    rng = np.random.default_rng(seed_of(scenario.digest(), measurement.seed))
    orders = {key: rng.permutation(len(group)) for key, group in groups.items()}
    blocks = []
    for block in range(count):
        keys = [list(groups)[i] for i in rng.permutation(len(groups))]
        order = [groups[key][i] for key in keys for i in orders[key][:: 1 if block % 2 == 0 else -1]]
        launches = (
            Launch(cell, block, position, seed_of(scenario.digest(), cell.key, block))
            for position, cell in enumerate(order)
        )
        blocks.append(tuple(launches))
    return Plan(scenario, machine, found, tuple(blocks), facts)


Group = tuple[str | int | None, ...]


def group_of(cell: Cell, compare: Compared) -> Group:
    """Return what compared cells have in common: everything but what the scenario compares."""
    size = cell.workers, cell.batch_per_worker, cell.message_bytes
    groups: dict[Compared, Group] = {
        "candidates": (cell.levels[0], cell.precision, *size),
        "executions": (cell.candidate, cell.precision, *size),
        "precisions": (cell.candidate, cell.levels[0], *size),
        "options": (cell.engine, cell.strategy, cell.variant, cell.levels[0], cell.precision, *size),
    }
    return groups[compare]


def _compared_groups(measurable: list[Cell], compare: Compared) -> dict[Group, list[Cell]]:
    groups: dict[Group, list[Cell]] = {}
    for cell in measurable:
        groups.setdefault(group_of(cell, compare), []).append(cell)
    return groups


def seed_of(*parts: object) -> int:
    """Return a seed of 31 bits that the text of these parts decides."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
