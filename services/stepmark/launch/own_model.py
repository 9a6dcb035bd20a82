"""Look at a model that stepmark does not know: refuse it before timing, and count its weights and operations after."""

import traceback

import numpy as np
from numpy.typing import NDArray

from stepmark import catalog
from stepmark.engines._protocol import Engine
from stepmark.errors import ModelRefused
from stepmark.results.record import ModelFacts
from stepmark.workloads._protocol import InputSpec, Workload

SAME = 1e-3  # Kernels of GPUs whose sums differ from run to run are a hundred times closer than this.


def check_outputs(engine: Engine, spec: InputSpec) -> None:
    """Run the built model forward twice on this rank's first batch. All ranks must call this together.

    Raises:
        ModelRefused: the outputs have another shape, are not finite, differ from each other, or are probabilities.
    """
    first, second = engine.forward(0), engine.forward(0)
    problem = _problem(first, second, spec)
    if problem:
        raise ModelRefused(problem)


def _problem(first: NDArray[np.float64], second: NDArray[np.float64], spec: InputSpec) -> str:
    """Return what is wrong with the outputs of two forward passes; empty if nothing is."""
    if first.shape[1:] != spec.output:
        expected, found = (", ".join(["batch", *map(str, shape)]) for shape in (spec.output, first.shape[1:]))
        return f"expected outputs of shape ({expected}), found ({found}). Change the model, or its `sample`."
    if not np.isfinite(first).all():
        return "expected finite outputs, found NaN or infinity. Check the model's initial weights and its precision."
    if np.linalg.norm(first - second) > SAME * np.linalg.norm(first):
        return (
            "expected the same outputs of the same batch, found others each time: the model is random in training, as "
            "with dropout. Build it with a rate of 0."
        )
    sums = first.sum(axis=-1)
    if spec.labels == "classes" and spec.classes > 1 and first.min() >= 0 and np.allclose(sums, 1, atol=1e-2):
        return "expected logits, found probabilities, which add up to 1. Leave out the last softmax."
    return ""


def is_looked_at(model: str, workload: Workload) -> bool:
    """Return whether a model's outputs are looked at before it is timed: those of every model that others wrote."""
    return workload.inspected or (catalog.is_foreign(model) and workload.has_weights)


def facts(engine: Engine, workload: Workload) -> ModelFacts | None:
    """Return what can be counted of an own model, or None of another. All ranks must call this together."""
    if not workload.inspected:
        return None
    parameters = sum(values.size for values in engine.weights().values())
    try:
        found = engine.operations()
    except Exception:  # What cannot be counted is unknown, and must not cost the launch.
        traceback.print_exc()
        found = None
    if found is None:
        return ModelFacts(parameters=parameters)
    return ModelFacts(parameters=parameters, flops_per_sample=found.flops_per_sample, flops_source=found.source)
