"""The profiles that the chart mounts are read whole, or refused with a message that names the place."""

import json
from pathlib import Path
from typing import Any

import pytest

from stepmark.controller import notation, profile_devices, profiles
from stepmark.errors import CannotRun, ScenarioError

GPU: dict[str, Any] = {
    "image": "registry.example/team/runner:1.0@sha256:" + "0" * 64,
    "devices": {"extendedResource": "nvidia.com/gpu"},
    "cpuPerWorker": 8,
    "memoryPerWorker": "32Gi",
    "workersPerPod": 4,
    "shmSizeBytes": 16 << 30,
    "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "ncclEnvironment": {"NCCL_SOCKET_IFNAME": "eth0"},
    "queueName": "benchmarks",
}


def read(**given: Any) -> dict[str, profiles.Profile]:
    found = profiles.profiles_from_text(json.dumps(given))
    return {name: one for name, one in found.items() if isinstance(one, profiles.Profile)}


def refusals(**given: Any) -> dict[str, str]:
    found = profiles.profiles_from_text(json.dumps(given))
    return {name: one.problem for name, one in found.items() if isinstance(one, profiles.BadProfile)}


def refusal(**changes: Any) -> str:
    return refusals(default=GPU | changes)["default"]


def test_a_profile_is_read_with_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "profiles.yaml"
    file.write_text(json.dumps({"default": {"image": "runner:1"}, "gpu": GPU}))
    found = profiles.profiles_from_file(file)
    assert isinstance(found["default"], profiles.Profile)
    assert isinstance(found["gpu"], profiles.Profile)
    assert found["default"].devices is None
    assert found["default"].read_only_root_filesystem
    assert found["gpu"].cpu_per_worker == "8"
    assert found["gpu"].devices == profile_devices.Devices(extended_resource="nvidia.com/gpu")


def test_a_profile_in_yaml_and_the_same_in_json_are_equal() -> None:
    assert profiles.profiles_from_text("default:\n  image: runner:1\n  cpuPerWorker: 0.5") == read(
        default={"image": "runner:1", "cpuPerWorker": "0.5"}
    )


