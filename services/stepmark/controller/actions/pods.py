"""Pod templates of a run: head, workers and submitter.

They satisfy the Pod Security level `restricted` and contain no text of a scenario. Probes are TCP probes: KubeRay's own
start a shell and a client every 5 s, on the cores that are measured.
"""

import math
from typing import Any, Literal

from stepmark.controller.actions import names
from stepmark.controller.facts import Capabilities
from stepmark.controller.notation import memory_bytes, millicores
from stepmark.controller.profile_pods import STAY
from stepmark.controller.profiles import LOG_BYTES, Head, Profile

SCENARIO_FOLDER, TOKEN_FOLDER = "/etc/stepmark/scenario", "/etc/stepmark/token"
_NODE = "kubernetes.io/hostname"
DASHBOARD_PORT, AGENT_PORT, METRICS_PORT, LIVE_PORT = 8265, 52365, 8080, 9092

# Measuring again costs more than waiting for a hub that comes back.
_DRAIN_SECONDS = 1800

# A pod's own name does not say on which node its ranks ran: see orchestrate/rank.py.
_NODE_NAME = {"name": "STEPMARK_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
_SUBMITTER = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}


def head(scenario: dict[str, Any], number: int, profile: Profile, can: Capabilities, hub_url: str) -> dict[str, Any]:
    """Return the pod of Ray's head, which also holds the driver. It has no devices and trains nothing."""
    environment = {
        **_environment(can),
        "STEPMARK_DEVICE": _device(profile),
        "STEPMARK_HUB_URL": hub_url,
        "STEPMARK_HUB_ATTEMPT": f"{scenario['metadata']['uid']}/{number}",
        "STEPMARK_HUB_TOKEN_FILE": f"{TOKEN_FOLDER}/token",
        "STEPMARK_HUB_DRAIN_SECONDS": str(_DRAIN_SECONDS),
        "STEPMARK_LIVE_LISTEN": f"0.0.0.0:{LIVE_PORT}",
    }
    container = _container("ray-head", profile, environment, DASHBOARD_PORT)
    container["resources"] = _resources(millicores(profile.head.cpu), profile.head.memory)
    container["ports"] = [
        {"name": "gcs-server", "containerPort": 6379},
        {"name": "dashboard", "containerPort": DASHBOARD_PORT},
        {"name": "metrics", "containerPort": METRICS_PORT},
        {"name": "live", "containerPort": LIVE_PORT},
    ]
    name = names.child_name(scenario, number)
    volumes = [
        {"name": "scenario", "configMap": {"name": name, "defaultMode": 0o444}},
        {"name": "token", "secret": {"secretName": name, "defaultMode": 0o444}},
    ]
    container["volumeMounts"] += [
        {"name": "scenario", "mountPath": SCENARIO_FOLDER, "readOnly": True},
        {"name": "token", "mountPath": TOKEN_FOLDER, "readOnly": True},
    ]
    template = _template(scenario, number, "head", profile, container, volumes)
    _place(template["spec"], profile.head)
    return template


def worker(scenario: dict[str, Any], number: int, profile: Profile, can: Capabilities) -> dict[str, Any]:
    """Return a pod of `workersPerPod` workers with their devices."""
    own = {"STEPMARK_DEVICE": _device(profile), **_sharing(profile)}
    environment: dict[str, str] = {**_environment(can), **own, **dict(profile.nccl_environment.items())}
    container = _container("ray-worker", profile, environment, AGENT_PORT)
    container["env"].append(_NODE_NAME)
    container["ports"] = [{"name": "metrics", "containerPort": METRICS_PORT}]
    container["resources"] = _resources(
        profile.workers_per_pod * millicores(profile.cpu_per_worker),
        str(profile.workers_per_pod * memory_bytes(profile.memory_per_worker)),
    )
    template = _template(scenario, number, "worker", profile, container, [])
    _add_devices(template["spec"], container["resources"], profile)
    _place(template["spec"], profile)
    if profile.one_pod_per_node:
        _keep_apart(template)
    return template


def submitter(scenario: dict[str, Any], number: int, profile: Profile, can: Capabilities) -> dict[str, Any]:
    """Return the pod that submits the job to Ray and follows its log. KubeRay adds the command."""
    container = _container("ray-job-submitter", profile, _environment(can), None)
    container["resources"] = dict(_SUBMITTER)
    template = _template(scenario, number, "submitter", profile, container, [])
    template["spec"]["restartPolicy"] = "Never"
    _place(template["spec"], profile.head)
    return template


def devices_per_pod(profile: Profile) -> int:
    """Return the number of GPUs of a worker pod. Ray is always given it, since it detects only some resource names."""
    return 0 if profile.devices is None else profile.workers_per_pod


def worker_pods(most_workers: int, profile: Profile) -> int:
    """Return the number of worker pods that hold this many workers."""
    return math.ceil(most_workers / profile.workers_per_pod)


