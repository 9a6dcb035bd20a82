"""A node with GPUs that do not exist, which the kubelet's own device manager hands out: see fakes/device_plugin.py."""

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.controlled import World, until
from fakes import device_plugin
from fakes.gpus import FakeDriver, FakeGpu, some_gpus, uuid

GPU, TWICE, MIXED = "nvidia.com/gpu", "example.com/twice", "example.com/mixed"
GPUS = 4
NVIDIA_H100, NVIDIA_L4 = FakeGpu(uuid(5)), FakeGpu(uuid(6), name="NVIDIA L4", memory_mib=23_034)
RESOURCES = {
    GPU: [uuid(number) for number in range(GPUS)],
    TWICE: [uuid(4), uuid(4)],
    MIXED: [NVIDIA_H100.uuid, NVIDIA_L4.uuid],
}
_NAME, _NAMESPACE = "stepmark-fake-gpus", "kube-system"
_HOST_DRIVER = "/var/lib/stepmark-fake-driver"


def all_gpus(lost: int | None = None) -> list[FakeGpu]:
    """Return the GPUs of the node. `lost` is the number of one that has fallen off its bus."""
    found = [*some_gpus(GPUS + 1, links=18), NVIDIA_H100, NVIDIA_L4]
    if lost is not None:
        found[lost].lost = 1
    return found


@dataclass(frozen=True)
class GpuNode:
    """The node, the cluster that it is of, and the pod of its device plugin."""

    cluster: Any
    name: str
    plugin: dict[str, Any]

    def must(self, *arguments: str, **more: Any) -> str:
        done = self.cluster.kubectl(*arguments, **more)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def allocatable(self, resource: str) -> int:
        """Return how many healthy devices the node says that it has."""
        node = json.loads(self.must("get", "node", self.name, "-o", "json"))
        return int(node["status"]["allocatable"].get(resource, 0))

    def write(self, gpus: list[FakeGpu]) -> None:
        """Change the GPUs under the processes that use them."""
        lines = "".join(f"{gpu.line()}\n" for gpu in gpus)
        move = "cat > /driver/draft && mv /driver/draft /driver/gpus"
        self.must("-n", _NAMESPACE, "exec", "-i", _NAME, "--", "sh", "-c", move, input=lines)

    def restart_plugin(self) -> None:
        """Replace the plugin's pod, as an upgrade of it does. Without it the kubelet calls all devices unhealthy."""
        self.must("-n", _NAMESPACE, "delete", "pod", _NAME, "--timeout=120s")
        self.until_it_has(0)
        self.must("create", "-f", "-", input=json.dumps(self.plugin))
        self.until_it_has(GPUS)

    def until_it_has(self, count: int) -> None:
        until(lambda: self.allocatable(GPU) == count, 120, f"{self.name} has {count} GPUs")


@pytest.fixture(scope="module")
def gpu_node(place: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuNode]:
    """Give the last node GPUs, with the label and the taint of such nodes."""
    name = place.cluster.nodes()[-1]
    node = GpuNode(place.cluster, name, _pod(name, place.image))
    _remove(node)
    try:
        node.must("label", "node", node.name, f"{GPU}.present=true", "--overwrite")
        node.must("taint", "node", node.name, f"{GPU}=present:NoSchedule", "--overwrite")
        documents = [_config(tmp_path_factory.mktemp("driver")), node.plugin]
        node.must("create", "-f", "-", input="\n---\n".join(map(json.dumps, documents)))
        until(lambda: all(node.allocatable(name) for name in RESOURCES), 120, "the kubelet has taken the devices")
        yield node
    finally:
        _remove(node)


def _remove(node: GpuNode) -> None:
    node.must("-n", _NAMESPACE, "delete", f"pod/{_NAME}", f"configmap/{_NAME}", "--ignore-not-found", "--timeout=120s")
    node.cluster.kubectl("taint", "node", node.name, f"{GPU}-")
    node.cluster.kubectl("label", "node", node.name, f"{GPU}.present-")


def _config(folder: Path) -> dict[str, Any]:
    driver = FakeDriver(folder)
    driver.write(all_gpus())
    texts = {device_plugin.GPUS: (folder / "gpus").read_text(), device_plugin.RESOURCES: json.dumps(RESOURCES)}
    texts["device_plugin.py"] = Path(device_plugin.__file__).read_text()
    library = b64encode((folder / device_plugin.LIBRARY).read_bytes()).decode()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _NAME, "namespace": _NAMESPACE},
        "data": texts,
        "binaryData": {device_plugin.LIBRARY: library},
    }


def _pod(node: str, image: str) -> dict[str, Any]:
    """Return the pod of the plugin. The kubelet's sockets are root's, and so are the folders of the node."""
    program = ["/opt/stepmark/bin/python", "/config/device_plugin.py", "/config", "/driver", _HOST_DRIVER]
    folders = {"/driver": _HOST_DRIVER, str(device_plugin.SOCKETS): str(device_plugin.SOCKETS)}
    volumes = [{"name": f"host{i}", "hostPath": {"path": host, "type": "DirectoryOrCreate"}}
               for i, host in enumerate(folders.values())]  # fmt: skip
    mounts = [{"name": f"host{i}", "mountPath": path} for i, path in enumerate(folders)]
    container = {
        "name": "plugin",
        "image": image,
        "imagePullPolicy": "Never",
        "command": program,
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "config", "mountPath": "/config"}, *mounts],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _NAME, "namespace": _NAMESPACE},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
            "volumes": [{"name": "config", "configMap": {"name": _NAME}}, *volumes],
        },
    }
