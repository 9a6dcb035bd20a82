"""What JAX is asked for on GPUs and on CPU cores, told by doubles: no GPU and no JAX is needed."""

from types import SimpleNamespace
from unittest import mock

import pytest

from stepmark.catalog import load_engine
from stepmark.engines import _jax_device as device
from stepmark.engines._device import Memory
from stepmark.errors import UnsupportedHere
from unit.engines.recorded import CPU, GPU, context, framework

SUPPORT = load_engine("keras-jax").SUPPORT


@pytest.fixture
def jax(monkeypatch: pytest.MonkeyPatch) -> mock.MagicMock:
    return framework(monkeypatch, "jax")


def gpu(**changes: object) -> SimpleNamespace:
    return SimpleNamespace(**({"platform": "gpu", "device_kind": "NVIDIA H200", "compute_capability": "9.0"} | changes))


def test_a_rank_joins_with_one_device_and_looks_for_no_cluster(jax: mock.MagicMock) -> None:
    device.join(context(strategy="data-parallel"))
    jax.distributed.initialize.assert_called_once_with(
        coordinator_address="10.0.0.1:5001",
        num_processes=2,
        process_id=1,
        local_device_ids=[0],
        cluster_detection_method="deactivate",
        initialization_timeout=60,
    )


@pytest.mark.parametrize("found", [[SimpleNamespace(platform="cpu")], RuntimeError("Unable to initialize backend")])
def test_no_gpu_is_unsupported_here(jax: mock.MagicMock, found: object) -> None:
    jax.local_devices.side_effect = [found]
    with pytest.raises(UnsupportedHere, match=r"^unsupported here: JAX finds no GPU"):
        device.check_gpu(SUPPORT, context())


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_what_only_the_worker_can_know_of_its_gpu_is_refused_there(jax: mock.MagicMock, precision: str) -> None:
    jax.local_devices.return_value = [gpu()]
    device.check_gpu(SUPPORT, context(precision=precision))
    jax.local_devices.return_value = [gpu(compute_capability="7.5")]
    device.check_gpu(SUPPORT, context())
    with pytest.raises(UnsupportedHere, match=f"{precision}: GPUs have it from compute capability 8.0"):
        device.check_gpu(SUPPORT, context(precision=precision))
    jax.local_devices.return_value = [gpu(compute_capability=None)]
    device.check_gpu(SUPPORT, context(precision=precision))


class Loss:
    """The loss of a step that ends when it is waited for."""

    unfinished = 0

    def __init__(self) -> None:
        Loss.unfinished += 1

    def block_until_ready(self) -> None:
        Loss.unfinished -= 1


@pytest.mark.parametrize("most", [0, 1, 8])
def test_no_more_steps_than_the_bound_are_unfinished(most: int) -> None:
    Loss.unfinished = 0
    ahead, seen = device.RunAhead(most), []
    for _ in range(20):
        ahead.began(Loss())
        seen.append(Loss.unfinished)
    assert seen == [min(step, most) for step in range(1, 21)]


def test_the_wait_is_for_the_oldest_step_and_not_after_a_drain() -> None:
    losses = [mock.Mock() for _ in range(4)]
    ahead = device.RunAhead(2)
    for loss in losses[:3]:
        ahead.began(loss)
    assert [loss.block_until_ready.called for loss in losses] == [True, False, False, False]
    ahead.drained()
    ahead.began(losses[3])
    assert not any(loss.block_until_ready.called for loss in losses[1:])


@pytest.mark.parametrize(("kind", "steps"), [(GPU, 8), (CPU, 0)])
def test_only_a_gpu_may_lag_behind(kind: object, steps: int) -> None:
    engine = load_engine("keras-jax").Engine(context(kind))  # type: ignore[arg-type]
    assert (engine.asynchronous, engine._ahead._most) == (kind is GPU, steps)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("stats", "memory"),
    [
        (None, None),
        ({"peak_bytes_in_use": 5, "peak_pool_bytes": 9}, Memory(5, 9)),
        ({"peak_bytes_in_use": 5}, Memory(5, None)),
        ({}, Memory(None, None)),
    ],
)
def test_memory_is_what_jax_says_or_unknown(jax: mock.MagicMock, stats: object, memory: Memory | None) -> None:
    jax.local_devices.return_value = [SimpleNamespace(memory_stats=lambda: stats)]
    assert device.memory() == memory


def test_the_record_names_the_gpu_and_what_carries_gradients(jax: mock.MagicMock) -> None:
    jax.local_devices.return_value = [gpu()]
    jax.config.values = {"jax_cpu_collectives_implementation": "gloo"}
    assert device.gpu_flags()["device_name"] == "NVIDIA H200"
    found = {kind.kind: device.transport(context(kind, "data-parallel")) for kind in (CPU, GPU)}
    assert found == {"cpu": "gloo", "gpu": "nccl"}
    assert device.transport(context()) == "none"


def test_platforms_are_set_by_the_kind_of_device() -> None:
    assert SUPPORT.device_environment == {"cpu": {"JAX_PLATFORMS": "cpu"}, "gpu": {"JAX_PLATFORMS": "cuda,cpu"}}
    assert "JAX_PLATFORMS" not in SUPPORT.environment
