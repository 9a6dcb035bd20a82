"""Define limits, and decide whether figures pass them. Every limit's origin is in docs/parity.md."""

from stepmark.parity.causes import likely_cause
from stepmark.parity.layers import first_difference
from stepmark.plan.cells import Cell
from stepmark.results.certificate import Figures, Limits
from stepmark.terms import DeviceKind, OptimizerName

# An update is small beside its weights, whose own rounding is most of its error.
FLOAT32 = Limits(forward=1e-5, loss=1e-5, gradient=1e-5, scale=1e-5, tensor=3e-5, weights=1e-6, update=1e-3)
# Compilers reorder and fuse, and mixed precision rounds each product. These are about three times the largest figures
# seen.
COMPILED = Limits(forward=1e-5, loss=1e-5, gradient=3e-5, scale=1e-5, tensor=1e-4, weights=1e-6, update=1e-3)
# GPUs have kernels of convolutions that err more, and atomic sums that differ from run to run (1e-6 to 1e-5, expected
# and not yet measured here). These limits are far below TF32's errors of 3e-4, which must not pass for float32.
# Against float64, which does not round the weights in each step, float32's updates err by up to 1.1e-3 (an LSTM).
FLOAT32_ON_GPU = Limits(forward=5e-5, loss=2e-5, gradient=5e-5, scale=2e-5, tensor=2e-4, weights=1e-6, update=5e-3)
COMPILED_ON_GPU = Limits(forward=5e-5, loss=2e-5, gradient=1e-4, scale=2e-5, tensor=3e-4, weights=1e-6, update=5e-3)
# Rounding to a shorter mantissa leaves at least these errors: a tenth of the smallest ones seen. tf32 has float16's
# mantissa of ten bits, from which its limits are derived.
_LEAST_OF_8_BITS = {"forward_least": 1.5e-4, "gradient_least": 3e-4}
_LEAST_OF_11_BITS = {"forward_least": 2.5e-5, "gradient_least": 4e-5}
# Weights are float32 in all of these.
MIXED = {
    "tf32": Limits(
        forward=3e-3, loss=1e-3, gradient=1e-2, scale=2e-3, tensor=3e-2, weights=2e-5, update=2e-2, **_LEAST_OF_11_BITS
    ),
    "bfloat16": Limits(
        forward=2.5e-2,
        loss=1.2e-2,  # three times what CPUs that multiply bfloat16 natively gave; its unit roundoff is 2e-3
        gradient=4e-2,
        scale=1e-2,
        tensor=3e-1,
        weights=1e-4,
        update=5e-2,
        **_LEAST_OF_8_BITS,
    ),
    "float16": Limits(
        forward=4e-3, loss=1e-3, gradient=1e-2, scale=2e-3, tensor=3e-2, weights=2e-5, update=2e-2, **_LEAST_OF_11_BITS
    ),
}

# AdamW divides each gradient by its own size, so a rounding error that is small beside all gradients is not small in
# the update of a weight whose own gradient is small. These are about three times the largest figures seen, and stand
# in place of the same limits above.
ADAMW = {
    "tf32": {"weights": 6e-4, "update": 1e-1},
    "bfloat16": {"weights": 3e-3, "update": 5e-1},
    "float16": {"weights": 6e-4, "update": 1e-1},
}
ADAMW_ON_GPU = {"weights": 1e-5}  # ten times the limit of SGD, as gradients' errors are expected to be larger there

_NAMED = 4  # Tensors without a counterpart are named in the text up to this number.

# torch.nn.utils.clip_grad_norm_ divides by the norm + 1e-6, Keras by the norm. The difference shows even in float64.
_CLIPPED = 1e-5


def limits_for(
    precision: str,
    execution: str,
    float64_limit: float,
    clipped: bool = False,
    device: DeviceKind = "cpu",
    optimizer: OptimizerName = "sgd",
) -> Limits:
    """Return the limits of a cell.

    `float64_limit` is the workload's own; `clipped` says whether gradients are clipped.
    """
    found = _limits_of_sgd(precision, execution, max(float64_limit, _CLIPPED) if clipped else float64_limit, device)
    if optimizer == "sgd" or precision == "float64":
        return found
    return found.model_copy(update=ADAMW.get(precision, ADAMW_ON_GPU if device == "gpu" else {}))


def cell_limits(cell: Cell, float64_limit: float, clipped: bool, optimizer: OptimizerName) -> Limits:
    """Return the limits of a cell, as `limits_for` does of its parts."""
    return limits_for(cell.precision, cell.execution, float64_limit, clipped, cell.device, optimizer)


def _limits_of_sgd(precision: str, execution: str, float64_limit: float, device: DeviceKind) -> Limits:
    if precision in MIXED:
        return MIXED[precision]
    if precision == "float64":
        x = float64_limit
        return Limits(forward=x, loss=x, gradient=x, scale=x, tensor=3 * x, weights=x, update=max(10 * x, 1e-9))
    if device == "gpu":
        return COMPILED_ON_GPU if execution == "compiled" else FLOAT32_ON_GPU
    return COMPILED if execution == "compiled" else FLOAT32


def problem(figures: Figures, limits: Limits, tensors: tuple[str, ...], distributed: bool) -> str:
    """Return what is off, the worst tensor, and the likely cause; empty if all figures pass."""
    found = [
        f"{name} off by {error:.1e} (limit {limit:.0e})"
        for name in ("forward", "loss", "gradient", "weights", "update")
        if (error := getattr(figures, name)) is not None and (limit := getattr(limits, name)) is not None
        if error > limit
    ]
    if abs(figures.gradient_scale - 1) > limits.scale:
        found.append(f"gradient scaled by {figures.gradient_scale:.6g} (limit 1 +- {limits.scale:.0e})")
    worst = figures.tensors[0] if figures.tensors else None
    if worst is not None and (worst.error > limits.tensor or found):
        found.append(f"worst tensor {worst.tensor}, gradient off by {worst.error:.1e} (limit {limits.tensor:.0e})")
    found += _too_exact(figures, limits)
    if not figures.held:
        found.append("the weights read back differ from those loaded: not kept in float32, or in another order")
    if figures.unmatched:
        named = "; ".join(figures.unmatched[:_NAMED])
        found.insert(0, f"tensors without a counterpart of their shape: {named}{_more(figures)}")
    if not found:
        return ""
    if _too_exact(figures, limits):
        return "; ".join(found)
    if parting := first_difference(figures.layers, limits.forward):
        found.insert(0, parting)
    cause = likely_cause(figures, tensors, distributed)
    return "; ".join(found) + (f". Likely: {cause}" if cause else "")


def _more(figures: Figures) -> str:
    more = len(figures.unmatched) - _NAMED
    return f"; {more} more in the certificate" if more > 0 else ""


def _too_exact(figures: Figures, limits: Limits) -> list[str]:
    """Return the errors that are smaller than rounding to the cell's precision leaves them."""
    return [
        f"{name} off by only {error:.1e} (expected at least {least:.1e}): not computed in the precision asked for"
        for name, least in (("forward", limits.forward_least), ("gradient", limits.gradient_least))
        if (error := getattr(figures, name)) is not None and error < least
    ]
