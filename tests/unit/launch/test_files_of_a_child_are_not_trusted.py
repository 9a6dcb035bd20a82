"""A child's files are not trusted: whatever they hold, the supervisor makes a bounded, printable outcome of them."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from stepmark.engines._device import CPU
from stepmark.errors import UnsupportedHere
from stepmark.launch import reporting
from stepmark.launch.group import PEER_GONE
from stepmark.launch.spec import LaunchSpec, Placement, RankGroup
from stepmark.launch.supervise import _outcome
from stepmark.plan.blocks import Launch
from stepmark.plan.cells import Cell
from stepmark.results.record import RankReport, StartupSeconds, Window, pack_steps
from stepmark.scenario.data import Data
from stepmark.scenario.model import Measurement, Training, WorkloadChoice


def spec(folder: Path) -> LaunchSpec:
    cell = Cell(
        candidate="plain", engine="sleeper", strategy="single", variant=None, execution="eager", levels=("default",),
        precision="float32", workers=1, processes=1, batch_per_worker=1,
    )  # fmt: skip
    return LaunchSpec(
        launch=Launch(cell, block=0, position=0, seed=0),
        workload=WorkloadChoice(model="scripted"),
        data=Data(),
        training=Training(),
        measurement=Measurement(),
        group=RankGroup(rank=0, addresses=("here:1",), control_address="here:2", control_token=""),
        placement=Placement(node="n", cpus=(0,), device=CPU, directory=folder),
        reference=None,
        requested_at_ns=0,
    )


def test_a_launch_spec_is_unchanged_by_writing_and_reading_it_as_json(tmp_path: Path) -> None:
    made = spec(tmp_path)
    assert LaunchSpec.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("exit_code", "report"),
    [
        (0, b""),
        (0, b"\xff\xfe garbage"),
        (0, b'{"report": {"rank": "zero"}}'),
        (0, b"[" * 100_000),
        (0, b"3"),
        (1, b"{}"),
        (1, b'{"cause": "' + b"x" * 100_000 + b'"}'),
        (1, b'{"cause": "\\u001b[31m red"}'),
    ],
)
def test_a_report_that_makes_no_sense_is_a_failure_with_a_short_printable_cause(
    tmp_path: Path, exit_code: int, report: bytes
) -> None:
    (tmp_path / reporting.REPORT).write_bytes(report)
    outcome = _outcome(spec(tmp_path), exit_code, None, 0)
    assert outcome.failure is not None
    assert outcome.failure.cause.isprintable()
    assert len(outcome.failure.cause) <= 1000


@pytest.mark.parametrize(
    ("host", "device", "accepted"),
    [
        ((1, 4), None, True),  # one step of warm-up, and three stamps of up to two steps
        ((1, 4), (1, 5), True),
        ((1, 6), None, False),
        ((1, 4), (1, 6), False),
        ((2, 4), None, False),
    ],
)
def test_times_must_be_those_of_the_windows(
    tmp_path: Path, host: tuple[int, int], device: tuple[int, int] | None, accepted: bool
) -> None:
    windows = (
        Window(kind="warmup", steps=1, host_nanoseconds=1),
        Window(kind="measured", steps=5, host_nanoseconds=1, stamp_steps=2),
    )
    report = RankReport(
        rank=0, host="h", cpus=(0,), windows=windows, peak_memory_bytes=None, first_loss=None, last_loss=None,
        startup_seconds=StartupSeconds(spawn=0, import_=0, group=0, build=0, first_step=0),
        compilations_after_warmup=None, compilations_after_window=None, flags={},
    )  # fmt: skip
    (tmp_path / reporting.REPORT).write_text(f'{{"report": {report.model_dump_json()}}}')
    ones = None if device is None else np.ones(device, np.int64)
    (tmp_path / reporting.STEPS).write_bytes(pack_steps(np.ones(host, np.int64), ones))
    assert (_outcome(spec(tmp_path), 0, None, 6).failure is None) == accepted


def test_stderr_is_bounded_and_harmless(tmp_path: Path) -> None:
    (tmp_path / reporting.STDERR).write_bytes(b"\x1b[31mred\n" * 100_000 + b"y" * 5000 + b"\n")
    outcome = _outcome(spec(tmp_path), -9, None, 7)
    assert outcome.failure is not None
    assert outcome.failure.cause == "killed by signal 9 after step 7"
    assert len(outcome.failure.stderr_tail) <= 20
    assert all(line.isprintable() and len(line) <= 1000 for line in outcome.failure.stderr_tail)


def test_a_rank_that_lost_another_rank_does_not_overwrite_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise ConnectionResetError(PEER_GONE)

    monkeypatch.setattr(reporting, "time_parts", lost)
    report, engine, group, recorder = (
        cast(Any, SimpleNamespace(total=lambda _: (0, 1), steps_done=1, round_steps=1)),
    ) * 4
    assert not reporting.add_parts(spec(tmp_path), report, engine, group, recorder)
    assert not (tmp_path / reporting.REPORT).exists()


def test_what_only_a_worker_can_find_out_is_told_as_a_plan_would() -> None:
    error = pickle.loads(pickle.dumps(UnsupportedHere("there is no GPU")))
    assert reporting.cause(error) == "unsupported here: there is no GPU"


@pytest.mark.parametrize(
    "text",
    [
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.",
        "OOM when allocating tensor with shape[8192,8192]",
        "CUDA out of memory. Tried to allocate 20.00 GiB",
        "[enforce fail] DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_every_framework_s_word_for_a_full_memory_is_known(text: str) -> None:
    assert reporting.cause(RuntimeError(text)).startswith("out of memory (RuntimeError: ")
    assert reporting.cause(RuntimeError("shapes do not match")) == "RuntimeError: shapes do not match"
