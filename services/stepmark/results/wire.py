"""What a runner says to a hub, and what it hears: the bodies of the HTTP API, version 1.

    PUT /api/v1/runs/{run_id}/attempts/{number}                             Registration   right: register
    PUT /api/v1/runs/{run_id}/attempts/{number}/executions/{execution_id}   Claim          the attempt's write token
    PUT /api/v1/executions/{execution_id}/launches/{launch_id}              LaunchUpload   the same
    PUT /api/v1/executions/{execution_id}/certificates/{cell}               Certificate    the same
    PUT /api/v1/executions/{execution_id}/state                             State          the same
    PUT /api/v1/runs/{run_id}/attempts/{number}/end                         AttemptEnd     right: register

A run is one scenario object; an attempt is one try at it; an execution is one process that measures it. Every call may
be repeated, and calls may arrive in any order after the claim: the same bytes change nothing, other bytes under a known
name are refused (409 "conflict"). A second execution of an attempt supersedes the first, whose calls are refused from
then on (409 "superseded"): two executions never mix.
"""

import hashlib
import secrets
from typing import Annotated, Literal

from pydantic import Base64Bytes, Field

from stepmark.results.base import Count, RecordModel, Text
from stepmark.results.record import LaunchHeader
from stepmark.results.store import Run
from stepmark.strict import Name

Id = Annotated[str, Field(pattern=r"^[a-z0-9][-a-z0-9]{0,62}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Message = Annotated[str, Field(max_length=2000)]  # the hub keeps it spelled out

STEPS_BYTES_MOST = 64 << 20
"""Of one launch, unpacked: 8 bytes for each step of each rank."""


def new_token() -> str:
    """256 random bits, spelt as a hub's token."""
    return f"smk_{secrets.token_urlsafe(32)}"


def token_sha256(token: str) -> str:
    """What a hub stores of a token, and is told of one."""
    return hashlib.sha256(token.encode()).hexdigest()


Outcome = Literal["running", "complete", "failed", "interrupted", "cancelled"]
"""complete: everything that was to be measured was. failed: something was not. interrupted: the plan ended early."""

Reason = Literal[
    "",
    "launch-failed",
    "stopped",
    "session-broke",
    "cannot-run",
    "heartbeat-lost",
    "superseded",
    "worker-replaced",
    "preempted",
    "deadline",
    "unknown",
]
"""Why a run did not complete: few words, since they become label values. The details are the message."""


class Registration(RecordModel):
    """An attempt, and the SHA-256 of its write token: the token itself is only ever shown by those who use it.

    Another hash for a known attempt replaces the old token, which then no longer writes: for who registered the run
    first, and for an administrator. Without a namespace it is of the one that the registrar's token is bound to.
    """

    name: Name
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)] | None = None
    token_sha256: Sha256
    expires_in_seconds: Annotated[int, Field(ge=60, le=30 * 86_400)] = 7 * 86_400


class Claim(RecordModel):
    """An execution begins, or goes on after a pause."""

    run: Run


EndReason = Literal[
    "start-timeout",
    "driver-failed",
    "submission-failed",
    "rejected",
    "name-taken",
    "gave-up",
    "cannot-run",
    "deadline",
    "deleted",
    "worker-replaced",
    "superseded",
    "heartbeat-lost",
    "vanished",
    "result-missing",
    "stopped",
    "preempted",
    "session-broke",
]
"""Why an attempt is over, in the words of who made it: a few, since they become label values."""


class AttemptEnd(RecordModel):
    """An attempt is over, and its driver has not said so: it never spoke, or it will not again.

    The first end stands. Of an execution that has told an end of its own, that one stands.
    """

    outcome: Literal["failed", "interrupted", "cancelled"]
    reason: EndReason
    message: Message = ""


class Received(RecordModel):
    """What the hub has of an execution: what a runner need not send again. `sequence`: of the last state; -1: none."""

    launches: tuple[str, ...]
    certificates: tuple[str, ...]
    sequence: int = -1


class LaunchUpload(RecordModel):
    """One launch: `steps_npz` is `record.pack_steps` of its array, in base64."""

    header: LaunchHeader
    steps_npz: Base64Bytes


class Progress(RecordModel):
    """How far an execution is. `cell` is measured now, at about `global_samples_per_second`; None where unknown."""

    launches_done: Count
    launches_total: Count | None = None
    cell: Text | None = None
    global_samples_per_second: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class State(RecordModel):
    """Where an execution stands; also its heartbeat. Of several, the highest `sequence` holds, whenever it arrives.

    The next one is the last that the hub has (`Received`) and one more: clocks have no part in it.

    `launches`: with an outcome, how many launches the execution has stored, so that the hub knows when it has them all.
    """

    sequence: Annotated[int, Field(ge=0, le=2**53)]
    outcome: Outcome
    reason: Reason = ""
    message: Message = ""
    progress: Progress | None = None
    launches: Count | None = None


class Refusal(RecordModel):
    """The body of every answer of 400 and above. `code` is for programs, `message` for people."""

    code: str
    message: str
