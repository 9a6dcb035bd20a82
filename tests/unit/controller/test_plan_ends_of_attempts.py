"""The failure matrix, row by row: what makes an attempt invalid, and how a scenario ends."""

from dataclasses import replace

import pytest
from decisions import HEAD, MEASURING, QUIET, RUNNING, WORKER, Run, failed, hub, kinds
from worlds import NOON, here, later

from stepmark.controller.actions.kinds import DeleteRayJob, TellEnd
from stepmark.controller.facts import HubView, Pod
from stepmark.controller.profiles import Profile


def test_a_lost_head_is_noticed_by_the_silence_of_its_driver() -> None:
    run = Run().begun()
    silent = hub(replace(MEASURING, silent_seconds=45))
    run.see(RUNNING, replace(HEAD, ready=False), WORKER, hub=silent)
    assert run.status.attempts[0].reason == "HeartbeatLost"


@pytest.mark.parametrize("reason", ["session-broke", "stopped"])
@pytest.mark.parametrize(
    ("pods", "ended"),
    [
        ((HEAD, replace(WORKER, deleted_at=later(50))), "PodReplaced"),
        ((replace(HEAD, deleted_at=later(50)), WORKER), "PodReplaced"),
        ((WORKER,), "PodReplaced"),
        ((HEAD,), "PodReplaced"),
        ((HEAD, WORKER), None),
    ],
)
def test_the_reason_of_a_driver_that_ended_early_is_its_lost_pod_or_else_its_own(
    reason: str, pods: tuple[Pod, ...], ended: str | None
) -> None:
    run = Run().begun()
    run.see(RUNNING, *pods, hub=hub(replace(MEASURING, outcome="interrupted", reason=reason)))
    own = {"session-broke": "SessionBroke", "stopped": "Stopped"}[reason]
    assert run.status.attempts[0].reason == (ended or own)


@pytest.mark.parametrize(("silent", "answering", "lost"), [(45, 1000, False), (400, 1000, True), (400, 10, False)])
def test_a_silent_driver_in_a_ready_pod_is_lost_only_after_minutes_in_which_the_hub_answered(
    silent: float, answering: float, lost: bool
) -> None:
    run = Run().begun()
    run.see(RUNNING, hub=HubView((replace(MEASURING, silent_seconds=silent),), answering_seconds=answering))
    assert (run.status.attempts[0].reason == "HeartbeatLost") is lost


def test_a_job_that_was_submitted_twice_is_invalid_even_if_it_completes() -> None:
    run = Run().begun()
    second = replace(MEASURING, execution_id="e-2", outcome="complete")
    finished = replace(RUNNING, deployment="Complete", job_status="SUCCEEDED", ended_at=later(50))
    run.see(finished, hub=hub(second, replace(MEASURING, outcome="superseded"), settled=True))
    assert (run.status.attempts[0].reason, run.status.attempts[0].validity) == ("Resubmitted", "invalid")
    assert run.status.result is None


def test_preempted_attempts_do_not_count_as_attempts_up_to_a_limit() -> None:
    run = Run(here(Profile(image="r:1", queue_name="gpus")), runPolicy={"maxAttempts": 1})
    for number in range(1, 6):
        run.begun()
        assert run.status.attempts[-1].number == number
        run.see(replace(RUNNING, suspend=True, deployment="Suspending"), hub=hub(MEASURING))
        run.see(None)
    assert run.status.preemptions == 5
    assert run.condition("Failed") == ("True", "PreemptedTooOften")


def test_a_job_that_is_preempted_after_everything_was_recorded_does_not_begin_again() -> None:
    run = Run(here(Profile(image="r:1", queue_name="gpus"))).begun()
    suspended, done = replace(RUNNING, suspend=True), replace(MEASURING, outcome="complete")
    run.see(suspended, hub=hub(done))
    assert run.condition("Running") == ("True", "Deriving")
    assert kinds(run.see(suspended, hub=hub(done, settled=True)))[-1] == "DeleteRayJob"
    run.see(None, hub=hub(done, settled=True))
    assert run.condition("Complete") == ("True", "Complete")
    assert run.status.attempts[0].validity == "valid"


def test_an_exceeded_deadline_fails_the_scenario_for_good() -> None:
    run = Run().begun()
    run.see(failed("DeadlineExceeded"), hub=hub(MEASURING))
    assert run.condition("Failed") == ("True", "DeadlineExceeded")
    assert len(run.status.attempts) == 1


