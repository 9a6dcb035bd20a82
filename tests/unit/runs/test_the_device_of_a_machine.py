"""spec.device is resolved where the plan is made, from the GPUs that are visible or from what a profile says."""

import os

import pytest

from conftest import scenario_document
from fakes.gpus import FakeNvml, some_gpus
from stepmark.errors import CannotRun
from stepmark.runs import machine
from stepmark.runs.machine import machine_for, this_machine
from stepmark.scenario.load import scenario_from_object


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """Three GPUs, and no variable that says anything of them."""
    fake = FakeNvml(some_gpus(3))
    monkeypatch.setattr(machine, "here", lambda: fake)
    for name in ("RAY_ADDRESS", "STEPMARK_DEVICE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return fake


@pytest.mark.parametrize("choice", ["auto", "gpu"])
def test_gpus_that_are_there_are_used_and_are_the_places(nvml: FakeNvml, choice: str) -> None:
    made = this_machine(choice)  # type: ignore[arg-type]
    assert (made.device, made.places, made.compute_capability) == ("gpu", 3, (9, 0))
    assert made.gpu_name == "NVIDIA H100 80GB HBM3"


def test_only_visible_gpus_are_places(nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    assert this_machine("gpu").places == 2


def test_cpu_ignores_gpus(nvml: FakeNvml) -> None:
    made = this_machine("cpu")
    assert (made.device, made.places, made.gpu_name) == ("cpu", len(os.sched_getaffinity(0)), None)


def test_auto_without_a_gpu_is_cpu(nvml: FakeNvml) -> None:
    nvml.them.clear()
    assert this_machine("auto").device == "cpu"


@pytest.mark.parametrize(("choice", "device"), [("auto", "cpu"), ("gpu", "gpu")])
def test_auto_leaves_gpus_alone_that_an_engines_packages_cannot_use(
    nvml: FakeNvml,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    choice: str,
    device: str,
) -> None:
    monkeypatch.setattr(machine, "why_no_cuda", lambda engine, _: None if engine == "torch" else "expected it for CUDA")
    monkeypatch.setattr(machine, "missing_modules", lambda _: [])
    candidates = [{"name": "a", "engine": "torch"}, {"name": "b", "engine": "keras-jax"}]
    spec = scenario_from_object(scenario_document(candidates=candidates, device=choice, workload={"model": "mlp"})).spec
    assert machine_for(spec).device == device
    said = capsys.readouterr().err
    assert ("CPU cores, though there are GPUs, since engine keras-jax: expected" in said) == (device == "cpu")


def test_gpu_where_there_is_none_is_refused(nvml: FakeNvml) -> None:
    nvml.them.clear()
    with pytest.raises(CannotRun, match="expected gpu, found no GPU that the driver shows here"):
        this_machine("gpu")


@pytest.mark.parametrize(
    ("choice", "profile", "device"),
    [
        ("auto", "gpu", "gpu"),
        ("auto", "cpu", "cpu"),
        ("auto", None, "cpu"),
        ("gpu", "gpu", "gpu"),
        ("cpu", "gpu", "cpu"),
    ],
)
def test_in_a_cluster_the_profile_says_what_there_is(
    nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, choice: str, profile: str | None, device: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://head")
    if profile is not None:
        monkeypatch.setenv("STEPMARK_DEVICE", profile)
    made = this_machine(choice)  # type: ignore[arg-type]
    assert (made.device, made.gpu_name) == (device, None)
    assert made.places > 1000  # only Ray knows


@pytest.mark.parametrize("profile", ["cpu", None])
def test_gpu_with_a_profile_without_devices_is_refused(
    nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, profile: str | None
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://head")
    if profile is not None:
        monkeypatch.setenv("STEPMARK_DEVICE", profile)
    with pytest.raises(CannotRun, match="expected gpu, found a profile without devices"):
        this_machine("gpu")
