"""Profiles: what the owner of a cluster decides about runs. A scenario only names a profile.

The chart writes the profiles into a ConfigMap, which the controller mounts. `values.schema.json` is generated from the
same models.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from stepmark import catalog
from stepmark.controller.notation import (
    Cpu,
    Image,
    LabelKey,
    LabelValue,
    Memory,
    NamespaceName,
    ObjectName,
    memory_bytes,
)
from stepmark.controller.profile_devices import Devices, NcclName, NcclValue, Network, sharing_labels
from stepmark.controller.profile_pods import Pods
from stepmark.errors import CannotRun, ScenarioError
from stepmark.scenario.explain import explain
from stepmark.strict import Name, StrictModel

DEFAULT = "default"
"""The profile of scenarios that name none. On a cluster, `local`, the document's own default, stands for it."""


ForeignName = Annotated[str, Field(pattern=f"^{catalog.FOREIGN_PATTERN}$", max_length=catalog.NAME_CHARACTERS_MOST)]


class Toleration(StrictModel):
    """A taint that the pods tolerate, as in a Pod."""

    key: LabelKey | None = None
    """The taint's key; absent, with operator Exists: every key."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """How key and value are matched."""
    value: LabelValue | None = None
    """The taint's value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; absent: every effect."""


class Head(StrictModel):
    """The pod of Ray's head, which also holds the run's driver. It trains nothing and has no devices."""

    cpu: Cpu = "1"
    """Cores of the head pod."""
    memory: Memory = "4Gi"
    """Memory of the head pod. Running out of it is the most common reason why a run ends early."""
    node_selector: dict[LabelKey, LabelValue] = Field(default={}, max_length=32)
    """Labels of the nodes for the head pod and the pod that submits the job, such as nodes without GPUs."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    """Taints that these two pods tolerate."""


class Limits(StrictModel):
    """The most that a scenario with this profile may ask for. More is refused before anything is created."""

    max_workers: Annotated[int, Field(ge=1, le=4096)] = 8
    """Largest number of workers of a cell."""
    max_cells: Annotated[int, Field(ge=1, le=4096)] = 128
    """Largest number of cells: candidates times executions, precisions and worker counts."""
    max_seconds: Annotated[int, Field(ge=60, le=2592000)] = 86400
    """Largest spec.runPolicy.activeDeadlineSeconds: the length of an attempt from the first start of its pods."""


LOG_BYTES = 1 << 30
"""Disk that a pod may use for its log, in addition to /tmp."""
_OWN_LABELS = ("stepmark.dev/", "app.kubernetes.io/", "ray.io/originated-from", "kueue.x-k8s.io/queue-name")


class Profile(StrictModel):
    """How runs of one kind are scheduled, which resources they get, and what limits hold for them."""

    image: Image
    """The runner's image. With a digest (NAME@sha256:...) every attempt runs exactly the same bytes."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When a node pulls the image from the registry."""
    image_pull_secrets: Annotated[tuple[ObjectName, ...], Field(max_length=8)] = ()
    """Secrets in the run's namespace with the registry's credentials."""
    devices: Devices | None = None
    """GPUs of the workers, one for each; absent: the workers compute on CPUs."""
    network: Network | None = None
    """Devices of a network between nodes that is faster than TCP (RDMA, EFA); absent: pods have none."""
    cpu_per_worker: Cpu = "2"
    """Cores of each worker. Use whole cores where the figures matter."""
    memory_per_worker: Memory = "8Gi"
    """Memory of each worker, including what it stores in /dev/shm."""
    workers_per_pod: Annotated[int, Field(ge=1, le=64)] = 1
    """Number of workers in one pod, such as one for each GPU of a node."""
    one_pod_per_node: bool = False
    """Put each worker pod of a run on a node of its own, so that more than workersPerPod workers communicate over the
    network."""
    head: Head = Head()
    """The pod of Ray's head."""
    node_selector: dict[LabelKey, LabelValue] = Field(default={}, max_length=32)
    """Labels of the nodes that workers may run on. They should select one kind of GPU."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    """Taints that the worker pods tolerate."""
    shm_size_bytes: Annotated[int, Field(ge=64 << 20, le=1 << 44)] = 2 << 30
    """Size of /dev/shm in each pod, which NCCL, Ray's object store and data loaders share."""
    object_store_bytes: Annotated[int, Field(ge=80 << 20, le=1 << 44)] = 512 << 20
    """Size of Ray's object store in each pod, which is a part of /dev/shm."""
    nccl_environment: dict[NcclName, NcclValue] = Field(default={}, max_length=32)
    """Environment variables of NCCL and Gloo, which depend on the cluster's network. Other names are refused."""
    tmp_size_bytes: Annotated[int, Field(ge=64 << 20, le=1 << 44)] = 10 << 30
    """Size of /tmp in each pod, on its node's disk. It holds records, compiled code and what Ray spills."""
    ephemeral_storage: Memory = "1Gi"
    """Disk that each pod requests from its node. The limit is the size of /tmp plus 1Gi for logs."""
    queue_name: ObjectName | None = None
    """Kueue LocalQueue in which the runs wait; absent: runs start at once."""
    priority_class_name: ObjectName | None = None
    """PriorityClass of the pods."""
    scheduler_name: ObjectName | None = None
    """Scheduler of the pods; absent: the cluster's default scheduler."""
    pods: Pods = Pods()
    """Additions to all pods of a run."""
    extra_ray_job_labels: dict[LabelKey, LabelValue] = Field(default={}, max_length=16)
    """Additional labels of the RayJob, for another scheduler or an accounting system."""
    namespaces: Annotated[tuple[NamespaceName, ...], Field(max_length=64)] = ()
    """Namespaces whose scenarios may use this profile; empty: all watched namespaces."""
    workloads: Annotated[tuple[ForeignName, ...], Field(max_length=64)] = ()
    """Workloads of other packages, as PACKAGE/NAME, that the image has and scenarios may train; empty: none."""
    limits: Limits = Limits()
    """The most that a scenario may ask for."""
    price_per_worker_hour: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Cost of one worker per hour, in any currency; absent: reports show no cost."""
    read_only_root_filesystem: bool = True
    """Whether the pods' root file systems are read-only; /tmp and /dev/shm never are."""

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        if self.object_store_bytes > self.shm_size_bytes:
            raise ValueError(f"objectStoreBytes of at most shmSizeBytes, {self.shm_size_bytes}")
        pod_bytes = self.workers_per_pod * memory_bytes(self.memory_per_worker)
        if self.shm_size_bytes >= pod_bytes:
            raise ValueError(f"shmSizeBytes, which counts as memory, below a worker pod's memory of {pod_bytes}")
        if memory_bytes(self.ephemeral_storage) > self.tmp_size_bytes + LOG_BYTES:
            raise ValueError(
                f"ephemeralStorage of at most tmpSizeBytes and 1Gi, {self.tmp_size_bytes + LOG_BYTES} bytes"
            )
        if self.object_store_bytes >= memory_bytes(self.head.memory):
            raise ValueError(f"objectStoreBytes, which counts as memory, below head.memory, {self.head.memory}")
        return self

    @model_validator(mode="after")
    def _devices_are_whole(self) -> Self:
        found = sharing_labels(self.node_selector)
        if found and self.devices is not None and not self.devices.shared_devices:
            raise ValueError(f"nodes with whole GPUs, not nodeSelector {found[0]}, or devices.sharedDevices: true")
        return self

    @model_validator(mode="after")
    def _network_is_asked_for_on_purpose(self) -> Self:
        if self.network is not None and not self.namespaces:
            raise ValueError("namespaces beside network: those that may use it, since it reaches the hardware of nodes")
        return self

    @model_validator(mode="after")
    def _labels_are_free(self) -> Self:
        taken = [key for key in self.extra_ray_job_labels if key.startswith(_OWN_LABELS)]
        if taken:
            raise ValueError(
                f"extraRayJobLabels without {taken[0]}, which the controller sets (a queue is set by queueName)"
            )
        return self

    def canonical_json(self) -> str:
        """Return all settings as JSON, with every default written out and the keys in order."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """Return the SHA-256 of `canonical_json` in hexadecimal. Results keep it when the profile changes."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


