"""Read what torch.compile counts of itself, for the whole process."""

from stepmark.engines._protocol import Recompilations


def unique_graphs() -> int:
    """Return how many graphs were compiled."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


def recompilations() -> Recompilations:
    """Return what was compiled again, where graphs broke, and the seconds of all compilations.

    Each compilation of a frame has an identifier that ends in its number among those of the frame, from 0.
    """
    from torch._dynamo.utils import calculate_time_spent, counters, get_compilation_metrics

    frames = {one.compile_id for one in get_compilation_metrics() if one.compile_id}
    return Recompilations(
        recompiles=sum(frame.rpartition("/")[2] != "0" for frame in frames),
        graph_breaks=sum(counters["graph_break"].values()),
        compile_seconds=float(calculate_time_spent()["total_wall_time"]),
    )
