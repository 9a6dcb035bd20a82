"""Refuse, in a cell's own process, what its GPU cannot do. A plan does so before wherever it knows the GPU."""

from stepmark.engines._protocol import RankContext
from stepmark.engines._support import Refusal, Support
from stepmark.errors import UnsupportedHere

Capability = tuple[int, int]


def refuse_what_lacks(support: Support, context: RankContext, capability: Capability) -> None:
    """Raise if one of the engine's refusals holds for a GPU of this compute capability.

    Raises:
        UnsupportedHere: a refusal that names a compute capability holds.
    """
    for refusal in support.refusals:
        if _has_limit(refusal) and _holds(refusal, context, capability):
            raise UnsupportedHere(refusal.reason)


def _has_limit(refusal: Refusal) -> bool:
    return refusal.capability_below is not None or refusal.capability_from is not None


def _holds(refusal: Refusal, context: RankContext, capability: Capability) -> bool:
    """Return whether every condition is met that a rank can judge; it does not know the workload."""
    below, start = refusal.capability_below, refusal.capability_from
    met = (
        below is None or capability < below,
        start is None or capability >= start,
        not refusal.forms or not {context.strategy, context.variant}.isdisjoint(refusal.forms),
        not refusal.executions or context.execution in refusal.executions,
        not refusal.precisions or context.precision in refusal.precisions,
        not refusal.options or not set(refusal.options).isdisjoint(context.options),
    )
    return all(met)
