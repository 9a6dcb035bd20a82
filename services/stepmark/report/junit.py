"""Render the gate's answer as JUnit XML, for GitLab, Jenkins and GitHub actions: one test case for each cell.

There is no single schema, so this uses only what all of them share: testsuites, testsuite, testcase, failure, skipped,
system-out. Times are left out, since a cell's step time is not the duration of a test.
"""

from collections.abc import Iterable
from xml.etree import ElementTree

from stepmark.analysis.gate_report import GateCell, GateReport, sentence
from stepmark.errors import printable
from stepmark.report.gate import answer, history_lines, ratio, unlike_lines, warning_lines, why


def render(report: GateReport) -> str:
    """Return the document, with its XML declaration."""
    failures, skipped = sum(cell.fails for cell in report.cells), sum(map(_skipped, report.cells))
    counts = {"tests": len(report.cells), "failures": failures, "errors": 0, "skipped": skipped}
    totals = {name: str(count) for name, count in counts.items()}
    root = ElementTree.Element("testsuites", {"name": "stepmark compare"} | totals)
    suite = ElementTree.SubElement(
        root, "testsuite", {"name": _clean(f"stepmark compare {report.new.scenario}")} | totals
    )
    _add_properties(suite, report)
    for cell in report.cells:
        _add_case(suite, cell, report)
    _add_text(suite, "system-out", [*history_lines(report), *warning_lines(report), *answer(report)])
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _add_properties(suite: ElementTree.Element, report: GateReport) -> None:
    values = {
        "old": report.old.folder,
        "new": report.new.folder,
        "minimum effect": f"{report.minimum_effect:g}",
        "interval level": f"{report.interval_level:g}",
    }
    unlike = [("unlike", sentence(one)) for one in report.unlike]
    changed = [("changed", sentence(one)) for one in report.changed]
    warnings = [("warning", text) for text in report.warnings]
    history = [("history", line.strip()) for line in history_lines(report)]
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (*values.items(), *unlike, *changed, *history, *warnings):
        ElementTree.SubElement(properties, "property", {"name": name, "value": _clean(value)})


def _add_case(suite: ElementTree.Element, cell: GateCell, report: GateReport) -> None:
    """Add one cell's test case.

    Readers show a case's own output and not the suite's, so what speaks against all cells stands in every case.
    """
    names = {"name": _clean(cell.key), "classname": _clean(f"stepmark.{report.new.scenario}")}
    case = ElementTree.SubElement(suite, "testcase", names)
    against = [*unlike_lines(report), *warning_lines(report)]
    about = [f"{cell.verdict}: new / old {ratio(cell.ratio)}", cell.reason, *cell.notes, *against]
    if cell.fails:
        failure = {"message": _clean(why(cell, report)), "type": cell.verdict}
        changes = [f"changed: {sentence(one)}" for one in report.changed]
        _add_text(case, "failure", [*about, *changes], failure)
    elif _skipped(cell):
        ElementTree.SubElement(case, "skipped", {"message": _clean(f"{cell.verdict}: {cell.reason}")})
    _add_text(case, "system-out", about)


def _skipped(cell: GateCell) -> bool:
    return not cell.fails and not cell.compared


def _add_text(
    parent: ElementTree.Element, tag: str, lines: Iterable[str], attributes: dict[str, str] | None = None
) -> None:
    element = ElementTree.SubElement(parent, tag, attributes or {})
    element.text = "\n".join(_clean(line) for line in lines if line)


def _clean(text: str) -> str:
    """Return the text with control characters spelled out.

    XML cannot hold some of them, and ElementTree lets them pass.
    """
    return printable(text)
