"""How often the interval of a typical launch holds it where launches lie at two levels: rare slow ones, two modes.

python benchmarks/launch_levels.py [runs per figure, default 4,000]

Truth: the median of the distribution that launches are drawn from. Beside it stand the coverage of a t-interval on
logarithms, and how often both levels were seen. The mean over very many launches is another quantity: where none of
five launches is of the rare kind, as in 66 % of runs at a share of 8 %, nothing in them tells of it.
"""

import sys

import numpy as np

from stepmark.analysis.intervals import geometric_mean, typical
from stepmark.analysis.levels import two_levels

# Each is the share of slow launches, and by how much they are slower.
MIXTURES = ((0.08, 0.15), (0.02, 0.5), (0.2, 0.15), (0.3, 0.1), (0.5, 0.1), (0.4, 0.05))
SPREADS = (0.003, 0.005, 0.01, 0.02)


def held(
    rng: np.random.Generator, share: float, slower: float, spread: float, launches: int, runs: int
) -> tuple[float, float, float]:
    """Return shares of runs: our interval holds the truth, a t-interval does, and two levels were seen."""

    def draw(*shape: int) -> np.ndarray:
        return np.exp(spread * rng.standard_normal(shape)) * (1 + slower * (rng.random(shape) < share))

    truth = float(np.median(draw(200_001)))
    drawn = draw(runs, launches)
    ours = np.mean([not typical(run).excludes(truth) for run in drawn])
    plain = np.mean([not geometric_mean(run).excludes(truth) for run in drawn])
    return float(ours), float(plain), float(np.mean([two_levels(run) is not None for run in drawn]))


def main() -> None:
    runs, rng = int(sys.argv[1]) if len(sys.argv) > 1 else 4_000, np.random.default_rng(1)
    least: dict[int, tuple[float, float]] = {}
    for launches in (5, 9, 10):
        print(f"{launches} launches: interval holds the typical launch (a t-interval; two levels seen), by spread")
        for share, slower in MIXTURES:
            found = [held(rng, share, slower, spread, launches, runs) for spread in SPREADS]
            ours, plain = min(one[0] for one in found), min(one[1] for one in found)
            before = least.get(launches, (1.0, 1.0))
            least[launches] = (min(before[0], ours), min(before[1], plain))
            shown = "  ".join(
                f"{s:.1%}: {o:.1%} ({t:.1%}; {two:.0%})" for s, (o, t, two) in zip(SPREADS, found, strict=True)
            )
            print(f"  {share:.0%} of launches {slower:.0%} slower  {shown}")
    told = "; ".join(f"{n} launches {ours:.1%} (t: {plain:.1%})" for n, (ours, plain) in least.items())
    print(f"\nleast coverage of the typical launch with two levels: {told}")


if __name__ == "__main__":
    main()
