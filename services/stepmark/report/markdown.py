"""`report.md`: the verdicts in words first, then the cells, start-up, and how it was measured."""

import re

import jinja2

from stepmark.analysis.summary import Summary
from stepmark.report import words

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")


def _escape(value: object) -> str:
    """Text as text: no Markdown, no HTML, no new table cell."""
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
    facts = summary.environment.model_dump()
    packages = facts.pop("packages")
    rows = [(name, words.UNKNOWN if value is None else value) for name, value in (facts | packages).items()]
    return environment.get_template("report.md.jinja").render(s=summary, words=words, environment=rows)
