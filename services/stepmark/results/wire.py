"""The bodies of the HTTP API, version 1, between a runner and a hub.

    PUT /api/v1/runs/{run_id}/attempts/{number}                             Registration   right: register
    PUT /api/v1/runs/{run_id}/attempts/{number}/executions/{execution_id}   Claim          the attempt's write token
    PUT /api/v1/executions/{execution_id}/launches/{launch_id}              LaunchUpload   the same
    PUT /api/v1/executions/{execution_id}/certificates/{cell}               Certificate    the same
    PUT /api/v1/executions/{execution_id}/state                             State          the same
    PUT /api/v1/runs/{run_id}/attempts/{number}/end                         AttemptEnd     right: register

A run is one scenario object; an attempt is one try to run it; an execution is one process that measures it. Every call
may be repeated, and calls may arrive in any order after the claim: the same bytes change nothing, and other bytes under
a known name are refused (409 "conflict"). A second execution of an attempt supersedes the first, whose calls are
refused from then on (409 "superseded"), so that the records of two executions never mix.
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
Message = Annotated[str, Field(max_length=2000)]  # the hub stores it with control characters spelled out

STEPS_BYTES_MOST = 64 << 20
"""The most bytes of one launch's unpacked steps: 8 for each step of each rank."""


def new_token() -> str:
    """Return a new token with 256 random bits, in the form of a hub's tokens."""
    return f"smk_{secrets.token_urlsafe(32)}"


def token_sha256(token: str) -> str:
    """Return the hash of a token, which is all that a hub stores of it."""
    return hashlib.sha256(token.encode()).hexdigest()


Outcome = Literal["running", "complete", "failed", "interrupted", "cancelled"]
"""How a run stands. Of a complete run everything planned was measured, of a failed one something was not; an
interrupted run's plan ended early, and a cancelled run was ended by somebody.
"""

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
"""Why a run did not complete. The values become label values, so they are few; the details are in the message."""


class Registration(RecordModel):
    """An attempt, and the SHA-256 of its write token; the token itself is sent only by those who use it.

    Another hash for a known attempt replaces the old token, which can then no longer write. Only the caller who
    registered the run first and administrators may do that. An attempt without a namespace gets the one that the
    registrar's token is bound to.
    """

    name: Name
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)] | None = None
    token_sha256: Sha256
    expires_in_seconds: Annotated[int, Field(ge=60, le=30 * 86_400)] = 7 * 86_400


class Claim(RecordModel):
    """The start of an execution, or its continuation after a pause."""

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
"""Why an attempt ended, as its registrar reports it. The values become label values, so they are few."""


class AttemptEnd(RecordModel):
    """The end of an attempt whose driver has not reported it, and will not.

    The first reported end stands. An execution keeps the end that its driver has reported, with two exceptions: where
    the driver was stopped, and where it was interrupted and the attempt is cancelled, this end replaces it.
    """

    outcome: Literal["failed", "interrupted", "cancelled"]
    reason: EndReason
    message: Message = ""


class Received(RecordModel):
    """What the hub has of an execution, which a runner need not send again.

    `sequence` is the number of the last state; -1 if there is none.
    """

    launches: tuple[str, ...]
    certificates: tuple[str, ...]
    sequence: int = -1


class LaunchUpload(RecordModel):
    """One launch. `steps_npz` is the result of `record.pack_steps` for its arrays, in base64."""

    header: LaunchHeader
    steps_npz: Base64Bytes


class Progress(RecordModel):
    """How far an execution is.

    `cell` is the cell being measured, and `global_samples_per_second` its approximate throughput; None where unknown.
    """

    launches_done: Count
    launches_total: Count | None = None
    cell: Text | None = None
    global_samples_per_second: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class State(RecordModel):
    """The state of an execution, which is also its heartbeat.

    Of several states the one with the highest `sequence` holds, whenever it arrives. The next sequence is the last one
    that the hub has (`Received`) plus one, so that no clock is involved. With an outcome, `launches` is the number of
    launches that the execution has stored, so that the hub knows when it has all of them.
    """

    sequence: Annotated[int, Field(ge=0, le=2**53)]
    outcome: Outcome
    reason: Reason = ""
    message: Message = ""
    progress: Progress | None = None
    launches: Count | None = None


class Refusal(RecordModel):
    """The body of every answer with status 400 or above. `code` is for programs, `message` for people."""

    code: str
    message: str
