"""Find single steps that took far longer than their launch's others.

Their rank was stopped, or waited for one that was.
"""

import numpy as np

from stepmark.results.record import LaunchRecord

SECONDS, MEDIANS = 1.0, 50  # a measured step that is longer than both is reported


def long_step(record: LaunchRecord) -> str:
    """Describe the longest measured step of any rank in a sentence, if it took more than max(1 s, 50 medians).

    Otherwise the text is empty.
    """
    steps = record.step_nanoseconds[:, record.warmup_steps :] / 1e9
    if not steps.size:
        return ""
    rank, step = np.unravel_index(int(np.argmax(steps)), steps.shape)
    longest, typical = float(steps[rank, step]), float(np.median(steps[rank]))
    if longest <= max(SECONDS, MEDIANS * typical):
        return ""
    header = record.header
    where = f"step {step + 1} of rank {header.ranks[rank].rank} in block {header.block}"
    return f"{where} took {longest:.2f} s, {longest / typical:,.0f} times the median"
