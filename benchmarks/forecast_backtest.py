"""How far off forecasts are on published curves, and how often their bands hold. No machine is on both sides.

python benchmarks/forecast_backtest.py        where the boundary was seen: median <= 3 %, p90 <= 9 %; 80 % bands 75-88 %
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from stepmark.analysis import bands, curves
from stepmark.analysis.forecast import Point, forecast

DATA = Path(__file__).parent / "data" / "published_scaling.csv"
MACHINES = {"A100": "DGX A100", "DGX-2": "DGX-2", "P100": "DGX-1 P100", "GCE": "GCE K80", "EC2": "EC2 K80"}
GRID = [
    curves.Settings(ridge, share, inside, power, 2 * power)
    for ridge, share, inside, power in product((0.02, 0.05, 0.15), (1 / 3, 0.5, 0.7), (0.1, 0.3, 1.0), (0.5, 1.0, 2.0))
]


@dataclass(frozen=True)
class Case:
    """The measured points of a curve up to some worker count, and one later point to forecast. Seconds per sample."""

    machine: str
    per_node: int
    workers: np.ndarray
    seconds: np.ndarray
    target: int
    truth: float
    largest: bool

    @property
    def kind(self) -> str:
        if self.target <= self.per_node:
            return "in one node"
        return "boundary seen" if self.workers[-1] > self.per_node else "boundary unseen"

    def error(self, method: Callable[["Case"], float]) -> float:
        return float(np.log(self.truth / method(self)))


def cases() -> list[Case]:
    """Every prefix of at least two points with every later point."""
    rows = defaultdict(list)
    with DATA.open() as file:
        for row in csv.DictReader(file):
            rows[row["curve_id"]].append(row)
    return [case for group in rows.values() for case in _of_curve(group)]


def _of_curve(rows: list[dict[str, str]]) -> Iterator[Case]:
    rows = sorted(rows, key=lambda row: int(row["workers"]))
    workers = np.array([float(row["workers"]) for row in rows])
    seconds = workers / np.array([float(row["throughput"]) for row in rows])
    machine = next((name for key, name in MACHINES.items() if key in rows[0]["hardware"]), "DGX-1 V100")
    per_node = int(rows[0]["workers_per_node"])
    for seen, target in combinations(range(len(rows)), 2):
        if seen >= 1:
            known, ahead = slice(0, seen + 1), int(workers[target])
            largest = target == len(rows) - 1
            yield Case(machine, per_node, workers[known], seconds[known], ahead, float(seconds[target]), largest)


def ensemble(case: Case, settings: curves.Settings | None = None) -> float:
    target = np.array([float(case.target)])
    logs, weights = curves.weak(case.workers, case.seconds, case.per_node, target, settings)
    return float(np.exp(weights @ logs)[0])


def linear_from_last(case: Case) -> float:
    """Throughput grows with the workers: the step time stays that of the largest measured point."""
    return float(case.seconds[-1])


def amdahl(case: Case) -> float:
    """Amdahl's law fitted by least squares on 1/speed-up, through the largest point."""
    n = case.workers / case.workers[0]
    inverse = case.seconds / case.seconds[0] / n
    serial = max((1 - 1 / n) @ (inverse - 1 / n) / ((1 - 1 / n) @ (1 - 1 / n)), 0.0)
    return _through_last(case, lambda x: x * (serial + (1 - serial) / x))


def usl(case: Case) -> float:
    """Universal Scalability Law (Gunther 1993): contention and coherence by non-negative least squares."""
    n = case.workers / case.workers[0]
    (contention, coherence), _ = nnls(np.column_stack([n - 1, n * (n - 1)]), case.seconds / case.seconds[0] - 1)
    return _through_last(case, lambda x: 1 + contention * (x - 1) + coherence * x * (x - 1))


def _through_last(case: Case, seconds: Callable[[float], float]) -> float:
    first, last = case.workers[0], case.workers[-1]
    return float(case.seconds[-1] * seconds(case.target / first) / seconds(last / first))


