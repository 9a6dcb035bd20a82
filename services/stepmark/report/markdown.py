"""Render `report.md`: the verdicts in words first, then the cells, start-up, and how it was measured."""

import re

import jinja2

from stepmark.analysis.summary import Summary
from stepmark.errors import printable
from stepmark.report import collectives, headline, lengths, machine, ranking, sentences, tables, words

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


def verdict(summary: Summary) -> str:
    """Return only the verdict in sentences."""
    return "\n\n".join(f"**{_escape(line)}**" for line in headline.of_run(summary))


def render(summary: Summary) -> str:
    """Return the report of a run."""
    loader = jinja2.PackageLoader("stepmark.report", ".")
    parts = {"words": words, "ranking": ranking, "headline": headline, "sentences": sentences}
    parts |= {"machine": machine, "tables": tables, "collectives": collectives, "lengths": lengths}
    return rendered(loader, "report.md.jinja", s=summary, **parts)


def rendered(loader: jinja2.BaseLoader, template: str, **values: object) -> str:
    """Return a template filled in. In it, every text from a document or record must go through the filter `md`."""
    environment = jinja2.Environment(
        loader=loader,
        autoescape=False,  # noqa: S701  (Markdown: every text goes through the filter md instead)
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = _escape
    return environment.get_template(template).render(**values)
