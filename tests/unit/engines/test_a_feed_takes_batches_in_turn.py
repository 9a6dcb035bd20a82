"""Whatever prepares the batches, steps take them by their number, are timed while they wait, and hear of failures."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from stepmark.engines._feed import Feed, PipelineFailed, Source
from stepmark.workloads._batches import Batch

# Three batches of two micro-batches, each of one sample that is its number.
PARTS: list[list[Batch]] = [
    [(np.array([[10.0 * batch + part]]), np.array([batch])) for part in range(2)] for batch in range(3)
]


def feed(elements: Iterator[Any] | None = None, **given: Any) -> Feed:
    source = Source(PARTS)
    return Feed("by hand", source, source.endless() if elements is None else elements, lambda one: one, **given)


def numbers(batches: Iterator[Batch]) -> list[float]:
    return [float(inputs[0, 0]) for inputs, _ in batches]


def test_batches_come_in_turn_without_end_and_others_are_passed_over() -> None:
    fed = feed()
    assert [numbers(fed.take(index)) for index in range(4)] == [[0, 1], [10, 11], [20, 21], [0, 1]]
    assert numbers(fed.take(0)) == [0, 1]
    assert numbers(fed.take(8)) == [20, 21]
    fed.discard(9)
    assert numbers(fed.take(10)) == [10, 11]


def test_the_time_of_every_wait_is_added_up_and_told() -> None:
    told: list[bool] = []
    fed = feed()
    fed.waiting = told.append
    list(fed.take(0))
    first = fed.waited_nanoseconds
    list(fed.take(1))
    assert 0 < first < fed.waited_nanoseconds
    assert told == [True, False] * 4
    assert fed.batch_bytes == 2 * (8 + 8)


def test_a_pipeline_that_ends_is_a_failure() -> None:
    fed = feed(iter(PARTS[0]))
    list(fed.take(0))
    with pytest.raises(PipelineFailed, match="ended early: expected 3 batches in turn without end, found its end"):
        list(fed.take(1))


def broken(text: str) -> Iterator[Any]:
    raise RuntimeError(text)
    yield


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no file", "RuntimeError: no file"),
        (
            "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
            '  File "x.py", line 1, in y\nValueError: sample 3\n',
            "ValueError: sample 3",
        ),
        (
            "{{function_node}} ValueError: sample 3\nTraceback (most recent call last):\n\n"
            '  File "x.py", line 1\n    raise ValueError("sample 3")\n\nValueError: sample 3\n\n\t [[{{node PyFunc}}]]',
            "ValueError: sample 3",
        ),
    ],
)
def test_the_first_error_of_a_pipeline_is_named(text: str, said: str) -> None:
    with pytest.raises(PipelineFailed) as caught:
        list(feed(broken(text)).take(0))
    assert str(caught.value) == f"the input pipeline failed: {said}"


def test_a_conversion_that_shares_memory_is_told_from_one_that_copies() -> None:
    assert feed().flags(lambda batch: batch[0])["input_copied"] == "no"
    copying = feed(convert=lambda batch: (batch[0].copy(), batch[1]))
    assert copying.flags(lambda batch: batch[0]) == {
        "input": "by hand", "input_transform": "none", "input_copied": "yes",
    }  # fmt: skip
    assert numbers(feed().take(0)) == [0, 1]  # The samples themselves were left alone.
