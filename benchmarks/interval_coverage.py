"""How often intervals hold the truth and verdicts claim what is not there: simulated runs, also with blocks added.

python benchmarks/interval_coverage.py [runs per figure, default 20,000]

Truth: the log of a launch's median is mu + block effect + launch effect. The block effect is common to all cells of a
block and cancels in a comparison; the launch effects are independent between launches. Published spreads of throughput
over repeats (DLPerf, 91 configurations): median 0.40 %, upper quartile 0.97 %, highest decile 1.52 %, largest 7.4 %.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepmark.analysis.compare import judge
from stepmark.analysis.families import TESTED_AT, family
from stepmark.analysis.intervals import CONFIDENCE, paired_ratio
from stepmark.analysis.stopping import confidence, may_stop, nested_variances, optimal_forks, relative_half_widths

Array = NDArray[np.float64]
PRECISION = 0.01  # It is the scenario's relativePrecision.
MINIMUM_EFFECT = 0.01
# The spreads are of launches, on the log scale.
SPREADS = (0.002, 0.003, 0.005, 0.007, 0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04)
DLPERF = (0.0040, 0.0097, 0.0152)

Effects = Callable[[np.random.Generator, tuple[int, ...]], Array]
SHAPES: dict[str, Effects] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "heavy tails (t with 4 degrees)": lambda rng, shape: rng.standard_t(4, shape) / np.sqrt(2),
    "skewed (exponential)": lambda rng, shape: rng.exponential(1.0, shape) - 1,
}


@dataclass(frozen=True)
class Rule:
    """From `launches` to `most` blocks. `repaired`: stop as stepmark does, else as soon as the result looks precise."""

    launches: int
    most: int
    repaired: bool = True

    @property
    def confidence(self) -> float:
        return confidence(self.launches, self.most) if self.repaired else CONFIDENCE

    def blocks(self, values: Array) -> NDArray[np.int64]:
        """Return the blocks taken by each run; values of shape (runs, cells, blocks): every cell must be precise."""
        plain = relative_half_widths(values, CONFIDENCE) <= PRECISION
        stop = np.asarray((may_stop(values, PRECISION) if self.repaired else plain).all(axis=1))
        stop[:, : self.launches - 1] = False
        stop[:, self.most - 1 :] = True
        return stop[:, : self.most].argmax(axis=1) + 1


def coverage(
    rng: np.random.Generator, rule: Rule, spread: float, runs: int, cells: int = 1, effects: Effects = SHAPES["normal"]
) -> tuple[float, float]:
    """Return the share of the first cell's intervals that hold the truth, and the mean number of blocks."""
    values = np.exp(spread * effects(rng, (runs, cells, rule.most)))
    blocks = rule.blocks(values)
    widths = relative_half_widths(values[:, 0], rule.confidence)
    row = np.arange(runs)
    means = np.cumsum(np.log(values[:, 0]), axis=1)[row, blocks - 1] / blocks
    return float(np.mean(np.abs(means) <= widths[row, blocks - 1])), float(blocks.mean())


def claims(rng: np.random.Generator, rule: Rule, spread: float, effect: float, runs: int) -> float:
    """Return the share of runs that call a candidate faster or slower.

    Its true step time is (1 + effect) of the reference's. Half of the block's variance is common to both, and cancels;
    `spread` is what does not.
    """
    logs = spread * (rng.standard_normal((runs, 2, rule.most)) + rng.standard_normal((runs, 1, rule.most)))
    logs[:, 1] += np.log1p(effect)
    values = np.exp(logs)
    return float(np.mean([_claimed(run, rule, n) for run, n in zip(values, rule.blocks(values), strict=True)]))


def _claimed(run: Array, rule: Rule, blocks: int) -> bool:
    reference, candidate = (dict(enumerate(cell[:blocks])) for cell in run)
    return judge(paired_ratio(candidate, reference, rule.confidence), MINIMUM_EFFECT)[0] in ("faster", "slower")


# Ways in which the spreads of a run's comparisons differ: factors by which the last ones exceed the others'.
SPREADS_OF_A_FAMILY: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "equal": lambda rng, size: np.ones(size),
    "log-normal, sd 0.5": lambda rng, size: np.exp(0.5 * rng.standard_normal(size)),
    "half five times as large": lambda rng, size: np.where(np.arange(size) % 2, 5.0, 1.0),
    "one five times as large": lambda rng, size: np.where(np.arange(size), 1.0, 5.0),
    "a quarter three times as large": lambda rng, size: np.where(np.arange(size) % 4, 1.0, 3.0),
}
FAMILY_SPREAD = 0.02  # It is of launches; the minimum effect of 1 % holds back little there.
GROUP = 4  # So many comparisons share their reference.


def family_claims(
    rng: np.random.Generator, rule: Rule, size: int, runs: int, effect: float = 0.0, shape: str = "equal"
) -> float:
    """Return the share of runs with a claim where there is no `effect`; with one, the share of claimed comparisons.

    Every `GROUP` comparisons share a reference, as candidates at one worker count do.
    """
    return float(np.mean([_family_claimed(rng, rule, size, effect, shape) for _ in range(runs)]))


