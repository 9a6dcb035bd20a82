"""NCCL's own log says by which ways it moves data. The lines are as NCCL 2.18 to 2.29 write them."""

from pathlib import Path

import pytest

from stepmark.launch.nccl_log import log_variables, setting_flags, transport_flags
from stepmark.parity.certify import certificate
from stepmark.plan.cells import Cell
from stepmark.results.certificate import Figures, Limits, ProbeReport, Stage

START = "node:21:27 [0] NCCL INFO "
LINES = [
    ("Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM", "P2P/CUMEM"),
    ("Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM/read", "P2P/CUMEM"),
    ("Channel 01/0 : 8[0] -> 15[7] via P2P/IPC", "P2P/IPC"),
    ("Channel 01/0 : 1[1] -> 0[0] via P2P/direct pointer", "P2P/direct pointer"),
    ("Channel 03/0 : 1[1] -> 0[0] via P2P/indirect/2[2]", "P2P/indirect"),
    ("Channel 00 : 0[0] -> 1[6] via SHM/direct/direct", "SHM/direct"),
    ("Channel 00/0 : 0[0] -> 1[0] [send] via NET/Socket/0", "NET/Socket"),
    ("Channel 00/0 : 3[3] -> 8[0] [receive] via NET/IB/5", "NET/IB"),
    ("Channel 10/0 : 11[3] -> 2[2] [send] via NET/IB/5/GDRDMA", "NET/IB/GDRDMA"),
    ("Channel 10/0 : 11[3] -> 2[2] [send] via NET/IB/5(3)/GDRDMA/Shared", "NET/IB/GDRDMA"),
    ("Channel 01/0 : 1[1] -> 7[2] [send] via NET/AWS Libfabric/0/GDRDMA", "NET/AWS Libfabric/GDRDMA"),
    ("CollNet 00/1 : 0 [send] via COLLNET/SHARP/0/GDRDMA", "COLLNET/SHARP/GDRDMA"),
    ("NVLS comm 0x7f00 headRank 0 nHeads 8 nvlsRanks 8 buffSize 4194304", "NVLS"),
]


@pytest.mark.parametrize(("line", "way"), LINES)
def test_each_way_is_read_from_its_line(tmp_path: Path, line: str, way: str) -> None:
    (tmp_path / "nccl.node.21").write_text(f"{START}cudaDriverVersion 13000\n{START}{line}\n{START}{line}\n")
    assert transport_flags(tmp_path) == {"nccl_transport": way}


def test_several_ways_are_listed_once_each(tmp_path: Path) -> None:
    text = "".join(f"{START}{line}\n" for line, _ in (LINES[0], LINES[8], LINES[0]))
    (tmp_path / "nccl.node.21").write_text(text)
    assert transport_flags(tmp_path) == {"nccl_transport": "NET/IB/GDRDMA, P2P/CUMEM"}


def test_no_log_and_a_log_without_connections_give_no_flag(tmp_path: Path) -> None:
    assert transport_flags(tmp_path) == {}
    (tmp_path / "nccl.node.21").write_text(f"{START}Using network Socket\nvia NET/Socket/0\n")
    assert transport_flags(tmp_path) == {}


def test_the_log_is_written_where_it_is_read(tmp_path: Path) -> None:
    file = log_variables(tmp_path)["NCCL_DEBUG_FILE"].replace("%h", "node").replace("%p", "7")
    Path(file).write_text(f"{START}{LINES[0][0]}\n")
    assert transport_flags(tmp_path)["nccl_transport"] == LINES[0][1]


def test_variables_of_nccl_and_of_its_network_are_a_flag() -> None:
    environment = {"PATH": "/bin", "NCCL_NET": "IB", "FI_PROVIDER": "efa", "TORCH_NCCL_DUMP_ON_TIMEOUT": "1"}
    assert setting_flags(environment) == {"nccl_environment": "FI_PROVIDER=efa NCCL_NET=IB"}
    assert setting_flags({"PATH": "/bin"}) == {}
    assert len(setting_flags({"NCCL_IB_HCA": "x" * 1000})["nccl_environment"]) == 400


def report(rank: int, flags: dict[str, str]) -> ProbeReport:
    digest = "0" * 64
    return ProbeReport(
        rank=rank, start_digest=digest, batches_digest=digest, end_digest=digest, tensors=(), figures=None, flags=flags
    )


def test_a_certificate_has_the_ways_of_all_ranks() -> None:
    cell = Cell(
        candidate="a", engine="torch", strategy="ddp", variant=None, execution="eager", levels=("default",),
        precision="float32", workers=2, processes=2, batch_per_worker=8, device="gpu",
    )  # fmt: skip
    figures = Figures(
        forward=0, loss=0, gradient=0, gradient_scale=1, gradient_rest=0, tensors=(), weights=0, update=0, steps=5
    )
    limits = Limits(forward=1, loss=1, gradient=1, scale=1, tensor=1, weights=1)
    stage = Stage(
        name="as timed", engine="torch", reference_engine="torch", figures=figures, limits=limits, ranks_agree=True,
        problem="",
    )  # fmt: skip
    reports = [report(0, {"nccl_transport": "P2P/CUMEM"}), report(1, {"nccl_transport": "NET/IB, P2P/CUMEM"})]
    assert certificate(cell, cell, [stage], reports, 8).flags == {"nccl_transport": "NET/IB, P2P/CUMEM"}
    assert certificate(cell, cell, [stage], [report(0, {}), report(1, {})], 8).flags == {}
