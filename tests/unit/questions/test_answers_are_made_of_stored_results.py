"""A page says what its stored summary says: verdicts with intervals, machine, versions, date, and nothing typed."""

from conftest import ROOT
from stepmark.questions.answer import index, page, said, stored
from stepmark.questions.question import questions
from unit.report.example_summary import example

STORED = sorted((ROOT / "docs" / "answers").glob("*.json"))
QUESTION = questions()[0]
SUMMARY = example().model_copy(update={"started_at": "2026-11-30T22:00:00+00:00"})


def test_a_page_has_the_verdicts_with_intervals_machine_versions_date_and_limits() -> None:
    text = page(QUESTION, SUMMARY)
    for expected in ("2026-11-30", "AMD EPYC 7B13", "tensorflow-cpu | 2.21.0", "stepmark 0.1.0", "## What this cannot"):
        assert expected in text
    assert "keras against torch | default (graph against eager), float32, 1 worker | 0.852 [0.835, 0.869] | 5" in text
    assert "2 workers: 1." in text
    assert "bench-01" not in text


def test_a_figure_of_the_page_changes_with_the_stored_figure_and_with_nothing_else() -> None:
    first = SUMMARY.comparisons[0]
    assert first.ratio is not None
    other = first.model_copy(update={"ratio": first.ratio.model_copy(update={"value": 0.789})})
    changed = page(QUESTION, SUMMARY.model_copy(update={"comparisons": (other, *SUMMARY.comparisons[1:])}))
    assert "0.789" in changed
    assert "0.789" not in page(QUESTION, SUMMARY) == page(QUESTION, SUMMARY)


def test_a_date_that_is_unknown_is_not_invented() -> None:
    assert "Measured on – with" in page(QUESTION, example())


def test_the_index_says_which_questions_are_not_measured_yet() -> None:
    text = index({QUESTION.name: SUMMARY})
    assert f"]({QUESTION.name}.md)" in text
    assert text.count("not measured yet") == len(questions()) - 1
    assert said(QUESTION, SUMMARY)[0].split(" ")[0] in text


def test_an_answer_says_when_a_slower_start_has_paid_where_executions_are_compared() -> None:
    of_one = SUMMARY.comparisons[0].model_copy(update={"reference": SUMMARY.comparisons[0].candidate})
    compared = SUMMARY.model_copy(update={"comparisons": (of_one,)})
    assert f"{SUMMARY.break_evens[0].text}." in said(QUESTION, compared)
    assert f"{SUMMARY.break_evens[0].text}." not in said(QUESTION, SUMMARY)


def test_an_answer_begins_with_what_is_asked_for() -> None:
    of_memory = next(one for one in questions() if one.answered_by == "memory")
    first, *rest = said(of_memory, SUMMARY)
    known = sorted(cell.peak_memory_bytes for cell in SUMMARY.cells if cell.peak_memory_bytes is not None)
    assert f"needs least memory, {known[0] / 2**20:,.0f} MiB" in first
    assert f"{known[-1] / known[0]:.2f} times as much" in first
    assert rest == said(QUESTION, SUMMARY)
    of_parity = next(one for one in questions() if one.answered_by == "parity")
    assert "learns what torch does from the same weights and samples" in said(of_parity, SUMMARY)[0]
    of_compiling = next(one for one in questions() if one.answered_by == "break-even")
    of_one = SUMMARY.comparisons[0].model_copy(update={"reference": SUMMARY.comparisons[0].candidate})
    assert said(of_compiling, SUMMARY.model_copy(update={"comparisons": (of_one,)}))[0] == (
        f"{SUMMARY.break_evens[0].text}."
    )


def test_stored_answers_are_of_the_questions_as_they_are_asked_now() -> None:
    by_name = {one.name: one for one in questions()}
    for path in STORED:
        found = stored(by_name[path.stem], path.read_text()).scenario_digest
        assert found == by_name[path.stem].scenario.digest(), f"measure question {path.stem} again"
