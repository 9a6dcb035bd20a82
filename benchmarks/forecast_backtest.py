"""How far off forecasts are on published curves, and how often their bands hold, on machines and sources left out.

python benchmarks/forecast_backtest.py        80 % bands hold 75 to 88 % wherever there are enough curves

Weak scaling: every prefix of at least two points of a curve is forecast to every later point. Strong scaling: the table
has no such curve, but the same work at two batches per worker, b and 2 b, for each worker count. A device's time is
linear in its batch, so these give the step times at the global batch that is b on the most workers: measured there and
at half as many workers, extrapolated to larger batches per worker below.
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from stepmark.analysis import bands, curves
from stepmark.analysis.bands import Boundary, Mode
from stepmark.analysis.forecast import Point, Prediction, forecast

Array = NDArray[np.float64]
Row = dict[str, str]
DATA = Path(__file__).parent / "data" / "published_scaling.csv"
MACHINES = {"A100": "DGX A100", "DGX-2": "DGX-2", "P100": "DGX-1 P100", "GCE": "GCE K80", "EC2": "EC2 K80"}
GRIDS: dict[Mode, list[curves.Settings]] = {
    "weak": [
        curves.Settings(ridge, share, inside, power, 2 * power)
        for ridge, share, inside, power in product(
            (0.02, 0.05, 0.15), (1 / 3, 0.5, 0.7), (0.1, 0.3, 1.0), (0.5, 1.0, 2.0)
        )
    ],
    "strong": [curves.Settings(fixed=fixed) for fixed in (0.02, 0.05, 0.1, 0.2)],
}
KINDS: tuple[tuple[Boundary, Mode], ...] = tuple(product(("not needed", "seen", "unseen"), ("weak", "strong")))
NAMES = {"not needed": "inside one node", "seen": "boundary crossed before", "unseen": "boundary never crossed"}
ENOUGH = 4  # This counts machines. With fewer, leaving one out says little.


@dataclass(frozen=True, eq=False)
class Case:
    """The measured points of a curve up to some worker count, and one later point to forecast. Any unit of time."""

    curve: str
    machine: str
    source: str
    mode: Mode
    per_node: int
    workers: Array
    seconds: Array
    target: int
    truth: float
    largest: bool

    @property
    def boundary(self) -> Boundary:
        if self.target <= self.per_node:
            return "not needed"
        return "seen" if self.workers[-1] > self.per_node else "unseen"

    @property
    def scale(self) -> float:
        """The load that the width of the band is proportional to."""
        load = self.seconds * (self.workers if self.mode == "strong" else 1)
        return bands.scale(float(np.log(load[-1] / load[0])), self.target / float(self.workers[-1]))

    @property
    def prediction(self) -> Prediction:
        """The forecast of the shipped models."""
        points = [Point(int(n), float(t)) for n, t in zip(self.workers, self.seconds, strict=True)]
        return forecast(points, [self.target], self.per_node, self.mode)[0]

    @property
    def holds(self) -> bool:
        """Whether the shipped 80 % band holds the true point."""
        return self.prediction.low_80 <= self.truth <= self.prediction.high_80

    def error(self, method: Callable[["Case"], float]) -> float:
        return float(np.log(self.truth / method(self)))


def cases() -> list[Case]:
    """Return all cases of weak scaling, then all of strong scaling."""
    with DATA.open() as file:
        rows = list(csv.DictReader(file))
    return [*_weak(rows), *_strong(rows)]


def _weak(rows: list[Row]) -> Iterator[Case]:
    for group in _grouped(rows, ("curve_id",)):
        yield from _of_curve(
            group[0], "weak", {int(r["workers"]): int(r["workers"]) / float(r["throughput"]) for r in group}
        )


def _strong(rows: list[Row]) -> Iterator[Case]:
    same = ("source", "model", "framework", "hardware", "precision", "workers_per_node", "unit")
    for group in _grouped([row for row in rows if row["batch_per_worker"]], same):
        batches = sorted({float(row["batch_per_worker"]) for row in group})[:2]
        seconds = [_seconds_per_step(group, batch) for batch in batches]
        if len(batches) == 2 and len(both := sorted(seconds[0].keys() & seconds[1].keys())) >= 3:
            growth = {n: (seconds[1][n] - seconds[0][n]) / (batches[1] - batches[0]) for n in both}
            # These are samples per worker above the smaller batch.
            more = {n: batches[0] * (both[-1] / n - 1) for n in both}
            yield from _of_curve(group[0], "strong", {n: seconds[0][n] + growth[n] * more[n] for n in both})


def _grouped(rows: list[Row], keys: tuple[str, ...]) -> list[list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[tuple(row[key] for key in keys)].append(row)
    return list(found.values())


def _seconds_per_step(rows: list[Row], batch: float) -> dict[int, float]:
    chosen = [row for row in rows if float(row["batch_per_worker"]) == batch]
    return {int(row["workers"]): batch * int(row["workers"]) / float(row["throughput"]) for row in chosen}


def _of_curve(row: Row, mode: Mode, seconds_of: dict[int, float]) -> Iterator[Case]:
    workers = np.array(sorted(seconds_of), dtype=np.float64)
    seconds = np.array([seconds_of[int(n)] for n in workers])
    machine = next((name for key, name in MACHINES.items() if key in row["hardware"]), "DGX-1 V100")
    for seen, target in combinations(range(1, len(workers)), 2):
        yield Case(
            row["curve_id"], machine, row["source"], mode, int(row["workers_per_node"]), workers[: seen + 1],
            seconds[: seen + 1], int(workers[target]), float(seconds[target]), target == len(workers) - 1,
        )  # fmt: skip


def ensemble(case: Case, settings: curves.Settings | None = None) -> float:
    """Return the forecast of the models with these constants."""
    model = curves.weak if case.mode == "weak" else curves.strong
    logs, weights = model(case.workers, case.seconds, case.per_node, np.array([float(case.target)]), settings)
    unseen = case.mode == "weak" and case.boundary == "unseen"
    network = bands.network(case.target / case.per_node) if unseen else 0.0
    return float(np.exp(weights @ logs + network)[0])


def linear_from_last(case: Case) -> float:
    """Let throughput grow with the workers: the step time stays that of the largest measured point."""
    return float(case.seconds[-1])


def amdahl(case: Case) -> float:
    """Fit Amdahl's law by least squares on 1/speed-up, through the largest point."""
    n = case.workers / case.workers[0]
    inverse = case.seconds / case.seconds[0] / n
    serial = max((1 - 1 / n) @ (inverse - 1 / n) / ((1 - 1 / n) @ (1 - 1 / n)), 0.0)
    return _through_last(case, lambda x: x * (serial + (1 - serial) / x))


