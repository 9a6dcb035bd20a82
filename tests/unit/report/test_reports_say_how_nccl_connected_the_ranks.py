"""The notes of every report say by which transports NCCL connected the ranks, where its log told."""

from stepmark.report.notes import notes
from stepmark.results.certificate import TRANSPORT
from unit.report.example_summary import example


def test_transports_are_counted_by_cells_and_unknown_ones_are_not_mentioned() -> None:
    summary = example()
    assert not [note for note in notes(summary) if "NCCL" in note]
    first, second, third, *rest = summary.certificates
    known = [one.model_copy(update={"flags": {TRANSPORT: "NET/IB/GDRDMA, P2P/CUMEM"}}) for one in (first, second)]
    other = third.model_copy(update={"flags": {TRANSPORT: "SHM/direct"}})
    found = notes(summary.model_copy(update={"certificates": (*known, other, *rest)}))
    assert [note for note in found if "NCCL" in note] == [
        "NCCL connected the ranks of 2 cells by NET/IB/GDRDMA, P2P/CUMEM.",
        "NCCL connected the ranks of 1 cell by SHM/direct.",
    ]
