"""The chart's values as a model, of which `values.schema.json` is made. What they mean stands in values.yaml."""

import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, WithJsonSchema

from stepmark.controller.log import Format, Level
from stepmark.controller.profiles import Image, LabelKey, LabelValue, ObjectName, Profile
from stepmark.controller.settings import HttpUrl, Labels, Namespace
from stepmark.strict import Name, StrictModel

Text = Annotated[str, Field(max_length=1000)]
Annotations = dict[LabelKey, Annotated[str, Field(max_length=262144)]]
Objects = list[dict[str, JsonValue]]
Duration = Annotated[str, Field(pattern=r"^([0-9]+(ms|s|m|h))+$", max_length=20)]
Quantity = Annotated[
    str | int | float, WithJsonSchema({"type": ["string", "number"], "pattern": r"^[0-9.]+(e[0-9]+|[mkKMGTPE]i?)?$"})
]


def _or_empty(schema: type[Any]) -> Any:
    """Helm's way to say "not set" is an empty text: null in a values file deletes the key."""
    return schema | Literal[""]


class Global(StrictModel):
    """Shared with other charts where this one is a dependency, so other keys may be there."""

    model_config = ConfigDict(extra="allow")

    image_registry: Annotated[str, Field(pattern=r"^[-A-Za-z0-9.:/_]*$", max_length=300)]


class ServiceImage(StrictModel):
    repository: Image
    tag: Annotated[str, Field(pattern=r"^[-A-Za-z0-9_.]*$", max_length=128)]
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]
    pull_policy: Literal["Always", "IfNotPresent", "Never"]


class Crds(StrictModel):
    install: bool
    keep: bool


class Resources(StrictModel):
    requests: dict[LabelKey, Quantity] = Field(default={})
    limits: dict[LabelKey, Quantity] = Field(default={})


class ServiceAccount(StrictModel):
    create: bool
    name: _or_empty(ObjectName)  # type: ignore[valid-type]
    annotations: Annotations


class Component(StrictModel):
    resources: Resources
    pod_annotations: Annotations
    pod_labels: Labels
    node_selector: Labels
    tolerations: Objects
    affinity: dict[str, JsonValue]
    priority_class_name: _or_empty(ObjectName)  # type: ignore[valid-type]
    extra_env: Objects
    extra_volumes: Objects
    extra_volume_mounts: Objects
    service_account: ServiceAccount


class Controller(Component):
    max_runs_per_namespace: Annotated[int, Field(ge=1, le=10_000)]
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)]
    threads: Annotated[int, Field(ge=1, le=64)]
    log_format: Format
    log_level: Level


class Postgresql(StrictModel):
    url_secret: _or_empty(ObjectName)  # type: ignore[valid-type]
    url_secret_key: Annotated[str, Field(pattern=r"^[-A-Za-z0-9_.]+$", max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535)]


class Persistence(StrictModel):
    size: Quantity
    storage_class: _or_empty(ObjectName)  # type: ignore[valid-type]
    existing_claim: _or_empty(ObjectName)  # type: ignore[valid-type]


class Service(StrictModel):
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"]
    annotations: Annotations


class PodDisruptionBudget(StrictModel):
    max_unavailable: Annotated[int, Field(ge=1)]


class TokenReview(StrictModel):
    audience: Annotated[str, Field(pattern=r"^[-A-Za-z0-9.:/_]*$", max_length=200)]
    users: dict[
        Annotated[str, Field(pattern=r"^[^\s=]{1,300}$")],
        Annotated[str, Field(pattern=r"^(read|register|admin)(@[-a-z0-9]+(,[-a-z0-9]+)*)?$", max_length=2000)],
    ]


class Hub(Component):
    replicas: Annotated[int, Field(ge=1, le=20)]
    public_url: _or_empty(HttpUrl)  # type: ignore[valid-type]
    anonymous_read: bool
    postgresql: Postgresql
    persistence: Persistence
    tokens_secret: _or_empty(ObjectName)  # type: ignore[valid-type]
    token_review: TokenReview
    service: Service
    pod_disruption_budget: PodDisruptionBudget


class Pods(StrictModel):
    namespace_labels: Labels
    pod_labels: Labels


class NetworkPolicy(StrictModel):
    enabled: bool
    hub_clients: Objects
    prometheus: Pods
    kube_ray: Pods


class Object(StrictModel):
    enabled: bool
    namespace: _or_empty(Namespace)  # type: ignore[valid-type]
    labels: Labels


class Monitor(Object):
    interval: Duration
    scrape_timeout: Duration
    sample_limit: Annotated[int, Field(ge=1)]
    relabelings: Objects
    metric_relabelings: Objects


class PrometheusRule(Object):
    runbook_url: Text


class Dashboards(Object):
    annotations: Annotations


class Monitoring(StrictModel):
    service_monitor: Monitor
    pod_monitor: Monitor
    prometheus_rule: PrometheusRule
    dashboards: Dashboards


class Admission(StrictModel):
    enabled: bool
    updaters: list[Annotated[str, Field(pattern=r"^[^'\s]{1,300}$")]]
    actions: Annotated[list[Literal["Deny", "Warn", "Audit"]], Field(min_length=1, max_length=2)]


class ResourceQuota(StrictModel):
    enabled: bool
    hard: dict[Annotated[str, Field(max_length=317)], Quantity]


class LimitRange(StrictModel):
    enabled: bool
    limits: Objects


class Policy(StrictModel):
    user_roles: bool
    admission: Admission
    resource_quota: ResourceQuota
    limit_range: LimitRange


class Test(StrictModel):
    profile: Name
    timeout_seconds: Annotated[int, Field(ge=60, le=86400)]


class Values(StrictModel):
    """values.yaml: every key has a default there, so all are required of what Helm has merged."""

    name_override: _or_empty(ObjectName)  # type: ignore[valid-type]
    fullname_override: _or_empty(ObjectName)  # type: ignore[valid-type]
    common_labels: dict[LabelKey, LabelValue]
    global_: Annotated[Global, Field(alias="global")]
    image: ServiceImage
    image_pull_secrets: list[ObjectName]
    watch_namespaces: list[Namespace]
    pod_security_context: dict[str, JsonValue]
    security_context: dict[str, JsonValue]
    crds: Crds
    profiles: dict[Name, Profile]
    controller: Controller
    hub: Hub
    network_policy: NetworkPolicy
    monitoring: Monitoring
    policy: Policy
    test: Test


def schema() -> str:
    """JSON Schema of the dialect that every Helm 3 understands."""
    document = Values.model_json_schema(by_alias=True)
    return (
        json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", **_without_titles(document)}, indent=2) + "\n"
    )


def _without_titles(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_titles(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_titles(value) for key, value in schema.items() if not (key == "title" and isinstance(value, str))
    }
