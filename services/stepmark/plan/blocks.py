"""The order of measuring: randomised complete blocks, compared cells side by side.

Every block has every measurable cell once. Cells that are compared (same execution level, precision and worker count)
are neighbours, in reversed order every second block (ABBA), so that a slow drift of the machine meets both alike.
Hoefler and Belli, SC'15; docs/measuring.md.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from stepmark.plan.cells import Cell, Machine, cells
from stepmark.scenario.model import Scenario


@dataclass(frozen=True)
class Probe:
    """A launch that is not timed: a reference, whose results are written to `file`, or a cell compared with one.

    `accumulate` is its number of micro-batches, which for a reference may stand for other cells' workers. `logits`:
    whether those of the first batch are written or compared.
    """

    file: str
    writes: bool
    accumulate: int
    logits: bool = True


@dataclass(frozen=True)
class Launch:
    """One measurement of one cell, in one block. `seed` is its own, the same on all ranks and in every run.

    `attempt`: 0 first, 1 where it is made again.
    """

    cell: Cell
    block: int
    position: int
    seed: int
    probe: Probe | None = None
    attempt: int = 0

    @property
    def id(self) -> str:
        if self.probe is not None:
            return f"{'reference' if self.probe.writes else 'parity'}.{self.cell.key}"
        return launch_id(self.cell, self.block, self.attempt)


def launch_id(cell: Cell, block: int, attempt: int) -> str:
    """The name of a launch in its run."""
    again = f"a{attempt}" if attempt else ""
    return f"b{block:03d}{again}.{cell.key}"


@dataclass(frozen=True)
class Plan:
    """All that may be measured: the first `measurement.launches` blocks always, further ones when precision asks."""

    scenario: Scenario
    machine: Machine
    cells: tuple[Cell, ...]
    blocks: tuple[tuple[Launch, ...], ...]

    @property
    def measurable(self) -> tuple[Cell, ...]:
        return tuple(cell for cell in self.cells if cell.unsupported is None)

    @property
    def workers(self) -> int:
        """The largest worker count that is measured; 0 if nothing is."""
        return max((cell.workers for cell in self.measurable), default=0)


def make_plan(scenario: Scenario, machine: Machine) -> Plan:
    """The same scenario, seed and machine give the same plan."""
    found = cells(scenario, machine)
    measurement = scenario.spec.measurement
    count = measurement.max_launches or measurement.launches
    groups = _compared_groups([cell for cell in found if cell.unsupported is None])
    rng = np.random.default_rng(_seed(scenario.digest(), measurement.seed))
    orders = {key: rng.permutation(len(group)) for key, group in groups.items()}
    blocks = []
    for block in range(count):
        keys = [list(groups)[i] for i in rng.permutation(len(groups))]
        order = [groups[key][i] for key in keys for i in orders[key][:: 1 if block % 2 == 0 else -1]]
        launches = (
            Launch(cell, block, position, _seed(scenario.digest(), cell.key, block))
            for position, cell in enumerate(order)
        )
        blocks.append(tuple(launches))
    return Plan(scenario, machine, found, tuple(blocks))


Group = tuple[str, str, int]


def group_of(cell: Cell) -> Group:
    """What the cells that are compared with each other have in common: level, precision and number of workers."""
    return cell.levels[0], cell.precision, cell.workers


def _compared_groups(measurable: list[Cell]) -> dict[Group, list[Cell]]:
    groups: dict[Group, list[Cell]] = {}
    for cell in measurable:
        groups.setdefault(group_of(cell), []).append(cell)
    return groups


def _seed(*parts: object) -> int:
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
