"""The hub's pages as people use them: a real hub, a real browser, the main journeys, and what must never happen."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser.measures import CONTRAST, WIDTHS
from chromium import Watched
from running_hub import Hub, Results, Runner, serve, wait_for
from stepmark.cli.verbs import summary_of
from stepmark.hub import rights
from stepmark.hub.database import Database
from stepmark.hub.derive import mark_lost
from stepmark.results.wire import new_token
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
COUNTING = """
window.asked = window.underWay = 0;
const ask = window.fetch;
window.fetch = async (...given) => {
  asked++;
  underWay++;
  try {
    const answer = await ask(...given);
    await answer.clone().text();
    return answer;
  } finally {
    underWay--;
  }
};
"""
SOUND = {"titles": 1, "landmarks": [], "unnamed": [], "bare": 0, "unscoped": 0, "twice": [], "styled": 0}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One that asks who comes."""
    folder = tmp_path_factory.mktemp("hub")
    started = serve(folder, f"sqlite:///{folder / 'hub.db'}")
    yield started
    assert started.end() == 0, started.log.read_text()


@pytest.fixture(scope="module")
def stored(hub: Hub, results: Results) -> dict[str, Runner]:
    """Runs of one scenario, oldest first, all derived."""
    variations = {
        "plain": elsewhere(results, {"torch": "2.13.0"}),
        "slower": elsewhere(slower(results, 2), {"torch": "2.14.0"}),
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


@pytest.fixture(scope="module")
def token(hub: Hub) -> str:
    return hub.admin_token


@pytest.fixture
def inside(browser: Any, hub: Hub, token: str) -> Iterator[Watched]:
    """Someone who has logged in."""
    watched = Watched(browser.new_context(viewport={"width": 1280, "height": 900}))
    cookie = {"name": rights.COOKIE, "value": token, "url": hub.url, "httpOnly": True, "sameSite": "Strict"}
    watched.context.add_cookies([cookie])
    yield watched
    watched.context.close()
    assert watched.elsewhere(hub.url) == []
    assert watched.complaints == []


def test_a_person_logs_in_finds_a_run_and_opens_it(
    browser: Any, hub: Hub, stored: dict[str, Runner], token: str
) -> None:
    watched = Watched(browser.new_context())
    page = watched.page()
    page.goto(f"{hub.url}/?search=slower")
    page.get_by_label("Token").fill(new_token())
    page.get_by_role("button", name="Log in").click()
    assert "not good here" in page.get_by_role("alert").inner_text()
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


def test_two_ticked_runs_are_compared_the_older_one_as_the_old(
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


def test_unlike_machines_are_not_compared_until_someone_asks_for_it(
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


def test_a_scenarios_history_marks_what_became_slower_and_what_changed(
    inside: Watched, hub: Hub, stored: dict[str, Runner]
) -> None:
    page = inside.page()
    page.goto(f"{hub.url}/runs/plain-run")
    page.get_by_role("link", name="History of this scenario").click()
    row = page.locator(".changes tbody tr", has_text="slower-run")
    assert row.locator(".pill.bad").count() > 0
    assert "package torch: 2.13.0 -> 2.14.0" in row.inner_text()
    assert page.locator("svg.panel path.point.bad").count() > 0
    row.get_by_role("link", name="with the run before").click()
    assert page.url.endswith("/compare?old=plain-run&new=slower-run")


def test_everything_of_a_run_can_be_taken_away(
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


def test_a_run_appears_and_ends_without_a_reload(inside: Watched, hub: Hub, results: Results) -> None:
    page = inside.page()
    page.add_init_script(COUNTING)
    page.clock.install()
    page.goto(f"{hub.url}/?search=live-run")
    page.get_by_text("No run matches").wait_for()
    page.evaluate("document.title = 'the same page'")
    runner = hub.runner(results, "live-run")
    page.clock.run_for(2100)
    page.locator("#rows .pill", has_text="waiting").wait_for()
    assert page.title() == "the same page"

    page.get_by_role("link", name="test", exact=True).click()
    page.get_by_text("Nothing is measured yet").wait_for()
    page.evaluate("document.title = 'the same page'")
    runner.claim()
    for index in range(4):
        runner.launch(index)
    progress = {
        "launches_done": 4,
        "launches_total": 8,
        "cell": "plain.eager.float32.w2",
        "global_samples_per_second": 4321,
    }
    runner.state(1, progress=progress)
    page.clock.run_for(2100)
    page.get_by_text("4 of 8 launches", exact=True).wait_for()
    state = page.locator("#state").inner_text()
    assert "plain.eager.float32.w2" in state
    assert "4,321 samples/s" in state
    _run_until(page, "heading", "Ranking")
    page.get_by_text("All 4 cells as a table").click()

    for index in range(4, len(results.rows)):
        runner.launch(index)
    runner.state(2, "complete", launches=len(results.rows))
    hub.wait_until_derived("live-run")
    page.clock.run_for(2100)
    page.locator("#state", has_text="8 of 8").wait_for()
    page.locator("#report", has_text="2 randomised blocks").wait_for()
    assert page.locator("details[open]", has_text="All 4 cells as a table").count() == 1
    assert page.title() == "the same page"
    page.locator("#record", has_text="Summary").wait_for()
    _run_until_nothing_is_asked(page)
    asked = page.evaluate("asked")
    page.clock.run_for(60_000)
    assert page.evaluate("asked") == asked


def test_a_lost_run_that_is_heard_of_again_comes_back_on_its_open_page(
    inside: Watched, hub: Hub, results: Results
) -> None:
    runner = hub.runner(results, "lost-run")
    runner.claim()
    runner.launch(0)
    database = Database(hub.database_url)
    mark_lost(database, time.time() + 1)
    database.close()
    hub.wait_until_derived("lost-run")
    page = inside.page()
    page.add_init_script(COUNTING)
    page.clock.install()
    page.goto(f"{hub.url}/runs/lost-run")
    page.locator("#state .pill", has_text="lost").wait_for()
    page.clock.run_for(2100)
    wait_for(lambda: page.evaluate("asked >= 3 && underWay === 0"))
    asked = page.evaluate("asked")
    page.clock.run_for(10_000)
    assert page.evaluate("asked") == asked, "a page of a run that has ended asks less often"

    runner.state(1)
    page.clock.run_for(31_000)
    page.locator("#state .pill", has_text="running").wait_for()


def _run_until(page: Any, role: str, name: str) -> None:
    """Figures of a running run come when the hub has derived them."""
    wanted = page.get_by_role(role, name=name)
    for _ in range(200):
        page.clock.run_for(2100)
        if wanted.count():
            return
    pytest.fail(f"no {role} {name}")


def _run_until_nothing_is_asked(page: Any) -> None:
    """For once as long as a page waits between two questions; those under way are answered first."""
    for _ in range(200):
        wait_for(lambda: page.evaluate("underWay === 0"))
        asked = page.evaluate("asked")
        page.clock.run_for(2100)
        if page.evaluate("asked") == asked:
            return
    pytest.fail("the page goes on asking")


def test_ticks_and_focus_survive_when_the_list_changes(inside: Watched, hub: Hub, results: Results) -> None:
    page = inside.page()
    page.clock.install()
    hub.runner(results, "ticked-one")
    page.goto(f"{hub.url}/?search=ticked-")
    page.get_by_label("Compare ticked-one").check()
    hub.runner(results, "ticked-two")
    page.clock.run_for(2100)
    page.get_by_label("Compare ticked-two").wait_for()
    assert page.get_by_label("Compare ticked-one").is_checked()
    assert not page.get_by_label("Compare ticked-two").is_checked()
    assert page.evaluate("document.activeElement.value") == "ticked-one"


def test_a_hub_that_does_not_answer_is_said_and_forgotten_when_it_does(
    browser: Any, hub: Hub, stored: dict[str, Runner], token: str
) -> None:
    watched = Watched(browser.new_context(extra_http_headers={"Authorization": f"Bearer {token}"}))
    page = watched.page()
    page.clock.install()
    page.goto(hub.url)
    page.route("**/rows*", lambda route: route.abort())
    page.clock.run_for(2100)
    page.get_by_text("The hub does not answer").wait_for()
    page.unroute("**/rows*")
    page.clock.run_for(30_000)
    page.get_by_text("The hub does not answer").wait_for(state="hidden")
    watched.context.close()


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
def test_a_page_is_sound_fits_and_breaks_no_rule(
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


def test_everything_can_be_done_with_the_keyboard(inside: Watched, hub: Hub, stored: dict[str, Runner]) -> None:
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


def test_without_a_script_everything_is_there_after_a_reload(
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
