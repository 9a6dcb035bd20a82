"""A result in a notebook can be read in light and dark under the notebook's rules, and changes nothing beside it."""

from pathlib import Path
from typing import Any

import pytest

from browser.measures import CONTRAST
from browser.test_the_html_report_in_a_browser import TEXTS, opened
from stepmark.report import notebook
from unit.report.example_summary import example

pytest_plugins = ["chromium"]
pytestmark = pytest.mark.browser

# Rules of this kind are in JupyterLab's style of rendered HTML.
OF_THE_NOTEBOOK = """
.jp-RenderedHTMLCommon table { color: black; font-size: 12px; table-layout: fixed; }
.jp-RenderedHTMLCommon td, .jp-RenderedHTMLCommon th { padding: 1em; white-space: normal; }
.jp-RenderedHTMLCommon tbody tr:nth-child(odd) { background: #f5f5f5; }
.jp-RenderedHTMLCommon ul:not(.list-inline) { padding-left: 2em; }
"""
TABLE = "<table><tr><td class='row'>cell</td></tr></table>"
BESIDE = f"<section id='beside'><h2>Title</h2>{TABLE}<a href='#'>link</a></section>"
STYLES = """() => [...document.querySelectorAll("#beside, #beside *")].map(one => {
  const style = getComputedStyle(one); return [...style].map(name => name + style.getPropertyValue(name)).join() })"""


def page_with(result: str, dark: bool) -> str:
    theme = f"<body data-jp-theme-light='{'false' if dark else 'true'}'>"
    return f"<!doctype html><style>{OF_THE_NOTEBOOK}</style>{theme}{BESIDE}<div class='jp-RenderedHTMLCommon'>{result}"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_stands_out_in_the_theme_of_the_notebook_not_of_the_system(
    browser: Any, tmp_path: Path, dark: bool
) -> None:
    file = tmp_path / "page.html"
    file.write_text(page_with(notebook.render(example()), dark), encoding="utf-8")
    with opened(browser, file, 1280, "light" if dark else "dark") as (page, watched):
        worst = page.evaluate(CONTRAST, ", ".join(f".stepmark-result {one}" for one in TEXTS.split(", ")))
        card = page.evaluate("getComputedStyle(document.querySelector('.stepmark-result')).backgroundColor")
    assert len(worst) > 15
    assert {name: round(ratio, 2) for name, ratio in worst.items() if ratio < 4.5} == {}
    assert card == ("rgb(14, 19, 25)" if dark else "rgb(244, 246, 248)")
    assert (watched.requests, watched.complaints) == ([file.as_uri()], [])


def test_what_stands_beside_it_looks_the_same_with_and_without_it(browser: Any, tmp_path: Path) -> None:
    styles = []
    for result in ("", notebook.render(example())):
        file = tmp_path / "page.html"
        file.write_text(page_with(result, dark=False), encoding="utf-8")
        with opened(browser, file, 1280) as (page, _):
            styles.append(page.evaluate(STYLES))
    assert styles[0] == styles[1]
