"""Each cell is searched by itself; that none fits is a result, and a failure of another kind is none."""

from types import TracebackType
from typing import Any, Self

import pytest

from conftest import scenario_document
from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate import largest as largest_module
from stepmark.orchestrate import own_session
from stepmark.orchestrate.largest import LargestBatch, largest_batches
from stepmark.orchestrate.switchboard import Arrival
from stepmark.plan.blocks import Launch, Plan, make_plan
from stepmark.plan.cells import Machine
from stepmark.results.device import DeviceFacts, DeviceMemory
from stepmark.results.record import Failure, RankReport
from stepmark.scenario.load import scenario_from_object

MEMORY = "out of memory (MemoryError: )"


class FakeSession:
    """Ends each launch at once: a batch above its candidate's limit fails with the candidate's cause."""

    launcher = "bare"
    limits = {"plain": 37, "none": 0, "broken": 10}
    causes = {"plain": MEMORY, "none": MEMORY, "broken": "ValueError: no"}

    def __init__(self, workers: int, settings: object) -> None:
        self.offered: tuple[Launch, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def offer(self, block: tuple[Launch, ...]) -> None:
        self.offered = block

    def take(self, timeout_seconds: float) -> list[Arrival]:
        return [Arrival(launch.id, self._outcome(launch)) for launch in self.offered]

    def finish(self) -> None:
        return None

    def _outcome(self, launch: Launch) -> RankOutcome:
        name, batch = launch.cell.candidate, launch.cell.batch_per_worker
        failed = batch > self.limits[name]
        return RankOutcome(rank=0, failure=Failure(rank=0, cause=self.causes[name]) if failed else None)


def plan(*names: str, engine: str = "sleeper", strategy: str = "parallel", **changes: object) -> Plan:
    candidates = [{"name": name, "engine": engine, "strategy": strategy} for name in names]
    document = scenario_document(candidates=candidates, **changes)
    return make_plan(scenario_from_object(document), Machine(places=1, programs=()))


def found(monkeypatch: pytest.MonkeyPatch, made: Plan, limit: int = 1000) -> dict[str, LargestBatch]:
    monkeypatch.setattr(own_session, "SESSIONS", {"bare": FakeSession})
    results = largest_batches(made, "bare", limit, lambda *_: None)
    return {one.cell.split(".")[0]: one for one in results}


def test_each_cell_has_its_own_largest_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    results = found(monkeypatch, plan("plain", "none", "broken"))
    assert results["plain"].text == "37 fits, 38 does not"
    assert results["none"].text == "none fits"
    assert results["none"].cause == MEMORY
    assert results["broken"].text == "failed at 16: ValueError: no"
    assert results["broken"].batch_per_worker is None


@pytest.mark.parametrize(
    ("on_gpu", "memory", "expected"),
    [
        (False, None, 7),
        (True, None, None),
        (True, DeviceMemory(used_peak_bytes=9, reserved_peak_bytes=8), 9),
        (True, DeviceMemory(reserved_peak_bytes=8), 8),
    ],
)
def test_peak_memory_is_that_of_the_device(on_gpu: bool, memory: DeviceMemory | None, expected: int | None) -> None:
    known: dict[str, Any] = {"peak_memory_bytes": 7, "device_memory": memory}
    known["device"] = DeviceFacts.model_construct(**dict[str, Any]()) if on_gpu else None
    report = RankReport.model_construct(**known)
    assert largest_module._peak_bytes(report) == expected


def test_nothing_beyond_the_limit_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, plan("plain"), limit=20)["plain"].text == "20 fits"


def test_a_cell_that_cannot_run_is_unsupported_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    results = found(monkeypatch, plan("plain", sweep={"execution": ["graph"]}))
    assert results["plain"].text.startswith("unsupported: graph: ")
    assert results["plain"].launches == 0


def test_a_model_that_does_not_fit_with_one_sample_gives_none_fits() -> None:
    made = plan(
        "torch",
        engine="torch",
        strategy="single",
        workload={"model": "mlp", "params": {"hidden": 4096, "layers": 2}},
        scale={"batchPerWorker": 1},
        measurement={"memoryLimitBytes": 80_000_000},
    )
    [one] = largest_batches(made, "bare", 8, lambda *_: None)
    assert (one.text, one.launches) == ("none fits", 1)
    assert one.cause.startswith("out of memory")
