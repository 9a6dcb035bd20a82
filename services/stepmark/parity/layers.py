"""Compare what goes into each layer and what comes out of it, and say which layer differs first."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepmark.results.certificate import LayerError

Layers = Sequence[tuple[str, NDArray[Any]]]


def layer_errors(reference: Layers, candidate: Layers, share: slice) -> tuple[LayerError, ...]:
    """Return the errors of all layers that both sides have, in the reference's order of calls.

    `share` are the candidate's samples among those of the reference.
    """
    ours = dict(candidate)
    found: dict[str, dict[str, float | None]] = {}
    for name, theirs in reference:
        layer, _, side = name.rpartition("/")
        if name in ours:
            found.setdefault(layer, {})[side] = _error(ours[name], theirs[share])
    return tuple(
        LayerError(layer=name[:200], input=sides.get("input"), output=sides.get("output"))
        for name, sides in found.items()
    )


def _error(ours: NDArray[Any], theirs: NDArray[Any]) -> float | None:
    """Return the relative L2 error, in the order of axes that fits best; None where no order fits.

    One side may have channels last.
    """
    size = float(np.linalg.norm(theirs.astype(np.float64)))
    orders = [(0, *(1 + axis for axis in order)) for order in permutations(range(ours.ndim - 1))]
    errors = [
        float(np.linalg.norm(ours.transpose(order).astype(np.float64) - theirs))
        for order in orders
        if ours.ndim == theirs.ndim and tuple(ours.shape[axis] for axis in order) == theirs.shape
    ]
    if not errors:
        return None
    error = min(errors) / size if size else min(errors)
    return error if np.isfinite(error) else float("inf")


def first_difference(layers: Sequence[LayerError], limit: float) -> str:
    """Return in words where the two models part, or an empty text where no layer is over the limit."""
    before = ""
    for one in layers:
        if one.input is not None and one.input > limit:
            where = f"between {before} and {one.layer}" if before else f"before {one.layer}"
            return f"the models part {where}, whose input is off by {one.input:.1e}"
        if one.output is not None and one.output > limit:
            return f"the models part in {one.layer}: its input agrees, its output is off by {one.output:.1e}"
        before = one.layer
    return ""
