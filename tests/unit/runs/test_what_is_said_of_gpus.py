"""doctor and run say which GPUs are here, whether each engine's packages can use them, and what to do."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import scenario_document
from fakes.gpus import FakeNvml, some_gpus
from stepmark import catalog, interpreters
from stepmark.cli.verbs import doctor
from stepmark.errors import CannotRun
from stepmark.orchestrate.drivers import check_drivers, why_no_cuda
from stepmark.plan.blocks import make_plan
from stepmark.plan.cells import Machine
from stepmark.runs import machine
from stepmark.runs.machine import check_installed
from stepmark.scenario.load import scenario_from_object


class Driver(FakeNvml):
    cuda = (13, 0)

    def cuda_driver(self) -> tuple[int, int] | None:
        return self.cuda


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Two GPUs, and frameworks for CUDA in the versions that today's wheels have."""
    fake = Driver(some_gpus(2))
    for module in (doctor, machine):
        monkeypatch.setattr(module, "here", lambda: fake)
    built = {"torch": "13.0", "tensorflow": "12.9.79", "jax": "13.0"}
    monkeypatch.setattr(interpreters, "cuda_versions", lambda *_: built)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return fake


def said() -> dict[str, tuple[bool, str, str]]:
    return {one.subject: (one.ok, one.found, one.remedy) for one in doctor._gpus()}


def test_each_gpu_is_described(nvml: Driver) -> None:
    ok, found, remedy = said()["GPU 1"]
    assert (ok, remedy) == (True, "")
    assert found.startswith("NVIDIA H100 80GB HBM3, 80 GiB, compute capability 9.0; driver 580.0.0, which knows CUDA")


def test_what_an_engine_can_do_is_said_for_each_that_is_installed(nvml: Driver) -> None:
    found = said()
    assert "GPUs for sleeper" not in found
    assert all(ok or remedy for ok, _, remedy in found.values())


def test_a_gpu_in_mig_mode_has_a_remedy(nvml: Driver) -> None:
    nvml.them[0].mig = 1
    assert said()["GPU 0"][2] == "Switch MIG mode off: a part of a GPU is not measured."


def test_a_lost_gpu_is_not_ok(nvml: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "visible_gpus", lambda _: (nvml.them[0].uuid,))
    nvml.them[0].lost = 1
    ok, _, remedy = said()["GPU 0"]
    assert not ok
    assert "Xid 79" in remedy


def test_hidden_gpus_are_found(nvml: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert said() == {
        "GPUs": (False, "2, all hidden by CUDA_VISIBLE_DEVICES", "Unset CUDA_VISIBLE_DEVICES to measure on them.")
    }


def test_no_gpu_is_no_fault(nvml: Driver) -> None:
    nvml.them.clear()
    assert said() == {"GPUs": (True, "none; cells run on CPU cores", "")}


@pytest.mark.parametrize(
    ("driver", "engine", "words"),
    [
        ((13, 0), "torch", None),
        ((13, 1), "keras-tensorflow", None),
        ((12, 8), "keras-tensorflow", None),
        ((12, 8), "keras-torch", "torch is for CUDA 13.0: expected a driver that knows it, found 580.0.0"),
        ((12, 8), "keras-jax", "jax is for CUDA 13.0: expected a driver that knows it"),
        ((11, 8), "sleeper", None),
    ],
)  # fmt: skip
def test_a_driver_that_is_too_old_for_the_packages_is_named(
    nvml: Driver, driver: tuple[int, int], engine: str, words: str | None
) -> None:
    nvml.cuda = driver
    why = why_no_cuda(engine, nvml)
    assert why is None if words is None else words in (why or "")


def test_a_rank_of_a_cluster_is_refused_before_a_block_where_its_nodes_driver_is_too_old(nvml: Driver) -> None:
    nvml.cuda = (12, 8)
    candidates = [{"name": "plain", "engine": "torch", "strategy": "single"}]
    scenario = scenario_from_object(scenario_document(workload={"model": "mlp"}, candidates=candidates))
    with pytest.raises(CannotRun, match="engine torch on node n1: torch is for CUDA 13"):
        check_drivers(scenario, nvml, "n1")
    nvml.cuda = (13, 0)
    check_drivers(scenario, nvml, "n1")


def test_packages_for_cpu_cores_are_named_with_those_for_cuda(nvml: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "cuda_versions", lambda *_: {})
    why = why_no_cuda("keras-tensorflow", nvml) or ""
    assert why.startswith("expected tensorflow for CUDA, found one for CPU cores. Install requirements/keras-cuda.txt")


@pytest.mark.parametrize(("gpu_name", "refused"), [("NVIDIA L4", True), (None, False)], ids=["here", "in a cluster"])
def test_a_run_is_refused_before_it_begins_where_the_driver_is_known(
    nvml: Driver, monkeypatch: pytest.MonkeyPatch, gpu_name: str | None, refused: bool
) -> None:
    nvml.cuda = (12, 8)
    document = scenario_document(
        workload={"model": "mlp"}, candidates=[{"name": "plain", "engine": "torch", "strategy": "single"}]
    )
    support = catalog.load_engine("torch").SUPPORT
    monkeypatch.setattr(catalog.load_engine("torch"), "SUPPORT", replace(support, no_gpu=None))
    plan = make_plan(scenario_from_object(document), Machine(places=1, programs=(), device="gpu", gpu_name=gpu_name))
    if refused:
        with pytest.raises(CannotRun, match="engine torch: torch is for CUDA 13"):
            check_installed(plan)
    else:
        check_installed(plan)


def test_the_cuda_version_of_torch_is_read_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise AssertionError('imported')")
    version = tmp_path / "torch" / "version.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)  # Another test may have imported it.
    for line, found in (("cuda: Optional[str] = '13.0'", {"torch": "13.0"}), ("cuda: Optional[str] = None", {})):
        version.write_text(f"__version__ = '2.13.0'\n{line}\nhip: Optional[str] = None\n")
        assert interpreters.cuda_versions(sys.executable, ["torch", "numpy"]) == found
