"""Whether the pace of a feed without training is that of a plain loop over the same pipeline: expected 0.97 to 1.03.

python benchmarks/pipeline_ceiling.py [torch|keras-torch|keras-tensorflow|keras-jax ...]

Each engine feeds in a process of its own, in each way that it has. The loop of the product (`parts.time_pipeline`) and
the plain loop take turns on one pipeline, and go first in turn; the ratio is of batches per second. The turns are short
and many, and the median of the pairs counts: a second in which others slow the machine down spoils one of many pairs.
"""

import itertools
import os
import statistics
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from _parts import shown

from stepmark import catalog
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.levels import median_interval
from stepmark.engines._feed import Feed
from stepmark.engines._protocol import RankContext
from stepmark.engines._support import WAYS_TO_FEED
from stepmark.launch.parts import time_pipeline
from stepmark.workloads import _batches

ENGINES = ("torch", "keras-torch", "keras-tensorflow", "keras-jax")
ROUNDS, SECONDS, BATCH = 40, 0.25, 32
PARAMS = {"depth": 8, "imageSize": 32, "classes": 10}
ALONE = cast(Any, SimpleNamespace(agree_max=lambda value: value))


def engine_that_feeds(module: Any, way: str, joined: bool) -> Any:
    """Return an engine whose steps are fed with turned images in this way."""
    context = RankContext(
        0, 1, "single", None, module.SUPPORT.default_execution, "float32", (), len(os.sched_getaffinity(0)), 0, 0, 0,
        60, feed_each_step=True, transform="affine", options=cast(Any, (way,) if way else ()),
    )  # fmt: skip
    engine, workload = module.Engine(context), catalog.load_workload("resnet")
    if not joined:
        engine.join_group()
    params = workload.parse(PARAMS)
    batches = _batches.global_batches(workload.input(params), "synthetic", 0, BATCH, _batches.BATCHES)
    engine.build(workload, params, batches, 0.0625)
    return engine


def of_the_product(engine: Any) -> float:
    """Return the batches per second that a launch would report."""
    taken = time_pipeline(engine.parts()["input"], engine.feed, engine, ALONE, SECONDS, 0)
    return 1e9 / statistics.mean(taken)


def of_a_plain_loop(engine: Any, count: int) -> float:
    """Return the batches per second of a loop over the pipeline alone, after what it had prepared."""
    feed: Feed = engine.feed
    for element in itertools.islice(feed._elements, feed.ahead):
        feed._place(element)
    begin = time.perf_counter()
    for element in itertools.islice(feed._elements, count):
        feed._place(element)
    engine.synchronize()
    return count / (time.perf_counter() - begin)


def compare(name: str) -> None:
    """Print the ratio of each way of one engine."""
    module: Any = catalog.load_engine(name)
    os.environ.update(module.SUPPORT.environment)
    module.import_framework()
    ways = ["", *(way for way in WAYS_TO_FEED if module.SUPPORT.options[way] is None)]
    for number, way in enumerate(ways):
        engine = engine_that_feeds(module, way, joined=number > 0)
        count = max(10, int(SECONDS * of_the_product(engine)))
        pairs = []
        for turn in range(ROUNDS):
            first = of_a_plain_loop(engine, count) if turn % 2 else None
            own = of_the_product(engine)
            pairs.append((own, first or of_a_plain_loop(engine, count)))
        ratios = np.array([own / plain for own, plain in pairs])
        low, high = median_interval(ratios) or (None, None)
        found = shown(Estimate(value=float(np.median(ratios)), low=low, high=high))
        pace = f"{statistics.median(own for own, _ in pairs) * BATCH:,.0f} samples/s"
        print(f"{name} {way or 'default'}: {found}, {pace}", flush=True)
    os._exit(0)  # Workers may still prepare what nobody takes.


def main() -> None:
    if sys.argv[1:2] == ["compare"]:
        compare(sys.argv[2])
    for name in sys.argv[1:] or ENGINES:
        subprocess.run([sys.executable, __file__, "compare", name], check=True)


if __name__ == "__main__":
    main()