def usl(case: Case) -> float:
    """Fit the Universal Scalability Law (Gunther 1993): contention and coherence by non-negative least squares."""
    n = case.workers / case.workers[0]
    (contention, coherence), _ = nnls(np.column_stack([n - 1, n * (n - 1)]), case.seconds / case.seconds[0] - 1)
    return _through_last(case, lambda x: 1 + contention * (x - 1) + coherence * x * (x - 1))


def _through_last(case: Case, seconds: Callable[[float], float]) -> float:
    first, last = case.workers[0], case.workers[-1]
    return float(case.seconds[-1] * seconds(case.target / first) / seconds(last / first))


def percents(errors: Array) -> str:
    off = 100 * np.abs(np.expm1(errors))
    return f"{np.median(off):5.1f} / {np.percentile(off, 90):5.1f}"


def show_methods(all_cases: list[Case]) -> None:
    """Print weak scaling with the shipped constants, beside other laws."""
    methods = (linear_from_last, amdahl, usl, ensemble)
    print(f"weak scaling, absolute error in %, median / p90\n{'':33}" + "".join(f"{m.__name__:>18}" for m in methods))
    for boundary, name in NAMES.items():
        group = [case for case in all_cases if case.mode == "weak" and case.boundary == boundary]
        rows = [percents(np.array([case.error(method) for case in group])) for method in methods]
        print(f"{name:29}{len(group):4}" + "".join(f"{row:>18}" for row in rows))


@dataclass(frozen=True)
class HeldOut:
    """Log errors of cases of one kind, and whether bands hold, each judged by what the other folds gave."""

    errors: Array
    holds: dict[bands.Level, NDArray[np.bool_]]


def grid_errors(all_cases: list[Case]) -> dict[Case, Array]:
    """Return the log errors of each case, with each setting of constants in the grid of its mode."""
    return {case: np.array([_error(case, settings) for settings in GRIDS[case.mode]]) for case in all_cases}


