"""Actions: what a decision consists of. Each may be repeated, in whole or in part, without another effect."""

from dataclasses import dataclass
from typing import Any, Literal

from stepmark.results.wire import AttemptEnd
from stepmark.scenario.status import ScenarioStatus


@dataclass(frozen=True)
class Event:
    """Said about the scenario once, for `kubectl describe`."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class PatchStatus:
    """Write the status, if nobody has changed the object since it was read; then say the events."""

    status: ScenarioStatus
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class CreateChild:
    """Create an object; one of this name that belongs to this scenario is taken as it is."""

    manifest: dict[str, Any]


@dataclass(frozen=True)
class GiveToken:
    """Create the Secret with a new write token, or take the one that is there, and tell the hub its hash."""

    manifest: dict[str, Any]
    number: int


@dataclass(frozen=True)
class DeleteRayJob:
    """Delete this RayJob, and no other one that may have its name by then."""

    name: str
    uid: str


@dataclass(frozen=True)
class TellEnd:
    """Have the hub hear that an attempt is over: its driver never spoke, or will not again."""

    number: int
    end: AttemptEnd


@dataclass(frozen=True)
class RemoveChildren:
    """Remove an attempt's RayJob, with its Ray cluster, Services and pods, its ConfigMap, Secret and NetworkPolicy."""

    number: int


@dataclass(frozen=True)
class RemoveScenario:
    """Remove the scenario itself, after all that it owns. The hub keeps its results."""


Action = PatchStatus | CreateChild | GiveToken | DeleteRayJob | TellEnd | RemoveChildren | RemoveScenario