@dataclass(frozen=True)
class BadProfile:
    """A profile that is refused, and why. Scenarios that name it wait; others are not affected."""

    problem: str


Profiles = Mapping[str, Profile | BadProfile]


def profiles_from_file(path: Path) -> Profiles:
    """Read the profiles that the chart has mounted.

    Raises:
        CannotRun: the file cannot be read, or holds no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRun(f"{path}: expected the profiles, found: {error}. Mount the chart's ConfigMap there.") from None
    return profiles_from_text(text)


def profiles_from_text(text: str) -> Profiles:
    """Parse a YAML or JSON mapping from names to profiles.

    Raises:
        CannotRun: the text is no such mapping.
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        problem = ScenarioError("profiles", "YAML", " ".join(str(error).split()), "Correct the syntax there.")
        raise CannotRun(str(problem)) from None
    if not isinstance(document, dict) or not document:
        raise CannotRun(
            str(ScenarioError("profiles", "a mapping from names to profiles", repr(document)[:80], "Add one."))
        )
    return {str(name): _profile(name, given) for name, given in document.items()}


def profile_named(profiles: Profiles, name: str) -> Profile | BadProfile:
    """Return the profile that a scenario names in `spec.profile`.

    Raises:
        ScenarioError: no profile has this name.
    """
    found = profiles.get(DEFAULT if name == "local" else name)
    if found is None:
        expected = f"a profile of this cluster ({', '.join(sorted(profiles)) or 'it has none'})"
        raise ScenarioError("spec.profile", expected, repr(name), "Choose one of them, or ask the cluster's owner.")
    return found


_NAME: TypeAdapter[str] = TypeAdapter(Name)


def _profile(name: Any, given: Any) -> Profile | BadProfile:
    try:
        _NAME.validate_python(name, strict=True)
    except ValidationError:
        expected = "a name of at most 40 lower-case letters, digits and dashes"
        return BadProfile(str(ScenarioError("profiles", expected, repr(name)[:80], "Rename it.")))
    if name == "local":
        return BadProfile(
            str(ScenarioError("profiles.local", "another name", "'local', which means default", "Rename it."))
        )
    try:  # JSON mode, so that lists become tuples while text never becomes a number
        return Profile.model_validate_json(json.dumps(given, default=str))
    except ValidationError as error:
        return BadProfile("\n".join(map(str, explain(error, Profile, prefix=f"profiles.{name}"))))
