"""Which launches of a cell count, where some were disturbed and made again, and how busy its cores were."""

from collections.abc import Sequence
from statistics import median

from pydantic import BaseModel, ConfigDict

from stepmark.analysis.launch import Launch


class Disturbance(BaseModel):
    """What others took of one cell's cores: the median and the worst of its launches' `taken_share`, None if unknown.

    Of its launches, `launches_made` in all, `launches_disturbed` do not count, the first of them because of `because`.
    `launches_made_again`: a second time, since they or what they are compared with had been disturbed.
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
        """How many launches do not count, and why, in words; empty where all do."""
        if not self.launches_disturbed:
            return ""
        verb = "was disturbed and does" if self.launches_disturbed == 1 else "were disturbed and do"
        return f"{self.launches_disturbed} of {self.launches_made} launches {verb} not count: {self.because}"


def disturbance(launches: Sequence[Launch]) -> Disturbance:
    """Of all launches of a cell, whether they count or not."""
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
    """Of all launches of a cell, those that count: the last valid one of each block, and whatever failed."""
    in_order = sorted(launches, key=_made)
    last = {launch.block: launch.attempt for launch in in_order if launch.figures is not None}
    return [one for one in in_order if one.why_bad is not None or (one.figures and one.attempt == last[one.block])]


def _made(launch: Launch) -> tuple[int, int]:
    """In which order one cell's launches were made."""
    return launch.block, launch.attempt