def test_a_cancel_ends_the_job_and_tells_the_hub() -> None:
    run = Run().begun()
    run.object["spec"]["cancel"] = True
    actions = run.see(RUNNING, hub=hub(MEASURING))
    assert isinstance(actions[-1], DeleteRayJob)
    assert actions[-1].uid == "job-1"
    ended = run.see(None, hub=hub(MEASURING))
    (told,) = (action for action in ended if isinstance(action, TellEnd))
    assert (told.number, told.end.outcome, told.end.reason) == (1, "cancelled", "stopped")
    assert run.status.phase == "Cancelled"
    assert run.condition("Failed") == ("True", "Cancelled")
    assert len(run.status.attempts) == 1


def test_a_cancel_that_comes_after_everything_was_recorded_changes_nothing() -> None:
    run = Run().begun()
    run.object["spec"]["cancel"] = True
    recorded = hub(replace(MEASURING, outcome="complete"), settled=True)
    run.see(RUNNING, hub=recorded)
    assert run.condition("Running") == ("True", "Finishing")
    run.see(replace(RUNNING, deployment="Complete", job_status="SUCCEEDED", ended_at=later(50)), hub=recorded)
    assert run.condition("Complete") == ("True", "Complete")
    assert run.status.attempts[0].validity == "valid"


def test_a_cancel_before_anything_began_creates_nothing() -> None:
    run = Run(cancel=True)
    assert kinds(run.decide()) == ["PatchStatus"]
    assert run.status.phase == "Cancelled"
    assert run.decide() == []


def test_a_scenario_that_is_being_deleted_is_left_to_the_garbage_collector() -> None:
    run = Run()
    run.object["metadata"]["deletionTimestamp"] = "2026-11-25T12:00:00Z"
    assert run.decide() == []


def test_a_hub_that_is_away_at_the_end_is_waited_for() -> None:
    run = Run().begun()
    finished = replace(RUNNING, deployment="Complete", job_status="SUCCEEDED", ended_at=later(50))
    run.see(finished, hub=None, after=100_000)
    assert run.condition("ResultRecorded") == ("Unknown", "HubUnavailable")
    back = hub(replace(MEASURING, outcome="complete"), settled=True)
    run.see(finished, hub=back, after=100_010)
    assert run.condition("Complete") == ("True", "Complete")


def test_a_hub_that_is_away_while_an_attempt_runs_does_not_end_it() -> None:
    run = Run().begun()
    run.see(RUNNING, hub=None, after=5000)
    assert run.status.phase == "Running"
    assert run.condition("ResultRecorded") == ("Unknown", "HubUnavailable")
    run.see(RUNNING, hub=hub(MEASURING), after=5010)
    assert run.condition("ResultRecorded") == ("False", "NotYet")


def test_a_completed_job_without_a_whole_record_has_no_result() -> None:
    run = Run().begun()
    finished = replace(RUNNING, deployment="Complete", job_status="SUCCEEDED", ended_at=later(50))
    partial = hub(replace(MEASURING, outcome="complete", launches=3, launches_expected=4, silent_seconds=500))
    run.see(finished, hub=partial, after=60)
    assert run.condition("Running") == ("True", "AwaitingRecord")
    run.see(finished, hub=partial, after=200)
    assert run.status.attempts[0].reason == "ResultMissing"
    assert len(run.status.attempts) == 2


def test_a_verdict_is_waited_for_only_for_a_limited_time() -> None:
    run = Run().begun()
    finished = replace(RUNNING, deployment="Complete", job_status="SUCCEEDED", ended_at=later(50))
    unsettled = hub(replace(MEASURING, outcome="complete"))
    run.see(finished, hub=unsettled, after=60)
    assert run.condition("Running") == ("True", "Deriving")
    run.see(finished, hub=unsettled, after=400)
    assert run.condition("Complete") == ("True", "Complete")


def test_a_rayjob_that_vanished_is_judged_by_the_record() -> None:
    run = Run().begun()
    run.see(None, hub=None)
    assert run.status.phase == "Running"
    run.see(None, hub=hub(replace(MEASURING, outcome="complete"), settled=True))
    assert run.condition("Complete") == ("True", "Complete")


def test_a_rayjob_that_vanished_without_a_record_is_tried_again() -> None:
    run = Run().begun()
    run.see(None, hub=hub(MEASURING))
    assert [a.reason for a in run.status.attempts] == ["RayJobVanished", None]


