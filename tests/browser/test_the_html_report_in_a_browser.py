"""The report as a real browser shows it: nothing is loaded, nothing is cut off, everything can be read."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stepmark.report import html
from unit.report.example_summary import example
from unit.report.test_hostile_text_stays_text import hostile_everywhere

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TEXTS = "h1, h2, h3, p, dt, dd, nav a, .name, .sub, .value, .pill, .tile, .unit, summary, td, th, li, code, .tick"
CONTRAST = """
texts => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
  const behind = node => {
    const colour = parse(getComputedStyle(node).backgroundColor);
    return colour.length < 4 || colour[3] > 0 ? colour : behind(node.parentElement);
  };
  const worst = {};
  for (const node of document.querySelectorAll(texts)) {
    const style = getComputedStyle(node);
    const [one, other] = [parse(node.ownerSVGElement ? style.fill : style.color), behind(node)].map(luminance);
    const ratio = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
    const name = node.tagName + '.' + (node.getAttribute('class') || '');
    worst[name] = Math.min(worst[name] ?? 99, ratio);
  }
  return worst;
}
"""
WIDTHS = "() => [document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"needs a browser on PATH, one of {', '.join(BROWSERS)}")
    api = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=as_root)
        yield started
        started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    files = {}
    for name, summary in (("plain", example()), ("hostile", hostile_everywhere())):
        files[name] = folder / f"{name}.html"
        files[name].write_text(html.render(summary), encoding="utf-8")
    return files


def opened(browser: Any, file: Path, width: int, scheme: str = "light") -> tuple[Any, list[str]]:
    """A page with everything unfolded, and what it asked for or complained of."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    events: list[str] = []
    page.on("request", lambda request: events.append(request.url))
    page.on("console", lambda message: events.append(message.text))
    page.on("pageerror", lambda error: events.append(str(error)))
    page.on("dialog", lambda dialog: events.append(dialog.message))
    page.goto(file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    return page, events


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_nothing_is_loaded_and_the_body_does_not_scroll_sideways(
    browser: Any, files: dict[str, Path], name: str, width: int
) -> None:
    page, events = opened(browser, files[name], width)
    document, body, window = page.evaluate(WIDTHS)
    page.close()
    assert events == [files[name].as_uri()]
    assert max(document, body) <= window == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_background(browser: Any, files: dict[str, Path], scheme: str) -> None:
    page, _ = opened(browser, files["plain"], 1280, scheme)
    worst = page.evaluate(CONTRAST, TEXTS)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.close()
    assert len(worst) > 20
    assert {name: round(ratio, 2) for name, ratio in worst.items() if ratio < 4.5} == {}
    assert (background == "rgb(244, 246, 248)") == (scheme == "light")


def test_the_policy_stops_a_script_that_would_come_through(
    browser: Any, files: dict[str, Path], tmp_path: Path
) -> None:
    planted = tmp_path / "planted.html"
    text = files["plain"].read_text(encoding="utf-8")
    planted.write_text(text.replace("</main>", "<script>alert('ran')</script></main>"), encoding="utf-8")
    page, events = opened(browser, planted, 1280)
    page.close()
    assert any("Content Security Policy" in event for event in events)
    assert "ran" not in events
