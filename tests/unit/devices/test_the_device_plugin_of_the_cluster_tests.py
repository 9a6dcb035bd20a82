"""The device plugin of the tests on a cluster, before a kubelet that only does what the interface says."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from fakes.device_plugin import KUBELET, MESSAGES, VISIBLE, Plugin, allocation, devices
from fakes.gpus import FakeGpu, some_gpus, uuid


def _bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString())


class Kubelet:
    """Take registrations, and ask the plugin as the kubelet does."""

    def __init__(self, sockets: Path) -> None:
        self.sockets, self.registered = sockets, list[Any]()
        handler = grpc.unary_unary_rpc_method_handler(self._register, MESSAGES["RegisterRequest"].FromString, _bytes)
        service = grpc.method_handlers_generic_handler("v1beta1.Registration", {"Register": handler})
        self.server = grpc.server(ThreadPoolExecutor(2))
        self.server.add_generic_rpc_handlers([service])
        self.server.add_insecure_port(f"unix://{sockets / KUBELET}")
        self.server.start()

    def _register(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.registered.append(request)
        return MESSAGES["Empty"]()

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(f"unix://{self.sockets / self.registered[0].endpoint}")


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    write(tmp_path, some_gpus(2))
    return tmp_path


def write(driver: Path, gpus: list[FakeGpu]) -> None:
    (driver / "gpus.draft").write_text("".join(f"{gpu.line()}\n" for gpu in gpus))
    (driver / "gpus.draft").rename(driver / "gpus")


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[Kubelet]:
    found = Kubelet(tmp_path)
    yield found
    found.server.stop(None).wait()


@pytest.fixture
def channel(kubelet: Kubelet, driver: Path) -> Iterator[grpc.Channel]:
    plugin = Plugin("example.com/gpu", [uuid(0), uuid(1)], driver, "/var/lib/driver")
    plugin.serve(kubelet.sockets)
    with kubelet.channel() as found:
        yield found
    plugin.stop()


def test_a_plugin_registers_its_resource_with_the_version_that_kubelets_take(
    kubelet: Kubelet, channel: grpc.Channel
) -> None:
    (asked,) = kubelet.registered
    assert (asked.version, asked.resource_name) == ("v1beta1", "example.com/gpu")
    assert "/" not in asked.endpoint


def test_the_kubelet_hears_at_once_of_a_gpu_that_is_lost(channel: grpc.Channel, driver: Path) -> None:
    watch = channel.unary_stream(
        "/v1beta1.DevicePlugin/ListAndWatch", _bytes, MESSAGES["ListAndWatchResponse"].FromString
    )
    answers = watch(MESSAGES["Empty"](), timeout=60)
    first = {one.ID: one.health for one in next(answers).devices}
    write(driver, [FakeGpu(uuid(0)), FakeGpu(uuid(1), lost=1)])
    second = {one.ID: one.health for one in next(answers).devices}
    answers.cancel()
    assert first == {f"{uuid(0)}::0": "Healthy", f"{uuid(1)}::0": "Healthy"}
    assert second == {f"{uuid(0)}::0": "Healthy", f"{uuid(1)}::0": "Unhealthy"}


def test_a_container_gets_the_driver_and_sees_its_own_gpus_alone(channel: grpc.Channel) -> None:
    allocate = channel.unary_unary("/v1beta1.DevicePlugin/Allocate", _bytes, MESSAGES["AllocateResponse"].FromString)
    wanted = MESSAGES["ContainerAllocateRequest"](devices_ids=[f"{uuid(1)}::0"])
    asked = MESSAGES["AllocateRequest"](container_requests=[wanted])
    (answer,) = allocate(asked, timeout=60).container_responses
    assert [(one.key, one.value) for one in answer.envs] == [(VISIBLE, uuid(1))]
    (mount,) = answer.mounts
    assert (mount.host_path, mount.container_path, mount.read_only) == (
        "/var/lib/driver",
        "/usr/local/nvidia/lib64",
        True,
    )


def test_a_gpu_that_is_handed_out_twice_is_two_devices_and_one_uuid(driver: Path) -> None:
    handed_out = list(devices(driver, [uuid(0), uuid(0)]))
    assert handed_out == [f"{uuid(0)}::0", f"{uuid(0)}::1"]
    assert json.loads(json.dumps([pair.value for pair in allocation(handed_out, "/driver").envs])) == [uuid(0)]
