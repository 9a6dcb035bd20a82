"""Limits, and whether figures pass them. Every limit's origin is in docs/parity.md."""

from stepmark.parity.causes import likely_cause
from stepmark.results.certificate import Figures, Limits

FLOAT32 = Limits(forward=1e-5, loss=1e-5, gradient=1e-5, scale=1e-5, tensor=3e-5, weights=1e-5)
# Compilers reorder and fuse, mixed precision rounds each product: about three times the largest figures seen.
COMPILED = Limits(forward=1e-5, loss=1e-5, gradient=3e-5, scale=1e-5, tensor=1e-4, weights=3e-5)
# In float16 a step whose scaled gradient overflows is skipped, as it should be, and the weights are one step behind.
MIXED = {
    "tf32": Limits(forward=3e-3, loss=1e-3, gradient=1e-2, scale=2e-3, tensor=3e-2, weights=5e-3),
    "bfloat16": Limits(forward=2.5e-2, loss=3e-3, gradient=4e-2, scale=1e-2, tensor=1.5e-1, weights=2e-3),
    "float16": Limits(forward=4e-3, loss=1e-3, gradient=1e-2, scale=2e-3, tensor=3e-2, weights=2e-2),
}


# torch.nn.utils.clip_grad_norm_ divides by the norm + 1e-6, Keras by the norm: seen even in float64.
_CLIPPED = 1e-5


def limits_for(precision: str, execution: str, float64_limit: float, clipped: bool = False) -> Limits:
    """What a cell must keep within. `float64_limit` is the workload's own; `clipped`: gradients are."""
    if precision in MIXED:
        return MIXED[precision]
    if precision == "float64":
        x = max(float64_limit, _CLIPPED) if clipped else float64_limit
        return Limits(forward=x, loss=x, gradient=x, scale=x, tensor=3 * x, weights=x)
    return COMPILED if execution == "compiled" else FLOAT32


def problem(figures: Figures, limits: Limits, tensors: tuple[str, ...], distributed: bool) -> str:
    """Empty if all figures pass; otherwise what is off, the worst tensor, and the likely cause."""
    found = [
        f"{name} off by {getattr(figures, name):.1e} (limit {getattr(limits, name):.0e})"
        for name in ("forward", "loss", "gradient", "weights")
        if getattr(figures, name) > getattr(limits, name)
    ]
    if abs(figures.gradient_scale - 1) > limits.scale:
        found.append(f"gradient scaled by {figures.gradient_scale:.6g} (limit 1 +- {limits.scale:.0e})")
    worst = figures.tensors[0] if figures.tensors else None
    if worst is not None and (worst.error > limits.tensor or found):
        found.append(f"worst tensor {worst.tensor}, gradient off by {worst.error:.1e} (limit {limits.tensor:.0e})")
    if figures.unmatched:
        found.insert(0, f"trained on one side only: {', '.join(figures.unmatched)}")
    if not found:
        return ""
    cause = likely_cause(figures, tensors, distributed)
    return "; ".join(found) + (f". Likely: {cause}" if cause else "")
