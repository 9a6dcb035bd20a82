"""When several ranks fail, the one that died is blamed, not those that noticed."""

from stepmark.launch.group import PEER_GONE
from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.session import root_cause
from stepmark.results.record import Failure


def blamed(*causes: str | None, steps: tuple[int, ...] = (9, 9, 9)) -> int | None:
    outcomes = [
        RankOutcome(rank=r, failure=Failure(rank=r, cause=cause) if cause else None, steps_done=steps[r])
        for r, cause in enumerate(causes)
    ]
    failure = root_cause(outcomes)
    assert failure is not None
    return failure.rank


def test_a_killed_rank_is_blamed_before_the_peer_that_lost_it() -> None:
    assert blamed("RuntimeError: Connection closed by peer", "killed by signal 9 after step 3") == 1
    assert blamed(PEER_GONE, "killed by signal 9 after step 3") == 1


def test_an_exception_is_blamed_before_the_abort_that_it_causes_elsewhere() -> None:
    assert blamed("UnavailableError: Collective ops is aborted by: recvmsg", "ValueError: boom") == 1


def test_of_two_ranks_that_hang_the_one_with_fewer_steps_is_blamed() -> None:
    hang = "no step for 60 s (stepTimeoutSeconds)"
    assert blamed(hang, hang, steps=(5, 4, 0)) == 1
    assert blamed(hang, hang, steps=(5, 5, 0)) is None


def test_the_rank_that_hangs_is_blamed_although_a_rank_that_waits_for_it_is_noticed_first() -> None:
    waiting = Failure(rank=0, cause="no step for 3 s after step 11 (stepTimeoutSeconds)")
    failure = root_cause([
        RankOutcome(rank=0, failure=waiting, steps_done=11, stalled_seconds=3),
        RankOutcome(rank=1, failure=Failure(rank=1, cause=PEER_GONE), steps_done=3),
    ])  # fmt: skip
    assert failure is not None
    assert (failure.rank, failure.cause) == (1, "no step for 3 s after step 3 (stepTimeoutSeconds)")


def test_the_only_rank_that_failed_is_blamed() -> None:
    assert blamed(None, None, "ValueError: boom") == 2
