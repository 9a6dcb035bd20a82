"""The actions that a decision consists of. Each is idempotent, also when it was carried out only in part."""

from dataclasses import dataclass
from typing import Any, Literal

from stepmark.results.wire import AttemptEnd
from stepmark.scenario.status import ScenarioStatus


@dataclass(frozen=True)
class Event:
    """A Kubernetes event about the scenario, written once, which `kubectl describe` shows."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class PatchStatus:
    """Write the status, if nobody has changed the object since it was read, and then the events."""

    status: ScenarioStatus
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class CreateChild:
    """Create an object. An object of this name that already belongs to this scenario is kept as it is."""

    manifest: dict[str, Any]


@dataclass(frozen=True)
class GiveToken:
    """Create the Secret with a new write token, or keep the existing one, and tell the hub the token's hash."""

    manifest: dict[str, Any]
    number: int


@dataclass(frozen=True)
class DeleteRayJob:
    """Delete exactly this RayJob, not another one that has its name by then."""

    name: str
    uid: str


@dataclass(frozen=True)
class TellEnd:
    """Report an attempt's end to the hub, because its driver never reported or will not report again."""

    number: int
    end: AttemptEnd


@dataclass(frozen=True)
class RemoveChildren:
    """Remove all objects of an attempt.

    These are its RayJob with the Ray cluster, Services and pods, and its ConfigMap, Secret and NetworkPolicy.
    """

    number: int


@dataclass(frozen=True)
class RemoveScenario:
    """Remove the scenario itself, after everything that it owns. The hub keeps its results."""


Action = PatchStatus | CreateChild | GiveToken | DeleteRayJob | TellEnd | RemoveChildren | RemoveScenario
