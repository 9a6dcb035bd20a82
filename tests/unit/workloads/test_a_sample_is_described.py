"""A sample is described by hand or found from an example, and its labels are of the kind that the loss needs."""

import numpy as np
import pytest

from stepmark.workloads import InputSpec
from stepmark.workloads._batches import global_batches, local_batches


@pytest.mark.parametrize(
    ("example", "vocabulary", "expected"),
    [
        (np.zeros((3, 8, 8)), None, InputSpec("image", (3, 8, 8), 5)),
        (np.zeros((16, 4)), None, InputSpec("vector", (16, 4), 5)),
        (np.zeros(12, np.int32), 50, InputSpec("tokens", (12,), 5, 50)),
    ],
)
def test_an_example_says_what_a_sample_is(example: object, vocabulary: int | None, expected: InputSpec) -> None:
    assert InputSpec.of(np.asarray(example), 5, vocabulary) == expected


@pytest.mark.parametrize("example", [np.zeros(12, np.int64), np.array(["text"])])
def test_an_example_that_does_not_say_enough_is_refused(example: object) -> None:
    with pytest.raises(ValueError, match="floats, or integers with a vocabulary"):
        InputSpec.of(np.asarray(example), 5)


def test_values_and_bits_are_labels_of_as_many_numbers_as_the_model_gives() -> None:
    [(_, values)] = global_batches(InputSpec("vector", (4,), 3, labels="values"), "synthetic", 7, 64, 1)
    [(_, bits)] = global_batches(InputSpec("vector", (4,), 3, labels="bits"), "synthetic", 7, 64, 1)
    assert values.shape == bits.shape == (64, 3)
    assert values.dtype == bits.dtype == np.float32
    assert len(np.unique(values)) == values.size
    assert set(bits.ravel()) == {0.0, 1.0}


def test_a_rank_draws_its_own_samples_of_values() -> None:
    spec = InputSpec("vector", (4,), 3, labels="values")
    [(_, whole)] = global_batches(spec, "synthetic", 7, 8, 1)
    [(_, own)] = local_batches(spec, "synthetic", 7, 8, 1, 1, 2)
    assert np.array_equal(own, whole[1::2])


def test_digits_are_refused_where_labels_are_not_classes() -> None:
    found = InputSpec("vector", (64,), 10, labels="values").why_not("digits")
    assert found == "a model that takes the 8x8 digits: labels that are classes"
