"""Feed an engine's steps in each way that it has. Run as a script, once for each engine; it prints a line for each job.

python fed.py ENGINE    prints JSON: the job, the SHA-256 of what reached the device in two rounds, and the flags; and
for each way, what is said where the transform of a sample raises an error
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from typing import Any, cast
from unittest import mock

import numpy as np

from stepmark import catalog
from stepmark.engines._feed import PipelineFailed
from stepmark.engines._protocol import RankContext
from stepmark.engines._support import WAYS_TO_FEED, Support
from stepmark.terms import Transform
from stepmark.workloads import _batches

SIZE, BATCHES, ROUNDS = 8, 3, 2
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": 8},
    "resnet": {"depth": 8, "imageSize": 8, "classes": 10},
    "gpt": {"vocabulary": 20, "length": 6, "layers": 1, "heads": 2, "width": 8},
}
SAMPLES: list[tuple[str, Transform, int]] = [
    ("mlp", "spectrogram", 1),
    ("mlp", "none", 1),
    ("mlp", "spectrogram", 2),
    ("resnet", "affine", 1),
    ("gpt", "none", 1),
]
"""A model, the transform of its samples, and the number of micro-batches of a step. A step is made with the first."""


def ways(support: Support) -> list[str]:
    """Return the ways that an engine has: none of the options, then each option."""
    return ["", *(way for way in WAYS_TO_FEED if support.options[way] is None)]


def drawn(model: str) -> list[_batches.Batch]:
    workload = catalog.load_workload(model)
    return _batches.global_batches(workload.input(workload.parse(SMALL[model])), "synthetic", 7, SIZE, BATCHES)


def digest(batches: Iterable[_batches.Batch]) -> str:
    """Return the SHA-256 of these batches, with their shapes and types."""
    found = hashlib.sha256()
    for part in (np.ascontiguousarray(part) for batch in batches for part in batch):
        found.update(f"{part.shape} {part.dtype}".encode() + part.tobytes())
    return found.hexdigest()


def on_host(tensor: Any, moved: bool) -> Any:
    found = np.asarray(tensor)
    found = found.astype(np.int64) if found.dtype.kind == "i" else found  # JAX has int32.
    return found.transpose(0, 3, 1, 2) if moved else found


def engine_of(module: Any, way: str, model: str, transform: Transform, accumulate: int, join: bool = False) -> Any:
    context = RankContext(
        0, 1, "single", None, module.SUPPORT.default_execution, "float32", (), 2, 7, 7, 0, 60,
        feed_each_step=True, transform=transform, accumulate=accumulate, options=cast(Any, (way,) if way else ()),
    )  # fmt: skip
    engine = module.Engine(context)
    if join:
        engine.join_group()
    workload = catalog.load_workload(model)
    engine.build(workload, workload.parse(SMALL[model]), drawn(model), 0.0625)
    return engine


def broken(sample: Any) -> Any:
    raise ValueError("the sample is broken")


def said_of_an_error(module: Any, way: str) -> str:
    with mock.patch("stepmark.workloads._transforms._spectrogram", broken):
        engine = engine_of(module, way, "mlp", "spectrogram", 1)
        try:
            engine.step(0)
        except PipelineFailed as error:
            return str(error)
    return "nothing"


def main(name: str) -> None:
    module: Any = catalog.load_engine(name)
    os.environ.update(module.SUPPORT.environment)
    module.import_framework()
    jobs = [(way, samples) for way in ways(module.SUPPORT) for samples in SAMPLES]
    for number, (way, (model, transform, accumulate)) in enumerate(jobs):
        engine = engine_of(module, way, model, transform, accumulate, join=number == 0)
        moved = model == "resnet" and name != "torch"
        taken = [
            tuple(on_host(part, moved and place == 0) for place, part in enumerate(parts))
            for index in range(ROUNDS * BATCHES)
            for parts in engine._parts(index)
        ]
        found = {"job": [way, model, transform, accumulate], "digest": digest(taken)}
        if (model, transform, accumulate) == SAMPLES[0]:
            engine.step(1)  # It is not the next one, so batches are passed over.
            found |= {"loss": engine.synchronize(), "flags": engine.flags()}
        print(json.dumps(found), flush=True)
    for way in ways(module.SUPPORT):
        print(json.dumps({"job": [way, "fault"], "said": said_of_an_error(module, way)}))
    sys.stdout.flush()
    os._exit(0)  # Workers may still prepare what nobody takes.


if __name__ == "__main__":
    main(*sys.argv[1:])
