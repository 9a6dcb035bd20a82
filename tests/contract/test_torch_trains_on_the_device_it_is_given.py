"""PyTorch's engines on GPUs, as far as that can be seen without one. What only a GPU shows is in scripts/gpu_check."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import forked
import pytest

from conftest import needs, trained_models
from stepmark import catalog
from stepmark.terms import DeviceKind

HERE = Path(__file__).parent
ENGINES = ("torch", "keras-torch")
DEVICES: tuple[DeviceKind, ...] = ("cpu", "gpu")
NOTHING: dict[str, str] = {}
BFLOAT16 = "bfloat16: GPUs have it from compute capability 8.0 on"


@cache
def output(engine: str, *command: str, **environment: str) -> str:
    needs(*catalog.load_engine(engine).SUPPORT.requires)
    whole = os.environ | environment
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, env=whole)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def forked_output(engine: str, script: str) -> str:
    needs(*catalog.load_engine(engine).SUPPORT.requires)
    done = forked.run(engine, HERE / script, engine)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@cache
def trained(engine: str) -> list[dict[str, str]]:
    lines = forked_output(engine, "on_meta.py").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def problems(engine: str, mistake: str = "none") -> dict[str, str]:
    return {one["job"]: one["problem"] for one in trained(engine) if one["mistake"] == mistake}


@cache
def asked() -> dict[str, Any]:
    return json.loads(forked_output("torch", "torch_on_gpu.py").splitlines()[-1])


@pytest.mark.parametrize("engine", ENGINES)
def test_every_workload_trains_with_every_tensor_on_the_device(engine: str) -> None:
    found = problems(engine)
    assert len(found) == len(trained_models()) * 6
    assert set(found.values()) == {""}, found


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mistake", ["model-not-moved", "batches-not-moved"])
def test_a_tensor_that_is_left_on_the_cpu_is_noticed(engine: str, mistake: str) -> None:
    found = problems(engine, mistake)
    assert len(found) == len(trained_models()) * 2
    assert all(found.values()), found


IMPORTS = """
import os, sys, torch
from stepmark import catalog
called = []
for name in ("init", "_lazy_init", "device_count", "is_available", "current_device", "get_device_capability"):
    real = getattr(torch.cuda, name)
    setattr(torch.cuda, name, lambda *a, name=name, real=real: (called.append(name), real(*a))[1])
