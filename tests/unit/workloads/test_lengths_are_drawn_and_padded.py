"""Every batch has a length of its own, which depends on the seed and its index, and padding keeps what it surrounds."""

import numpy as np
import pytest

from stepmark.scenario.lengths import Lengths
from stepmark.workloads import _batches
from stepmark.workloads._lengths import IGNORED, PADDING, drawn_lengths, padded, padded_length
from stepmark.workloads._protocol import InputSpec

NEXT = InputSpec("tokens", (64,), 5, 5, next_token=True)


@pytest.mark.parametrize("distribution", ["uniform", "log-normal"])
def test_lengths_lie_in_their_range_and_one_batch_has_the_same_in_every_number_of_batches(distribution: str) -> None:
    lengths = Lengths(least=8, most=64, distribution=distribution)  # type: ignore[arg-type]
    many = drawn_lengths(lengths, 7, 2000)
    assert (min(many), max(many)) == (8, 64)
    assert drawn_lengths(lengths, 7, 16) == many[:16]
    assert drawn_lengths(lengths, 8, 16) != many[:16]
    middle = 36 if distribution == "uniform" else (8 * 64) ** 0.5
    assert np.median(many) == pytest.approx(middle, rel=0.05)


def test_a_rank_has_its_shard_of_batches_of_many_lengths() -> None:
    drawn = (9, 64, 8)
    whole = _batches.global_batches(NEXT, "synthetic", 7, 7, 3, drawn)
    assert [inputs.shape for inputs, _ in whole] == [(7, length) for length in drawn]
    for rank in range(2):
        own = _batches.local_batches(NEXT, "synthetic", 7, 7, 3, rank, 2, drawn)
        for batch, one in zip(whole, own, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(_batches.shard(batch, rank, 2), one, strict=True))


def test_no_real_token_is_padding_and_no_real_label_is_ignored() -> None:
    [batch] = _batches.global_batches(NEXT, "synthetic", 7, 50, 1, (40,))
    inputs, labels = padded(batch, 48)
    assert (inputs[:, :40] != PADDING).all()
    assert (inputs[:, 40:] == PADDING).all()
    assert (labels[:, :40] >= 0).all()
    assert (labels[:, 40:] == IGNORED).all()
    assert np.array_equal(inputs[:, 1:40], labels[:, :39])


def test_labels_of_whole_samples_are_not_padded() -> None:
    [batch] = _batches.global_batches(InputSpec("tokens", (64,), 10, 20), "synthetic", 7, 4, 1, (40,))
    assert padded(batch, 64)[1] is batch[1]


def test_each_way_pads_to_its_own_length() -> None:
    lengths = (1, 2, 3, 8, 9, 40, 50)
    assert [padded_length(n, 50, ()) for n in lengths] == [50] * 7
    assert [padded_length(n, 50, ("bucketed",)) for n in lengths] == [1, 2, 4, 8, 16, 50, 50]
    assert [padded_length(n, 50, ("dynamic-length",)) for n in lengths] == list(lengths)
