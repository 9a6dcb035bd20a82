"""Measure how far two traces are from each other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._protocol import Weights
from stepmark.parity.layers import layer_errors
from stepmark.parity.probe import STEPS, Trace
from stepmark.results.certificate import Figures, TensorError

_TENSORS_KEPT, _UNMATCHED_KEPT = 8, 63


def compare(reference: Trace, candidate: Trace, share: slice) -> Figures:
    """Return the figures of a candidate, whose logits, if any, are the `share` of the reference's samples."""
    names = sorted(reference.gradients.keys() & candidate.gradients.keys())
    ours, theirs = _flat(candidate.gradients, names), _flat(reference.gradients, names)
    scale = float(ours @ theirs / (theirs @ theirs)) if theirs.any() else 1.0
    end, reference_end = _flat(candidate.end, names), _flat(reference.end, names)
    return Figures(
        forward=_forward(reference, candidate, share),
        loss=max(map(_finite, np.abs(candidate.losses - reference.losses) / np.abs(reference.losses))),
        gradient=_relative(ours, theirs),
        gradient_scale=scale if np.isfinite(scale) else 0.0,
        gradient_rest=_relative(ours / scale, theirs) if scale else float("inf"),
        tensors=tuple(_tensor_errors(candidate.gradients, reference.gradients, names, theirs)[:_TENSORS_KEPT]),
        weights=_relative(end, reference_end),
        update=_over(end, reference_end, reference.moved),
        held=candidate.start_digest == reference.start_digest,
        steps=STEPS,
        unmatched=_unmatched(candidate.gradients, reference.gradients),
        layers=layer_errors(reference.layers, candidate.layers, share),
    )


def _unmatched(ours: Weights, theirs: Weights) -> tuple[str, ...]:
    """Return the tensors that do not belong together, with their shapes; the last entry counts those left out."""
    found = [
        f"{name} {_shape(ours, name)}" + ("" if name not in theirs else f", {_shape(theirs, name)} in the reference")
        for name in sorted(ours)
        if name not in theirs or ours[name].shape != theirs[name].shape
    ]
    found += [f"{name} {_shape(theirs, name)} of the reference" for name in sorted(theirs.keys() - ours.keys())]
    more = len(found) - _UNMATCHED_KEPT
    return tuple(text[:200] for text in found[:_UNMATCHED_KEPT]) + ((f"and {more} more",) if more > 0 else ())


def _shape(tensors: Weights, name: str) -> str:
    return f"({', '.join(map(str, tensors[name].shape))})"


def _forward(reference: Trace, candidate: Trace, share: slice) -> float | None:
    if reference.logits is None or candidate.logits is None:
        return None
    return _relative(candidate.logits.ravel(), reference.logits[share].ravel())


def _flat(tensors: Weights, names: list[str]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros(0), *(tensors[name].astype(np.float64).ravel() for name in names)])


def _finite(error: float) -> float:
    return float(error) if np.isfinite(error) else float("inf")


def _relative(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Return the L2 norm of the difference over that of theirs.

    It is infinite where shapes differ or a number is not finite.
    """
    return _over(ours, theirs, float(np.linalg.norm(theirs)))


def _over(ours: NDArray[np.float64], theirs: NDArray[np.float64], size: float) -> float:
    """Return the L2 norm of the difference over `size`; infinity where shapes differ or a number is not finite."""
    if ours.shape != theirs.shape:
        return float("inf")
    difference = float(np.linalg.norm(ours - theirs))
    if size == 0:
        return float("inf") if difference else 0.0
    return _finite(difference / size)


def _tensor_errors(
    ours: Weights, theirs: Weights, names: list[str], everything: NDArray[np.float64]
) -> list[TensorError]:
    """Return the error of each tensor, largest first.

    The floor is needed since a gradient that is zero in theory is noise in practice, and must not matter.
    """
    floor = _rms(everything)
    errors = []
    for name in names:
        if ours[name].shape != theirs[name].shape:
            errors.append(TensorError(tensor=name, error=float("inf")))
            continue
        size = max(_rms(theirs[name]), floor)
        errors.append(TensorError(tensor=name, error=_finite(_rms(ours[name] - theirs[name]) / size) if size else 0.0))
    return sorted(errors, key=lambda tensor: -tensor.error)


def _rms(values: NDArray[np.floating[Any]]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
