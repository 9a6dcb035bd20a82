"""Training and test samples are the same for one seed, share none, and come in an order that the seed decides."""

import numpy as np
import pytest

from conftest import needs
from stepmark.errors import CannotRun
from stepmark.workloads._batches import global_batches
from stepmark.workloads._datasets import PythonDocs, data_digest, samples_of
from stepmark.workloads._protocol import TEXT_TOKENS, InputSpec
from stepmark.workloads._split import TEST_MOST, filled_rows, split, training_order

NEXT = InputSpec("tokens", (16,), TEXT_TOKENS, TEXT_TOKENS, next_token=True)
ONE = InputSpec("tokens", (16,), TEXT_TOKENS, TEXT_TOKENS)


def test_a_fifth_of_the_digits_is_kept_for_the_test_and_none_of_it_is_trained_on() -> None:
    needs("sklearn")
    digits = samples_of("digits", InputSpec("vector", (64,), 10))
    assert digits is not None
    train, test = split(len(digits), 7)
    assert (len(train), len(test)) == (1437, 360)
    assert sorted([*train, *test]) == list(range(1797))
    assert np.array_equal(train, split(len(digits), 7)[0])
    assert not np.array_equal(test, split(len(digits), 8)[1])


def test_many_samples_leave_a_test_that_is_quickly_made() -> None:
    train, test = split(100_000, 0)
    assert (len(train), len(test)) == (100_000 - TEST_MOST, TEST_MOST)


def test_each_epoch_has_every_sample_at_most_once_in_an_order_of_its_own() -> None:
    train = np.arange(100, 110)
    order = training_order(train, seed=3, batch_size=4, steps=5)
    assert order.shape == (5, 4)
    first, second = order[:2].ravel(), order[2:4].ravel()
    assert (len(set(first)), len(set(second))) == (8, 8)
    assert set(order.ravel()) <= set(train)
    assert not np.array_equal(first, second)
    assert np.array_equal(order, training_order(train, 3, 4, 5))
    assert not np.array_equal(order, training_order(train, 4, 4, 5))


def test_a_batch_of_more_samples_than_are_trained_on_is_refused() -> None:
    with pytest.raises(CannotRun, match="global batch of at most 10 samples"):
        training_order(np.arange(10), seed=0, batch_size=11, steps=1)


def test_the_last_test_batch_is_filled_up() -> None:
    assert filled_rows(np.arange(5), 3).tolist() == [[0, 1, 2], [3, 4, 0]]


def test_pieces_of_the_text_follow_each_other_and_are_labelled_with_the_next_character() -> None:
    docs = PythonDocs(NEXT)
    inputs, labels = docs.take(np.arange(len(docs)))
    assert inputs.shape == labels.shape == (len(docs), 16)
    assert np.array_equal(inputs.ravel()[1:], labels.ravel()[:-1])
    assert 0 < inputs.min() + 1 <= inputs.max() < TEXT_TOKENS
    _, last = PythonDocs(ONE).take(np.arange(len(docs)))
    assert np.array_equal(last, labels[:, -1])


def test_letters_have_a_token_each_and_what_is_not_ascii_shares_one() -> None:
    inputs, _ = PythonDocs(NEXT).take(np.arange(len(PythonDocs(NEXT))))
    text = "".join(chr(token + 30) if token > 1 else "?\n"[int(token)] for token in inputs.ravel())
    assert 'The "assert" statement\n' in text
    assert "’" not in text


def test_a_run_of_timed_steps_can_be_fed_with_the_text() -> None:
    [(inputs, labels), _] = global_batches(NEXT, "python-docs", 7, 4, 2)
    assert inputs.shape == labels.shape == (4, 16)
    assert np.array_equal(inputs[:, 1:], labels[:, :-1])


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (InputSpec("vector", (64,), 10), "tokens as inputs"),
        (InputSpec("tokens", (16,), 96, 97), "a vocabulary and classes of at least 97"),
        (InputSpec("tokens", (16,), 97, 96), "a vocabulary and classes of at least 97"),
    ],
)
def test_a_model_that_cannot_read_the_text_is_refused(spec: InputSpec, said: str) -> None:
    found = spec.why_not("python-docs")
    assert found is not None
    assert found.startswith("a model that predicts the next character of a text: ")
    assert said in found
    assert NEXT.why_not("python-docs") is None


def test_a_source_of_real_samples_has_a_digest_for_the_record_and_random_ones_have_none() -> None:
    found = data_digest("python-docs")
    assert found == PythonDocs(NEXT).digest
    assert found is not None
    assert len(found) == 64
    assert data_digest("synthetic") is None
