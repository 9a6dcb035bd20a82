"""How often equal cells are called different because one has a warm-up tail, and what the rule against it costs.

python benchmarks/warmup_tails.py [runs per figure, default 200]

Truth: both cells take the same time per step in the long run. Steps of one are longer by amplitude x exp(-step / tau)
from its first step on. Steps have a jitter, launches a spread. The warm-up is the loop's own, with floors of 10 steps;
windows are of 100 steps. The control is the same without `settling`: the slopes are hidden.
"""

import itertools
import sys

import numpy as np
from numpy.typing import NDArray

from stepmark.analysis.compare import comparisons
from stepmark.analysis.pairs import Measured
from stepmark.analysis.steady import steady_state
from stepmark.launch import loop
from stepmark.plan.cells import Machine, cells
from stepmark.results.record import Window
from stepmark.scenario.load import scenario_from_object
from stepmark.scenario.model import Measurement

Array = NDArray[np.float64]
WINDOW = 100
AMPLITUDES, TAUS = (0.05, 0.2, 0.5), (5, 20, 50, 100, 300, 1000)
NOISES = ((0.005, 0.003), (0.01, 0.003), (0.03, 0.01))  # Each is the jitter of steps, and the spread of launches.
SLOW, SLOWEST = 300, 1000  # These are three windows and ten.

LIMITS = Measurement(warmup_steps=10, warmup_seconds=0, min_steps=WINDOW, max_steps=WINDOW, min_seconds=0)

SCENARIO = scenario_from_object(
    {
        "apiVersion": "stepmark.dev/v1alpha1",
        "kind": "Scenario",
        "metadata": {"name": "tails"},
        "spec": {
            "workload": {"model": "scripted"},
            "candidates": [
                {"name": name, "engine": "sleeper", "strategy": "single"} for name in ("reference", "candidate")
            ],
            "scale": {"workers": [1], "batchPerWorker": 1},
            "parity": "skipped",
        },
    }
)
CELLS = cells(SCENARIO, Machine(places=1, programs=()))


class Simulated:
    """A recorder with as much as a warm-up needs: the steps of one launch, drawn as they are made."""

    round_steps = execution_steps = 1

    def __init__(self, rng: np.random.Generator, amplitude: float, tau: float, jitter: float) -> None:
        self._rng, self._amplitude, self._tau, self._jitter = rng, amplitude, tau, jitter
        self.group, self.windows, self.steps = self, list[Window](), np.zeros(0)

    def agree_max(self, value: float) -> float:
        return value

    def window(self, kind: str, steps: int) -> None:
        index = np.arange(len(self.steps), len(self.steps) + steps)
        drawn = (1 + self._amplitude * np.exp(-index / self._tau)) * np.exp(
            self._jitter * self._rng.standard_normal(steps)
        )
        self.steps = np.concatenate([self.steps, 0.01 * drawn])
        nanoseconds = int(drawn.sum() * 1e7)
        self.windows.append(Window(kind="warmup", steps=steps, host_nanoseconds=nanoseconds))

    def total(self, kind: str) -> tuple[int, float]:
        return len(self.steps), float(self.steps.sum())

    def levelled_nanoseconds(self) -> list[float]:
        return (self.steps[1:] * 1e9).tolist()


def launches(
    rng: np.random.Generator, count: int, amplitude: float, tau: float, noise: tuple[float, float], factor: float = 1.0
) -> Measured:
    """Return the launches of a cell, as a comparison sees them."""
    means, medians, slopes = {}, {}, []
    for block in range(count):
        made = Simulated(rng, amplitude, tau, noise[0])
        made.window("warmup", 1)
        loop.warm_up(made, LIMITS)  # type: ignore[arg-type]
        made.window("measured", WINDOW)
        seconds = factor * made.steps[-WINDOW:] * np.exp(noise[1] * rng.standard_normal())
        state = steady_state(seconds)
        means[block], medians[block] = (float(f(seconds[state.start :])) for f in (np.mean, np.median))
        slopes.append(state.slope or 0.0)
    return Measured(means, medians, tuple(slopes))


def claimed(candidate: Measured, reference: Measured) -> bool:
    """Return whether one cell is called faster or slower than the other."""
    measured = {CELLS[0].key: reference, CELLS[1].key: candidate}
    [one], _ = comparisons(SCENARIO.model_copy(deep=True), CELLS, measured, {})
    return one.verdict in ("faster", "slower")


def rate(
    rng: np.random.Generator, count: int, amplitude: float, tau: float, noise: tuple[float, float], runs: int
) -> tuple[float, float]:
    """Return the share of runs that call equal cells different: as stepmark does, and without its rule."""
    found = []
    for _ in range(runs):
        tailed, plain = launches(rng, count, amplitude, tau, noise), launches(rng, count, 0.0, 1.0, noise)
        bare = [Measured(side.mean_seconds, side.median_seconds) for side in (tailed, plain)]
        found.append((claimed(tailed, plain), claimed(*bare)))
    ours, control = np.mean(found, axis=0)
    return float(ours), float(control)


def power(rng: np.random.Generator, count: int, effect: float, noise: tuple[float, float], runs: int) -> float:
    """Return the share of runs that claim a true effect between cells without tails."""
    sides = ((launches(rng, count, 0, 1, noise, 1 + effect), launches(rng, count, 0, 1, noise)) for _ in range(runs))
    return float(np.mean([claimed(*both) for both in sides]))


def main() -> None:
    runs, rng = int(sys.argv[1]) if len(sys.argv) > 1 else 200, np.random.default_rng(1)
    worst: dict[tuple[int, int], float] = {}
    print("equal cells called different, one with a tail (without the rule): by tau in steps")
    for count, noise, amplitude in itertools.product((5, 9), NOISES, AMPLITUDES):
        rates = {tau: rate(rng, count, amplitude, tau, noise, runs) for tau in TAUS}
        for tau, (ours, _) in rates.items():
            worst[count, tau] = max(worst.get((count, tau), 0.0), ours)
        shown = "  ".join(f"{tau}: {ours:.0%} ({bare:.0%})" for tau, (ours, bare) in rates.items())
        print(f"  {count} launches, jitter {noise[0]:.1%}, amplitude {amplitude:3.0%}  {shown}", flush=True)
    print("a true difference between cells without tails is claimed")
    for count, noise in itertools.product((5, 9), NOISES):
        shown = "  ".join(f"{effect:.0%}: {power(rng, count, effect, noise, runs):.0%}" for effect in (0.05, 0.1, 0.3))
        print(f"  {count} launches, jitter {noise[0]:.1%}  {shown}", flush=True)
    short = max(share for (_, tau), share in worst.items() if tau < SLOW)
    slow = max(share for (_, tau), share in worst.items() if tau == SLOW)
    slowest = max(share for (_, tau), share in worst.items() if tau == SLOWEST)
    print(f"\nequal cells called different: at most {short:.1%} with tails of up to one window,", end=" ")
    print(f"{slow:.1%} of three windows, {slowest:.1%} of ten windows")


if __name__ == "__main__":
    main()
