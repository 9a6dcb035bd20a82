"""How often a slow rank is found, how often one is invented, whether the stated detectable size is right; and the time.

python benchmarks/straggler_report.py [scale]     false alarms <= 1 %; of the stated size about 80 % or more are found

Step times are log-normal: jitter of 2 or 5 % per rank with a memory (AR(1) up to 0.9), noise shared by all ranks of a
step, lone spikes of up to 20 times, and a speed of its own for each rank's process that lasts for its launch (a
standard deviation of 0.5 %). The numbers of samples are first those that launches supply, then those of single long
recordings. `scale` multiplies the number of campaigns.
"""

import sys
import time
from itertools import product

import numpy as np
from scipy.signal import lfilter
from scipy.stats import beta

from stepmark.analysis.stragglers import StragglerReport, straggler_report

SAMPLES, BLOCKS, RANKS, JITTERS, MEMORY = (10, 16, 25, 50), (3, 5, 9), (2, 8), (0.02, 0.05), 0.3
PROCESS, SLOW, CAMPAIGNS = 0.005, 0.03, 400
LONG = [(512, 5000, 10), (64, 5000, 50), (64, 1000, 100), (8, 1000, 250), (2, 1000, 250), (8, 300, 250)]
Launches = list[np.ndarray]


def simulate(rng: np.random.Generator, ranks: int, steps: int, jitter: float, memory: float) -> np.ndarray:
    """Return seconds, shape (ranks, steps)."""
    start = rng.standard_normal((ranks, 1))
    noise = np.sqrt(1 - memory**2) * rng.standard_normal((ranks, steps))
    own, _ = lfilter([1], [1, -memory], noise, axis=1, zi=memory * start)
    logs = jitter * own + 0.05 * rng.standard_normal(steps)
    spikes = rng.random((ranks, steps)) < 0.002
    logs[spikes] += rng.uniform(0, np.log(20), spikes.sum())
    return 0.05 * np.exp(logs)


def campaign(rng: np.random.Generator, ranks: int, samples: int, blocks: int, jitter: float) -> Launches:
    """Return the launches of one cell."""
    speeds = np.exp(PROCESS * rng.standard_normal((blocks, ranks, 1)))
    return [simulate(rng, ranks, samples, jitter, MEMORY) * speed for speed in speeds]


def slowed(launches: Launches, rank: int, slower: float) -> Launches:
    factor = np.ones((len(launches[0]), 1))
    factor[rank] += slower
    return [one * factor for one in launches]


def found(report: StragglerReport, rank: int) -> tuple[bool, bool]:
    """Return whether this rank is called slow in all launches, and whether any other one is called slow in any way."""
    always = {one.rank for one in report.slow if one.block is None}
    return rank in always, bool({one.rank for one in report.slow} - {rank})


def upper(hits: int, trials: int) -> float:
    """Return the one-sided 95 % bound of a rate (Clopper and Pearson 1934)."""
    return float(beta.ppf(0.95, hits + 1, trials - hits)) if hits < trials else 1.0


def of_launches(rng: np.random.Generator, trials: int) -> None:
    print("samples x blocks  ranks  jitter  3 % found  stated detectable  of that size found  false alarm")
    wrong, total = 0, 0
    for blocks, samples, ranks, jitter in product(BLOCKS, SAMPLES, RANKS, JITTERS):
        seen, stated, at_stated, invented = 0, [], [], 0
        for _ in range(trials):
            alike = straggler_report(campaign(rng, ranks, samples, blocks, jitter))
            invented += bool(alike.slow)
            rank = int(rng.integers(ranks))
            slow = slowed(campaign(rng, ranks, samples, blocks, jitter), rank, SLOW)
            hit, other = found(straggler_report(slow), rank)
            seen, invented = seen + hit, invented + other
            if alike.detectable is not None:
                stated.append(alike.detectable)
                again = slowed(campaign(rng, ranks, samples, blocks, jitter), rank, alike.detectable)
                at_stated.append(found(straggler_report(again), rank)[0])
        wrong, total = wrong + invented, total + 2 * trials
        median = f"{np.median(stated):.1%}" if stated else "none"
        rate = f"{np.mean(at_stated):.0%}" if at_stated else "none"
        print(
            f"{samples:7} x {blocks:<6}{ranks:7}{jitter:8.0%}{seen / trials:11.0%}{median:>19}{rate:>20}"
            f"{invented / (2 * trials):13.2%}",
            flush=True,
        )
    print(f"false alarms in {wrong / total:.2%} of {total} campaigns, at most {upper(wrong, total):.2%}\n")


def of_long_recordings(rng: np.random.Generator, scale: float) -> None:
    print(" ranks  steps  jitter  memory  campaigns  3 % found  false alarm  seconds")
    for ranks, steps, campaigns in LONG:
        for jitter, memory in ((0.02, 0.0), (0.02, 0.9), (0.05, 0.5), (0.05, 0.9)):
            trials, seen, wrong, longest = int(np.ceil(campaigns * scale)), 0, 0, 0.0
            for _ in range(trials):
                times = simulate(rng, ranks, steps, jitter, memory)
                wrong += bool(straggler_report([times]).slow)
                rank = int(rng.integers(ranks))
                start = time.perf_counter()
                hit, other = found(straggler_report(slowed([times], rank, SLOW)), rank)
                longest = max(longest, time.perf_counter() - start)
                seen, wrong = seen + hit, wrong + other
            print(
                f"{ranks:6}{steps:7}{jitter:8.0%}{memory:8.1f}{trials:11}{seen / trials:11.1%}"
                f"{wrong / (2 * trials):13.2%}{longest:9.3f}",
                flush=True,
            )


def main() -> None:
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    rng = np.random.default_rng(1)
    of_launches(rng, int(np.ceil(CAMPAIGNS * scale)))
    of_long_recordings(rng, scale)


if __name__ == "__main__":
    main()
