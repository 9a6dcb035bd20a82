"""Render `report.md`: the verdicts in words first, then the cells, start-up, and how it was measured."""

import re

import jinja2

from stepmark.analysis.summary import Summary
from stepmark.errors import printable
from stepmark.report import collectives, headline, machine, ranking, sentences, tables, words

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")
_FIGURES = re.compile(r"[-+–\d.,/%\[\] e]*")


def _escape(value: object) -> str:
    """Escape a text, so that it makes no Markdown, no HTML and no new table cell.

    Figures with their intervals stay as they are.
    """
    if _FIGURES.fullmatch(str(value)):
        return str(value)
    return _SPECIAL.sub(r"\\\1", printable(" ".join(str(value).split())))


def _finalize(value: object) -> object:
    """Make control characters printable, also in what is not escaped because it is ours or stands in a code span."""
    return "\n".join(map(printable, value.split("\n"))) if isinstance(value, str) else value


def render(summary: Summary) -> str:
    """Return the report of a run."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stepmark.report", "."),
        autoescape=False,  # noqa: S701  (Markdown: every text goes through the filter md instead)
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = _escape
    template = environment.get_template("report.md.jinja")
    parts = {
        "words": words,
        "ranking": ranking,
        "headline": headline,
        "sentences": sentences,
        "collectives": collectives,
    }
    return template.render(s=summary, machine=machine, tables=tables, **parts)
