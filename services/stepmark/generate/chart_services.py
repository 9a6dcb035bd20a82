"""A model of the values of the two services, the controller and the hub. values.yaml explains the values."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from stepmark.controller.notation import LabelKey, ObjectName
from stepmark.controller.settings import HttpUrl, Labels
from stepmark.generate.chart_types import Annotations, Objects, Quantity, or_empty
from stepmark.strict import StrictModel
from stepmark.terms import LogFormat, LogLevel


class Resources(StrictModel):
    """Requests and limits of a container."""

    requests: dict[LabelKey, Quantity] = Field(default={})
    limits: dict[LabelKey, Quantity] = Field(default={})


class ServiceAccount(StrictModel):
    create: bool
    name: or_empty(ObjectName)  # type: ignore[valid-type]
    annotations: Annotations


class PodDisruptionBudget(StrictModel):
    max_unavailable: Annotated[int, Field(ge=1)]


class Component(StrictModel):
    """Values that the hub and the controller have in common."""

    replicas: Annotated[int, Field(ge=1, le=20)]
    log_format: LogFormat
    log_level: LogLevel
    resources: Resources
    pod_disruption_budget: PodDisruptionBudget
    pod_annotations: Annotations
    pod_labels: Labels
    node_selector: Labels
    tolerations: Objects
    affinity: dict[str, JsonValue]
    topology_spread_constraints: Objects
    priority_class_name: or_empty(ObjectName)  # type: ignore[valid-type]
    extra_env: Objects
    extra_volumes: Objects
    extra_volume_mounts: Objects
    service_account: ServiceAccount


class Controller(Component):
    """Values of the controller."""

    max_runs_per_namespace: Annotated[int, Field(ge=1, le=10_000)]
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)]
    threads: Annotated[int, Field(ge=1, le=64)]
    lease_seconds: Annotated[int, Field(ge=3, le=300)]


class Postgresql(StrictModel):
    """Where the hub finds its PostgreSQL database."""

    url_secret: or_empty(ObjectName)  # type: ignore[valid-type]
    url_secret_key: Annotated[str, Field(pattern=r"^[-A-Za-z0-9_.]+$", max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535)]


class Persistence(StrictModel):
    """The volume of a hub with SQLite."""

    size: Quantity
    storage_class: or_empty(ObjectName)  # type: ignore[valid-type]
    existing_claim: or_empty(ObjectName)  # type: ignore[valid-type]


class Service(StrictModel):
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"]
    annotations: Annotations


class Route(StrictModel):
    """A way from outside to the hub, at the host of `hub.publicUrl`."""

    enabled: bool
    annotations: Annotations


class Ingress(Route):
    class_name: or_empty(ObjectName)  # type: ignore[valid-type]
    tls_secret: or_empty(ObjectName)  # type: ignore[valid-type]


class HttpRoute(Route):
    parent_refs: Objects


class TokenReview(StrictModel):
    """Which Kubernetes tokens the hub accepts, and with which rights."""

    audience: Annotated[str, Field(pattern=r"^[-A-Za-z0-9.:/_]*$", max_length=200)]
    users: dict[
        Annotated[str, Field(pattern=r"^[^\s=]{1,300}$")],
        Annotated[str, Field(pattern=r"^(read|register|admin)(@[-a-z0-9]+(,[-a-z0-9]+)*)?$", max_length=2000)],
    ]


class Hub(Component):
    """Values of the hub."""

    public_url: or_empty(HttpUrl)  # type: ignore[valid-type]
    anonymous_read: bool
    postgresql: Postgresql
    persistence: Persistence
    tokens_secret: or_empty(ObjectName)  # type: ignore[valid-type]
    token_review: TokenReview
    service: Service
    ingress: Ingress
    http_route: HttpRoute
