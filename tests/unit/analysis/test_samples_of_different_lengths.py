"""A launch whose batches differ in length: its cycle of lengths is no noise, and only real tokens count."""

from dataclasses import replace

import numpy as np
import pytest

from stepmark.analysis.launch import invalid, reduced, summarize
from stepmark.analysis.length_figures import length_figures
from stepmark.analysis.lengths import launch_lengths
from stepmark.analysis.step_times import Rate
from stepmark.results.record import LaunchRecord, Window
from stepmark.results.shapes import BatchTokens, Recompilations
from unit.analysis.test_contradicting_records_are_invalid import record

MS = 1_000_000
BATCH_MS = (10, 40, 20, 30)
TOKENS = BatchTokens(real=(80, 320, 160, 240), padded=(320, 320, 320, 320))


def of_lengths(steps: np.ndarray, warmup: int, tokens: BatchTokens | None = TOKENS) -> LaunchRecord:
    """Return a record of two ranks with the same steps, in ms, and 16 samples in a step of both."""
    made = record([[99, 10]] * 2)
    windows = (
        Window(kind="warmup", steps=warmup, host_nanoseconds=int(steps[:warmup].sum() * MS)),
        Window(kind="measured", steps=len(steps) - warmup, host_nanoseconds=int(steps[warmup:].sum() * MS)),
    )
    compiled = Recompilations(recompiles=2, graph_breaks=0, compile_seconds=1.5)
    update = {"windows": windows, "batch_tokens": tokens, "recompilations": compiled}
    ranks = tuple(rank.model_copy(update=update) for rank in made.header.ranks)
    header = made.header.model_copy(update={"ranks": ranks})
    return LaunchRecord(header, np.array([steps * MS] * 2, dtype=np.int64))


def cycle(count: int, jitter: float = 0.002) -> np.ndarray:
    noise = np.random.default_rng(7).normal(1, jitter, count)
    return np.array([BATCH_MS[index % 4] for index in range(count)]) * noise


def test_a_cycle_of_lengths_is_steady_and_its_step_is_the_mean_of_the_batches() -> None:
    found = summarize(of_lengths(cycle(410), 10))
    assert found.steady.verdict == "steady"
    assert found.median_step_seconds == pytest.approx(0.025, rel=0.002)
    assert found.mean_step_seconds == pytest.approx(0.025, rel=0.002)
    short = cycle(90)
    assert summarize(of_lengths(short, 10)).steady.verdict == "steady"
    blind = summarize(of_lengths(short, 10, tokens=None))
    assert blind.steady.verdict != "steady"


def test_a_slowdown_is_seen_through_a_cycle_of_lengths() -> None:
    steps = cycle(410)
    steps[210:] *= 1.05
    assert summarize(of_lengths(steps, 10)).steady.verdict == "slowdown"


def test_steady_steps_are_whole_rounds() -> None:
    steps = cycle(106)
    steps[10:27] *= 1.3  # The first 17 measured steps are slower, so the steady part begins within a round.
    found = summarize(of_lengths(steps, 10))
    assert found.steady.start >= 17
    assert found.steady.start % 4 == 0
    assert found.mean_step_seconds == pytest.approx(0.025, rel=0.002)


def test_only_real_tokens_count() -> None:
    made = of_lengths(cycle(410), 10)
    samples = summarize(made).samples_per_second
    found = launch_lengths(made)
    assert found is not None
    figures = length_figures([found] * 2, Rate(median=samples, low=0.5 * samples, high=None))
    assert figures is not None
    assert figures.tokens_per_second.low == pytest.approx(0.5 * figures.tokens_per_second.median)
    assert figures.tokens_per_second.median == pytest.approx(2 * 200 / 0.025, rel=0.002)  # 200 a step and rank
    assert figures.padding_ratio == pytest.approx(1 - 200 / 320)
    assert (figures.shapes, figures.recompiles, figures.graph_breaks, figures.compile_seconds) == (1, 2, 0, 1.5)


def test_first_visits_to_batches_are_compared_with_later_ones() -> None:
    steps = cycle(410, jitter=0)
    steps[0], steps[1], steps[3] = 5000, 340, 130  # The first step of all is not counted.
    found = launch_lengths(of_lengths(steps, 10))
    assert found is not None
    assert found.first_visit_seconds == pytest.approx(0.3 + 0.1)


def test_a_launch_of_one_length_says_nothing_of_lengths() -> None:
    one = replace(of_lengths(cycle(410), 10, tokens=None))
    assert reduced(one, None).lengths is None


def test_a_record_without_whole_rounds_or_with_ranks_that_differ_is_invalid() -> None:
    assert invalid(of_lengths(cycle(90), 10)) is None
    assert "no whole rounds of 4 batches" in (invalid(of_lengths(cycle(91), 10)) or "")
    short = TOKENS.model_copy(update={"padded": TOKENS.padded[:3]})
    assert "number of batches" in (invalid(of_lengths(cycle(90), 10, tokens=short)) or "")
    made = of_lengths(cycle(90), 10)
    ranks = (made.header.ranks[0], made.header.ranks[1].model_copy(update={"batch_tokens": None}))
    one_sided = LaunchRecord(made.header.model_copy(update={"ranks": ranks}), made.step_nanoseconds)
    assert "number of batches" in (invalid(one_sided) or "")
