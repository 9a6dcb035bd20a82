"""A model of the chart's values, from which `values.schema.json` is generated. values.yaml explains the values."""

import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from stepmark.controller.notation import Image, LabelKey, LabelValue, ObjectName
from stepmark.controller.profiles import Profile
from stepmark.controller.settings import Labels, Namespace
from stepmark.generate.chart_services import Controller, Hub, ServiceAccount
from stepmark.generate.chart_types import Annotations, Duration, Objects, Quantity, Text, or_empty
from stepmark.strict import Name, StrictModel


class Global(StrictModel):
    """Values that are shared with other charts where this one is a dependency, so other keys are allowed."""

    model_config = ConfigDict(extra="allow")

    image_registry: Annotated[str, Field(pattern=r"^[-A-Za-z0-9.:/_]*$", max_length=300)]


class ServiceImage(StrictModel):
    """The image of the hub and the controller."""

    repository: Image
    tag: Annotated[str, Field(pattern=r"^[-A-Za-z0-9_.]*$", max_length=128)]
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]
    pull_policy: Literal["Always", "IfNotPresent", "Never"]


class Crds(StrictModel):
    """Whether the chart installs the CRD, and whether it stays when the chart is removed."""

    install: bool
    keep: bool


class Pods(StrictModel):
    """Pods, selected by the labels of their namespace and their own."""

    namespace_labels: Labels
    pod_labels: Labels


class NetworkPolicy(StrictModel):
    """Whether the chart creates NetworkPolicies, and which pods they admit."""

    enabled: bool
    hub_clients: Objects
    prometheus: Pods
    kube_ray: Pods


class Object(StrictModel):
    """An optional object of another operator or of Grafana."""

    enabled: bool
    namespace: or_empty(Namespace)  # type: ignore[valid-type]
    labels: Labels


class Monitor(Object):
    """A ServiceMonitor or PodMonitor."""

    interval: Duration
    scrape_timeout: Duration
    sample_limit: Annotated[int, Field(ge=1)]
    relabelings: Objects
    metric_relabelings: Objects


class PrometheusRule(Object):
    """The PrometheusRule with recordings and alerts."""

    runbook_url: Text


class Dashboards(Object):
    """The ConfigMaps with Grafana's dashboards."""

    annotations: Annotations


class Monitoring(StrictModel):
    """Optional objects for Prometheus and Grafana."""

    service_monitor: Monitor
    pod_monitor: Monitor
    prometheus_rule: PrometheusRule
    dashboards: Dashboards


class Admission(StrictModel):
    """The ValidatingAdmissionPolicy for RayJobs in the watched namespaces."""

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
    """Optional roles for people, and optional restrictions of what they may create."""

    user_roles: bool
    admission: Admission
    resource_quota: ResourceQuota
    limit_range: LimitRange


class Rbac(StrictModel):
    create: bool


class Test(StrictModel):
    """The run that `helm test` makes."""

    profile: Name
    timeout_seconds: Annotated[int, Field(ge=60, le=86400)]
    service_account: ServiceAccount


class Values(StrictModel):
    """The content of values.yaml. Every key has a default there, so all keys are required in what Helm has merged."""

    name_override: or_empty(ObjectName)  # type: ignore[valid-type]
    fullname_override: or_empty(ObjectName)  # type: ignore[valid-type]
    common_labels: dict[LabelKey, LabelValue]
    global_: Annotated[Global, Field(alias="global")]
    image: ServiceImage
    image_pull_secrets: list[ObjectName]
    watch_namespaces: list[Namespace]
    pod_security_context: dict[str, JsonValue]
    security_context: dict[str, JsonValue]
    crds: Crds
    rbac: Rbac
    profiles: dict[Name, Profile]
    controller: Controller
    hub: Hub
    network_policy: NetworkPolicy
    monitoring: Monitoring
    policy: Policy
    test: Test


def schema() -> str:
    """Return the JSON Schema as text, in the dialect that every Helm 3 understands."""
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
