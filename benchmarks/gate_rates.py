"""How often the gate fails where nothing changed, and how often it finds what became 5 % slower: simulated campaigns.

python benchmarks/gate_rates.py [gates per figure, default 1,000]        nothing changed, 3 earlier runs or more: <= 5 %

Truth: log launch mean = campaign effect + launch effect. The campaign effect shifts all cells of a campaign together
("one effect"), each cell on its own ("of each cell"), or half of the cells four times as much as the others ("uneven").
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stepmark.analysis.campaigns import between, tested
from stepmark.analysis.compare import judge

Array = NDArray[np.float64]
CELLS, LAUNCHES, LAUNCH_SPREAD, MINIMUM_EFFECT, ALPHA = 8, 5, 0.005, 0.01, 0.05
HISTORIES, EFFECTS = (0, 1, 2, 3, 5, 10), (0.0, 0.005, 0.01)
UNEVEN = np.repeat((0.5, 2.0), CELLS // 2)

# Campaign effects of unit spread: (campaigns,) -> shape (campaigns, cells).
WORLDS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "one effect": lambda rng, campaigns: np.repeat(rng.standard_normal((campaigns, 1)), CELLS, axis=1),
    "of each cell": lambda rng, campaigns: rng.standard_normal((campaigns, CELLS)),
    "uneven": lambda rng, campaigns: UNEVEN * rng.standard_normal((campaigns, CELLS)),
}


@dataclass(frozen=True)
class World:
    """`effect`: spread between campaigns. `earlier`: runs beside the old one. `slower`: so many cells, by 5 %."""

    kind: str
    effect: float
    earlier: int
    slower: int = 0

    def campaigns(self, rng: np.random.Generator) -> Array:
        """Return launch means, shape (campaigns, cells, launches): of the earlier runs, the old one and the new one."""
        count = self.earlier + 2
        logs = rng.normal(0, LAUNCH_SPREAD, (count, CELLS, LAUNCHES))
        logs += self.effect * WORLDS[self.kind](rng, count)[:, :, None]
        logs[-1, : self.slower] += np.log(1.05)
        return np.exp(logs)


def fails(means: Array) -> Array:
    """Return whether the gate would call each cell slower; `means` as of `World.campaigns`."""
    before, new = means[:-1].transpose(1, 0, 2), means[-1]
    known = between({str(c): list(before[c]) for c in range(CELLS)}) if len(means) > 2 else {}
    tests, level = tested({str(c): (before[c, -1], new[c]) for c in range(CELLS)}, known, ALPHA)
    return np.array([judge(one.test.ratio(level), MINIMUM_EFFECT)[0] == "slower" for one in tests.values()])


def rate(world: World, gates: int) -> float:
    """Return the share of gates that fail; with slower cells, the share of these that are found."""
    rng = np.random.default_rng(5)
    found = np.array([fails(world.campaigns(rng)) for _ in range(gates)])
    return float(found[:, : world.slower].mean() if world.slower else found.any(axis=1).mean())


def main() -> None:
    gates = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    print(f"{CELLS} cells, {LAUNCHES} launches a side that vary by {LAUNCH_SPREAD:.1%}, {gates} gates per figure")
    print("earlier runs".rjust(46) + "".join(f"{earlier:>8}" for earlier in HISTORIES))
    for title, slower in (
        ("one of 8 cells 5 % slower, found", 1),
        ("all cells 5 % slower, found", CELLS),
        ("A/A: fails", 0),
    ):
        print(title)
        for kind in WORLDS:
            for effect in EFFECTS:
                world = World(kind, effect, 0, slower)
                rates = (rate(replace(world, earlier=earlier), gates) for earlier in HISTORIES)
                print(f"  {kind:14} campaigns vary by {effect:5.1%}".ljust(46) + "".join(f"{r:8.1%}" for r in rates))


if __name__ == "__main__":
    main()
