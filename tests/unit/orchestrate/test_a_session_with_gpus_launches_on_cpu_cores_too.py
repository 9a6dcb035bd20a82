"""References of parity checks run on CPU cores within a session on GPUs, and one process may hold several workers."""

import secrets
from collections.abc import Iterator

import pytest

from conftest import scenario_document
from fakes.gpus import FakeNvml, some_gpus, uuid
from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate import bare, rank
from stepmark.orchestrate.bare import BareSession
from stepmark.orchestrate.rank import Settings
from stepmark.orchestrate.switchboard import Arrival
from stepmark.plan.blocks import Launch
from stepmark.plan.cells import Cell
from stepmark.scenario.load import scenario_from_object
from stepmark.terms import DeviceKind


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[BareSession]:
    """Two ranks with a GPU each."""
    nvml = FakeNvml(some_gpus(2))
    for module in (bare, rank):
        monkeypatch.setattr(module, "here", lambda: nvml)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    settings = Settings(secrets.token_hex(8), scenario_from_object(scenario_document()), False, "gpu")
    with BareSession(2, settings) as opened:
        yield opened
        opened.finish()


def launch(name: str, device: DeviceKind, workers: int, processes: int) -> Launch:
    cell = Cell(
        candidate=name, engine="sleeper", strategy="parallel", variant=None, execution="eager", levels=("eager",),
        precision="float32", workers=workers, processes=processes, batch_per_worker=8, device=device,
    )  # fmt: skip
    return Launch(cell, block=0, position=0, seed=0)


def outcomes(session: BareSession, *launches: Launch) -> dict[str, list[RankOutcome]]:
    """Measure the launches as one block, and return their outcomes by candidate, in rank order."""
    session.offer(launches)
    names = {launch.id: launch.cell.candidate for launch in launches}
    found: dict[str, list[RankOutcome]] = {name: [] for name in names.values()}
    while any(len(found[one.cell.candidate]) < one.cell.processes for one in launches):
        for arrival in session.take(60):
            assert isinstance(arrival, Arrival)
            found[names[arrival.launch_id]].append(arrival.outcome)
    return {name: sorted(ended, key=lambda outcome: outcome.rank) for name, ended in found.items()}


def seen(ended: list[RankOutcome]) -> list[str]:
    reports = [outcome.report for outcome in ended if outcome.report is not None]
    assert len(reports) == len(ended), ended
    return [report.flags["visible GPUs"] for report in reports]


def test_each_launch_sees_the_gpus_of_its_own_workers(session: BareSession) -> None:
    A, B = uuid(0), uuid(1)
    found = outcomes(
        session,
        launch("distributed", "gpu", workers=2, processes=2),
        launch("reference", "cpu", workers=1, processes=1),
        launch("mirrored", "gpu", workers=2, processes=1),
        launch("single", "gpu", workers=1, processes=1),
    )
    assert {name: seen(ended) for name, ended in found.items()} == {
        "distributed": [A, B],
        "reference": [""],
        "mirrored": [f"{A},{B}"],
        "single": [A],
    }
    [on_cpu], [mirrored] = found["reference"], found["mirrored"]
    assert on_cpu.report is not None
    assert (on_cpu.report.device, on_cpu.report.device_use, on_cpu.report.flags["device"]) == (None, None, "cpu")
    assert mirrored.report is not None
    assert mirrored.report.device_memory is not None
    assert mirrored.report.device_memory.used_peak_bytes == 2 * 500 << 20