def _device(profile: Profile) -> str:
    """Return what the run trains on. The driver runs in the head, which has no GPU and cannot see the workers'."""
    return "cpu" if profile.devices is None else "gpu"


def _sharing(profile: Profile) -> dict[str, str]:
    """Return the variable by which the ranks accept and mark devices that are shared; see devices/facts.py."""
    shared = profile.devices is not None and profile.devices.shared_devices
    return {"STEPMARK_SHARED_DEVICES": "true"} if shared else {}


def _environment(can: Capabilities) -> dict[str, str]:
    """Return the environment of every container.

    Where KubeRay cannot give Ray a token, authentication is switched off explicitly, since Ray's default depends on its
    version.
    """
    # A platform may draw a user id that has no name in the image, and Ray and PyTorch ask for the name.
    own = {"HOME": "/tmp", "RAY_TMPDIR": "/tmp", "USER": "stepmark"}  # noqa: S108  (a volume of the pod's own)
    return own if can.auth_options else {**own, "RAY_AUTH_MODE": "disabled"}


def _container(name: str, profile: Profile, environment: dict[str, str], port: int | None) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": name,
        "image": profile.image,
        "imagePullPolicy": profile.image_pull_policy,
        "env": [{"name": key, "value": value} for key, value in sorted(environment.items())],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": profile.read_only_root_filesystem,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108
    }
    if port is not None:
        socket = {"tcpSocket": {"port": port}}
        container["readinessProbe"] = {**socket, "initialDelaySeconds": 5, "periodSeconds": 5, "failureThreshold": 3}
        container["livenessProbe"] = {**socket, "initialDelaySeconds": 60, "periodSeconds": 15, "failureThreshold": 8}
    return container


def _template(
    scenario: dict[str, Any],
    number: int,
    role: Literal["head", "worker", "submitter"],
    profile: Profile,
    container: dict[str, Any],
    volumes: list[dict[str, Any]],
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # This keeps out the variables of other services.
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": str(profile.tmp_size_bytes)}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": str(profile.shm_size_bytes)}},
            *volumes,
        ],
    }
    _bound_disk(container["resources"], profile)
    if profile.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in profile.image_pull_secrets]
    if profile.priority_class_name is not None:
        spec["priorityClassName"] = profile.priority_class_name
    if profile.scheduler_name is not None:
        spec["schedulerName"] = profile.scheduler_name
    if profile.pods.service_account_name is not None:
        spec["serviceAccountName"] = profile.pods.service_account_name
    if profile.pods.runtime_class_name is not None and role == "worker":
        spec["runtimeClassName"] = profile.pods.runtime_class_name
    labels = {**profile.pods.labels, **names.labels(scenario, number), names.ROLE: role}
    return {"metadata": {"labels": labels, "annotations": {**profile.pods.annotations, **STAY}}, "spec": spec}


def _resources(cpu_millicores: int, memory: str) -> dict[str, Any]:
    """Return requests and limits.

    A whole number of cores is also a limit, so a node that supports it dedicates them to the pod. A fraction is only a
    request, which the pod may exceed.
    """
    cpu = f"{cpu_millicores}m"
    limits = {"memory": memory} if cpu_millicores % 1000 else {"cpu": cpu, "memory": memory}
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": limits}


def _bound_disk(resources: dict[str, Any], profile: Profile) -> None:
    """Request and limit the pod's disk: the kubelet then evicts a pod that takes more, not its neighbours."""
    disk = {"requests": profile.ephemeral_storage, "limits": str(profile.tmp_size_bytes + LOG_BYTES)}
    for part, amount in disk.items():
        resources[part] = {**resources[part], "ephemeral-storage": amount}


def _place(spec: dict[str, Any], wanted: Profile | Head) -> None:
    """Restrict the nodes that the scheduler may choose."""
    if wanted.node_selector:
        spec["nodeSelector"] = dict(wanted.node_selector)
    if wanted.tolerations:
        spec["tolerations"] = [t.model_dump(by_alias=True, exclude_none=True) for t in wanted.tolerations]


def _keep_apart(template: dict[str, Any]) -> None:
    others = {"labelSelector": {"matchLabels": template["metadata"]["labels"]}, "topologyKey": _NODE}
    template["spec"]["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [others]}}


def _add_devices(spec: dict[str, Any], resources: dict[str, Any], profile: Profile) -> None:
    devices, network = profile.devices, profile.network
    if network is not None:
        _ask_for(resources, network.resource, network.count)
    if devices is None:
        return
    if devices.extended_resource is not None:
        _ask_for(resources, devices.extended_resource, devices_per_pod(profile))
    else:
        claim = {"name": "devices", "resourceClaimTemplateName": devices.resource_claim_template_name}
        spec["resourceClaims"] = [claim]
        resources["claims"] = [{"name": "devices"}]


def _ask_for(resources: dict[str, Any], resource: str, count: int) -> None:
    for part in ("requests", "limits"):
        resources[part] = {**resources[part], resource: str(count)}
