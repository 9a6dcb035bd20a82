"""Find single steps that took far longer than their launch's others.

Their rank was stopped, or waited for one that was.
"""

import numpy as np

from stepmark.results.record import LaunchRecord

SECONDS, MEDIANS = 1.0, 50  # a measured step that is longer than both is reported


def long_step(record: LaunchRecord) -> str:
    """Describe the longest measured step of any rank in a sentence, if it took more than max(1 s, 50 medians).

    Where stamps cover several steps, they are those by the device's clock. Without one, the longest stretch is taken
    for one long step among typical ones. Otherwise the text is empty.
    """
    first = record.warmup_stamps
    stamps, covered = record.step_nanoseconds[:, first:] / 1e9, record.steps_of_stamps[first:]
    if (covered > 1).any() and record.device_step_nanoseconds is not None:
        stamps, covered = record.device_step_nanoseconds / 1e9, np.ones(record.device_step_nanoseconds.shape[1], int)
    if not stamps.size:
        return ""
    typical = np.median(stamps / covered, axis=1)
    steps = stamps - (covered - 1) * typical[:, None]
    rank, stamp = np.unravel_index(int(np.argmax(steps)), steps.shape)
    longest, usual = float(steps[rank, stamp]), float(typical[rank])
    if longest <= max(SECONDS, MEDIANS * usual):
        return ""
    end = int(covered[: stamp + 1].sum())
    which = f"step {end}" if covered[stamp] == 1 else f"one of the steps {end - int(covered[stamp]) + 1} to {end}"
    where = f"{which} of rank {record.header.ranks[rank].rank} in block {record.header.block}"
    return f"{where} took {longest:.2f} s, {longest / usual:,.0f} times the median"
