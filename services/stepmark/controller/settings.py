"""Settings of the controller: one frozen model, filled from the command line and STEPMARK_CONTROLLER_... variables."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from stepmark.controller.log import Format, Level
from stepmark.controller.profiles import LabelKey, LabelValue, NamespaceName
from stepmark.strict import StrictModel

Namespace = NamespaceName
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$", max_length=500)]
Labels = dict[LabelKey, LabelValue]


class Peer(StrictModel):
    """Pods that a run may talk to, or that may talk to it. Empty labels: every namespace, or every pod there."""

    namespace_labels: Labels = Field(default={})
    pod_labels: Labels = Field(default={})
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Of the pods, for what goes to them; absent: every port."""


class Settings(StrictModel):
    """Everything that the controller is told when it starts."""

    namespaces: Annotated[tuple[Namespace, ...], Field(max_length=64)] = ()
    """Namespaces that it looks after; empty: all of them."""
    profiles_file: Path
    """The profiles, as the chart mounts them."""
    hub_url: HttpUrl
    """The hub, as the controller and the runs reach it."""
    hub_token_file: Path
    """A token of the right `register`."""
    hub_public_url: HttpUrl | None = None
    """The hub's pages, as people reach them."""
    hub_peer: Peer | None = None
    """The hub's pods, where they are in this cluster: all that a run may reach beside its own pods and DNS."""
    operator_peer: Peer = Peer(pod_labels={"app.kubernetes.io/name": "kuberay"})
    """KubeRay's operator, which asks each run's dashboard."""
    prometheus_peer: Peer | None = None
    """Prometheus, which reads Ray's metrics."""
    tick_seconds: Annotated[float, Field(gt=0, le=300)] = 5.0
    """Time between two looks at everything."""
    threads: Annotated[int, Field(ge=1, le=64)] = 32
    """Scenarios that are worked on at the same time: more than there are cores, as each waits for answers."""
    max_runs_per_namespace: Annotated[int, Field(ge=1, le=10_000)] = 4
    """Runs of one namespace at once. Others are Queued; those that wait in a queue of Kueue's do not count."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] = 3600
    """How long after a scenario's end its RayJobs, ConfigMaps, Secrets and NetworkPolicies stay."""
    listen: Annotated[str, Field(max_length=100)] = "0.0.0.0"  # noqa: S104  (in its pod)
    """Address of /healthz and /metrics."""
    health_port: Annotated[int, Field(ge=0, le=65535)] = 8081
    """Port of /healthz and /readyz."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9090
    """Port of /metrics."""
    stale_seconds: Annotated[float, Field(gt=0, validate_default=True)] = 60.0
    """/readyz fails where the last completed look is older."""
    stuck_seconds: Annotated[float, Field(ge=60)] = 300.0
    """/healthz fails where nothing was done for so long: an API server that is away is no reason to restart."""
    lease_namespace: Namespace | None = None
    """Namespace of the Lease that makes one controller the active one; absent: no Lease is used."""
    lease_name: Namespace = "stepmark-controller"
    """Name of the Lease."""
    lease_seconds: Annotated[int, Field(ge=3, le=300)] = 15
    """Another controller takes over when the Lease was not renewed for this long."""
    log_format: Format = "text"
    """Form of the log: lines for people, or a JSON object a line."""
    log_level: Level = "info"
    """What is logged: `info` has each decision, `debug` each step of progress too."""

    @field_validator("stale_seconds")
    @classmethod
    def _a_tick_is_not_stale(cls, stale_seconds: float, others: ValidationInfo) -> float:
        tick_seconds = others.data.get("tick_seconds", 0.0)
        if stale_seconds <= tick_seconds:
            raise ValueError(f"more than the {tick_seconds:g} seconds of a tick")
        return stale_seconds