def _family_claimed(rng: np.random.Generator, rule: Rule, size: int, effect: float, shape: str) -> float:
    spreads = FAMILY_SPREAD * SPREADS_OF_A_FAMILY[shape](rng, size)[:, None]
    candidates = spreads * rng.standard_normal((size, rule.most)) + np.log1p(effect)
    references = np.repeat(spreads[::GROUP] * rng.standard_normal((-(-size // GROUP), rule.most)), GROUP, axis=0)
    blocks = int(rule.blocks(np.exp(np.concatenate([candidates, references[::GROUP]])[None]))[0])
    logs = (candidates - references[:size])[:, :blocks]
    tested = family(list(logs))
    verdicts = [judge(test.ratio(tested.interval_level), MINIMUM_EFFECT)[0] for test in tested.tests]
    claimed = [
        verdict in ("faster", "slower") and p <= TESTED_AT
        for verdict, p in zip(verdicts, tested.p_adjusted, strict=True)
    ]
    return float(np.mean(claimed)) if effect else float(any(claimed))


def main() -> None:
    runs, rng = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, np.random.default_rng(1)
    _forks()
    print("\nfixed number of blocks: coverage of the 95 % interval")
    for name, effects in SHAPES.items():
        shares = {n: coverage(rng, Rule(n, n), 0.01, runs, effects=effects)[0] for n in (3, 5, 10)}
        print(f"  launch effects {name:31s}" + "".join(f"  {n}: {share:.1%}" for n, share in shares.items()))
    print(f"\nblocks added until +-{PRECISION:.0%}: coverage over {len(SPREADS)} spreads of launches, 0.2 to 4 %")
    found = [_sequential(rng, Rule(n, most), runs) for n in (3, 5, 10) for most in (10, 20, 30) if most > n]
    print(f"\nclaims of a difference, minimum effect {MINIMUM_EFFECT:.0%}, by the spread that does not cancel")
    lies, power = _comparisons(rng, runs)
    print("\nfalse claims in a run, all its comparisons corrected together, over kinds of spreads; power at +6 %")
    families = max(_families(rng, rule, max(runs // 10, 100)) for rule in (Rule(5, 5), Rule(10, 10), Rule(5, 20)))
    low, high = min(low for low, _ in found), max(high for _, high in found)
    print(f"\ncoverage with blocks added {low:.1%} to {high:.1%}; false claims at most {lies:.1%};", end=" ")
    print(f"power at a true 2 %, 10 launches, spread {DLPERF[1]:.2%}: {power:.1%};", end=" ")
    print(f"family-wise false claims at most {families:.1%}")


def _families(rng: np.random.Generator, rule: Rule, runs: int) -> float:
    """Print the rates of families; return the highest family-wise rate of false claims."""
    worst = 0.0
    for size in (1, 4, 16, 48):
        lies = {shape: family_claims(rng, rule, size, runs, shape=shape) for shape in SPREADS_OF_A_FAMILY}
        power = family_claims(rng, rule, size, runs // 10, effect=0.06)
        worst = max(worst, *lies.values())
        shown = ", ".join(f"{share:.1%}" for share in lies.values())
        print(f"  {rule.launches} to {rule.most} blocks, {size:2d} comparisons: false {shown}; power {power:.1%}")
    return worst


def _sequential(rng: np.random.Generator, rule: Rule, runs: int) -> tuple[float, float]:
    plain = [coverage(rng, Rule(rule.launches, rule.most, False), spread, runs) for spread in SPREADS]
    ours = [coverage(rng, rule, spread, runs) for spread in SPREADS]
    four = [coverage(rng, rule, spread, runs // 4, cells=4)[0] for spread in SPREADS]
    low, high = min(share for share, _ in ours), max(share for share, _ in ours)
    cost = np.mean([blocks for _, blocks in ours]) / np.mean([blocks for _, blocks in plain])
    print(
        f"  launches {rule.launches:2d}, maxLaunches {rule.most}: {low:.1%} to {high:.1%}, of four cells"
        f" {min(four):.1%} to {max(four):.1%}; stopping at once, 95 %: {min(s for s, _ in plain):.1%};"
        f" {cost:.2f} times its blocks"
    )
    return low, high


def _comparisons(rng: np.random.Generator, runs: int) -> tuple[float, float]:
    """Return the highest rate of false claims, and the power at DLPerf's upper quartile with ten launches."""
    rules = [Rule(3, 3), Rule(5, 5), Rule(10, 10), Rule(3, 20), Rule(5, 20), Rule(10, 30)]
    worst, power = 0.0, 0.0
    for rule in rules:
        lies = [claims(rng, rule, spread, 0.0, runs) for spread in SPREADS]
        right = [claims(rng, rule, spread, 0.02, runs // 4) for spread in DLPERF]
        worst = max(worst, *lies)
        power = right[1] if (rule.launches, rule.most) == (10, 10) else power
        shown = ", ".join(f"{spread:.2%}: {share:.1%}" for spread, share in zip(DLPERF, right, strict=True))
        print(f"  {rule.launches} to {rule.most}: false at most {max(lies):.1%}; of a true 2 % by spread {shown}")
    return worst, power


def _forks() -> None:
    """Print the best number of forks for zygotes as measured on two cores: means 528 us apart, by chance 178."""
    rng = np.random.default_rng(2)
    between, within = 528e-6**2 - 178e-6**2, 6 * 178e-6**2
    values = [rng.normal(rng.normal(0, between**0.5), within**0.5, 6) for _ in range(1000)]
    estimate = nested_variances(values)
    assert estimate is not None
    print("forks per zygote, torch on two cores: a zygote costs 5.4 s")
    for window in (0.5, 1, 5, 10):
        print(f"  launch of {window:4.1f} s: {optimal_forks(*estimate, 5.4, 0.45 + window)}", end=";")
    print(f"  variances found / true {estimate[0] / between:.2f}, {estimate[1] / within:.2f}")


if __name__ == "__main__":
    main()
