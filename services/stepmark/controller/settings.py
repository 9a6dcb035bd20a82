"""Settings of the controller: one frozen model, filled from options and STEPMARK_CONTROLLER_... variables.

The command line shows their docstrings.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from stepmark.controller.notation import LabelKey, LabelValue, NamespaceName
from stepmark.strict import StrictModel
from stepmark.terms import LogFormat, LogLevel

Namespace = NamespaceName
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$", max_length=500)]
Labels = dict[LabelKey, LabelValue]


class Peer(StrictModel):
    """Pods that a run may talk to, or that may talk to a run.

    Empty labels select every namespace, or every pod in the selected namespaces.
    """

    namespace_labels: Labels = Field(default={})
    pod_labels: Labels = Field(default={})
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port of these pods, for traffic to them; absent: every port."""


class Settings(StrictModel):
    """All settings that the controller gets when it starts."""

    profiles_file: Path
    """File with the profiles, as the chart mounts it."""
    hub_url: HttpUrl
    """Address of the hub for the controller and the runs."""
    hub_token_file: Path
    """File with a hub token that has the right `register`."""
    namespaces: Annotated[tuple[Namespace, ...], Field(max_length=64)] = ()
    """Namespaces that the controller watches, with commas between them. Default: all of them."""
    hub_public_url: HttpUrl | None = None
    """Address of the hub's pages for people. Default: links are left out."""
    hub_peer: Peer | None = None
    """The hub's pods, if they are in this cluster. Beside its own pods and DNS, a run may reach only these. JSON:
    {"namespaceLabels": {...}, "podLabels": {...}, "port": 8080}. Default: a run may reach the hub's port anywhere."""
    operator_peer: Peer = Peer(pod_labels={"app.kubernetes.io/name": "kuberay"})
    """KubeRay's operator, which calls the dashboard of each run. JSON, like the hub's pods. Default: pods labelled as
    KubeRay's chart labels it."""
    prometheus_peer: Peer | None = None
    """Prometheus, which scrapes the metrics of Ray and of the driver. JSON, like the hub's pods. Default: it may not
    scrape the runs."""
    tick_seconds: Annotated[float, Field(ge=0.1, le=300)] = 5.0
    """Time from the start of one tick to the start of the next."""
    threads: Annotated[int, Field(ge=1, le=64)] = 32
    """Number of scenarios that are processed at once. It exceeds the cores, as each mostly waits for answers."""
    max_runs_per_namespace: Annotated[int, Field(ge=1, le=10_000)] = 4
    """Number of runs of one namespace at the same time. Further runs are Queued; runs in a Kueue queue do not count."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] = 3600
    """How long RayJobs, ConfigMaps, Secrets and NetworkPolicies stay after their scenario's end."""
    listen: Annotated[str, Field(max_length=100)] = "0.0.0.0"  # noqa: S104  (in its pod)
    """Address on which /healthz and /metrics are served."""
    health_port: Annotated[int, Field(ge=0, le=65535)] = 8081
    """Port of /healthz and /readyz."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9090
    """Port of /metrics."""
    stale_seconds: Annotated[float, Field(ge=1, validate_default=True)] = 60.0
    """/readyz fails if the last completed tick is older than this."""
    stuck_seconds: Annotated[float, Field(ge=60)] = 300.0
    """/healthz fails if nothing was done for this long. An unreachable API server is no reason for a restart."""
    lease_namespace: Namespace | None = None
    """Namespace of the Lease that keeps one controller active. Default: no Lease is used."""
    lease_name: Namespace = "stepmark-controller"
    """Name of the Lease."""
    lease_seconds: Annotated[int, Field(ge=3, le=300)] = 15
    """Another controller takes over if the Lease was not renewed for this long."""
    log_format: LogFormat = "text"
    """Format of the log: text lines for people, or one JSON object per line."""
    log_level: LogLevel = "info"
    """Lowest level that is logged: `info` includes each decision, `debug` also each step of progress."""

    @field_validator("stale_seconds")
    @classmethod
    def _a_tick_is_not_stale(cls, stale_seconds: float, others: ValidationInfo) -> float:
        tick_seconds = others.data.get("tick_seconds", 0.0)
        if stale_seconds <= tick_seconds:
            raise ValueError(f"more than the {tick_seconds:g} seconds of a tick")
        return stale_seconds
