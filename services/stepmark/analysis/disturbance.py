"""Select the launches of a cell that count, where some were disturbed and made again.

The module also says how busy the cell's cores were.
"""

from collections.abc import Sequence
from statistics import median

from pydantic import BaseModel, ConfigDict

from stepmark.analysis.launch import Launch


class Disturbance(BaseModel):
    """Store what others took of one cell's cores.

    The taken shares are the median and the worst of the `taken_share` of the cell's launches, None if unknown. Of
    `launches_made` launches in all, `launches_disturbed` do not count, the first of them because of `because`.
    `launches_made_again` were made a second time, since they or what they are compared with had been disturbed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    taken_share_median: float | None = None
    taken_share_worst: float | None = None
    launches_made: int = 0
    launches_disturbed: int = 0
    launches_made_again: int = 0
    because: str = ""

    @property
    def text(self) -> str:
        """Return how many launches do not count, and why, in words; empty where all do."""
        if not self.launches_disturbed:
            return ""
        verb = "was disturbed and does" if self.launches_disturbed == 1 else "were disturbed and do"
        return f"{self.launches_disturbed} of {self.launches_made} launches {verb} not count: {self.because}"


def disturbance(launches: Sequence[Launch]) -> Disturbance:
    """Summarize all launches of a cell, whether they count or not."""
    known = [launch.taken_share for launch in launches if launch.taken_share is not None]
    reasons = [launch.disturbed for launch in sorted(launches, key=_made) if launch.disturbed is not None]
    return Disturbance(
        taken_share_median=median(known) if known else None,
        taken_share_worst=max(known, default=None),
        launches_made=len(launches),
        launches_disturbed=len(reasons),
        launches_made_again=sum(launch.attempt > 0 for launch in launches),
        because=reasons[0] if reasons else "",
    )


def counting(launches: Sequence[Launch]) -> list[Launch]:
    """Return the launches of a cell that count: the last valid one of each block, and every one that failed."""
    in_order = sorted(launches, key=_made)
    last = {launch.block: launch.attempt for launch in in_order if launch.figures is not None}
    return [one for one in in_order if one.why_bad is not None or (one.figures and one.attempt == last[one.block])]


def _made(launch: Launch) -> tuple[int, int]:
    """Return the sort key for the order in which one cell's launches were made."""
    return launch.block, launch.attempt
