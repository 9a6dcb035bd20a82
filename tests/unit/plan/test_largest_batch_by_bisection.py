"""The search for the largest batch ends at the true one, and never tries a batch twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepmark.plan.largest import Search


def searched(search: Search, most: int) -> list[int]:
    """Return the batches tried where batches up to `most` train."""
    tried: list[int] = []
    while (batch := search.following()) is not None:
        assert batch not in tried
        tried.append(batch)
        search.tell(batch, batch <= most)
    return tried


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(0, 6000))
def test_the_search_finds_the_largest_batch_that_trains(first: int, limit: int, most: int) -> None:
    search = Search(first, limit)
    tried = searched(search, most)
    assert search.fits == min(most, limit)
    assert search.fails == (None if most >= limit else most + 1)
    assert len(tried) <= 28


@given(st.integers(1, 50), st.integers(1, 16), st.integers(0, 900))
def test_batches_are_cut_into_equal_micro_batches(first: int, unit: int, most: int) -> None:
    search = Search(first * unit, 1000, unit)
    assert all(batch % unit == 0 for batch in searched(search, most))
    assert search.fits == most // unit * unit


@pytest.mark.parametrize(("first", "tried"), [(8, [8, 4, 2, 1]), (1, [1])])
def test_where_none_fits_the_search_ends_at_the_smallest(first: int, tried: list[int]) -> None:
    search = Search(first, 64)
    assert searched(search, 0) == tried
    assert search.fits == 0
