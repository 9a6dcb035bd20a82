"""Pages that are left open show what is new at their hub, and ask it no more often than they must."""

import time
from typing import Any

import pytest

from chromium import Watched
from running_hub import Hub, Results, wait_for
from stepmark.hub.database import Database
from stepmark.hub.deriver import mark_lost

pytest_plugins = ["running_hub", "chromium"]
pytestmark = pytest.mark.browser

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


def test_an_open_list_shows_a_run_that_begins_and_ends(inside: Watched, hub: Hub, results: Results) -> None:
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


def test_the_open_page_of_a_lost_run_shows_that_it_reports_again(inside: Watched, hub: Hub, results: Results) -> None:
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
    """Wait for the figures of a running run, which come when the hub has derived them."""
    wanted = page.get_by_role(role, name=name)

    def is_there() -> bool:
        page.clock.run_for(2100)
        return wanted.count() > 0

    wait_for(is_there)


def _run_until_nothing_is_asked(page: Any) -> None:
    """Wait for as long as a page pauses between two requests. Requests that are under way are answered first."""

    def asks_nothing() -> bool:
        wait_for(lambda: page.evaluate("underWay === 0"))
        asked = page.evaluate("asked")
        page.clock.run_for(2100)
        return bool(page.evaluate("asked") == asked)

    wait_for(asks_nothing)


def test_an_open_list_keeps_ticks_and_focus_when_it_changes(inside: Watched, hub: Hub, results: Results) -> None:
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


def test_an_open_page_says_that_its_hub_is_away_until_it_answers(browser: Any, hub: Hub, token: str) -> None:
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
