"""The HTML report in a real browser: it loads nothing, cuts nothing off, and everything in it can be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from browser.measures import CONTRAST, WIDTHS
from chromium import Watched
from stepmark.report import html
from unit.report.example_summary import example
from unit.report.test_hostile_text_stays_text import hostile_everywhere

TEXTS = "h1, h2, h3, p, dt, dd, nav a, .name, .sub, .value, .pill, .tile, .unit, summary, td, th, li, code, .tick"

pytest_plugins = ["chromium"]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    files = {}
    for name, summary in (("plain", example()), ("hostile", hostile_everywhere())):
        files[name] = folder / f"{name}.html"
        files[name].write_text(html.render(summary), encoding="utf-8")
    return files


@contextmanager
def opened(browser: Any, file: Path, width: int, scheme: str = "light") -> Iterator[tuple[Any, Watched]]:
    """Open a page with everything unfolded; return it with its requests and complaints."""
    watched = Watched(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
    page = watched.page()
    page.goto(file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    yield page, watched
    watched.context.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_the_report_loads_nothing_and_does_not_scroll_sideways(
    browser: Any, files: dict[str, Path], name: str, width: int
) -> None:
    with opened(browser, files[name], width) as (page, watched):
        document, body, window = page.evaluate(WIDTHS)
    assert watched.requests == [files[name].as_uri()]
    assert watched.complaints == []
    assert max(document, body) <= window == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_background(browser: Any, files: dict[str, Path], scheme: str) -> None:
    with opened(browser, files["plain"], 1280, scheme) as (page, _):
        worst = page.evaluate(CONTRAST, TEXTS)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert len(worst) > 20
    assert {name: round(ratio, 2) for name, ratio in worst.items() if ratio < 4.5} == {}
    assert (background == "rgb(244, 246, 248)") == (scheme == "light")


def test_the_policy_stops_a_script_in_the_report(browser: Any, files: dict[str, Path], tmp_path: Path) -> None:
    planted = tmp_path / "planted.html"
    text = files["plain"].read_text(encoding="utf-8")
    planted.write_text(text.replace("</main>", "<script>alert('ran')</script></main>"), encoding="utf-8")
    with opened(browser, planted, 1280) as (_, watched):
        pass
    assert any("Content Security Policy" in complaint for complaint in watched.complaints)
    assert not [complaint for complaint in watched.complaints if complaint.startswith("dialog")]
