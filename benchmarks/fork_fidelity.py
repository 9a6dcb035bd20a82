"""Whether forked launches measure what fresh processes measure, and how far zygotes differ from each other.

    python benchmarks/fork_fidelity.py [ROUNDS]        target: no difference beyond the interval

For each engine, every round has a fresh zygote, and forked and fresh-process launches in ABBA order, all on one core.
The ratio is paired within rounds. The variance between zygotes and between forks of one zygote comes from the forked
launches by one-way analysis of variance; these and the costs give the best number of forks per zygote (Kalibera and
Jones, ISMM 2013).
"""

import math
import os
import sys
import time

import numpy as np
from _parts import Lab, lab, ratio, shown

from stepmark.analysis.stopping import nested_variances, optimal_forks
from stepmark.launch.spawn import Zygote

ORDER = ("fork", "fresh", "fresh", "fork")


def one_round(here: Lab, engine: str, number: int, core: int) -> tuple[dict[str, list[float]], float, float]:
    """Return the launch medians of both ways, the seconds of starting a zygote, and of a fork beyond its windows."""
    started = time.monotonic()
    path = here.folder / f"{engine}-{number}.sock"
    zygote = Zygote(engine, path, here.environment(engine))
    zygote.wait_until_ready()
    zygote_seconds, fork_seconds = time.monotonic() - started, []
    medians: dict[str, list[float]] = {"fork": [], "fresh": []}
    for way in ORDER:
        begun = time.monotonic()
        steps = here.launch(engine, path if way == "fork" else None, core, params={"hidden": 512, "layers": 4})
        medians[way].append(float(np.median(steps)))
        if way == "fork":
            fork_seconds.append(time.monotonic() - begun)
    zygote.stop()
    return medians, zygote_seconds, float(np.mean(fork_seconds))


def main(rounds: int) -> None:
    core = max(os.sched_getaffinity(0))
    with lab() as here:
        for engine in ("torch", "keras-tensorflow"):
            results = [one_round(here, engine, number, core) for number in range(rounds)]
            forked = [float(np.mean(medians["fork"])) for medians, _, _ in results]
            fresh = [float(np.mean(medians["fresh"])) for medians, _, _ in results]
            between, within = nested_variances([np.log(medians["fork"]) for medians, _, _ in results]) or (0.0, 0.0)
            c1, c2 = (float(np.mean([result[i] for result in results])) for i in (1, 2))
            print(
                f"{engine}: standard deviation between zygotes {math.sqrt(max(between, 0.0)):.2%}, "
                f"within {math.sqrt(within):.2%}; "
                f"zygote {c1:.1f} s, fork {c2:.1f} s, best forks per zygote {optimal_forks(between, within, c1, c2)}; "
                f"forked / fresh {shown(ratio(forked, fresh))}",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
