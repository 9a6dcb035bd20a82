"""What the controller says about a scenario on a cluster: the object's status. Never raw samples, and never long."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from stepmark.strict import StrictModel

Phase = Literal["Pending", "Queued", "Starting", "Running", "Complete", "Failed", "Cancelled"]
AttemptState = Literal["Creating", "Queued", "Starting", "Running", "Ended"]
ConditionType = Literal["Accepted", "Admitted", "ClusterReady", "Running", "ResultRecorded", "Complete", "Failed"]

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)]
# A word for programs, such as DeadlineExceeded; Kubernetes asks for this form.
Reason = Annotated[str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9]*)$", max_length=64)]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][-._A-Za-z0-9]*$", max_length=128)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Generation = Annotated[int, Field(ge=0, le=2**53)]

_MAP_BY_TYPE: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
_MAP_BY_NUMBER: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["number"]}


class Condition(StrictModel):
    """One thing that is so, or is not; `kubectl wait --for=condition=Complete` waits for one."""

    type: ConditionType
    """What is or is not so."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is."""
    reason: Reason
    """Why, as one word for programs."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why, for people."""
    last_transition_time: AwareDatetime
    """When `status` last changed."""
    observed_generation: Generation | None = None
    """Generation of the object that this is about."""


class Attempt(StrictModel):
    """One Ray cluster that was asked for, and what became of it."""

    number: Annotated[int, Field(ge=1, le=1000)]
    """Counted from 1, preempted ones too."""
    ray_job_name: ObjectName
    """The RayJob, in the scenario's namespace."""
    ray_job_uid: Annotated[Identifier | None, Field(alias="rayJobUID")] = None
    """Its UID, once it was seen: a RayJob of the same name with another UID is somebody else's."""
    execution_id: Identifier | None = None
    """The driver process that claimed the attempt."""
    state: AttemptState
    """How far it is."""
    reason: Reason | None = None
    """Why it is there, or ended."""
    message: Annotated[str, Field(max_length=300)] = ""
    """Why it ended, for people."""
    told: bool = False
    """Whether the hub has heard of its end."""
    validity: Literal["undecided", "valid", "invalid"] = "undecided"
    """invalid: something was replaced, resubmitted or preempted, and none of its numbers is a result."""
    started_at: AwareDatetime | None = None
    """When its RayJob was created."""
    ended_at: AwareDatetime | None = None
    """When it ended."""


class Result(StrictModel):
    """Where the evidence is, and the shortest form of what it says."""

    run_id: Identifier
    """The run, at the hub."""
    verdict: Annotated[str, Field(max_length=120)]
    """What may be claimed, in one line."""
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=2048)] | None = None
    """The run's page, where the hub has an address for people."""
    headlines: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(max_length=10)] = ()
    """The main figures, a line each."""


class ScenarioStatus(StrictModel):
    """Written by the controller alone."""

    observed_generation: Generation | None = None
    """Generation of the object that all of this is about."""
    phase: Phase = "Pending"
    """The conditions in one word."""
    message: Annotated[str, Field(max_length=200)] = ""
    """What is going on, in one line: the progress, what is being waited for, or why it ended."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=_MAP_BY_TYPE)] = ()
    """One of each type."""
    spec_digest: Digest | None = None
    """`Scenario.digest()`: what is measured."""
    profile_digest: Digest | None = None
    """The profile's settings as they were when the scenario was accepted."""
    attempts: Annotated[tuple[Attempt, ...], Field(max_length=10, json_schema_extra=_MAP_BY_NUMBER)] = ()
    """The last ten."""
    preemptions: Count = 0
    """Attempts that were preempted. They do not count against maxAttempts."""
    removed_at: AwareDatetime | None = None
    """When the objects of its attempts were removed, some time after its end."""
    result: Result | None = None
    """Present once the run is recorded."""
