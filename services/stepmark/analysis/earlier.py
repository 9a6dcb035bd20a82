"""Select the earlier runs that may stand in a gate's history.

They are alike in machine and settings, count once each, and do not include the new run.
"""

from collections.abc import Iterator, Sequence

from stepmark.analysis.alike import Side, differences
from stepmark.analysis.cells import CellResult
from stepmark.analysis.gate_report import GateHistory, LeftOut, sentence

MOST_EARLIER = 10  # runs that a hub gives for one gate: more of them hardly narrow an interval
LEAST = 3  # with this many, gates without a change fail in at most 5 % (benchmarks/gate_rates.py)

NO_HISTORY = (
    "no history: campaigns may differ by more than their launches show; give {least} or more runs with --history"
)
SHORT_HISTORY = "history of only {count}, so the intervals are very wide; give {least} or more runs with --history"


def alike_runs(old: Side, new: Side, earlier: Sequence[Side]) -> tuple[list[Side], GateHistory]:
    """Return the earlier runs that count, and what the report says about all of them."""
    used: list[Side] = []
    left_out: list[LeftOut] = []
    for side in earlier:
        reason = _why_not(side, old, new, used)
        if reason is None:
            used.append(side)
        else:
            left_out.append(LeftOut(folder=side.folder, reason=reason))
    return used, GateHistory(used=tuple(side.folder for side in used), left_out=tuple(left_out))


def campaigns_of(old: Side, used: Sequence[Side]) -> dict[str, list[tuple[float, ...]]]:
    """Return the launch means of each campaign before the new run, by cell key, the old run's first.

    Campaigns that did not measure the cell are left out.
    """
    found: dict[str, list[tuple[float, ...]]] = {cell.key: [] for cell in old.summary.cells}
    for side in (old, *used):
        for cell in side.summary.cells:
            if cell.key in found and means_of(cell):
                found[cell.key].append(means_of(cell))
    return found


def warnings_of(used: Sequence[Side]) -> Iterator[str]:
    """Yield a warning where the history is missing or short, with what to do."""
    if not used:
        yield NO_HISTORY.format(least=LEAST)
    elif len(used) < LEAST:
        yield SHORT_HISTORY.format(count=f"{len(used)} run" + "s" * (len(used) > 1), least=LEAST)


def means_of(cell: CellResult | None) -> tuple[float, ...]:
    """Return launch means in seconds, slow steps included; empty where nothing was measured."""
    return () if cell is None or cell.step_seconds is None else cell.step_seconds.launch_means


def _why_not(side: Side, old: Side, new: Side, used: Sequence[Side]) -> str | None:
    known = _figures(side)
    if known == _figures(new):
        return "this run is the new one"
    if known == _figures(old):
        return "this run is the old one, which counts already"
    same = [one.folder for one in used if _figures(one) == known]
    if same:
        return f"this run is that of {same[0]}, which counts already"
    unlike = [one for one in differences(old, side) if one.kind != "changed"]
    if unlike:
        one = unlike[0]
        more = f", and {len(unlike) - 1} more" if len(unlike) > 1 else ""
        return f"{one.kind}: {sentence(one.model_copy(update={'kind': 'changed'}))}{more}"
    if not {cell.key for cell in old.summary.cells if means_of(cell)} & known.keys():
        return "this run measured none of the old run's cells"
    return None


def _figures(side: Side) -> dict[str, tuple[float, ...]]:
    """Return launch means by cell key, which no two runs have in common by chance: they are measured in nanoseconds."""
    return {cell.key: means_of(cell) for cell in side.summary.cells if means_of(cell)}
