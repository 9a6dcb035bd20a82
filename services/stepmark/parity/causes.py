"""Guess the cause of a failed check from which figures are off, by how much, and what kinds of tensors there are.

The sizes are those that each mistake was measured to cause (docs/parity.md, "Mistakes and what they cost"). A guess is
where a person can begin, and never part of the verdict.
"""

from collections.abc import Callable
from dataclasses import dataclass

from stepmark.results.certificate import Figures

_BATCH_NORM = ("bn", "batch_norm", "batchnorm", "batch_normalization")
_SAME = 1e-5  # an error of at most this counts as no difference here
_OTHER_SIDES = 0.03  # ReLUs on other sides cost 3.9e-3 to 8.1e-3 in three networks of torchvision, in float32.


@dataclass(frozen=True)
class Cause:
    """Store a mistake, the pattern that it leaves, and how tensors are named without which it cannot be.

    A `distributed` mistake needs more than one worker.
    """

    text: str
    fits: Callable[[Figures], bool]
    needs: tuple[str, ...] = ()
    distributed: bool = False


def _between(low: float, high: float) -> Callable[[Figures], bool]:
    """Return a pattern that fits where the forward pass is off by this much."""
    return lambda f: f.forward is not None and low <= f.forward < high


def _only_training(f: Figures) -> bool:
    return max(f.forward or 0.0, f.gradient) <= _SAME


def _scaled(f: Figures) -> bool:
    return (f.forward or 0.0) <= _SAME < f.gradient and f.gradient_rest <= 0.01 * f.gradient


def _only_gradient(f: Figures) -> bool:
    return (f.forward or 0.0) <= _SAME < f.gradient and not _scaled(f)


def _gradient_by_little(f: Figures) -> bool:
    return _only_gradient(f) and f.gradient < _OTHER_SIDES


CAUSES = (
    Cause(
        "a second LSTM bias is trained, where Keras has one: freeze bias_hh at zero",
        lambda f: bool(f.unmatched),
        ("bias_hh",),
    ),
    Cause(
        "one side trains a tensor that the other does not have, or has under another name", lambda f: bool(f.unmatched)
    ),
    Cause(
        "gradients are scaled: Nesterov's form of momentum or clipping on one side, clipping before the sum over "
        "workers, or a loss that is divided by the local batch where the global one is meant",
        _scaled,
    ),
    Cause(
        "BatchNorm's statistics are over all workers on one side, over each worker's own samples on the other",
        lambda f: (f.forward or 0.0) > 1e-3 and not f.unmatched,
        _BATCH_NORM,
        distributed=True,
    ),
    Cause(
        "padding or pooling ('same' pads (0, 1) at stride 2, torch (1, 1)), or an axis order (flattening, kernels)",
        _between(0.02, float("inf")),
        ("conv",),
    ),
    Cause(
        "an axis order or packing of the attention's tensors, or a missing causal mask",
        _between(0.05, float("inf")),
        ("attn", "attention"),
    ),
    Cause(
        "an axis order (kernels, flattening), padding or pooling, another activation, or dropout",
        _between(0.05, float("inf")),
    ),
    Cause("BatchNorm's epsilon (Keras 1e-3, torch 1e-5)", _between(2e-5, 0.02), _BATCH_NORM),
    Cause("LayerNorm's epsilon (Keras 1e-3, torch 1e-5)", _between(1e-3, 0.05), ("norm", "ln")),
    Cause("the form of GELU (exact or tanh)", _between(1e-5, 1e-3), ("linear", "dense", "mlp")),
    Cause(
        "outputs agree and gradients are off by little and by no common factor, as where the input of a ReLU lies "
        "within rounding of zero, or two inputs of a max-pooling of each other: engines take different sides. Override "
        "`starting_weights` so that none does (docs/own-model.md); precision float64, where such inputs are far rarer, "
        "shows whether it is that. A model without either: another epsilon of the optimiser, or clipping of each "
        "worker's gradient",
        _gradient_by_little,
    ),
    Cause(
        "outputs agree and gradients do not: another optimiser or another epsilon in it, weight decay that is added to "
        "gradients on one side, clipping of each worker's gradient before the sum, a sum over workers that is made "
        "twice or not at all, or, in mixed precision, inputs of ReLUs near zero (docs/own-model.md). Make the "
        "optimiser's settings the same on both sides",
        _only_gradient,
    ),
    Cause(
        "the optimiser: momentum or Nesterov form, AdamW's epsilon or bias correction, weight decay (its size, or "
        "coupled or decoupled), a changing learning rate, or weights that share memory with another framework's",
        _only_training,
    ),
)


def likely_cause(figures: Figures, tensors: tuple[str, ...], distributed: bool) -> str:
    """Return the first cause whose pattern fits and whose kind of tensor is there; empty if none does."""
    text = " ".join((*tensors, *figures.unmatched))
    for cause in CAUSES:
        there = not cause.needs or any(kind in text for kind in cause.needs)
        if there and (distributed or not cause.distributed) and cause.fits(figures):
            return cause.text
    return ""
