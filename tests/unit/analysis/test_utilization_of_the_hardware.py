"""FLOPs, energy and cost agree with numbers made by hand, and what is unknown stays unknown."""

from typing import Any

import pytest

from stepmark.analysis.utilization import (
    Use,
    cost_per_million_samples,
    use_of,
    utilization,
)
from stepmark.plan.cells import Cell
from stepmark.results.device import DeviceFacts
from stepmark.results.record import LaunchHeader, Parts, RankReport, StartupSeconds, Window

H100 = "NVIDIA H100 80GB HBM3"


def cell(precision: str = "bfloat16") -> Cell:
    return Cell(
        candidate="a", engine="torch", strategy="ddp", variant=None, execution="eager", levels=("default",),
        precision=precision, workers=2, processes=2, batch_per_worker=8,
    )  # fmt: skip


def used(
    devices: list[str | None], joules: list[float | None], matmul_ns: tuple[int, ...] = (2_000, 1_000), **more: Any
) -> Use:
    ranks = tuple(
        RankReport(
            rank=rank, host="h", cpus=(0,), peak_memory_bytes=None, first_loss=None, last_loss=None,
            startup_seconds=StartupSeconds(spawn=0, import_=0, group=0, build=0, first_step=0),
            windows=(
                Window(kind="warmup", steps=7, host_nanoseconds=1),
                Window(kind="measured", steps=10, host_nanoseconds=1),
            ),
            compilations_after_warmup=None, compilations_after_window=None,
            flags={} if device is None else {"device_name": device},
            parts=Parts(nanoseconds={"matmul": (matmul_ns[rank],)}, matmul_flops=2_000_000), energy_joules=energy,
            **more,
        )
        for rank, (device, energy) in enumerate(zip(devices, joules, strict=True))
    )  # fmt: skip
    header = LaunchHeader(
        launch_id="x", scenario_digest="0" * 64, cell=cell(), block=0, position=0, launcher="bare", forked=True,
        started_at="", wall_seconds=1, ranks=ranks,
    )  # fmt: skip
    return use_of(header)


def test_a_device_that_the_framework_does_not_name_is_named_by_its_driver() -> None:
    facts = DeviceFacts(kind="gpu", name=H100, uuid_tail="00000000")
    assert used([None, None], [None, None], device=facts).device == H100
    assert used(["as JAX says", "as JAX says"], [None, None], device=facts).device == "as JAX says"


def test_mfu_is_the_models_flops_over_all_workers_peak() -> None:
    found = utilization(cell(), 10**9, 1e6, [used([H100, H100], [None, None])], None)
    assert found.mfu == pytest.approx(1e15 / (2 * 989.5e12))
    assert "H100" in (found.peak_source or "")


def test_a_matrix_product_measured_on_the_same_workers_is_the_second_denominator() -> None:
    found = utilization(cell(), 10**6, 1e6, [used([None, None], [None, None])], None)
    assert found.matmul_flops_per_second == pytest.approx(1e12 + 2e12)
    assert found.matmul_utilization == pytest.approx(1e12 / 3e12)


@pytest.mark.parametrize("devices", [[None, None], ["Some CPU", "Some CPU"], [H100, "NVIDIA A100-SXM4-80GB"]])
def test_an_unknown_or_mixed_device_has_no_peak(devices: list[str | None]) -> None:
    found = utilization(cell(), 10**9, 1e6, [used(devices, [None, None])], None)
    assert found.peak_flops_per_second is None
    assert found.mfu is None


def test_energy_is_unknown_unless_every_rank_knows_it() -> None:
    assert utilization(cell(), None, 1.0, [used([None] * 2, [4.0, 4.0])], None).joules_per_sample == 8 / (16 * 10)
    assert utilization(cell(), None, 1.0, [used([None] * 2, [4.0, None])], None).joules_per_sample is None


def test_cost_is_the_price_of_all_workers_over_their_samples() -> None:
    assert cost_per_million_samples(3.6, 2, 1000.0) == pytest.approx(2.0)
    assert cost_per_million_samples(None, 2, 1000.0) is None