torch._C._cuda_getDeviceCount = lambda: called.append("cudaGetDeviceCount") or 0
module = catalog.load_engine(sys.argv[1])
module.import_framework()
print(*called, torch.cuda.is_initialized())
"""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("device", DEVICES)
def test_the_import_asks_nothing_of_cuda(engine: str, device: DeviceKind) -> None:
    support = catalog.load_engine(engine).SUPPORT
    environment = {**support.environment, **support.device_environment.get(device, NOTHING)}
    assert output(engine, "-c", IMPORTS, engine, **environment).split() == ["False"]


def test_without_its_variable_keras_asks_for_a_gpu_when_it_is_imported() -> None:
    environment = catalog.load_engine("keras-torch").SUPPORT.environment
    assert "is_available" in output("keras-torch", "-c", IMPORTS, "keras-torch", **environment).split()


def test_ddp_is_told_its_gpu_and_moves_no_buffers_under_an_old_torch_too() -> None:
    new, old = asked()["ddp"]
    assert (new["device_ids"], new["forward_sync_buffers"]) == ([0], False)
    assert (old["device_ids"], old["broadcast_buffers"]) == ([0], False)
    assert new["flags"] == old["flags"]
    assert new["weights"] == old["weights"] == new["reduced on"] == ["meta"]  # moved before they are wrapped


def test_fsdp_casts_by_its_own_policy_and_not_by_autocast() -> None:
    plain, short = asked()["fsdp float32"], asked()["fsdp bfloat16"]
    assert plain["mesh"] == short["mesh"] == ["cuda", [1]]
    assert {tuple(policy) for policy in plain["policies"]} == {("None", "None", "None")}
    *blocks, whole = short["policies"]
    assert blocks == [["torch.bfloat16", "torch.float32", "None"]]
    assert whole == ["torch.bfloat16", "torch.float32", "torch.float32"]
    assert short["autocast"] == "nullcontext"
    assert "bfloat16" in short["flags"]["mixed_precision"]


def test_fsdps_casts_train_as_autocast_does_with_weights_and_loss_in_float32() -> None:
    losses = asked()["fsdp losses"]
    for name in ("casts", "autocast", "float32"):
        assert losses[f"{name} kinds"] == ["torch.float32"]
        assert losses[name] == pytest.approx(losses["float32"], abs=1e-3)
    assert losses["casts"] != losses["autocast"]
    assert losses["casts"] != losses["float32"]


def test_nccl_connects_at_once_and_its_recorder_writes_into_the_launchs_folder() -> None:
    found = asked()["group"]
    assert (found["backend"], found["device"]) == ("nccl", "cuda:0")
    assert found["recorder"] == {
        "TORCH_NCCL_DUMP_ON_TIMEOUT": "1",
        "TORCH_NCCL_TRACE_BUFFER_SIZE": "2000",
        "TORCH_NCCL_DEBUG_INFO_TEMP_FILE": f"{found['folder']}/nccl_rank_",
    }


def test_tf32_is_on_where_it_is_asked_for_alone_and_departs_from_the_default() -> None:
    found = asked()["settings"]
    assert found == {"float32": [False, False, False], "tf32": [True, True, True]}  # the last is cudnn-autotune
    knob = "TF32 in convolutions (torch.backends.cudnn.allow_tf32)"
    for engine in ENGINES:
        support = catalog.load_engine(engine).SUPPORT
        for device in DEVICES:
            table = {one.knob: one for one in support.departures_of("single", None, "eager", "float32", device)}
            assert (knob in table) == (device == "gpu")


def test_the_probe_sees_tf32_whatever_the_settings_say() -> None:
    for name, least, most in (("probe", 0, 1e-5), ("probe of tf32", 2e-4, 2e-3)):
        errors = re.fullmatch(r"product (\S+), convolution (\S+)", asked()[name])
        assert errors is not None
        assert all(least < float(one) < most for one in errors.groups())


def test_cuda_graphs_are_a_mode_of_the_compiler_which_has_the_ranks_cores() -> None:
    assert asked()["compiled"] == [{"mode": None, "dynamic": None}, {"mode": "reduce-overhead", "dynamic": None}]
    assert asked()["compile threads"] == 3


def test_samples_that_are_fed_are_pinned_once_and_copied_without_waiting() -> None:
    assert asked()["fed"] == [["cuda:0", {"non_blocking": True}]] * 2
    assert asked()["made"] == 1


def test_a_step_waits_for_an_old_one_first_and_records_its_end_last() -> None:
    assert asked()["calls"] == ["forget the most memory", "mark 2", "wait", "update", "record"]
    assert asked()["asynchronous"] == [True, [5, 6]]


def test_a_gpu_that_is_not_there_and_variables_that_change_products_are_refused_in_words() -> None:
    assert asked()["no GPU"].startswith("UnsupportedHere: unsupported here: PyTorch")
    assert asked()["on a T4"] == ["", "UnsupportedHere: unsupported here: " + BFLOAT16]
    assert "below compute capability 7.5" in asked()["on a V100"]
    for name in ("CUBLAS_EMULATE_SINGLE_PRECISION", "NVIDIA_TF32_OVERRIDE"):
        assert asked()[name] == f"CannotRun: device gpu: {name} changes what products compute. Unset it."


def test_flags_name_the_device_and_what_it_runs() -> None:
    flags = asked()["flags"]
    assert all(isinstance(value, str) and value for value in flags.values())
    expected = {"device": "cuda:0", "device_name": "NVIDIA H200", "nccl": "2.27.7", "tf32": "off"}
    assert {name: flags[name] for name in expected} == expected
    assert flags["input"].startswith("pinned")
    assert {"cuda_runtime", "cudnn", "tf32_probe", "attention_kernels_allowed"} <= flags.keys()
    assert asked()["probes"] == 1  # once, though flags are read twice
