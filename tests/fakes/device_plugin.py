"""A device plugin for GPUs that do not exist: what the kubelet's device manager hands out in the tests on a cluster.

It runs as a program in a pod of its own, with nothing but grpcio, and speaks `v1beta1` of the kubelet's interface:
    device_plugin.py CONFIG DRIVER HOST_DRIVER [SOCKETS]
CONFIG is a folder with the fake driver and `resources.json`, which maps names of resources to the UUIDs of their
devices. DRIVER is where the driver is installed, which the node has as HOST_DRIVER. A UUID that is listed twice is
handed out twice, as by time slicing. A GPU whose line in the driver's file says that it is lost is unhealthy.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SOCKETS, KUBELET = Path("/var/lib/kubelet/device-plugins"), "kubelet.sock"
IN_A_CONTAINER = "/usr/local/nvidia/lib64"
VISIBLE = "FAKE_NVML_VISIBLE"
POLL_SECONDS = 0.3
LIBRARY, GPUS, RESOURCES = "libnvidia-ml.so.1", "gpus", "resources.json"

# The messages of k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1/api.proto, with the fields that are used here: their
# numbers, their names, and their types. A map is on the wire what a list of such pairs is.
_TEXT, _TRUTH = "string", "bool"
_MESSAGES: dict[str, list[tuple[int, str, str, bool]]] = {
    "Empty": [],
    "DevicePluginOptions": [(1, "pre_start_required", _TRUTH, False)],
    "RegisterRequest": [
        (1, "version", _TEXT, False),
        (2, "endpoint", _TEXT, False),
        (3, "resource_name", _TEXT, False),
    ],
    "Device": [(1, "ID", _TEXT, False), (2, "health", _TEXT, False)],
    "ListAndWatchResponse": [(1, "devices", "Device", True)],
    "ContainerAllocateRequest": [(1, "devices_ids", _TEXT, True)],
    "AllocateRequest": [(1, "container_requests", "ContainerAllocateRequest", True)],
    "Pair": [(1, "key", _TEXT, False), (2, "value", _TEXT, False)],
    "Mount": [(1, "container_path", _TEXT, False), (2, "host_path", _TEXT, False), (3, "read_only", _TRUTH, False)],
    "ContainerAllocateResponse": [(1, "envs", "Pair", True), (2, "mounts", "Mount", True)],
    "AllocateResponse": [(1, "container_responses", "ContainerAllocateResponse", True)],
}


def _classes() -> dict[str, Any]:
    field_of = descriptor_pb2.FieldDescriptorProto
    types = {_TEXT: field_of.TYPE_STRING, _TRUTH: field_of.TYPE_BOOL}
    file = descriptor_pb2.FileDescriptorProto(name="device_plugin.proto", package="v1beta1", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind, many in fields:
            label = field_of.LABEL_REPEATED if many else field_of.LABEL_OPTIONAL
            one = message.field.add(name=field, number=number, label=label)
            if kind in types:
                one.type = types[kind]
            else:
                one.type, one.type_name = field_of.TYPE_MESSAGE, f".v1beta1.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"v1beta1.{name}") for name in _MESSAGES}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found.items()}


MESSAGES = _classes()


def devices(driver: Path, uuids: list[str]) -> dict[str, bool]:
    """Return the devices of a resource, and whether each is healthy. A UUID's second device is named UUID::1."""
    lines = [line.split(",") for line in (driver / GPUS).read_text().splitlines()]
    present = {columns[0] for columns in lines if columns[-1] == "0"}
    return {f"{uuid}::{uuids[:place].count(uuid)}": uuid in present for place, uuid in enumerate(uuids)}


def allocation(device_ids: list[str], host_driver: str) -> Any:
    """Return what a container with these devices gets: the driver where GKE mounts it, which shows these GPUs alone."""
    uuids = dict.fromkeys(device.partition("::")[0] for device in device_ids)
    mount = MESSAGES["Mount"](container_path=IN_A_CONTAINER, host_path=host_driver, read_only=True)
    visible = MESSAGES["Pair"](key=VISIBLE, value=",".join(uuids))
    return MESSAGES["ContainerAllocateResponse"](envs=[visible], mounts=[mount])


class Plugin:
    """Serve one resource on a socket of its own."""

    def __init__(self, resource: str, uuids: list[str], driver: Path, host_driver: str) -> None:
        self.resource, self._uuids, self._driver, self._host_driver = resource, uuids, driver, host_driver
        self.endpoint = resource.replace("/", "-") + ".sock"
        self._server = grpc.server(ThreadPoolExecutor(8))
        calls = {
            "GetDevicePluginOptions": grpc.unary_unary_rpc_method_handler(
                self._options, MESSAGES["Empty"].FromString, _bytes
            ),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(self._watch, MESSAGES["Empty"].FromString, _bytes),
            "Allocate": grpc.unary_unary_rpc_method_handler(
                self._allocate, MESSAGES["AllocateRequest"].FromString, _bytes
            ),
        }
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("v1beta1.DevicePlugin", calls)])

    def serve(self, sockets: Path) -> None:
        """Listen, then tell the kubelet, which calls back at once."""
        (sockets / self.endpoint).unlink(missing_ok=True)
        self._server.add_insecure_port(f"unix://{sockets / self.endpoint}")
        self._server.start()
        with grpc.insecure_channel(f"unix://{sockets / KUBELET}") as channel:
            register = channel.unary_unary("/v1beta1.Registration/Register", _bytes, MESSAGES["Empty"].FromString)
            asked = MESSAGES["RegisterRequest"](version="v1beta1", endpoint=self.endpoint, resource_name=self.resource)
            register(asked, timeout=30, wait_for_ready=True)

    def stop(self) -> None:
        self._server.stop(None).wait()

    def _options(self, _: Any, context: grpc.ServicerContext) -> Any:
        return MESSAGES["DevicePluginOptions"]()

    def _watch(self, _: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """Send the devices, and again whenever the health of one has changed."""
        sent: dict[str, bool] | None = None
        while context.is_active():
            found = devices(self._driver, self._uuids)
            if found != sent:
                health = {True: "Healthy", False: "Unhealthy"}
                listed = [MESSAGES["Device"](ID=name, health=health[good]) for name, good in found.items()]
                yield MESSAGES["ListAndWatchResponse"](devices=listed)
            sent = found
            time.sleep(POLL_SECONDS)

    def _allocate(self, request: Any, context: grpc.ServicerContext) -> Any:
        answers = [allocation(list(one.devices_ids), self._host_driver) for one in request.container_requests]
        return MESSAGES["AllocateResponse"](container_responses=answers)


def _bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def main(config: Path, driver: Path, host_driver: str, sockets: Path = SOCKETS) -> None:
    for name in (LIBRARY, GPUS):  # Processes of a plugin before this one may have the files open.
        draft = driver / f"{name}.draft"
        shutil.copy(config / name, draft)
        draft.rename(driver / name)
    for resource, uuids in json.loads((config / RESOURCES).read_text()).items():
        Plugin(resource, uuids, driver, host_driver).serve(sockets)
        print(f"registered {resource} with {len(uuids)} devices", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], *map(Path, sys.argv[4:]))
