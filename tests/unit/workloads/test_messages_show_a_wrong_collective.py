"""A collective is checked with values of which each comes from one rank alone; its bandwidths are nccl-tests'."""

import numpy as np
import pytest

from stepmark.workloads._messages import Collective, Message


def exchanged(message: Message, missing: int | None = None) -> np.ndarray:
    """Return the sum of what all ranks give, or of all but one."""
    return sum(message.contribution(rank) for rank in range(message.workers) if rank != missing)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("collective", "factor"), [("all-reduce", 1.5), ("reduce-scatter", 0.75), ("all-gather", 0.75), ("broadcast", 1.0)]
)
def test_bus_bandwidth_is_that_of_nccl_tests(collective: Collective, factor: float) -> None:
    assert Message.of(collective, 4, 1024, "float32").bus_factor == factor


def test_a_right_sum_passes_and_a_sum_without_one_rank_does_not() -> None:
    message = Message.of("all-reduce", 3, 1024, "float32")
    message.check(0, exchanged(message))
    with pytest.raises(ValueError, match="is wrong and is not timed"):
        message.check(0, exchanged(message, missing=2))


def test_each_rank_of_a_reduce_scatter_must_hold_its_own_part() -> None:
    message = Message.of("reduce-scatter", 2, 1024, "float32")
    parts = np.split(exchanged(message), 2)
    for rank in range(2):
        message.check(rank, parts[rank])
    with pytest.raises(ValueError, match="as value 0 on rank 0"):
        message.check(0, parts[1])


def test_a_gather_of_all_parts_is_the_pattern() -> None:
    message = Message.of("all-gather", 4, 1024, "bfloat16")
    message.check(3, np.concatenate([message.contribution(rank) for rank in range(4)]))
    with pytest.raises(ValueError, match="expected 512 values on rank 3, found 128"):
        message.check(3, message.contribution(3))


def test_a_broadcast_comes_from_rank_0_alone() -> None:
    message = Message.of("broadcast", 2, 1024, "float32")
    message.check(1, message.contribution(0))
    with pytest.raises(ValueError, match="256 wrong values"):
        message.check(1, message.contribution(1))


def test_a_message_that_cannot_be_cut_evenly_is_shortened() -> None:
    assert Message.of("reduce-scatter", 3, 1024, "float32").bytes == 1020
    assert Message.of("all-reduce", 3, 1024, "float32").bytes == 1024


def test_a_message_without_a_value_for_each_rank_is_refused() -> None:
    with pytest.raises(ValueError, match="a value for each of 4096 ranks, found 1024 bytes"):
        Message.of("all-gather", 4096, 1024, "float32")
