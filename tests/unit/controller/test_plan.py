"""The failure matrix, row by row: what is refused, waited for, started, and recorded."""

from dataclasses import replace
from typing import Any

import pytest
from decisions import HEAD, JOB, MEASURING, QUIET, RUNNING, WORKER, Run, failed, hub, kinds
from worlds import NOON, here, later

from stepmark.controller.facts import Capabilities, Pod, Problem
from stepmark.controller.plan import Seen
from stepmark.controller.profile_devices import Devices
from stepmark.controller.profiles import Limits, Profile


def test_an_attempt_is_in_the_status_before_any_of_its_objects_is_created() -> None:
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
        ({"device": "gpu"}, "WrongDevice"),
        ({"workload": {"model": "resnet9000"}}, "InvalidSpec"),
        ({"workload": {"model": "acme/unet"}}, "ForbiddenPackage"),
        ({"workload": {"model": "local/unet"}}, "ForbiddenPackage"),
        ({"candidates": [{"name": "fast", "engine": "acme/fast"}]}, "ForbiddenPackage"),
    ],
)
def test_a_scenario_that_may_not_run_is_refused_for_good_and_has_no_child(spec: Any, reason: str) -> None:
    run = Run(here(Profile(image="r:1", limits=Limits(max_workers=1, max_cells=2, max_seconds=86400))))
    run.object["spec"] |= spec
    assert kinds(run.decide()) == ["PatchStatus"]
    assert run.condition("Accepted") == ("False", reason)
    assert run.condition("Failed") == ("True", reason)
    assert run.decide() == []


def test_a_scenario_for_cpu_cores_leaves_no_devices_idle() -> None:
    run = Run(here(Profile(image="r:1", devices=Devices(extended_resource="nvidia.com/gpu"))), device="cpu")
    run.decide()
    assert run.condition("Accepted") == ("False", "WrongDevice")


def test_a_scenario_waits_for_kuberay_where_it_is_missing_and_says_so() -> None:
    run = Run(here(can=Capabilities(rayjobs=False)))
    run.decide()
    assert run.condition("Admitted") == ("Unknown", "KubeRayMissing")
    run.here = here()
    run.decide()
    assert run.status.attempts[0].number == 1


@pytest.mark.parametrize("reason", ["Forbidden", "QueueUnavailable", "ServerUnavailable", "KubeRayMissing"])
def test_a_call_that_fails_is_shown_in_the_status_and_ends_nothing(reason: str) -> None:
    run = Run()
    run.decide()
    assert kinds(run.decide(Seen(problem=Problem(reason, "may not create rayjobs")))) == ["PatchStatus"]
    assert run.condition("Admitted") == ("Unknown", reason)
    assert run.decide(Seen(problem=Problem(reason, "may not create rayjobs"))) == []
    assert kinds(run.decide()) == ["ConfigMap", "Secret", "NetworkPolicy", "RayJob"]


def test_an_object_of_somebody_else_under_a_childs_name_fails_the_scenario() -> None:
    run = Run()
    run.decide()
    run.decide(Seen(problem=Problem("NameTaken", "Secret x")))
    run.decide()
    assert run.condition("Failed") == ("True", "NameTaken")


def test_a_rayjob_of_the_attempts_name_with_another_owner_is_not_the_attempts() -> None:
    run = Run()
    run.decide()
    foreign = replace(RUNNING, name=run.status.attempts[0].ray_job_name, owner_uid="somebody")
    assert "RayJob" in kinds(run.decide(Seen(foreign)))


def test_a_rayjob_that_kuberay_rejects_is_deleted_and_not_tried_again() -> None:
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
    # The job is admitted now, and KubeRay has not seen that yet.
    run.see(replace(JOB, deployment="Suspended", started_at=NOON), after=1_000_000)
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
    assert run.status.message == "attempt 1: StartTimeout: pod worker: ImagePullBackOff: no such image"
    run.see(None, after=1810)
    assert [a.reason for a in run.status.attempts] == ["StartTimeout", None]
    assert run.status.attempts[0].validity == "invalid"
    assert run.status.attempts[1].ray_job_name != run.status.attempts[0].ray_job_name


def test_a_submitter_that_never_starts_ends_the_attempt_though_kuberay_calls_the_job_running() -> None:
    run = Run().begun()
    stuck = Pod("submitter", "submitter", NOON, trouble="ErrImageNeverPull: no such image")
    run.see(RUNNING, HEAD, WORKER, stuck, after=1000)
    assert run.status.message == "pod submitter: ErrImageNeverPull: no such image"
    assert kinds(run.see(RUNNING, HEAD, WORKER, stuck, after=1801))[-1] == "DeleteRayJob"
    assert run.status.attempts[0].reason == "StartTimeout"


def test_kuberays_own_start_deadline_ends_the_attempt_as_a_start_timeout() -> None:
    run = Run().begun(replace(JOB, deployment="Initializing", started_at=NOON))
    run.see(replace(JOB, deployment="Failed", reason="PreRunningDeadlineExceeded", ended_at=later(50)))
    assert run.status.attempts[0].reason == "StartTimeout"


def test_a_job_that_could_not_be_submitted_is_tried_again_if_nobody_claimed_it() -> None:
    run = Run().begun()
    run.see(failed("SubmissionFailed"), hub=QUIET)
    assert [a.reason for a in run.status.attempts] == ["SubmissionFailed", None]


def test_a_lost_log_does_not_end_a_run_whose_driver_still_reports() -> None:
    run = Run().begun()
    run.see(failed("SubmissionFailed", after=600), hub=hub(MEASURING))
    assert run.status.attempts[-1].ended_at is None
    done = hub(replace(MEASURING, outcome="complete"), settled=True)
    run.see(failed("SubmissionFailed", after=600), hub=done)
    assert run.condition("Complete") == ("True", "Complete")


def test_a_lost_log_and_a_driver_that_fell_silent_end_the_attempt() -> None:
    run = Run().begun()
    run.see(failed("SubmissionFailed", after=600), hub=hub(replace(MEASURING, silent_seconds=120)))
    assert run.status.attempts[0].reason == "HeartbeatLost"
    assert len(run.status.attempts) == 2


def test_failed_launches_are_a_result_and_not_tried_again() -> None:
    run = Run().begun()
    record = replace(MEASURING, outcome="failed", reason="launch-failed", message="NCCL error")
    run.see(failed("AppFailed"), hub=hub(record, settled=True, verdict=("inconclusive",)))
    assert run.condition("Failed") == ("True", "LaunchFailed")
    assert run.condition("ResultRecorded") == ("True", "Recorded")
    assert len(run.status.attempts) == 1
    assert "NCCL error" in run.status.message


def test_an_image_that_lacks_an_engine_is_not_tried_again() -> None:
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
def test_a_pod_that_is_replaced_restarted_or_evicted_makes_the_attempt_invalid(pod: Pod, reason: str) -> None:
    run = Run().begun()
    assert kinds(run.see(RUNNING, HEAD, pod, hub=hub(MEASURING)))[-1] == "DeleteRayJob"
    run.see(None, hub=hub(MEASURING))
    assert [(a.reason, a.validity) for a in run.status.attempts] == [(reason, "invalid"), (None, "undecided")]