def scores(cases: list[Case]) -> tuple[np.ndarray, np.ndarray]:
    """|log error| in units of the band's scale, and whether the shipped 80 % band holds; shape (cases,) each."""
    predictions = [
        forecast([Point(int(n), t) for n, t in zip(c.workers, c.seconds, strict=True)], [c.target], c.per_node)[0]
        for c in cases
    ]
    halves = np.array([np.log(p.high_80 / p.step_seconds) for p in predictions])
    errors = np.abs([np.log(c.truth / p.step_seconds) for c, p in zip(cases, predictions, strict=True)])
    holds = [p.low_80 <= c.truth <= p.high_80 for c, p in zip(cases, predictions, strict=True)]
    return errors / halves * bands.SCORES[80], np.array(holds)


def percents(errors: np.ndarray) -> str:
    off = 100 * np.abs(np.expm1(errors))
    return f"{np.median(off):5.1f} / {np.percentile(off, 90):5.1f}"


def tasks(all_cases: list[Case]) -> dict[str, list[Case]]:
    """The tasks of the literature table, and all pairs by kind."""
    crossed = [c for c in all_cases if c.kind == "boundary seen"]
    return {
        "<= 4 to 8 in one node": [
            c for c in all_cases if c.workers[-1] == 4 and c.target == 8 and c.kind == "in one node"
        ],
        "<= 16 to the largest": [c for c in crossed if c.workers[-1] == 16 and c.largest],
        "two node counts to the largest": [
            c for c in all_cases if (c.workers >= c.per_node).sum() == 2 and c.largest and c.target > c.per_node
        ],
        **{f"all, {kind}": [c for c in all_cases if c.kind == kind]
           for kind in ("in one node", "boundary seen", "boundary unseen")},
    }  # fmt: skip


def show_methods(all_cases: list[Case]) -> None:
    methods = (linear_from_last, amdahl, usl, ensemble)
    print(f"absolute error in %, median / p90\n{'':33}" + "".join(f"{m.__name__:>18}" for m in methods))
    for name, group in tasks(all_cases).items():
        rows = [percents(np.array([case.error(method) for case in group])) for method in methods]
        print(f"{name:31}{len(group):4}" + "".join(f"{row:>18}" for row in rows))


def cross_validate(all_cases: list[Case]) -> None:
    """Constants and bands from all machines but one, judged on that one."""
    errors = np.array([[case.error(lambda c, s=s: ensemble(c, s)) for case in all_cases] for s in GRID])
    machines, kinds = np.array([c.machine for c in all_cases]), np.array([c.kind for c in all_cases])
    scaled, shipped = scores(all_cases)
    known = kinds != "boundary unseen"
    found, covered = np.empty(len(all_cases)), {80: shipped.copy(), 95: np.ones(len(all_cases), dtype=bool)}
    print("\nheld-out machine: constants and band quantiles chosen on the others")
    for machine in sorted(set(machines)):
        held, train = machines == machine, (machines != machine) & known
        best = int(np.argmin(np.abs(errors[:, machines != machine]).mean(axis=1)))
        found[held] = errors[best, held]
        quantiles = {level: np.quantile(scaled[train], level / 100, method="higher") for level in (80, 95)}
        for level, quantile in quantiles.items():
            covered[level][held & known] = scaled[held & known] <= quantile
        print(f"  {machine:11} {GRID[best]} bands {quantiles[80]:.3f} {quantiles[95]:.3f}")
    print(f"{'':33}{'n':>4}{'median / p90, %':>18}{'80 % bands hold':>18}{'95 %':>8}")
    for name, chosen in {
        **{machine: known & (machines == machine) for machine in sorted(set(machines))},
        **{kind: kinds == kind for kind in sorted(set(kinds))},
        "seen or not needed": known,
    }.items():
        rate = f"{covered[95][chosen].mean():8.0%}" if known[chosen].any() else ""
        print(f"{name:33}{chosen.sum():4}{percents(found[chosen]):>18}{covered[80][chosen].mean():18.0%}{rate}")
    print(f"shipped 80 % bands, seen or not needed (in-sample): {shipped[known].mean():.0%}")


def main() -> None:
    all_cases = cases()
    show_methods(all_cases)
    cross_validate(all_cases)


if __name__ == "__main__":
    main()
