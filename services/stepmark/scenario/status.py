"""The status of a Scenario object, which the controller writes. It never contains raw samples and is never long."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from stepmark.strict import StrictModel

Phase = Literal["Pending", "Queued", "Starting", "Running", "Complete", "Failed", "Cancelled"]
AttemptState = Literal["Creating", "Queued", "Starting", "Running", "Ended"]
ConditionType = Literal["Accepted", "Admitted", "ClusterReady", "Running", "ResultRecorded", "Complete", "Failed"]

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)]
# A word for programs, such as DeadlineExceeded. Kubernetes requires this form.
Reason = Annotated[str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9]*)$", max_length=64)]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][-._A-Za-z0-9]*$", max_length=128)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Generation = Annotated[int, Field(ge=0, le=2**53)]

_MAP_BY_TYPE: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
_MAP_BY_NUMBER: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["number"]}


class Condition(StrictModel):
    """A statement that is true, false or unknown; `kubectl wait --for=condition=Complete` waits for one."""

    type: ConditionType
    """What the condition states."""
    status: Literal["True", "False", "Unknown"]
    """Whether the statement is true."""
    reason: Reason
    """The reason, as one word for programs."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """The reason, for people."""
    last_transition_time: AwareDatetime
    """When `status` last changed."""
    observed_generation: Generation | None = None
    """Generation of the object that the condition describes."""


class Attempt(StrictModel):
    """One try to run the scenario, on a Ray cluster of its own."""

    number: Annotated[int, Field(ge=1, le=1000)]
    """Number of the attempt, counted from 1, including preempted ones."""
    ray_job_name: ObjectName
    """Name of the RayJob in the scenario's namespace."""
    ray_job_uid: Annotated[Identifier | None, Field(alias="rayJobUID")] = None
    """UID of the RayJob once it was seen. A RayJob with the same name and another UID belongs to somebody else."""
    execution_id: Identifier | None = None
    """The driver process that claimed the attempt."""
    state: AttemptState
    """How far the attempt has come."""
    reason: Reason | None = None
    """Why the attempt is in this state, or why it ended."""
    message: Annotated[str, Field(max_length=300)] = ""
    """Why the attempt ended, for people."""
    told: bool = False
    """Whether the hub was told of the attempt's end."""
    validity: Literal["undecided", "valid", "invalid"] = "undecided"
    """invalid: something was replaced, resubmitted or preempted, and none of the attempt's numbers is a result."""
    started_at: AwareDatetime | None = None
    """When the attempt's RayJob was created."""
    ended_at: AwareDatetime | None = None
    """When the attempt ended."""


class Result(StrictModel):
    """Where the results are, and a short form of them."""

    run_id: Identifier
    """Identifier of the run at the hub."""
    verdict: Annotated[str, Field(max_length=120)]
    """The verdict, in one line."""
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=2048)] | None = None
    """The run's page, if the hub has an address for people."""
    headlines: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(max_length=10)] = ()
    """The main figures, one per line."""


class ScenarioStatus(StrictModel):
    """The state of the run, which only the controller writes."""

    observed_generation: Generation | None = None
    """Generation of the object that this status describes."""
    phase: Phase = "Pending"
    """Summary of the conditions in one word."""
    message: Annotated[str, Field(max_length=200)] = ""
    """What happens now, in one line: the progress, what is being waited for, or why the run ended."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=_MAP_BY_TYPE)] = ()
    """At most one condition of each type."""
    spec_digest: Digest | None = None
    """Digest of what is measured: `Scenario.digest()`."""
    profile_digest: Digest | None = None
    """Digest of the profile's settings when the scenario was accepted."""
    attempts: Annotated[tuple[Attempt, ...], Field(max_length=10, json_schema_extra=_MAP_BY_NUMBER)] = ()
    """The last ten attempts."""
    preemptions: Count = 0
    """Number of preempted attempts, which do not count against maxAttempts."""
    removed_at: AwareDatetime | None = None
    """When the objects of the attempts were removed, some time after the scenario's end."""
    result: Result | None = None
    """The result, present once the run is recorded."""
