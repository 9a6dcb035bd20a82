"""Parts of a fed step take the next batches in turn, and what they wait for their input is told apart."""

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stepmark.launch.parts import BATCHES_LEAST, SAMPLES_LEAST, time_parts

GROUP = cast(Any, SimpleNamespace(agree_max=lambda value: value))
WAIT = 1000


class Pipeline:
    """A feed by the clock of which each batch takes WAIT nanoseconds."""

    def __init__(self, ahead: int) -> None:
        self.ahead, self.waited_nanoseconds = ahead, 0
        self.taken: list[int] = []

    def discard(self, index: int) -> None:
        self.taken.append(index)
        self.waited_nanoseconds += WAIT


def engine(feed: Pipeline) -> Any:
    return SimpleNamespace(
        asynchronous=False,
        feed=feed,
        step=feed.discard,
        step_without_reduce=feed.discard,
        parts=lambda: {"step_without_update": feed.discard, "matmul": lambda _: None, "input": feed.discard},
        synchronize=lambda: 0.0,
        weights=lambda: {},
    )


def in_a_row(numbers: list[int]) -> Iterator[bool]:
    return (after == before + 1 for before, after in itertools.pairwise(numbers))


@pytest.mark.parametrize("ahead", [0, 4])
def test_each_part_takes_the_batch_that_is_next(ahead: int) -> None:
    feed = Pipeline(ahead)
    found = time_parts(engine(feed), GROUP, 0.0, 12, matmul_flops=1).nanoseconds
    assert feed.taken[0] == feed.taken[1] == 12  # The first was tried to see whether there is such a step.
    assert all(in_a_row(feed.taken[1:]))
    assert len(found["pipeline"]) == BATCHES_LEAST
    assert len(found["input"]) == SAMPLES_LEAST


def test_the_input_of_a_pipeline_is_what_the_step_without_update_waited() -> None:
    assert set(time_parts(engine(Pipeline(4)), GROUP, 0.0, 0, 1).nanoseconds["input"]) == {WAIT}


def test_the_pace_of_a_pipeline_leaves_out_what_was_prepared_before() -> None:
    feed = Pipeline(100)
    parts = time_parts(engine(feed), GROUP, 0.0, 0, 1).nanoseconds
    batches = 3 * (1 + SAMPLES_LEAST) + 1  # A round that compiles, and one for each sample.
    assert len(feed.taken) == batches + 100 + BATCHES_LEAST + len(parts["pipeline"])
