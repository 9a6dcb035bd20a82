"""Read what torch.compile counts of itself, for the whole process."""

from stepmark.engines._protocol import Recompilations


def unique_graphs() -> int:
    """Return how many graphs were compiled."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


def recompilations() -> Recompilations:
    """Return what was compiled again, where graphs broke, and the seconds of all compilations.

    torch counts how often it has compiled each frame.
    """
    from torch._dynamo.convert_frame import FRAME_COMPILE_COUNTER
    from torch._dynamo.utils import calculate_time_spent, counters

    return Recompilations(
        recompiles=sum(count - 1 for count in FRAME_COMPILE_COUNTER.values()),
        graph_breaks=sum(counters["graph_break"].values()),
        compile_seconds=float(calculate_time_spent()["total_wall_time"]),
    )