def _error(case: Case, settings: curves.Settings) -> float:
    return case.error(lambda curve: ensemble(curve, settings))


def best_of(errors: dict[Case, Array]) -> int:
    """Return the index of the constants with the smallest mean error."""
    return int(np.argmin(np.mean([np.abs(found) for found in errors.values()], axis=0)))


def fitted(errors: dict[Case, Array], boundary: Boundary, mode: Mode) -> tuple[int, dict[bands.Level, float]]:
    """Return the best constants of the models and the quantiles of the band; 0 where no case is of this kind.

    Strong scaling has so few curves that its band inside a node is no narrower than weak scaling's.
    """
    of_mode = {case: found for case, found in errors.items() if case.mode == mode}
    best = best_of(of_mode)
    scores = [abs(found[best]) / case.scale for case, found in of_mode.items() if case.boundary == boundary]
    limits = {level: float(np.quantile(scores, share)) if scores else 0.0 for level, share in bands.HELD.items()}
    if (boundary, mode) == ("not needed", "strong"):
        lent = fitted(errors, boundary, "weak")[1]
        limits = {level: max(limit, lent[level]) for level, limit in limits.items()}
    return best, limits


def held_out(kind: list[Case], errors: dict[Case, Array], fold: Callable[[Case], str]) -> HeldOut:
    """Judge each case by what was chosen on all folds but its own."""
    found, holds = np.empty(len(kind)), {level: np.zeros(len(kind), dtype=bool) for level in bands.HELD}
    for name in sorted({fold(case) for case in kind}):
        others = {case: of_case for case, of_case in errors.items() if fold(case) != name}
        best, limits = fitted(others, kind[0].boundary, kind[0].mode)
        for index, case in enumerate(kind):
            if fold(case) == name:
                found[index] = errors[case][best]
                for level, limit in limits.items():
                    holds[level][index] = abs(found[index]) <= limit * case.scale
    return HeldOut(found, holds)


def show_held_out(all_cases: list[Case], errors: dict[Case, Array]) -> None:
    """Print the errors by boundary and mode, first with machines and then with sources left out."""
    print("\nheld out: constants and bands chosen without the case's machine, or without its source")
    print("worst: the machine (source) whose 80 % bands hold least; sources have down to one forecast")
    print("* too few machines to fit a band: how often the shipped one holds, which is that of another kind")
    print(
        f"{'':35}{'left out':>9}{'curves':>7}{'n':>5}{'median / p90, %':>17}{'bias, %':>9}{'80 % hold':>10}{'95 %':>6}"
    )
    for boundary, mode in KINDS:
        kind = [case for case in all_cases if (case.boundary, case.mode) == (boundary, mode)]
        for name, fold in (("machine", lambda case: case.machine), ("source", lambda case: case.source)):
            print(f"{mode + ', ' + NAMES[boundary]:35}{name:>9}" + _line(kind, errors, fold))


def _line(kind: list[Case], errors: dict[Case, Array], fold: Callable[[Case], str]) -> str:
    found = held_out(kind, errors, fold)
    worst = min(
        np.mean([h for c, h in zip(kind, found.holds[80], strict=True) if fold(c) == f]) for f in map(fold, kind)
    )
    holds = f"{found.holds[80].mean():10.0%}{found.holds[95].mean():6.0%}{worst:7.0%}"
    if len({case.machine for case in kind}) < ENOUGH:
        holds = f"{np.mean([case.holds for case in kind]):9.0%}*"
    curves_there = len({case.curve for case in kind})
    bias = 100 * np.expm1(np.median(found.errors))
    return f"{curves_there:7}{len(kind):5}{percents(found.errors):>17}{bias:9.1f}{holds}"


def show_scores(errors: dict[Case, Array]) -> None:
    """Print the values that `bands.SCORES` and `curves.Settings` are to have."""
    print("\nfrom all cases: bands.SCORES, and the constants of the models that are off least")
    for boundary, mode in bands.SCORES:
        best, limits = fitted(errors, boundary, mode)
        told = "   ".join(f"{level} %: {limit:.3f}" for level, limit in limits.items())
        print(f"{mode + ', ' + NAMES[boundary]:35}{told}   {GRIDS[mode][best]}")


def main() -> None:
    all_cases = cases()
    errors = grid_errors(all_cases)
    show_methods(all_cases)
    show_scores(errors)
    show_held_out(all_cases, errors)


if __name__ == "__main__":
    main()
