"""Train one engine on batches of many lengths, padded in each way, and count what a sequence of shapes compiles.

python shapes.py ENGINE: prints one line of JSON.
"""

import json
import os
import sys
from functools import partial
from typing import Any

import numpy as np
import small_models

from stepmark import catalog
from stepmark.engines._optimizers import RATES
from stepmark.engines._protocol import RankContext
from stepmark.parity.figures import compare
from stepmark.parity.probe import Trace, trace
from stepmark.workloads import _batches, _lengths

LENGTHS, LONGEST = (3, 6), 8
SEQUENCE = (5, 5, 3, 3, 5, 7, 3)
"""The lengths of the steps of which compilations are counted: three distinct ones, and repeats of each."""
SMALL: dict[str, dict[str, Any]] = {
    model: params | {"length": LONGEST}
    for model, params in small_models.SMALL.items()
    if catalog.load_workload(model).with_lengths(padded=True) is not None
}
WAYS = ((), ("bucketed",), ("dynamic-length",))
ANY_SHAPE = ("dynamic-length", "dynamic-compile")
COUNTED: dict[str, tuple[tuple[str, ...], ...]] = {
    "torch": (("dynamic-length",), ANY_SHAPE),
    "keras-torch": (),  # torch.compile is the same, and takes longest for Keras' layers.
    "keras-tensorflow": ((), ("dynamic-length",), ANY_SHAPE),
    "keras-jax": ((), ("dynamic-length",)),
    "tf-keras": (),  # The step is that of keras-tensorflow.
}


def given(execution: str, **context: Any) -> RankContext:
    return RankContext(0, 1, "single", None, execution, "float32", (), 1, 7, 7, 0, 60, **context)  # type: ignore[arg-type]


def engine_of(name: str, model: str, execution: str, lengths: tuple[int, ...], **context: Any) -> Any:
    """Return a built engine of one rank, whose batches have these lengths."""
    options = context.get("options", ())
    workload = catalog.load_workload(model).with_lengths(padded="dynamic-length" not in options)
    assert workload is not None
    params = workload.parse(SMALL[model])
    engine = catalog.load_engine(name).Engine(given(execution, **context))
    batches = _batches.global_batches(workload.input(params), "synthetic", 7, 4, len(lengths), lengths)
    shaped = [
        _lengths.padded(batch, _lengths.padded_length(length, LONGEST, options))
        for batch, length in zip(batches, lengths, strict=True)
    ]
    engine.build(workload, params, shaped, RATES["sgd"])
    return engine, workload


def traced(name: str, model: str, execution: str, **context: Any) -> Trace:
    engine, workload = engine_of(name, model, execution, LENGTHS, **context)
    length = LENGTHS[0] if model == "gpt" else None
    return trace(engine, lambda shapes: workload.starting_weights(shapes, 7), lambda loss: loss, length=length)


def errors(reference: Trace, found: Trace) -> float:
    """Return the largest relative error of logits, losses, gradients and weights."""
    figures = compare(reference, found, slice(None))
    assert figures.forward is not None
    return max(figures.forward, figures.loss, figures.gradient, figures.weights, *(t.error for t in figures.tensors))


def ways(name: str) -> dict[str, float]:
    """Return the largest error of each way against batches that are padded to the longest, by model and way."""
    found, default = {}, catalog.load_engine(name).SUPPORT.default_execution
    for model in SMALL:
        reference = traced(name, model, default)
        for way in WAYS[1:]:
            found[f"{model} {way[0]}"] = errors(reference, traced(name, model, default, options=way))
    halves = traced(name, "gpt", default, options=("dynamic-length",), accumulate=2)
    return found | {"gpt micro-batches": errors(reference, halves)}  # Of the models, only gpt counts its labels.


def counts(name: str) -> dict[str, list[int]]:
    """Return how often the step was compiled again after each step of the sequence, by options."""
    support = catalog.load_engine(name).SUPPORT
    execution = "compiled" if name == "torch" else support.default_execution
    found = {}
    torch: Any = sys.modules.get("torch")
    compiler = torch.compile if name == "torch" else None
    for options in COUNTED[name]:
        if compiler is not None:
            sys.modules["torch._dynamo"].reset()  # It counts for the whole process.
            # Dynamo counts graphs, from one of which, that for any shape, machine code is made too.
            graphs_alone = partial(compiler, backend="aot_eager")
            torch.compile = compiler if options == ANY_SHAPE else graphs_alone
        engine, _ = engine_of(name, "gpt", execution, SEQUENCE, options=options)
        counted = []
        for index in range(len(SEQUENCE)):
            engine.step(index)
            engine.synchronize()
            counted.append(engine.recompilations().recompiles)
        found[" ".join(options)] = counted
    return found


def main() -> None:
    name = sys.argv[1]
    module = catalog.load_engine(name)
    os.environ.update(module.SUPPORT.environment)
    module.import_framework()
    np.seterr(all="raise")
    module.Engine(given("eager")).join_group()
    print(json.dumps({"errors": ways(name), "counts": counts(name)}))


if __name__ == "__main__":
    main()
