"""One engine under check: from known weights and samples through the very step that will be timed.

The gradient is read off the first step's update, at a learning rate so large that the update drowns the weights. So
reduction, accumulation, clipping, loss scale and the optimiser's first step are all inside what is compared, and an
engine needs no other way to its gradients.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._protocol import Engine, Weights
from stepmark.workloads import _weights
from stepmark.workloads._batches import Batch

Shapes = Mapping[str, tuple[int, ...]]

GRADIENT_RATE = 2.0**20  # a power of two: dividing by it is exact
# Exactly representable (Keras keeps the rate in float32), and small: at 0.0625 a ResNet-18 with one pixel in its last
# stage multiplies a rounding error by ten in every step, at this rate by two.
TRAINING_RATE = 2.0**-8
STEPS = 5


@dataclass(frozen=True)
class Trace:
    """What one engine did: logits of its samples, mean loss, gradients of the first step, weights after the last."""

    logits: NDArray[np.float64]
    loss: float
    gradients: Weights
    end: Weights
    start_digest: str

    def save(self, path: Path) -> None:
        arrays: dict[str, Any] = {f"gradient/{name}": values for name, values in self.gradients.items()}
        arrays |= {f"end/{name}": values for name, values in self.end.items()}
        with path.open("wb") as file:
            np.savez(file, logits=self.logits, loss=self.loss, start=self.start_digest, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Trace":
        with np.load(path, allow_pickle=False) as arrays:
            parts = {
                kind: {name.removeprefix(kind): arrays[name] for name in arrays.files if name.startswith(kind)}
                for kind in ("gradient/", "end/")
            }
            loss, start = float(arrays["loss"]), str(arrays["start"])
            return cls(arrays["logits"], loss, parts["gradient/"], parts["end/"], start)


def trace(
    engine: Engine,
    build: Callable[[float], None],
    starting_weights: Callable[[Shapes], Weights],
    mean_over_ranks: Callable[[float], float],
) -> Trace:
    """Run the check. `build` makes the engine's model anew at a learning rate; all ranks must call this together."""
    build(GRADIENT_RATE)
    start = _begin(engine, starting_weights)
    logits = engine.forward(0)
    engine.step(0)
    loss = mean_over_ranks(engine.synchronize())
    first = engine.weights()
    gradients = {name: (start[name] - first[name].astype(np.float64)) / GRADIENT_RATE for name in start}
    build(TRAINING_RATE)
    again = _begin(engine, starting_weights)
    for index in range(STEPS):
        engine.step(index)
    engine.synchronize()
    return Trace(logits, loss, gradients, engine.weights(), _weights.digest(again))


def _begin(engine: Engine, starting_weights: Callable[[Shapes], Weights]) -> Weights:
    """Load the weights that everyone starts from; returns them as the engine holds them, in its own float type."""
    shapes = {name: values.shape for name, values in engine.weights().items()}
    # Through float32 for all, so that float64 starts from the same numbers too.
    start = {name: values.astype(np.float32) for name, values in starting_weights(shapes).items()}
    engine.load_weights(start)
    return {name: values.astype(np.float64) for name, values in start.items()}


def batches_digest(batches: list[Batch]) -> str:
    """SHA-256 of the samples and labels, over all ranks."""
    digest = hashlib.sha256()
    for inputs, labels in batches:
        digest.update(np.ascontiguousarray(inputs).tobytes() + np.ascontiguousarray(labels).tobytes())
    return digest.hexdigest()
