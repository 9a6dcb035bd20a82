"""The failure matrix, row by row: what is seen, and what follows."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from worlds import NOON, here, later, scenario

from stepmark.controller.actions.kinds import Action, CreateChild, DeleteRayJob, GiveToken, PatchStatus, TellCancelled
from stepmark.controller.conditions import condition
from stepmark.controller.facts import Capabilities, Execution, HubView, Pod, Problem, RayJob
from stepmark.controller.plan import Here, Seen, plan, status_of
from stepmark.controller.profiles import Limits, Profile
from stepmark.scenario.status import ScenarioStatus

SCENARIO = scenario()
JOB = RayJob("cnn-f3e5-1", "job-1", SCENARIO["metadata"]["uid"], NOON)
RUNNING = replace(JOB, deployment="Running", job_status="RUNNING", started_at=NOON, cluster_ready_at=later(20))
HEAD = Pod("head", "head", NOON, ready=True)
WORKER = Pod("worker", "worker", NOON, ready=True)
MEASURING = Execution("e-1", "running", progress="3 of 10 launches")
QUIET = HubView(answering_seconds=1000)


def hub(*executions: Execution, **changes: Any) -> HubView:
    return HubView(executions=executions, answering_seconds=1000, **changes)


class Run:
    """A scenario and its status over several decisions."""

    def __init__(self, world: Here | None = None, **spec: Any) -> None:
        self.here, self.object = world or here(), scenario(**spec)

    def decide(self, seen: Seen = Seen(), now: datetime = NOON) -> list[Action]:  # noqa: B008
        actions = plan(self.object, seen, self.here, now)
        for action in actions:
            if isinstance(action, PatchStatus):
                assert action is actions[-1]
                self.object["status"] = action.status.model_dump(mode="json", by_alias=True, exclude_none=True)
        return actions

    def begun(self, world_job: RayJob = RUNNING) -> "Run":
        """With its first attempt running."""
        self.decide()
        self.decide(
            Seen(replace(world_job, name=self.status.attempts[-1].ray_job_name), (HEAD, WORKER), hub(MEASURING))
        )
        return self

    def see(self, job: RayJob | None, *pods: Pod, hub: HubView | None = QUIET, after: float = 60) -> list[Action]:
        """Look at this world until nothing changes; what was decided."""
        named = None if job is None else replace(job, name=self.status.attempts[-1].ray_job_name)
        every: list[Action] = []
        while actions := self.decide(Seen(named, pods or (HEAD, WORKER), hub), later(after)):
            every += actions
            if not isinstance(actions[-1], PatchStatus):
                break
        return every

    @property
    def status(self) -> ScenarioStatus:
        return status_of(self.object)

    def condition(self, kind: Any) -> tuple[str, str] | None:
        found = condition(self.status, kind)
        return None if found is None else (found.status, found.reason)


def kinds(actions: list[Action]) -> list[str]:
    return [
        action.manifest["kind"] if isinstance(action, CreateChild | GiveToken) else type(action).__name__
        for action in actions
    ]


def test_the_attempt_is_written_down_before_anything_of_it_is_created() -> None:
    run = Run()
    assert kinds(run.decide()) == ["PatchStatus"]
    assert run.status.attempts[0].state == "Creating"
    assert run.condition("Accepted") == ("True", "Accepted")
    assert kinds(run.decide()) == ["ConfigMap", "Secret", "NetworkPolicy", "RayJob"]


def test_the_same_facts_give_the_same_actions() -> None:
    run = Run()
    run.decide()
    assert run.decide() == run.decide()


def test_a_run_that_goes_well_is_complete_and_has_a_result() -> None:
    run = Run().begun()
    assert run.status.phase == "Running"
    assert run.status.message == "3 of 10 launches"
    done = hub(replace(MEASURING, outcome="complete"), settled=True, verdict=("torch is 1.2 times faster",))
    run.see(replace(RUNNING, deployment="Complete", job_status="SUCCEEDED", ended_at=later(50)), hub=done)
    assert run.condition("Complete") == ("True", "Complete")
    assert run.condition("ResultRecorded") == ("True", "Recorded")
    assert run.status.result is not None
    assert run.status.result.verdict == "torch is 1.2 times faster"
    assert run.status.attempts[-1].validity == "valid"
    assert run.decide(now=later(100)) == []


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"scale": {"workers": [2], "batchPerWorker": 8}}, "BeyondLimits"),
        ({"sweep": {"execution": ["default", "eager", "compiled"]}}, "BeyondLimits"),
        ({"runPolicy": {"activeDeadlineSeconds": 90000}}, "BeyondLimits"),
        ({"profile": "gold"}, "UnknownProfile"),
        ({"workload": {"model": "resnet9000"}}, "InvalidSpec"),
    ],
)
def test_what_may_not_run_is_refused_for_good_and_has_no_child(spec: Any, reason: str) -> None:
    run = Run(here(Profile(image="r:1", limits=Limits(max_workers=1, max_cells=2, max_seconds=86400))))
    run.object["spec"] |= spec
    assert kinds(run.decide()) == ["PatchStatus"]
    assert run.condition("Accepted") == ("False", reason)
    assert run.condition("Failed") == ("True", reason)
    assert run.decide() == []


def test_without_kuberay_it_waits_and_says_so() -> None:
    run = Run(here(can=Capabilities(rayjobs=False)))
    run.decide()
    assert run.condition("Admitted") == ("Unknown", "KubeRayMissing")
    run.here = here()
    run.decide()
    assert run.status.attempts[0].number == 1


@pytest.mark.parametrize("reason", ["Forbidden", "QueueUnavailable", "ServerUnavailable", "KubeRayMissing"])
def test_a_call_that_fails_is_said_and_nothing_is_over(reason: str) -> None:
    run = Run()
    run.decide()
    assert kinds(run.decide(Seen(problem=Problem(reason, "may not create rayjobs")))) == ["PatchStatus"]
    assert run.condition("Admitted") == ("Unknown", reason)
    assert run.decide(Seen(problem=Problem(reason, "may not create rayjobs"))) == []
    assert kinds(run.decide()) == ["ConfigMap", "Secret", "NetworkPolicy", "RayJob"]


def test_a_child_of_somebody_else_ends_the_scenario() -> None:
    run = Run()
    run.decide()
    run.decide(Seen(problem=Problem("NameTaken", "Secret x")))
    run.decide()
    assert run.condition("Failed") == ("True", "NameTaken")


def test_a_rayjob_of_our_name_without_our_owner_is_not_ours() -> None:
    run = Run()
    run.decide()
    foreign = replace(RUNNING, name=run.status.attempts[0].ray_job_name, owner_uid="somebody")
    assert "RayJob" in kinds(run.decide(Seen(foreign)))


def test_what_kuberay_rejects_is_deleted_and_not_tried_again() -> None:
    run = Run().begun(replace(JOB, deployment="Initializing", started_at=NOON))
    actions = run.see(replace(JOB, deployment="ValidationFailed", reason="ValidationFailed", message="no entrypoint"))
    assert kinds(actions)[-1] == "DeleteRayJob"
    run.see(None)
    assert run.condition("Failed") == ("True", "RejectedByKubeRay")
    assert len(run.status.attempts) == 1


def test_a_job_that_waits_for_quota_waits_without_end() -> None:
    run = Run(here(Profile(image="r:1", queue_name="gpus"))).begun(replace(JOB, suspend=True))
    assert run.status.phase == "Queued"
    run.see(replace(JOB, suspend=True, deployment="Suspended", started_at=NOON), after=1_000_000)
    assert run.condition("Admitted") == ("False", "Queued")
    run.see(replace(JOB, deployment="Suspended", started_at=NOON), after=1_000_000)  # admitted: KubeRay has not seen it
    assert run.status.phase == "Queued"
    begun = later(1_000_001)
    run.see(replace(JOB, deployment="Initializing", started_at=begun), after=1_000_010)
    assert run.condition("Admitted") == ("True", "Admitted")


def test_pods_that_never_start_end_the_attempt_and_it_is_tried_once_more() -> None:
    run = Run().begun(replace(JOB, deployment="Initializing", started_at=NOON))
    stuck = replace(WORKER, ready=False, trouble="ImagePullBackOff: no such image")
    starting = replace(JOB, deployment="Initializing", started_at=NOON)
    run.see(starting, HEAD, stuck, after=1000)
    assert run.status.message == "pod worker: ImagePullBackOff: no such image"
    assert kinds(run.see(starting, HEAD, stuck, after=1801))[-1] == "DeleteRayJob"
    assert "ImagePullBackOff" in run.status.message
    run.see(None, after=1810)
    assert [a.reason for a in run.status.attempts] == ["StartTimeout", None]
    assert run.status.attempts[0].validity == "invalid"
    assert run.status.attempts[1].ray_job_name != run.status.attempts[0].ray_job_name


def test_kuberays_own_start_deadline_means_the_same() -> None:
    run = Run().begun(replace(JOB, deployment="Initializing", started_at=NOON))
    run.see(replace(JOB, deployment="Failed", reason="PreRunningDeadlineExceeded", ended_at=later(50)))
    assert run.status.attempts[0].reason == "StartTimeout"


def failed(reason: str, after: float = 0) -> RayJob:
    return replace(RUNNING, deployment="Failed", job_status="FAILED", reason=reason, ended_at=later(60 - after))


def test_a_job_that_could_not_be_submitted_is_tried_again_if_nobody_claimed_it() -> None:
    run = Run().begun()
    run.see(failed("SubmissionFailed"), hub=QUIET)
    assert [a.reason for a in run.status.attempts] == ["SubmissionFailed", None]


def test_a_lost_log_does_not_end_a_run_whose_driver_speaks() -> None:
    run = Run().begun()
    run.see(failed("SubmissionFailed", after=600), hub=hub(MEASURING))
    assert run.status.attempts[-1].ended_at is None
    done = hub(replace(MEASURING, outcome="complete"), settled=True)
    run.see(failed("SubmissionFailed", after=600), hub=done)
    assert run.condition("Complete") == ("True", "Complete")


def test_a_lost_log_and_a_driver_that_fell_silent_end_the_attempt() -> None:
    run = Run().begun()
    run.see(failed("SubmissionFailed", after=600), hub=hub(replace(MEASURING, silent_seconds=120)))
    assert run.status.attempts[0].reason == "SubmissionFailed"
    assert len(run.status.attempts) == 2


def test_failed_launches_are_a_result_and_not_tried_again() -> None:
    run = Run().begun()
    record = replace(MEASURING, outcome="failed", reason="launch-failed", message="NCCL error")
    run.see(failed("AppFailed"), hub=hub(record, settled=True, verdict=("inconclusive",)))
    assert run.condition("Failed") == ("True", "LaunchFailed")
    assert run.condition("ResultRecorded") == ("True", "Recorded")
    assert len(run.status.attempts) == 1
    assert "NCCL error" in run.status.message


def test_an_image_that_cannot_do_it_is_not_tried_again() -> None:
    run = Run().begun()
    record = replace(MEASURING, outcome="failed", reason="cannot-run", message="engine torch: found none")
    run.see(failed("AppFailed"), hub=hub(record))
    assert run.condition("Failed") == ("True", "CannotRun")
    assert len(run.status.attempts) == 1


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        (replace(WORKER, created_at=later(40)), "PodReplaced"),
        (replace(WORKER, restarts=1), "PodReplaced"),
        (replace(HEAD, created_at=later(40)), "PodReplaced"),
        (replace(WORKER, disrupted="EvictionByEvictionAPI"), "Preempted"),
    ],
)
def test_a_pod_that_is_replaced_restarted_or_evicted_makes_the_attempt_worthless(pod: Pod, reason: str) -> None:
    run = Run().begun()
    assert kinds(run.see(RUNNING, HEAD, pod, hub=hub(MEASURING)))[-1] == "DeleteRayJob"
    run.see(None, hub=hub(MEASURING))
    assert [(a.reason, a.validity) for a in run.status.attempts] == [(reason, "invalid"), (None, "undecided")]


def test_a_head_that_is_lost_is_noticed_by_its_silence() -> None:
    run = Run().begun()
    silent = hub(replace(MEASURING, silent_seconds=45))
    run.see(RUNNING, replace(HEAD, ready=False), WORKER, hub=silent)
    assert run.status.attempts[0].reason == "HeartbeatLost"


@pytest.mark.parametrize(("silent", "answering", "lost"), [(45, 1000, False), (400, 1000, True), (400, 10, False)])
def test_a_silent_driver_in_a_good_pod_has_time_and_more_after_the_hub_was_away(
    silent: float, answering: float, lost: bool
) -> None:
    run = Run().begun()
    run.see(RUNNING, hub=HubView((replace(MEASURING, silent_seconds=silent),), answering_seconds=answering))
    assert (run.status.attempts[0].reason == "HeartbeatLost") is lost


def test_a_job_that_was_submitted_twice_is_worthless_even_if_it_completes() -> None:
    run = Run().begun()
    second = replace(MEASURING, execution_id="e-2", outcome="complete")
    finished = replace(RUNNING, deployment="Complete", job_status="SUCCEEDED", ended_at=later(50))
    run.see(finished, hub=hub(second, replace(MEASURING, outcome="superseded"), settled=True))
    assert (run.status.attempts[0].reason, run.status.attempts[0].validity) == ("Resubmitted", "invalid")
    assert run.status.result is None


def test_a_preempted_attempt_does_not_count_up_to_a_cap() -> None:
    run = Run(here(Profile(image="r:1", queue_name="gpus")), runPolicy={"maxAttempts": 1})
    for number in range(1, 6):
        run.begun()
        assert run.status.attempts[-1].number == number
        run.see(replace(RUNNING, suspend=True, deployment="Suspending"), hub=hub(MEASURING))
        run.see(None)
    assert run.status.preemptions == 5
    assert run.condition("Failed") == ("True", "PreemptedTooOften")


def test_a_deadline_fails_the_scenario_for_good() -> None:
    run = Run().begun()
    run.see(failed("DeadlineExceeded"), hub=hub(MEASURING))
    assert run.condition("Failed") == ("True", "DeadlineExceeded")
    assert len(run.status.attempts) == 1


def test_cancel_ends_the_job_and_tells_the_hub() -> None:
    run = Run().begun()
    run.object["spec"]["cancel"] = True
    actions = run.see(RUNNING, hub=hub(MEASURING))
    assert isinstance(actions[-1], DeleteRayJob)
    assert actions[-1].uid == "job-1"
    ended = run.see(None, hub=hub(MEASURING))
    assert any(isinstance(action, TellCancelled) and action.execution_id == "e-1" for action in ended)
    assert run.status.phase == "Cancelled"
    assert run.condition("Failed") == ("True", "Cancelled")
    assert len(run.status.attempts) == 1


def test_cancel_before_anything_began_creates_nothing() -> None:
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


def test_a_hub_that_is_away_while_it_runs_disturbs_nothing() -> None:
    run = Run().begun()
    run.see(RUNNING, hub=None, after=5000)
    assert run.status.phase == "Running"
    assert run.condition("ResultRecorded") == ("Unknown", "HubUnavailable")
    run.see(RUNNING, hub=hub(MEASURING), after=5010)
    assert run.condition("ResultRecorded") == ("False", "NotYet")


def test_a_good_job_without_a_whole_record_is_no_result() -> None:
    run = Run().begun()
    finished = replace(RUNNING, deployment="Complete", job_status="SUCCEEDED", ended_at=later(50))
    partial = hub(replace(MEASURING, outcome="complete", launches=3, launches_expected=4, silent_seconds=500))
    run.see(finished, hub=partial, after=60)
    assert run.condition("Running") == ("True", "AwaitingRecord")
    run.see(finished, hub=partial, after=200)
    assert run.status.attempts[0].reason == "ResultMissing"
    assert len(run.status.attempts) == 2


def test_a_verdict_is_waited_for_but_not_for_ever() -> None:
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


def test_another_rayjob_under_the_name_of_ours_is_not_taken_for_it() -> None:
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


def test_foreign_words_come_into_the_status_on_one_line_and_cut() -> None:
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
def test_a_plan_that_did_not_come_to_its_end_is_no_result_whatever_was_measured(
    outcome: str, reason: str, ended: str
) -> None:
    run = Run().begun()
    run.see(failed("AppFailed"), hub=hub(replace(MEASURING, outcome=outcome, reason=reason), settled=True))
    assert run.status.attempts[0].reason == ended
    assert run.status.attempts[0].validity == "invalid"
    assert run.status.result is None
    assert len(run.status.attempts) == 2
