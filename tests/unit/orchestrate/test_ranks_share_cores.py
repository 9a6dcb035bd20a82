"""On any pods, machines and quotas, all ranks get shares of one size, disjoint while there are enough cores."""

import math

import pytest

from stepmark.orchestrate.cores import Seat, share_of

FOUR, EIGHT = tuple(range(4)), tuple(range(8))


def seats(*places: tuple[str, tuple[int, ...]], limit: float = math.inf) -> list[Seat]:
    return [Seat(node, allowed, limit) for node, allowed in places]


def cpus(of: list[Seat]) -> list[tuple[int, ...]]:
    return [share_of(rank, of).cpus() for rank in range(len(of))]


def test_two_ranks_of_one_machine_get_half_of_its_cores_each() -> None:
    assert cpus(seats(("a", FOUR), ("a", FOUR))) == [(0, 1), (2, 3)]


def test_a_rank_alone_on_its_machine_gets_all_of_its_cores() -> None:
    assert cpus(seats(("a", FOUR), ("b", FOUR))) == [FOUR, FOUR]


def test_pods_with_exclusive_cores_keep_their_own_cores() -> None:
    assert cpus(seats(("a", (0, 1)), ("a", (6, 7)))) == [(0, 1), (6, 7)]


def test_the_machine_with_the_most_ranks_sets_the_size_of_all_shares() -> None:
    assert cpus(seats(("a", FOUR), ("b", FOUR), ("b", FOUR))) == [(0, 1), (0, 1), (2, 3)]


def test_ranks_of_one_machine_need_not_have_consecutive_numbers() -> None:
    assert cpus(seats(("a", (0, 1)), ("b", (0, 1)), ("a", (0, 1)))) == [(0,), (0,), (1,)]


@pytest.mark.parametrize(("limit", "count"), [(2, 2), (2.9, 2), (0.25, 1), (64, 4)])
def test_a_share_has_the_whole_cores_of_the_quota_and_at_least_one(limit: float, count: int) -> None:
    shares = cpus(seats(("a", EIGHT), ("a", EIGHT), limit=limit))
    assert shares == [EIGHT[:count], EIGHT[count : 2 * count]]


def test_more_ranks_than_cores_get_one_core_each_and_begin_again_at_the_first() -> None:
    assert cpus(seats(*[("a", (3, 5))] * 3)) == [(3,), (5,), (3,)]


def test_a_process_of_several_workers_has_the_shares_of_all() -> None:
    one_process = share_of(0, seats(("a", EIGHT), ("a", EIGHT)))
    assert one_process.cpus(places=2) == EIGHT
    assert share_of(0, seats(("a", (0, 1)))).cpus(places=4) == (0, 1)
