"""Verdicts of the analysis on step times of known truth: shapes, noise with a memory, outliers; 40 to 5,000 steps.

python benchmarks/steady_truth.py [series, default 1,000] [seed, default 1]

Truth, on the scale of log step time
    steady      a constant level to the end, after any warm-up: none, one slow step, an exponential decay, a plateau, or
                several levels, 2 % to 300 % slower, gone (below 0.1 %) after at most 60 % of the window. A change of up
                to 0.2 % over the whole window counts as none.
    not steady  a change of 2 to 30 % that the median cannot stand for: a linear drift over the whole window or after a
                warm-up, a later slower level, a new level so late that it holds 10 to 28 % of the window, a decay that
                has not ended, a slow oscillation (one to four periods in the window), a random walk.
    noise       normal, standard deviation 0.5 to 10 %, AR(1) with autocorrelation 0 (a third) or up to 0.9; up to 2 %
                of the steps are 1.2 to 10 times as long.
Sizes, lengths and standard deviations are uniform on the log scale. Nothing is left out because it is hard: many of the
short and noisy series cannot be decided by anybody, and `undecided` is the right word for them.

Figures
    bias        of the median over what is called the steady part: that of the mixture of levels in it, so without the
                chance error of a finite series; whatever the verdict.
    oracle      the same median against the one over the true steady part of the same series: chance error included.
    ideal       undecided by somebody who knows shape and noise: the share in which the change over the steady part
                cannot be bounded by 2 % with 98 % confidence from its least squares slope.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, signal, special, stats

from stepmark.analysis.change_points import best_fit
from stepmark.analysis.steady import DROPPED_FIRST, MATERIAL, SteadyState, steady_state

Array = NDArray[np.float64]
_SETTLED = 0.001  # A warm-up below this is over.


@dataclass(frozen=True)
class Case:
    """`shape`: log of step time over the steady level without noise, shape (steps,); `seconds`: with noise."""

    kind: str
    steady: bool
    shape: Array
    spread: float
    memory: float
    seconds: Array

    @property
    def start(self) -> int:
        """The first step of the steady part; 0 if there is none."""
        late = np.flatnonzero(np.abs(self.shape) > _SETTLED)
        return int(late[-1]) + 1 if self.steady and self.kind != "flat, 0.2 % drift" and len(late) else 0


def cases(series: int, seed: int) -> Iterator[Case]:
    """Yield as many series as asked for, six kinds of steady ones and six of others in turn."""
    rng = np.random.default_rng(seed)
    kinds = [(name, True, shape) for name, shape in STEADY.items()]
    kinds += [(name, False, shape) for name, shape in UNSTEADY.items()]
    for index in range(series):
        name, steady, shape = kinds[index % len(kinds)]
        steps = int(log_uniform(rng, 40, 5001))
        yield noisy(rng, name, steady, shape(rng, steps))


def noisy(rng: np.random.Generator, kind: str, steady: bool, shape: Array) -> Case:
    spread = log_uniform(rng, 0.005, 0.1)
    memory = 0.0 if rng.random() < 1 / 3 else rng.uniform(0, 0.9)
    noise = spread * autoregressive(rng, len(shape), memory)
    outliers = rng.random(len(shape)) < rng.uniform(0, 0.02)
    noise[outliers] += np.log(log_uniforms(rng, 1.2, 10, int(outliers.sum())))
    return Case(kind, steady, shape, spread, memory, log_uniform(rng, 0.001, 1) * np.exp(shape + noise))


def autoregressive(rng: np.random.Generator, steps: int, memory: float) -> Array:
    """Return a stationary AR(1) series of unit variance."""
    innovations = rng.standard_normal(steps) * np.sqrt(1 - memory**2)
    innovations[0] /= np.sqrt(1 - memory**2)
    return signal.lfilter([1.0], [1.0, -memory], innovations)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(log_uniforms(rng, low, high, 1)[0])


def log_uniforms(rng: np.random.Generator, low: float, high: float, size: int) -> Array:
    return np.exp(rng.uniform(np.log(low), np.log(high), size))


def _flat(rng: np.random.Generator, steps: int) -> Array:
    return np.zeros(steps)


def _tiny_drift(rng: np.random.Generator, steps: int) -> Array:
    return rng.uniform(-0.002, 0.002) * np.linspace(-0.5, 0.5, steps)


def _one_slow_step(rng: np.random.Generator, steps: int) -> Array:
    return np.where(np.arange(steps) == 0, np.log(log_uniform(rng, 1.5, 50)), 0.0)


def _decay(rng: np.random.Generator, steps: int) -> Array:
    height = np.log1p(log_uniform(rng, 0.02, 3))
    settled = log_uniform(rng, 3, 0.6 * steps)
    return height * np.exp(-np.arange(steps) * np.log(height / _SETTLED) / settled)


def _plateau(rng: np.random.Generator, steps: int) -> Array:
    return np.where(np.arange(steps) < log_uniform(rng, 2, 0.6 * steps), np.log1p(log_uniform(rng, 0.02, 3)), 0.0)


def _levels(rng: np.random.Generator, steps: int) -> Array:
    count = int(rng.integers(2, 5))
    ends = np.sort(rng.uniform(0.02, 0.6, count)) * steps
    heights = np.log1p(log_uniforms(rng, 0.02, 3, count))
    return np.append(heights, 0.0)[np.searchsorted(ends, np.arange(steps), side="right")]


def _size(rng: np.random.Generator) -> float:
    return float(np.log1p(log_uniform(rng, 0.02, 0.3)))


def _sign(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


def _drift(rng: np.random.Generator, steps: int) -> Array:
    warm = int(rng.uniform(0.02, 0.3) * steps) if rng.random() < 0.5 else 0
    shape = np.full(steps, np.log1p(log_uniform(rng, 0.1, 3)))
    shape[warm:] = _sign(rng) * _size(rng) * np.linspace(-0.5, 0.5, steps - warm)
    return shape


def _slowdown(rng: np.random.Generator, steps: int) -> Array:
    return np.where(np.arange(steps) < rng.uniform(0.2, 0.65) * steps, -_size(rng), 0.0)


def _late_change(rng: np.random.Generator, steps: int) -> Array:
    return np.where(np.arange(steps) < rng.uniform(0.72, 0.9) * steps, _sign(rng) * _size(rng), 0.0)


def _endless_decay(rng: np.random.Generator, steps: int) -> Array:
    """Return a decay that still falls by `_size` from the window's middle to its end."""
    curve = np.exp(-np.linspace(0, rng.uniform(0.5, 3), steps))
    return _size(rng) * curve / (curve[steps // 2] - curve[-1])


def _oscillation(rng: np.random.Generator, steps: int) -> Array:
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * rng.uniform(1, 4) * np.arange(steps) / steps
    wave = np.sin(phase) if rng.random() < 0.5 else np.sign(np.sin(phase))
    return _size(rng) / 2 * wave


def _random_walk(rng: np.random.Generator, steps: int) -> Array:
    walk = np.cumsum(rng.standard_normal(steps))
    return _size(rng) * walk / np.ptp(walk)


Shape = Callable[[np.random.Generator, int], Array]
STEADY: dict[str, Shape] = {
    "flat": _flat,
    "flat, 0.2 % drift": _tiny_drift,
    "one slow step": _one_slow_step,
    "exponential warm-up": _decay,
    "plateau": _plateau,
    "several levels": _levels,
}
UNSTEADY: dict[str, Shape] = {
    "drift": _drift,
    "slowdown": _slowdown,
    "late change": _late_change,
    "endless decay": _endless_decay,
    "oscillation": _oscillation,
    "random walk": _random_walk,
}


def bias(case: Case, start: int) -> float:
    """Return the absolute log error of the median of the mixture of levels kept, which no number of steps removes."""
    kept = case.shape[start:]
    low, high = kept.min() - 1e-9, kept.max() + 1e-9
    return abs(float(optimize.brentq(lambda m: special.ndtr((m - kept) / case.spread).mean() - 0.5, low, high)))


def against_oracle(case: Case, start: int) -> float:
    """Return the absolute log ratio of the median found to that over the true steady part, on the same noise."""
    return abs(float(np.log(np.median(case.seconds[start:]) / np.median(case.seconds[case.start :]))))


def ideally_undecided(case: Case) -> float:
    """Return the probability that an observer who knows everything but the change cannot bound it."""
    steps = len(case.seconds) - case.start
    error = case.spread * np.sqrt(12 * (1 + case.memory) / (1 - case.memory) / steps)
    margin = np.log1p(MATERIAL) / error - stats.norm.ppf(0.98)
    return float(2 * stats.norm.sf(max(margin, 0.0)))


@dataclass(frozen=True)
class Judged:
    """One series and its verdict. `dropped`: the bias if the first ten steps were dropped instead."""

    case: Case
    state: SteadyState
    seconds_taken: float
    bias: float
    oracle: float
    dropped: float


def judged(series: int, seed: int) -> list[Judged]:
    found = []
    for case in cases(series, seed):
        began = time.perf_counter()
        state = steady_state(case.seconds)
        taken = time.perf_counter() - began
        errors = [bias(case, state.start), against_oracle(case, state.start), bias(case, DROPPED_FIRST)]
        found.append(Judged(case, state, taken, *errors) if case.steady else Judged(case, state, taken, 0, 0, 0))
    return found


@dataclass(frozen=True)
class Rates:
    """Shares of series: biased or off the oracle by at most 0.3 %, called not steady, left undecided, of steady series;
    called steady, left undecided, of the others.
    """

    unbiased: float
    like_oracle: float
    unbiased_if_dropped: float
    false_alarms: float
    steady_undecided: float
    misses: float
    unsteady_undecided: float


def rates(found: list[Judged]) -> Rates:
    steady, others = [j for j in found if j.case.steady], [j for j in found if not j.case.steady]

    def share(group: list[Judged], condition: Callable[[Judged], bool]) -> float:
        return float(np.mean([condition(j) for j in group]))

    return Rates(
        unbiased=share(steady, lambda j: j.bias <= 0.003),
        like_oracle=share(steady, lambda j: j.oracle <= 0.003),
        unbiased_if_dropped=share(steady, lambda j: j.dropped <= 0.003),
        false_alarms=share(steady, lambda j: j.state.verdict not in ("steady", "undecided")),
        steady_undecided=share(steady, lambda j: j.state.verdict == "undecided"),
        misses=share(others, lambda j: j.state.verdict == "steady"),
        unsteady_undecided=share(others, lambda j: j.state.verdict == "undecided"),
    )


def inventions(rng: np.random.Generator, steps: int, memory: float, runs: int) -> float:
    """Return the share of series of pure noise in which a change or a slope is found."""
    fits = [best_fit(autoregressive(rng, steps, memory), 5) for _ in range(runs)]
    return float(np.mean([len(fit.starts) > 1 or fit.sloped for fit in fits]))


def main() -> None:
    series, seed = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 1000), (2, 1)))
    rng = np.random.default_rng(seed)
    print("changes and slopes found in pure noise, by autocorrelation (steps 40, 100)")
    for memory in (0.0, 0.3, 0.6, 0.9):
        shares = [inventions(rng, steps, memory, 400) for steps in (40, 100)]
        print(f"  {memory}: " + ", ".join(f"{share:.1%}" for share in shares))
    found = judged(series, seed)
    print(f"\n{'kind':22s}{'unbiased':>9s}{'oracle':>8s}  verdicts")
    for kind in [*STEADY, *UNSTEADY]:
        _print_kind(kind, [j for j in found if j.case.kind == kind])
    print("\nmilliseconds: " + ", ".join(_milliseconds(found, *steps) for steps in ((40, 500), (500, 5001))))
    ideal = float(np.mean([ideally_undecided(j.case) for j in found if j.case.steady]))
    r = rates(found)
    print(f"\nsteady: bias <= 0.3 % in {r.unbiased:.1%}; dropping the first ten steps: {r.unbiased_if_dropped:.1%}")
    print(f"  median against the oracle's <= 0.3 % in {r.like_oracle:.1%}")
    print(f"  false alarms {r.false_alarms:.1%}, undecided {r.steady_undecided:.1%} (ideally {ideal:.1%})")
    print(f"not steady: called steady {r.misses:.1%}, undecided {r.unsteady_undecided:.1%}")


def _print_kind(kind: str, group: list[Judged]) -> None:
    verdicts = ", ".join(f"{verdict} {n}" for verdict, n in Counter(j.state.verdict for j in group).most_common())
    shares = [np.mean([j.bias <= 0.003 for j in group]), np.mean([j.oracle <= 0.003 for j in group])]
    columns = "".join(f"{share:9.1%}" for share in shares) if kind in STEADY else " " * 18
    print(f"{kind:22s}{columns} {verdicts}")


def _milliseconds(found: list[Judged], low: int, high: int) -> str:
    taken = [1000 * j.seconds_taken for j in found if low <= len(j.case.seconds) < high]
    return f"{np.median(taken):.2f} for {low} to {high - 1} steps"


if __name__ == "__main__":
    main()
