"""Check one engine: run it from known weights and samples through the very step that is timed.

SGD's gradient is read off the first step's update, at a learning rate so large that the weights are negligible beside
the update. So reduction, accumulation, clipping, loss scale and the optimiser's first step are all inside what is
compared, and an engine needs no other way to its gradients. AdamW's first update is nearly the gradient's sign, so its
gradient is read off the running mean that the same step leaves: from zero, that is the gradient times 1 - beta1.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._optimizers import ADAMW
from stepmark.engines._protocol import Engine, Weights
from stepmark.workloads import _weights
from stepmark.workloads._batches import Batch

Shapes = Mapping[str, tuple[int, ...]]
StartingWeights = Callable[[Shapes], Weights]

GRADIENT_RATE = 2.0**20  # a power of two: dividing by it is exact
# The rate is exactly representable (Keras keeps it in float32), and small: at 2^-8 the loss of a ResNet-18 with one
# pixel in its last stage rises from 2.6 to 31 in five steps, and float16 overflows.
TRAINING_RATE = 2.0**-12
STEPS = 5


@dataclass(frozen=True)
class Trace:
    """Store what one engine did.

    `logits` are those of its samples of the first batch, or None where they were not asked for. `losses` has shape
    (STEPS,) and holds the mean loss of each step. `gradients` are those of the first step. `end` holds the weights
    after the last step, and `moved` is the L2 norm of their distance from the start. `start_digest` is that of the
    weights as the engine holds them once they are loaded. `layers` is what `Engine.layer_outputs` returned, if it was
    asked for.
    """

    logits: NDArray[np.float64] | None
    losses: NDArray[np.float64]
    gradients: Weights
    end: Weights
    moved: float
    start_digest: str
    layers: tuple[tuple[str, NDArray[Any]], ...] = ()

    def save(self, path: Path) -> None:
        """Write the trace to a file."""
        arrays: dict[str, Any] = {f"gradient/{name}": values for name, values in self.gradients.items()}
        arrays |= {f"end/{name}": values for name, values in self.end.items()}
        arrays |= {} if self.logits is None else {"logits": self.logits}
        arrays |= {f"layer/{index:06d}/{name}": values for index, (name, values) in enumerate(self.layers)}
        with path.open("wb") as file:
            np.savez(file, losses=self.losses, moved=self.moved, start=self.start_digest, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Trace":
        """Read a trace from a file that `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            parts = {
                kind: {name.removeprefix(kind): arrays[name] for name in arrays.files if name.startswith(kind)}
                for kind in ("gradient/", "end/")
            }
            return cls(
                arrays["logits"] if "logits" in arrays.files else None,
                arrays["losses"],
                parts["gradient/"],
                parts["end/"],
                float(arrays["moved"]),
                str(arrays["start"]),
                tuple((name[13:], arrays[name]) for name in sorted(arrays.files) if name.startswith("layer/")),
            )


def trace(
    engine: Engine,
    starting_weights: StartingWeights,
    mean_over_ranks: Callable[[float], float],
    first_step: int = 0,
    with_logits: bool = True,
    with_layers: bool = False,
    length: int | None = None,
) -> Trace:
    """Run the check on a built engine. All ranks must call this together.

    `first_step` is the index at which to begin, a multiple of the number of batches. Logits beyond the first `length`
    of each sample are those of padding, and are left out; None where there is none.
    """
    start = begin(engine, starting_weights, GRADIENT_RATE)
    logits = engine.forward(first_step) if with_logits else None
    if logits is not None and length is not None:
        logits = logits[:, :length]
    layers = tuple(engine.layer_outputs(first_step)) if with_layers else ()
    engine.step(first_step)
    engine.synchronize()
    gradients = _gradients(engine, start)
    start = begin(engine, starting_weights, TRAINING_RATE)
    losses = []
    for index in range(STEPS):
        engine.step(first_step + index)
        losses.append(mean_over_ranks(engine.synchronize()))
    end = engine.weights()
    moved = float(np.sqrt(sum(np.square(end[name].astype(np.float64) - start[name]).sum() for name in end)))
    digest = _weights.digest({name: values.astype(np.float32) for name, values in start.items()})
    return Trace(logits, np.array(losses), gradients, end, moved, digest, layers)


def begin(engine: Engine, starting_weights: StartingWeights, learning_rate: float) -> Weights:
    """Restart from the weights that all engines start from, and return them as the engine holds them."""
    shapes = {name: values.shape for name, values in engine.weights().items()}
    # All weights go through float32, so that float64 starts from the same numbers too.
    engine.restart(
        {name: values.astype(np.float32, copy=False) for name, values in starting_weights(shapes).items()},
        learning_rate,
    )
    return engine.weights()


def _gradients(engine: Engine, start: Weights) -> Weights:
    """Return the gradients of the first step, which was just made from the weights `start`."""
    moments = engine.first_moments()
    if moments is not None:
        return {name: moment / (1 - ADAMW.beta1) for name, moment in moments.items()}
    return {name: _gradient(start[name], after) for name, after in engine.weights().items()}


def _gradient(before: NDArray[np.floating[Any]], after: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    return ((before.astype(np.float64) - after) / GRADIENT_RATE).astype(after.dtype)


def batches_digest(batches: list[Batch]) -> str:
    """Return the SHA-256 of the samples and labels, over all ranks."""
    digest = hashlib.sha256()
    for inputs, labels in batches:
        digest.update(np.ascontiguousarray(inputs).tobytes() + np.ascontiguousarray(labels).tobytes())
    return digest.hexdigest()
