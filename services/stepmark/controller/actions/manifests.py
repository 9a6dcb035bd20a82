"""The objects of one attempt as plain dictionaries: ConfigMap, Secret, NetworkPolicy, and RayJob.

They are created once and never changed, since Kueue and KubeRay write into the RayJob and another writer would conflict
with them. The RayJob has exactly the fields that KubeRay leaves when it writes it back, because an admission policy
compares the two.
"""

import json
from typing import Any

from stepmark.controller.actions import names, pods
from stepmark.controller.facts import Capabilities
from stepmark.controller.profiles import Profile
from stepmark.controller.settings import Peer, Settings
from stepmark.scenario.model import Scenario

RAY_VERSION = "2.60.0"
ENTRYPOINT = f"stepmark run {pods.SCENARIO_FOLDER}/scenario.json --out /tmp/stepmark/out"
"""The driver's command. It is constant, since both KubeRay and Ray pass it to a shell."""
_QUEUE = "kueue.x-k8s.io/queue-name"
_KEEP_CLUSTER_SECONDS = 30
_KUBERAY_LATER_SECONDS = 60
"""KubeRay ends a run that does not start this much later than the controller, which says which pod and why."""


def config_map(scenario: dict[str, Any], number: int, profile: Profile) -> dict[str, Any]:
    """Return the ConfigMap with exactly what the driver reads: the scenario and its profile."""
    document = {
        "apiVersion": scenario["apiVersion"],
        "kind": scenario["kind"],
        "metadata": {"name": scenario["metadata"]["name"]},
        "spec": scenario["spec"],
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": names.child_metadata(scenario, number),
        "immutable": True,
        "data": {"scenario.json": json.dumps(document), "profile.json": profile.canonical_json()},
    }


def secret(scenario: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the Secret without its token, which is drawn when the Secret is created."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": names.child_metadata(scenario, number),
        "immutable": True,
        "type": "stepmark.dev/write-token",
    }


def network_policy(scenario: dict[str, Any], number: int, settings: Settings) -> dict[str, Any]:
    """Return the NetworkPolicy of the run's pods.

    They may talk to each other, to DNS and to the hub, and may be called by KubeRay and Prometheus. Nothing else is
    allowed.
    """
    own = {"podSelector": {"matchLabels": names.labels(scenario, number)}}
    ingress: list[dict[str, Any]] = [
        {"from": [own]},
        {"from": [_peer(settings.operator_peer)], "ports": [_tcp(pods.DASHBOARD_PORT)]},
    ]
    if settings.prometheus_peer is not None:
        ports = [_tcp(pods.METRICS_PORT), _tcp(pods.LIVE_PORT)]
        ingress.append({"from": [_peer(settings.prometheus_peer)], "ports": ports})
    dns = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names.child_metadata(scenario, number),
        "spec": {
            **own,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": [{"to": [own]}, dns, _to_hub(settings)],
        },
    }


def ray_job(
    scenario: dict[str, Any], number: int, spec: Scenario, profile: Profile, can: Capabilities, settings: Settings
) -> dict[str, Any]:
    """Return the RayJob: one Ray cluster of fixed size that runs the command once."""
    metadata = names.child_metadata(scenario, number)
    queue = {} if profile.queue_name is None else {_QUEUE: profile.queue_name}
    metadata["labels"] = {**profile.extra_ray_job_labels, **metadata["labels"], **queue}
    policy = spec.spec.run_policy
    job: dict[str, Any] = {
        "entrypoint": ENTRYPOINT,
        "submissionMode": "K8sJobMode",
        "backoffLimit": 0,
        "submitterConfig": {"backoffLimit": 0},
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": _KEEP_CLUSTER_SECONDS,
        "activeDeadlineSeconds": policy.active_deadline_seconds,
        "submitterPodTemplate": pods.submitter(scenario, number, profile, can),
        "rayClusterSpec": _ray_cluster(scenario, number, max(spec.spec.scale.workers), profile, can, settings),
    }
    if can.pre_running_deadline:
        job["preRunningDeadlineSeconds"] = policy.start_timeout_seconds + _KUBERAY_LATER_SECONDS
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": metadata, "spec": job}


def _ray_cluster(
    scenario: dict[str, Any], number: int, workers: int, profile: Profile, can: Capabilities, settings: Settings
) -> dict[str, Any]:
    store = str(profile.object_store_bytes)
    count = pods.worker_pods(workers, profile)
    cluster: dict[str, Any] = {
        "rayVersion": RAY_VERSION,
        "enableInTreeAutoscaling": False,
        "headGroupSpec": {
            "serviceType": "ClusterIP",
            "rayStartParams": {
                "num-cpus": "0",
                "num-gpus": "0",
                "object-store-memory": store,
                "dashboard-host": "0.0.0.0",  # noqa: S104  (its NetworkPolicy and token say who may ask)
                "metrics-export-port": str(pods.METRICS_PORT),
            },
            "template": pods.head(scenario, number, profile, can, settings.hub_url),
        },
        "workerGroupSpecs": [
            {
                "groupName": "workers",
                "replicas": count,
                "minReplicas": count,
                "maxReplicas": count,
                "rayStartParams": {
                    "num-cpus": str(profile.workers_per_pod),
                    "num-gpus": str(pods.devices_per_pod(profile)),
                    "object-store-memory": store,
                    "metrics-export-port": str(pods.METRICS_PORT),
                },
                "template": pods.worker(scenario, number, profile, can),
                "scaleStrategy": {},
            }
        ],
    }
    if can.auth_options:
        cluster["authOptions"] = {"mode": "token"}
    return cluster


def _peer(peer: Peer) -> dict[str, Any]:
    namespaces = {"matchLabels": dict(peer.namespace_labels)} if peer.namespace_labels else {}
    pods_of = {"podSelector": {"matchLabels": dict(peer.pod_labels)}} if peer.pod_labels else {}
    return {"namespaceSelector": namespaces, **pods_of}


def _to_hub(settings: Settings) -> dict[str, Any]:
    """Allow traffic to the hub's pods if they are in this cluster, else to the hub's port at any address."""
    if settings.hub_peer is None:
        return {"ports": [_tcp(_port(settings.hub_url))]}
    # A Service's port may differ from the port of its pods, and policies see that of the pods.
    port = settings.hub_peer.port
    return {"to": [_peer(settings.hub_peer)], **({} if port is None else {"ports": [_tcp(port)]})}


def _port(url: str) -> int:
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    _, _, port = host.rpartition(":")
    return int(port) if port.isdigit() else 443 if scheme == "https" else 80


def _tcp(port: int) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}
