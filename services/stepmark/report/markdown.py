"""`report.md`: the verdicts in words first, then the cells, start-up, and how it was measured."""

import re

import jinja2

from stepmark.analysis.summary import Summary
from stepmark.report import machine, sentences, tables, words

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")
_FIGURES = re.compile(r"[-+–\d.,/%\[\] e]*")


def _escape(value: object) -> str:
    """Text as text: no Markdown, no HTML, no new table cell. Figures with their intervals stay as they are."""
    if _FIGURES.fullmatch(str(value)):
        return str(value)
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))


def render(summary: Summary) -> str:
    """The report of a run."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stepmark.report", "."),
        autoescape=False,  # noqa: S701  (Markdown: every text goes through the filter md instead)
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = _escape
    template = environment.get_template("report.md.jinja")
    return template.render(s=summary, words=words, machine=machine, sentences=sentences, tables=tables)
