"""Render the report's main parts for a notebook's output: no document of its own, and no rule for anything beside it.

Every rule of the style applies below the class `stepmark-result` only, and every id begins with the output's own
prefix, so that several results can stand on one page. Texts are escaped as in `report.html`.
"""

import secrets

from stepmark.analysis.summary import Summary
from stepmark.report import html, views


def render(summary: Summary) -> str:
    """Return the verdict, the ranking, the step times and the scaling as HTML to stand in another page."""
    template = html.environment().get_template("notebook.html.jinja")
    return template.render(s=summary, v=views.page(summary), prefix=f"stepmark-{secrets.token_hex(4)}-")
