"""The hub's pages as people use them: a real hub, a real browser, the main journeys, and what must never happen."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from browser.measures import CONTRAST, WIDTHS
from chromium import Watched
from running_hub import Hub, Results, Runner
from stepmark.results.wire import new_token
from stepmark.runs.summaries import summary_of
from varied_results import broken, elsewhere, slower

pytest_plugins = ["running_hub", "chromium"]
pytestmark = pytest.mark.browser

HOSTILE = """<img src=x onerror=alert(1)><script>alert(2)</script>"'{{ 7 * 7 }}</table>\u202e"""
TEXTS = (
    "h1, h2, p, dt, dd, a, label, legend, caption, th, td, .sub, .pill, button, summary, .tick, li, code, input, select"
)
OUTLINE = """
() => ({
  titles: document.querySelectorAll("h1").length,
  landmarks: ["header", "nav", "main"].filter(one => !document.querySelector(one)),
  unnamed: [...document.querySelectorAll("input:not([type=hidden], [hidden]), select, button, a")]
    .filter(one => !(one.labels?.length || one.ariaLabel || one.textContent.trim())).map(one => one.outerHTML),
  bare: [...document.querySelectorAll("table:not(.pairs)")].filter(one => !one.caption).length,
  unscoped: [...document.querySelectorAll("th:not([scope])")].length,
  twice: [...document.querySelectorAll("[id]")].map(one => one.id).filter((id, at, all) => all.indexOf(id) !== at),
  styled: document.querySelectorAll("[style], main style, main script").length,
})
"""
SOUND = {"titles": 1, "landmarks": [], "unnamed": [], "bare": 0, "unscoped": 0, "twice": [], "styled": 0}


@pytest.fixture(scope="module")
def stored(hub: Hub, results: Results) -> dict[str, Runner]:
    """Send runs of one scenario, oldest first, and wait for their figures."""
    variations = {
        "plain": elsewhere(results, {"torch": "2.13.0"}),
        "slower": elsewhere(slower(results, 200), {"torch": "2.14.0"}),
        "other-machine": elsewhere(results, {"torch": "2.14.0"}, cpu_model="Another"),
        "hostile": elsewhere(broken(results, HOSTILE, 2), {HOSTILE: HOSTILE}, host=HOSTILE, cpu_model=HOSTILE),
    }
    runners = {name: hub.runner(found, f"{name}-run") for name, found in variations.items()}
    for name, runner in runners.items():
        failed = name == "hostile"
        runner.send_all("failed" if failed else "complete")
        if failed:
            runner.state(2, "failed", reason="launch-failed", message=HOSTILE)
        hub.wait_until_derived(runner.run_id)
    return runners


def test_a_person_logs_in_finds_a_run_and_opens_it(
    browser: Any, hub: Hub, stored: dict[str, Runner], token: str
) -> None:
    watched = Watched(browser.new_context())
    page = watched.page()
    page.goto(f"{hub.url}/?search=slower")
    page.get_by_label("Token").fill(new_token())
    page.get_by_role("button", name="Log in").click()
    assert "not valid" in page.get_by_role("alert").inner_text()
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{hub.url}/?search=slower")
    [cookie] = watched.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.get_by_label("Search").fill("er-mach")
    page.get_by_role("button", name="Show", exact=True).click()
    assert page.locator("tbody tr").count() == 1
    page.get_by_role("link", name="test", exact=True).click()
    assert "other-machine-run" in page.locator(".head").inner_text()
    page.get_by_role("heading", name="Verdict").wait_for()
    page.get_by_role("button", name="Log out").click()
    page.goto(hub.url)
    page.get_by_label("Token").wait_for()
    assert token not in "".join(watched.requests)
    watched.context.close()


def test_two_ticked_runs_are_compared_with_the_older_one_as_the_old(
    inside: Watched, hub: Hub, stored: dict[str, Runner]
) -> None:
    page = inside.page()
    page.goto(hub.url)
    for name in ("slower-run", "plain-run"):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("button", name="Compare the two ticked").click()
    page.get_by_role("heading", name="Slower, or no longer running").wait_for()
    assert re.search(r"plain-run \(old.* against slower-run \(new", page.locator("main").inner_text())
    assert "package torch: 2.13.0 -> 2.14.0" in page.locator("main").inner_text()
    assert page.locator("svg.strip rect.range.bad").count() > 0


def test_runs_of_unlike_machines_are_compared_only_on_request(
    inside: Watched, hub: Hub, stored: dict[str, Runner]
) -> None:
    page = inside.page()
    page.goto(f"{hub.url}/runs/other-machine-run")
    page.get_by_label("The old run").fill("plain-run")
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("heading", name="Not compared").wait_for()
    assert "cpu_model" in page.locator("main").inner_text()
    page.get_by_label("unlike machines").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("heading", name="No slowdown established").wait_for()
    assert "compared across unlike machine" in page.locator("main").inner_text()


