"""What TensorFlow is asked for on GPUs and on CPU cores, told by a double: no GPU and no TensorFlow is needed."""

from contextlib import nullcontext
from unittest import mock

import pytest

from stepmark.catalog import load_engine
from stepmark.engines import _tensorflow_device as device
from stepmark.engines import _tensorflow_strategies as strategies
from stepmark.engines._device import Memory
from stepmark.errors import UnsupportedHere
from unit.engines.recorded import CPU, GPU, context, framework

SUPPORT = load_engine("keras-tensorflow").SUPPORT


@pytest.fixture
def tf(monkeypatch: pytest.MonkeyPatch) -> mock.MagicMock:
    double = framework(monkeypatch, "tensorflow")
    double.config.list_physical_devices.return_value = ["gpu0", "gpu1"]
    double.config.experimental.get_device_details.return_value = {"compute_capability": (9, 0)}
    return double


def test_a_cpu_launch_sees_no_gpu(tf: mock.MagicMock) -> None:
    device.take_devices(SUPPORT, context(CPU))
    tf.config.set_visible_devices.assert_called_once_with([], "GPU")
    tf.config.experimental.set_memory_growth.assert_not_called()


def test_a_rank_takes_one_gpu_and_mirrored_one_for_each_worker(tf: mock.MagicMock) -> None:
    device.take_devices(SUPPORT, context(strategy="multi-worker-mirrored"))
    device.take_devices(SUPPORT, context(strategy="mirrored", replicas=2))
    taken = [mock.call(["gpu0"], "GPU"), mock.call(["gpu0", "gpu1"], "GPU")]
    assert tf.config.set_visible_devices.call_args_list == taken
    grown = [mock.call(gpu, True) for gpu in ("gpu0", "gpu0", "gpu1")]
    assert tf.config.experimental.set_memory_growth.call_args_list == grown


@pytest.mark.parametrize(("found", "replicas"), [([], 1), (["gpu0"], 2)])
def test_too_few_gpus_are_unsupported_here(tf: mock.MagicMock, found: list[str], replicas: int) -> None:
    tf.config.list_physical_devices.return_value = found
    with pytest.raises(UnsupportedHere, match=f"^unsupported here: TensorFlow finds {len(found)} GPUs"):
        device.take_devices(SUPPORT, context(strategy="mirrored", replicas=replicas))


def test_what_only_the_worker_can_know_of_its_gpu_is_refused_there(tf: mock.MagicMock) -> None:
    details = tf.config.experimental.get_device_details
    details.return_value = {"compute_capability": (10, 0)}
    device.take_devices(SUPPORT, context(execution="graph"))
    with pytest.raises(UnsupportedHere, match=r"XLA has no code for GPUs of compute capability 10\.0"):
        device.take_devices(SUPPORT, context(execution="compiled"))
    details.return_value = {"compute_capability": (7, 5)}
    with pytest.raises(UnsupportedHere, match=r"bfloat16: GPUs have it from compute capability 8\.0"):
        device.take_devices(SUPPORT, context(precision="bfloat16"))
    details.return_value = {}
    device.take_devices(SUPPORT, context(execution="compiled"))


def test_nccl_is_asked_for_by_name_and_ring_on_request(tf: mock.MagicMock) -> None:
    options, kinds = (
        tf.distribute.experimental.CommunicationOptions,
        tf.distribute.experimental.CommunicationImplementation,
    )
    for variant in ("explicit", "canonical", "ring"):
        strategies.communication(context(strategy="multi-worker-mirrored", variant=variant))
    asked = [call.kwargs for call in options.call_args_list]
    assert [one["implementation"] for one in asked] == [kinds.NCCL, kinds.NCCL, kinds.RING]
    assert all((one["bytes_per_pack"], one["timeout_seconds"]) == (25 * 2**20, 60.0) for one in asked)


def test_on_cpu_cores_only_the_time_limit_is_set(tf: mock.MagicMock) -> None:
    strategies.communication(context(CPU, "multi-worker-mirrored"))
    tf.distribute.experimental.CommunicationOptions.assert_called_once_with(timeout_seconds=60.0)


def test_mirrored_names_all_gpus_and_cuts_no_cpu_into_pieces(tf: mock.MagicMock) -> None:
    strategies.mirrored(context(strategy="mirrored", replicas=3))
    tf.distribute.MirroredStrategy.assert_called_once_with(["GPU:0", "GPU:1", "GPU:2"])
    tf.config.set_logical_device_configuration.assert_not_called()


@pytest.mark.parametrize(
    ("strategy", "changes", "carrier"),
    [
        ("single", {}, "none"),
        ("mirrored", {"replicas": 2}, "nccl"),
        ("multi-worker-mirrored", {"variant": "explicit"}, "nccl"),
        ("multi-worker-mirrored", {"variant": "ring"}, "tf grpc"),
        ("multi-worker-mirrored", {"variant": "explicit", "device": CPU}, "tf grpc"),
        ("mirrored", {"replicas": 2, "device": CPU}, "none"),
    ],
)
def test_the_record_names_what_carries_gradients(strategy: str, changes: dict[str, object], carrier: str) -> None:
    assert strategies.transport(context(changes.pop("device", GPU), strategy, **changes)) == carrier  # type: ignore[arg-type]


def test_what_lies_on_the_cpu_is_named() -> None:
    there = "/job:worker/replica:0/task:1/device:GPU:0"
    device.check_placement([("kernel", there), ("a batch", there)])
    with pytest.raises(RuntimeError, match=r"found on the CPU: a batch, bias$"):
        device.check_placement([("kernel", there), ("bias", "/device:CPU:0"), ("a batch", "/device:CPU:0")] * 2)


def test_memory_is_counted_from_the_window_on_and_of_the_fullest_gpu(tf: mock.MagicMock) -> None:
    peaks = {"GPU:0": {"peak": 5}, "GPU:1": {"peak": 7}}
    tf.config.experimental.get_memory_info.side_effect = peaks.get
    both = context(strategy="mirrored", replicas=2)
    device.reset_memory(both)
    assert device.memory(both) == Memory(allocated_peak_bytes=7)
    assert [call.args for call in tf.config.experimental.reset_memory_stats.call_args_list] == [("GPU:0",), ("GPU:1",)]


def test_the_window_ends_when_all_devices_are_idle(tf: mock.MagicMock) -> None:
    order: list[str] = []
    tf.device.side_effect = lambda name: order.append(name) or nullcontext()  # type: ignore[func-returns-value]
    tf.raw_ops.SyncDevice.side_effect = lambda: order.append("idle")
    for kind, expected in ((GPU, ["GPU:0", "idle", "loss"]), (CPU, ["loss"])):
        order.clear()
        engine = load_engine("keras-tensorflow").Engine(context(kind))
        engine._loss = mock.Mock()  # type: ignore[attr-defined]
        engine._loss.numpy.side_effect = lambda: order.append("loss") or 2.0  # type: ignore[attr-defined, func-returns-value]
        engine.drain()
        assert (order, engine.asynchronous) == (expected, kind is GPU)


def test_the_wheel_has_no_machine_code_for_hopper() -> None:
    has = {capability: not SUPPORT.compiles_at_first_use(capability) for capability in ((7, 5), (8, 6), (8, 9), (9, 0))}
    assert has == {(7, 5): True, (8, 6): True, (8, 9): True, (9, 0): False}
    assert not load_engine("torch").SUPPORT.compiles_at_first_use((9, 0))
