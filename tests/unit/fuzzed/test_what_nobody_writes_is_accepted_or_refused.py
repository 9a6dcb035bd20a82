"""Seeded documents and wire records, and those that once broke something. More of them: make fuzz."""

from pathlib import Path

import pytest

from conftest import ROOT
from fuzz import documents, records

DOCUMENTS, RECORDS, AT_ONCE = 600, 4000, 200
KEPT = sorted((ROOT / "tests" / "corpus" / "fuzzed").iterdir())


@pytest.mark.parametrize("first", range(0, DOCUMENTS, AT_ONCE))
def test_documents(first: int) -> None:
    answers = {documents.check(documents.document(seed)) for seed in range(first, first + AT_ONCE)}
    assert answers == {"accepted", "refused"}


@pytest.mark.parametrize("first", range(0, RECORDS, 5 * AT_ONCE))
def test_wire_records(first: int) -> None:
    answers = {records.check(*records.record(seed)) for seed in range(first, first + 5 * AT_ONCE)}
    assert answers == {"accepted", "refused"}


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.name)
def test_what_broke_something_once(file: Path) -> None:
    if file.suffix == ".yaml":
        documents.check(file.read_bytes())
    else:
        records.check(getattr(records, file.name.partition("-")[0]), file.read_bytes())
