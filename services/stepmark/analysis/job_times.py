"""Turn the ranks' times of one launch into the job's: a step of the job ends when its last rank has ended it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepmark.results.record import LaunchRecord


@dataclass(frozen=True)
class JobTimes:
    """Store the job's measured times: `seconds` from stamp to stamp, and the `steps` that each covers, both (stamps,).

    They last from when the last rank came to the stamp before to when the last rank came to this one.
    """

    seconds: NDArray[np.float64]
    steps: NDArray[np.int64]

    @property
    def step_seconds(self) -> NDArray[np.float64]:
        """Return the seconds per step, of shape (stamps,)."""
        return self.seconds / self.steps

    @property
    def one_by_one(self) -> bool:
        """Return whether every stamp ends one step."""
        return bool((self.steps == 1).all())

    def since(self, stamp: int) -> "JobTimes":
        """Return the times from this stamp on."""
        return JobTimes(self.seconds[stamp:], self.steps[stamp:])


def job_times(record: LaunchRecord) -> JobTimes:
    """Return the measured times of the job, by the host's clock."""
    first = record.warmup_stamps
    stamps = [window.stamps for window in record.header.ranks[0].windows if window.kind == "measured"]
    return JobTimes(_job_seconds(record.step_nanoseconds[:, first:], stamps), record.steps_of_stamps[first:])


def device_step_seconds(record: LaunchRecord) -> NDArray[np.float64] | None:
    """Return the seconds of each measured step of the job by the devices' clocks, or None where a device has none."""
    if record.device_step_nanoseconds is None:
        return None
    steps = [window.steps for window in record.header.ranks[0].windows if window.kind == "measured"]
    return _job_seconds(record.device_step_nanoseconds, steps)


def _job_seconds(nanoseconds: NDArray[np.int64], lengths: list[int]) -> NDArray[np.float64]:
    """Return the job's seconds from the ranks' durations, of shape (ranks, times), with so many times in each window.

    Ranks leave the barrier before a window together, so a rank has come to an end after the sum of its durations since
    then. The maximum of the ranks' own durations would be longer than the time that passed, since ranks take turns in
    being late.
    """
    first, jobs = 0, []
    for length in lengths:
        ends = nanoseconds[:, first : first + length].cumsum(axis=1).max(axis=0)
        jobs.append(np.diff(ends, prepend=0))
        first += length
    return np.concatenate([np.zeros(0), *jobs]) / 1e9
