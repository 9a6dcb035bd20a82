"""How often a slow rank is found and how often one is invented, on simulated ranks; and how long the report takes.

python benchmarks/straggler_report.py [scale]      a 3 % slow rank found >= 99 %, false alarms <= 1 %, <= 1 s

Step times are log-normal: jitter of 2 to 5 % per rank with a memory (AR(1) up to 0.9), noise shared by all ranks of a
step, lone spikes of up to 20 times. `scale` multiplies the number of campaigns.
"""

import sys
import time

import numpy as np
from scipy.signal import lfilter
from scipy.stats import beta

from stepmark.analysis.stragglers import straggler_report

SHAPES = [(512, 5000, 20), (64, 5000, 100), (64, 1000, 200), (8, 1000, 500), (2, 1000, 500), (8, 300, 500)]


def simulate(rng: np.random.Generator, ranks: int, steps: int, jitter: float, memory: float) -> np.ndarray:
    """Seconds, shape (ranks, steps)."""
    start = rng.standard_normal((ranks, 1))
    noise = np.sqrt(1 - memory**2) * rng.standard_normal((ranks, steps))
    own, _ = lfilter([1], [1, -memory], noise, axis=1, zi=memory * start)
    logs = jitter * own + 0.05 * rng.standard_normal(steps)
    spikes = rng.random((ranks, steps)) < 0.002
    logs[spikes] += rng.uniform(0, np.log(20), spikes.sum())
    return 0.05 * np.exp(logs)


def upper(hits: int, trials: int) -> float:
    """One-sided 95 % bound of a rate (Clopper and Pearson 1934)."""
    return float(beta.ppf(0.95, hits + 1, trials - hits)) if hits < trials else 1.0


def main() -> None:
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    rng = np.random.default_rng(1)
    print(" ranks  steps  jitter  memory  campaigns    found  false alarm  seconds")
    total = np.zeros(3, dtype=int)
    for ranks, steps, campaigns in SHAPES:
        for jitter, memory in ((0.02, 0.0), (0.02, 0.9), (0.05, 0.5), (0.05, 0.9)):
            row = campaign(rng, ranks, steps, jitter, memory, int(np.ceil(campaigns * scale)))
            if steps == 5000:
                total += row[:3]
            trials, found, wrong, seconds = row
            print(
                f"{ranks:6}{steps:7}{jitter:8.0%}{memory:8.1f}{trials:11}{found / trials:9.1%}"
                f"{wrong / (2 * trials):13.2%}{seconds:9.3f}"
            )
    trials, found, wrong = total
    print(
        f"5,000 steps: found {found / trials:.2%}; campaigns with a false alarm {wrong / (2 * trials):.2%}"
        f" of {2 * trials}, at most {upper(wrong, 2 * trials):.2%}"
    )


def campaign(
    rng: np.random.Generator, ranks: int, steps: int, jitter: float, memory: float, trials: int
) -> tuple[int, int, int, float]:
    """Campaigns, those in which the slow rank was found, those of twice as many with a false alarm, longest seconds."""
    found, wrong, longest = 0, 0, 0.0
    for _ in range(trials):
        times = simulate(rng, ranks, steps, jitter, memory)
        wrong += bool(straggler_report(times).slow)
        culprit = int(rng.integers(ranks))
        times[culprit] *= 1.03
        start = time.perf_counter()
        alarms = {slow.rank for slow in straggler_report(times).slow}
        longest = max(longest, time.perf_counter() - start)
        found += culprit in alarms
        wrong += bool(alarms - {culprit})
    return trials, found, wrong, longest


if __name__ == "__main__":
    main()
