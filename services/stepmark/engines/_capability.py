"""Refuse, in a cell's own process, what its GPU cannot do. A plan does so before wherever it knows the GPU."""

from stepmark.engines._protocol import RankContext
from stepmark.engines._support import Support
from stepmark.errors import UnsupportedHere

Capability = tuple[int, int]


def refuse_what_lacks(support: Support, context: RankContext, capability: Capability) -> None:
    """Raise if one of the engine's refusals holds for a GPU of this compute capability.

    Raises:
        UnsupportedHere: a refusal that names a compute capability holds.
    """
    for refusal in support.refusals:
        limited = refusal.capability_below is not None or refusal.capability_from is not None
        if limited and refusal.matches(
            context.strategy, context.variant, context.execution, context.precision, context.options, capability
        ):
            raise UnsupportedHere(refusal.reason)
