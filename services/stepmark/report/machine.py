"""Describe how busy the machine was while it measured, in a sentence and as a table."""

from collections.abc import Sequence

from stepmark.analysis.cells import CellResult
from stepmark.analysis.summary import Summary
from stepmark.report.words import percent
from stepmark.scenario.model import Measurement

HEADINGS = ("cell", "others took, median", "others took, worst", "launches disturbed", "made again")
EXPLAINED = (
    "What others took of a rank's cores while its windows ran: CPU time of other processes that the rank waited for, "
    "time that the hypervisor gave away, and the cgroup's throttling, over cores x time. A launch has the share of its "
    "worst rank."
)
UNKNOWN = "What others took of the cores is unknown: the system shows no counters."


def rows(summary: Summary) -> list[list[str]]:
    """Return a row for every cell of which a launch has ended."""
    return [_row(cell) for cell in summary.cells if cell.disturbance.launches_made]


def _row(cell: CellResult) -> list[str]:
    found = cell.disturbance
    shares = [percent(found.taken_share_median), percent(found.taken_share_worst)]
    return [cell.key, *shares, str(found.launches_disturbed), str(found.launches_made_again)]


def worst(summary: Summary) -> str:
    """Return the largest share that others took of a rank's cores in any launch."""
    known = (cell.disturbance.taken_share_worst for cell in summary.cells)
    return percent(max((share for share in known if share is not None), default=None))


def sentence(summary: Summary) -> str:
    """Return how much others took, and how many launches they disturbed."""
    return f"{_taken(summary.cells)} {_disturbed(summary.cells)}"


def busy(summary: Summary) -> str:
    """Return that others took more of some cell's cores than a scenario tolerates by default.

    The text is empty where they did not.
    """
    shares = [cell.disturbance.taken_share_median or 0.0 for cell in summary.cells]
    tolerated = Measurement.model_fields["max_taken_share"].default
    if max(shares, default=0.0) <= tolerated:
        return ""
    return (
        f"The machine was busy: others took {percent(max(shares))} of a cell's cores in its median launch, which "
        "widens intervals. Repeat the run on a quiet machine to decide more."
    )


def _taken(cells: Sequence[CellResult]) -> str:
    known = [(c.disturbance.taken_share_worst, c) for c in cells if c.disturbance.taken_share_worst is not None]
    if not known:
        return UNKNOWN
    worst, cell = max(known, key=lambda pair: pair[0])
    usual = max(c.disturbance.taken_share_median or 0.0 for c in cells)
    return (
        f"Others took at most {percent(worst)} of a rank's cores during a launch (of {cell.key}), and at most "
        f"{percent(usual)} in the median over a cell's launches."
    )


def _disturbed(cells: Sequence[CellResult]) -> str:
    disturbed = sum(cell.disturbance.launches_disturbed for cell in cells)
    if not disturbed:
        return "No launch was disturbed."
    again = sum(cell.disturbance.launches_made_again for cell in cells)
    all_launches = sum(cell.disturbance.launches_made for cell in cells)
    first = next(cell for cell in cells if cell.disturbance.launches_disturbed)
    were, do = ("were", "do") if disturbed > 1 else ("was", "does")
    made = "was" if again == 1 else "were"
    return (
        f"{disturbed} of {all_launches} launches {were} disturbed and {do} not count; {again} {made} made again. "
        f"{first.key}: {first.disturbance.because}."
    )
