"""Render `report.html`: one file to share, without scripts, and with nothing loaded from anywhere.

Every text is hostile until it is escaped. Jinja escapes what the templates print, `plots.svg.element` escapes what is
drawn, and the document's own Content-Security-Policy forbids whatever would come through.
"""

import jinja2
from markupsafe import Markup

from stepmark.analysis.summary import Summary
from stepmark.errors import clean
from stepmark.report import collectives, headline, lengths, machine, ranking, sentences, tables, views, words
from stepmark.report.plots import curves


def render(summary: Summary) -> str:
    """Return the whole document."""
    return environment().get_template("report.html.jinja").render(s=summary, v=views.page(summary))


def environment(*loaders: jinja2.BaseLoader) -> jinja2.Environment:
    """Return the environment that every page is rendered with; `loaders` add templates to the report's own."""
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([*loaders, jinja2.PackageLoader("stepmark.report", ".")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals |= {"words": words, "ranking": ranking, "headline": headline, "sentences": sentences}
    made.globals |= {"tables": tables, "machine": machine, "mark_path": curves.mark_path, "collectives": collectives}
    made.globals["lengths"] = lengths
    made.globals["prefix"] = ""  # of the sections' ids, where several reports stand on one page
    return made


def _finalize(value: object) -> object:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
