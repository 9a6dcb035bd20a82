"""Random documents and wire records from fixed seeds, and those that once broke a reader. `make fuzz` tries more."""

from pathlib import Path

import pytest

from conftest import ROOT
from fuzz import documents, records

DOCUMENTS, RECORDS, AT_ONCE = 600, 4000, 200
KEPT = sorted((ROOT / "tests" / "corpus" / "fuzzed").iterdir())


@pytest.mark.parametrize("first", range(0, DOCUMENTS, AT_ONCE))
def test_a_random_document_is_accepted_or_refused(first: int) -> None:
    answers = {documents.check(documents.document(seed)) for seed in range(first, first + AT_ONCE)}
    assert answers == {"accepted", "refused"}


@pytest.mark.parametrize("first", range(0, RECORDS, 5 * AT_ONCE))
def test_a_random_wire_record_is_accepted_or_refused(first: int) -> None:
    answers = {records.check(*records.record(seed)) for seed in range(first, first + 5 * AT_ONCE)}
    assert answers == {"accepted", "refused"}


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.name)
def test_an_input_that_once_broke_a_reader_is_accepted_or_refused(file: Path) -> None:
    if file.suffix == ".yaml":
        documents.check(file.read_bytes())
    else:
        records.check(getattr(records, file.name.partition("-")[0]), file.read_bytes())