def test_a_history_marks_slower_runs_and_changed_packages(inside: Watched, hub: Hub, stored: dict[str, Runner]) -> None:
    page = inside.page()
    page.goto(f"{hub.url}/runs/plain-run")
    page.get_by_role("link", name="History of this scenario").click()
    row = page.locator(".changes tbody tr", has_text="slower-run")
    assert row.locator(".pill.bad").count() > 0
    assert "package torch: 2.13.0 -> 2.14.0" in row.inner_text()
    assert page.locator("svg.panel path.point.bad").count() > 0
    row.get_by_role("link", name="with the run before").click()
    assert page.url.endswith("/compare?old=plain-run&new=slower-run")


def test_every_file_of_a_run_can_be_downloaded(
    inside: Watched, hub: Hub, stored: dict[str, Runner], tmp_path: Path
) -> None:
    page = inside.page()
    page.goto(f"{hub.url}/runs/plain-run")
    for link, name in (
        ("Summary", "plain-run-summary.json"),
        ("Steps", "plain-run-steps.parquet"),
        ("Raw", "results.db"),
    ):
        with page.expect_download() as download:
            page.get_by_role("link", name=re.compile(f"^{link}")).first.click()
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
    summary = json.loads((tmp_path / "plain-run-summary.json").read_text())
    assert json.loads(summary_of(tmp_path).model_dump_json()) == summary
    assert (tmp_path / "plain-run-steps.parquet").read_bytes()[:4] == b"PAR1"


def test_hostile_texts_are_shown_as_text_everywhere(inside: Watched, hub: Hub, stored: dict[str, Runner]) -> None:
    page = inside.page()
    shown = HOSTILE.replace("\u202e", "\ufffd")
    for path in ("/runs/hostile-run", "/scenarios/test", "/compare?old=plain-run&new=hostile-run&machines=yes"):
        page.goto(f"{hub.url}{path}")
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.locator("main").inner_text().count("<script>alert(2)</script>") > 0, path
        assert page.locator("img, iframe, main script").count() == 0
        assert "\u202e" not in page.content()
    page.goto(f"{hub.url}/runs/hostile-run")
    assert shown[:50] in page.locator("#state").inner_text()
    page.get_by_text("Attempts", exact=True).first.click()
    page.goto(hub.url)
    page.get_by_label("Search").fill('"><script>alert(3)</script>')
    page.get_by_role("button", name="Show", exact=True).click()
    assert page.get_by_label("Search").input_value() == '"><script>alert(3)</script>'
    assert page.locator("main script").count() == 0


PAGES = {
    "list": "/",
    "run": "/runs/plain-run",
    "failed run": "/runs/hostile-run",
    "comparison": "/compare?old=plain-run&new=slower-run",
    "refusal": "/compare?old=plain-run&new=other-machine-run",
    "history": "/scenarios/test",
    "login": "/login",
}


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_a_page_has_a_sound_outline_and_fits_its_window(
    inside: Watched, hub: Hub, stored: dict[str, Runner], path: str, width: int
) -> None:
    page = inside.page()
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{hub.url}{path}")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    document, body, window = page.evaluate(WIDTHS)
    assert max(document, body) <= window == width
    assert page.evaluate(OUTLINE) == SOUND


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_background(
    inside: Watched, hub: Hub, stored: dict[str, Runner], scheme: str
) -> None:
    page = inside.page()
    page.emulate_media(color_scheme=scheme)
    for path in PAGES.values():
        page.goto(f"{hub.url}{path}")
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        worst = page.evaluate(CONTRAST, TEXTS)
        assert {name: round(ratio, 2) for name, ratio in worst.items() if ratio < 4.5} == {}, path


def test_a_run_can_be_ticked_and_opened_with_the_keyboard_alone(
    inside: Watched, hub: Hub, stored: dict[str, Runner]
) -> None:
    page = inside.page()
    page.goto(f"{hub.url}/?search=r-run")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    for name in ("slower-run",):
        _tab_to(page, f"document.activeElement.value === '{name}'")
        page.keyboard.press("Space")
        assert page.get_by_label(f"Compare {name}").is_checked()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    _tab_to(page, "document.activeElement.getAttribute('href') === '/runs/slower-run'")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/slower-run")


def _tab_to(page: Any, condition: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(condition):
            return
    pytest.fail(f"never: {condition}")


def test_without_scripts_a_reload_shows_everything(
    browser: Any, hub: Hub, stored: dict[str, Runner], token: str
) -> None:
    context = browser.new_context(java_script_enabled=False, extra_http_headers={"Authorization": f"Bearer {token}"})
    page = context.new_page()
    page.goto(f"{hub.url}/?search=plain-run")
    page.get_by_role("link", name="test", exact=True).click()
    page.get_by_role("heading", name="Ranking").wait_for()
    page.get_by_label("The old run").fill("slower-run")
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("heading", name="No slowdown established").wait_for()
    context.close()