def test_another_rayjob_under_the_attempts_name_is_not_the_attempts() -> None:
    run = Run().begun()
    run.see(replace(RUNNING, uid="job-2"), hub=hub(MEASURING))
    assert run.status.attempts[0].reason == "RayJobVanished"


def test_a_stopped_job_is_no_success_though_kuberay_calls_it_complete() -> None:
    run = Run().begun()
    run.see(replace(RUNNING, deployment="Complete", job_status="STOPPED", ended_at=later(50)), hub=QUIET)
    assert run.status.attempts[0].reason == "Stopped"
    assert run.status.phase != "Complete"


def test_the_last_attempt_that_counts_fails_the_scenario() -> None:
    run = Run(runPolicy={"maxAttempts": 2}).begun()
    run.see(None)
    run.begun()
    run.see(None)
    assert run.condition("Failed") == ("True", "RayJobVanished")
    assert [a.state for a in run.status.attempts] == ["Ended", "Ended"]


def test_pods_of_a_lost_node_do_not_hold_the_next_attempt_for_ever() -> None:
    run = Run().begun()
    gone = replace(RUNNING, deleted_at=later(70))
    run.see(RUNNING, replace(HEAD, restarts=1), hub=hub(MEASURING), after=60)
    assert run.see(gone, after=100) == []
    run.see(gone, after=200)
    assert len(run.status.attempts) == 2


def test_a_status_that_cannot_be_read_counts_as_none() -> None:
    run = Run()
    run.object["status"] = {"phase": "Dancing", "attempts": 7}
    run.decide()
    assert run.status.attempts[0].number == 1


def test_messages_of_others_are_cleaned_and_shortened_in_the_status() -> None:
    run = Run().begun()
    run.see(replace(RUNNING, deployment="Failed", reason="AppFailed", message="\x1b[31mno\n" * 900, ended_at=NOON))
    assert "\x1b" not in str(run.object["status"])
    assert len(run.status.message) <= 200


@pytest.mark.parametrize(
    ("outcome", "reason", "ended"),
    [
        ("interrupted", "session-broke", "SessionBroke"),
        ("interrupted", "stopped", "Stopped"),
        ("interrupted", "worker-replaced", "PodReplaced"),
        ("failed", "unknown", "DriverFailed"),
        ("cancelled", "", "Stopped"),
    ],
)
def test_a_plan_that_did_not_come_to_its_end_has_no_result_whatever_was_measured(
    outcome: str, reason: str, ended: str
) -> None:
    run = Run().begun()
    run.see(failed("AppFailed"), hub=hub(replace(MEASURING, outcome=outcome, reason=reason), settled=True))
    assert run.status.attempts[0].reason == ended
    assert run.status.attempts[0].validity == "invalid"
    assert run.status.result is None
    assert len(run.status.attempts) == 2


JAX = "engine keras-jax: expected the module jax, found none. pip install 'stepmark[jax]'"
KUBERAYS_WORDS = (
    "Job entrypoint command failed with exit code {code}, last available logs (truncated to 20,000 chars):\n"
    "2026-11-25 INFO -- a line\n" + "2026-11-25 INFO -- another long line of Ray's own log\n" * 20 + JAX + "\n"
)


def test_an_image_that_lacks_an_engine_is_tried_once_and_the_status_says_what_it_lacks() -> None:
    run = Run().begun()
    ended = replace(MEASURING, outcome="failed", reason="cannot-run", message=JAX)
    run.see(failed("AppFailed"), hub=hub(ended))
    assert run.condition("Failed") == ("True", "CannotRun")
    assert [one.reason for one in run.status.attempts] == ["CannotRun"]
    assert JAX in run.status.message
    assert run.status.attempts[0].message == JAX


def test_a_driver_that_ended_with_the_exit_code_of_cannot_run_is_believed_without_a_hub() -> None:
    run = Run().begun()
    run.see(replace(failed("AppFailed"), message=KUBERAYS_WORDS.format(code=3)))
    assert [one.reason for one in run.status.attempts] == ["CannotRun"]
    assert run.status.attempts[0].message.endswith(JAX)


def test_of_a_drivers_log_the_last_lines_are_kept() -> None:
    run = Run(runPolicy={"maxAttempts": 1}).begun()
    run.see(replace(failed("AppFailed"), message=KUBERAYS_WORDS.format(code=1)), after=600)
    assert run.condition("Failed") == ("True", "DriverFailed")
    assert run.status.attempts[0].message.startswith("exit code 1: ")
    assert JAX in run.status.attempts[0].message
    assert "the module jax" in run.status.message
