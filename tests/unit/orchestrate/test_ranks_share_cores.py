"""On any pods, machines and quotas, all ranks get shares of one size, disjoint while there are enough cores."""

import math

import pytest

from stepmark.devices.facts import Gpu
from stepmark.orchestrate.cores import Seat, share_of
from stepmark.results.device import DeviceFacts

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


def near(*cores: int) -> Gpu:
    return Gpu("GPU-1", DeviceFacts(kind="gpu", name="g", uuid_tail="1"), frozenset(cores))


def test_ranks_have_the_cores_near_their_gpus() -> None:
    far, close = range(4, 8), range(4)
    found = cpus([Seat("a", EIGHT, math.inf, near(*far)), Seat("a", EIGHT, math.inf, near(*close))])
    assert found == [(4, 5, 6, 7), (0, 1, 2, 3)]


def test_where_the_near_cores_do_not_suffice_others_fill_up_and_nobody_loses_near_ones() -> None:
    sharing = [Seat("a", EIGHT, math.inf, near(0, 1, 2))] * 2
    assert cpus([*sharing, Seat("a", EIGHT, math.inf, near(3)), Seat("a", EIGHT, math.inf, near(4, 5))]) == [
        (0, 1), (2, 6), (3, 7), (4, 5),
    ]  # fmt: skip


def test_cores_near_a_gpu_that_the_pod_may_not_use_are_not_dealt() -> None:
    assert cpus([Seat("a", (2, 3), math.inf, near(0, 1))]) == [(2, 3)]
