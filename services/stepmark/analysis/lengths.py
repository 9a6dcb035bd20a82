"""Say what batches of different lengths cost one launch: padding, and compilations for new shapes."""

from dataclasses import dataclass

import numpy as np

from stepmark.results.record import LaunchRecord
from stepmark.results.shapes import BatchTokens, Recompilations


@dataclass(frozen=True)
class LaunchLengths:
    """Store what one launch says of its batches' lengths.

    `tokens_per_sample` is the mean number of real tokens, and `padding_ratio` the share of padding in all tokens that
    the model is given. `shapes` is the number of distinct lengths with padding. `first_visit_seconds` is what the first
    steps on each batch took beyond that batch's median in the measured windows; the first step of all is not counted,
    since most of it is no matter of shapes. None is unknown.
    """

    tokens_per_sample: float
    padding_ratio: float
    shapes: int
    first_visit_seconds: float | None
    recompilations: Recompilations | None


def round_steps(record: LaunchRecord) -> int:
    """Return after how many steps the shapes of batches come again: 1 where all batches have one shape."""
    tokens = _tokens(record)
    return len(tokens[0].real) if tokens else 1


def uneven(record: LaunchRecord) -> str | None:
    """Return how a record of different lengths contradicts itself, in words, or None."""
    kinds = ("real", "padded")
    rounds = {tuple(len(getattr(one, kind)) for kind in kinds) for one in _tokens(record)}
    if not rounds:
        return None
    sizes = {size for both in rounds for size in both}
    if len(sizes) != 1 or len(_tokens(record)) != len(record.header.ranks):
        return "ranks disagree on the number of batches"
    [count] = sizes
    steps = sum(window.steps for window in record.header.ranks[0].windows if window.kind == "measured")
    return f"its {steps} measured steps are no whole rounds of {count} batches" if steps % count or not steps else None


def launch_lengths(record: LaunchRecord) -> LaunchLengths | None:
    """Return what a launch says of its lengths, or None where all samples have one."""
    tokens = _tokens(record)
    if not tokens:
        return None
    real, padded = (sum(sum(getattr(one, kind)) for one in tokens) for kind in ("real", "padded"))
    counted = [rank.recompilations for rank in record.header.ranks if rank.recompilations is not None]
    return LaunchLengths(
        tokens_per_sample=real / (len(tokens[0].real) * record.header.cell.global_batch),
        padding_ratio=1 - real / padded if padded else 0.0,
        shapes=len(set(tokens[0].padded)),
        first_visit_seconds=_first_visit_seconds(record, len(tokens[0].real)),
        recompilations=max(counted, key=lambda one: one.recompiles, default=None),
    )


def _tokens(record: LaunchRecord) -> list[BatchTokens]:
    return [rank.batch_tokens for rank in record.header.ranks if rank.batch_tokens is not None]


def _first_visit_seconds(record: LaunchRecord, count: int) -> float | None:
    """Return the seconds that steps 1 to count - 1 took beyond the medians of their batches, on the slowest rank.

    It is None where single steps were not timed, or where the warm-up is shorter.
    """
    first = record.warmup_stamps
    if first < count or (record.steps_of_stamps != 1).any():
        return None
    measured = (first + np.arange(record.step_nanoseconds.shape[1] - first)) % count
    beyond = [
        sum(row[batch] - np.median(row[first:][measured == batch]) for batch in range(1, count))
        for row in record.step_nanoseconds
    ]
    return max(float(max(beyond)), 0.0) / 1e9