def test_a_changed_setting_changes_a_profiles_digest_and_a_default_written_out_does_not() -> None:
    one, same, other = (
        read(default=GPU | changes)["default"].digest()
        for changes in ({}, {"imagePullPolicy": "IfNotPresent", "cpuPerWorker": "8"}, {"schedulerName": "kai"})
    )
    assert one == same != other


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"imgae": "x"}, "profiles.default.imgae: expected one of the keys image,"),
        ({"image": "$(reboot)"}, "profiles.default.image: expected text like"),
        ({"cpuPerWorker": "many"}, "profiles.default.cpuPerWorker"),
        ({"cpuPerWorker": True}, "profiles.default.cpuPerWorker: expected text"),
        ({"memoryPerWorker": 64}, "profiles.default.memoryPerWorker: expected text"),
        (
            {"memoryPerWorker": "4Gi", "workersPerPod": 1},
            "shmSizeBytes, which counts as memory, below a worker pod's memory of 4294967296",
        ),
        ({"head": {"memory": "512Mi"}}, "objectStoreBytes, which counts as memory, below head.memory, 512Mi"),
        ({"objectStoreBytes": 1 << 40}, "objectStoreBytes of at most shmSizeBytes"),
        ({"devices": {}}, "profiles.default.devices: expected extendedResource or resourceClaimTemplateName"),
        ({"devices": {"extendedResource": "gpu", "count": 1}}, "profiles.default.devices.extendedResource"),
        ({"devices": {"extendedResource": "nvidia.com/gpu", "countPerWorker": 2}}, "devices.countPerWorker"),
        (
            {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-L4-SHARED"}},
            "whole GPUs, not nodeSelector nvidia.com/gpu.product",
        ),
        ({"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb"}}, "sharedDevices: true"),
        (
            {"nodeSelector": {"nvidia.com/gpu.sharing-strategy": "mps"}},
            "not nodeSelector nvidia.com/gpu.sharing-strategy: mps, or devices.sharedDevices: true",
        ),
        ({"nodeSelector": {"nvidia.com/gpu.replicas": "4"}}, "expected nodes with whole GPUs"),
        ({"network": {"resource": "rdma/hca"}}, "expected namespaces beside network"),
        ({"network": {"resource": "rdma"}, "namespaces": ["a"]}, "profiles.default.network.resource"),
        ({"ncclEnvironment": {"NCCL_MULTI_RANK_GPU_ENABLE": "1"}}, "ncclEnvironment.NCCL_MULTI_RANK_GPU_ENABLE"),
        ({"tolerations": [{"key": "a", "operater": "Exists"}]}, "Did you mean 'operator'?"),
        ({"ncclEnvironment": {"LD_PRELOAD": "/tmp/evil.so"}}, "profiles.default.ncclEnvironment.LD_PRELOAD"),
        ({"ncclEnvironment": {"NCCL_DEBUG": "a b"}}, "profiles.default.ncclEnvironment.NCCL_DEBUG"),
        ({"extraRayJobLabels": {"kueue.x-k8s.io/queue-name": "x"}}, "extraRayJobLabels without kueue"),
        ({"extraRayJobLabels": {"stepmark.dev/attempt": "9"}}, "extraRayJobLabels without stepmark.dev/attempt"),
        ({"limits": {"maxWorkers": 0}}, "profiles.default.limits.maxWorkers: expected a number of at least 1"),
        ({"pricePerWorkerHour": -1}, "profiles.default.pricePerWorkerHour: expected a number above 0"),
    ],
)
def test_a_mistake_in_a_profile_is_refused_with_its_place(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(**changes)


PARTS = ["nvidia.com/mig-1g.5gb", "nvidia.com/mig-1g.5gb.me", "nvidia.com/gpu.shared", "nvidia.com/mig-3g.20gb.shared"]


@pytest.mark.parametrize("resource", PARTS)
def test_parts_of_gpus_and_shared_gpus_are_refused_unless_they_are_accepted_by_name(resource: str) -> None:
    assert f"expected whole GPUs, which {resource} is not, or sharedDevices: true" in refusal(
        devices={"extendedResource": resource}
    )
    accepted = read(default=GPU | {"devices": {"extendedResource": resource, "sharedDevices": True}})
    assert accepted["default"].devices is not None


def test_a_node_selector_of_whole_gpus_is_accepted_in_every_form() -> None:
    whole = {"nvidia.com/gpu.sharing-strategy": "none", "nvidia.com/gpu.replicas": "1", "nvidia.com/gpu.count": "8"}
    assert "default" in read(default=GPU | {"nodeSelector": GPU["nodeSelector"] | whole})


def test_each_profile_is_refused_by_itself_with_all_of_its_mistakes() -> None:
    mistakes = {"a": {"nope": 1}, "b": {"image": "x"}, "local": {"image": "x"}, "Bad": {"image": "x"}, "none": None}
    said = refusals(**mistakes)
    assert said.keys() == mistakes.keys() - {"b"}
    assert all(part in said["a"] for part in ("profiles.a.nope", "profiles.a.image"))
    assert "profiles.local" in said["local"]
    assert "'Bad'" in said["Bad"]
    assert "profiles.none" in said["none"]


@pytest.mark.parametrize("text", ["", "[]", "default", "a: [", "&a [*a]"])
def test_a_text_that_is_no_mapping_of_profiles_is_refused(text: str) -> None:
    with pytest.raises(CannotRun, match="profiles"):
        profiles.profiles_from_text(text)


def test_a_missing_file_says_what_to_mount(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="Mount the chart's ConfigMap"):
        profiles.profiles_from_file(tmp_path / "none.yaml")


def test_a_scenario_that_names_no_profile_gets_the_default() -> None:
    found = read(default={"image": "a:1"}, gpu=GPU)
    assert profiles.profile_named(found, "local") is found["default"]
    assert profiles.profile_named(found, "gpu") is found["gpu"]


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match=r"spec.profile: expected a profile of this cluster \(default, gpu\)"):
        profiles.profile_named(read(default={"image": "a:1"}, gpu=GPU), "gpus")


@pytest.mark.parametrize(("text", "millis"), [("4", 4000), ("0.5", 500), ("250m", 250), ("1.25", 1250)])
def test_cores_are_read_as_thousandths_of_a_core(text: str, millis: int) -> None:
    assert notation.millicores(text) == millis


@pytest.mark.parametrize(("text", "size"), [("1024", 1024), ("2Gi", 2 << 30), ("3G", 3 * 10**9), ("1k", 1000)])
def test_memory_is_read_as_bytes(text: str, size: int) -> None:
    assert notation.memory_bytes(text) == size
