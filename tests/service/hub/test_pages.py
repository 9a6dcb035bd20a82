"""The pages as answers: policy, parts, refusals and access. (tests/browser checks what they look like.)"""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from running_hub import Hub, Results, Runner
from stepmark.results.wire import new_token

pytest_plugins = ["running_hub"]

PAGE = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def runner(hub: Hub, results: Results) -> Runner:
    sent = hub.runner(results)
    sent.send_all()
    hub.wait_until_derived(sent.run_id)
    return sent


def test_every_page_has_a_strict_policy_and_no_inline_code(hub: Hub, runner: Runner) -> None:
    run_id = runner.run_id
    addresses = [
        "/",
        f"/runs/{run_id}",
        f"/compare?old={run_id}&new={run_id}",
        "/scenarios/test",
        "/login",
        "/runs/none",
    ]
    with hub.client() as client:
        for address in addresses:
            answer = client.get(address, headers=PAGE)
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self';")
            assert "unsafe" not in policy
            assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?! src)|javascript:", answer.text), address
            assert not re.search(r"""(?:src|href|action)=["']?(?:https?:)?//""", answer.text)


def test_style_and_script_need_no_login_and_are_cached_under_their_hash(hub: Hub) -> None:
    with hub.client("") as stranger:
        page = stranger.get("/login")
        for address in re.findall(r"/static/[^\"]+", page.text):
            assert re.search(r"\?v=[0-9a-f]{16}$", address)
            answer = stranger.get(address)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
        assert stranger.get("/static/../rendering.py").status_code != 200
        assert stranger.get("/static/live.css").status_code == 404


def test_an_unchanged_part_of_a_page_is_not_sent_again(hub: Hub, runner: Runner) -> None:
    with hub.client() as client:
        for address in ("/rows", *(f"/runs/{runner.run_id}/{name}" for name in ("state", "record", "report"))):
            first = client.get(address)
            again = client.get(address, headers={"If-None-Match": first.headers["etag"]})
            assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
            assert first.headers["stepmark-live"] == ("on" if address == "/rows" else "ended")


@pytest.mark.parametrize(
    ("outcome", "pace"), [("complete", "ended"), ("cancelled", "ended"), ("failed", "slow"), ("interrupted", "slow")]
)
def test_the_page_of_a_run_that_may_continue_polls_slowly(hub: Hub, results: Results, outcome: str, pace: str) -> None:
    """A plan that ended early may be resumed, and a failed one may be tried once more."""
    sent = hub.runner(results)
    sent.send_all(outcome)
    hub.wait_until_derived(sent.run_id)
    with hub.client() as client:
        assert client.get(f"/runs/{sent.run_id}/state").headers["stepmark-live"] == pace
        assert ("data-ended" in client.get(f"/runs/{sent.run_id}").text) == (pace == "ended")


def test_a_page_contains_its_parts_as_they_are_sent(hub: Hub, runner: Runner) -> None:
    with hub.client() as client:
        page = client.get(f"/runs/{runner.run_id}").text
        for name in ("state", "record", "report"):
            part = client.get(f"/runs/{runner.run_id}/{name}")
            assert part.headers["etag"].strip('"') in page
            assert part.text.strip() in page


def test_an_unknown_address_gives_a_page_that_says_so(hub: Hub, runner: Runner) -> None:
    hostile = quote("<script>alert(1)</script>", safe="")
    with hub.client() as client:
        for address in ("/runs/nobody", f"/runs/{hostile}", "/scenarios/nobody", f"/runs/{runner.run_id}/nothing"):
            answer = client.get(address)
            assert answer.status_code == 404
            assert "<h1" in answer.text
            assert "<script>alert" not in answer.text


@pytest.mark.parametrize("query", ["cursor=nonsense", f"search={'x' * 101}", f"name={'x' * 64}", "outcome=" + "x" * 21])
def test_a_malformed_filter_is_refused(hub: Hub, query: str) -> None:
    with hub.client() as client:
        assert client.get(f"/?{query}").status_code == 422
        assert client.get(f"/rows?{query}").status_code == 422


@pytest.mark.parametrize("ticked", [[], ["one"], ["one", "two", "three"]], ids=len)
def test_a_comparison_needs_exactly_two_ticked_runs(hub: Hub, ticked: list[str]) -> None:
    with hub.client() as client:
        answer = client.get("/compare", params={"run": ticked} if ticked else {"run": ""})
    assert answer.status_code == 200
    assert f"expected two ticked runs, found {len(ticked) or 1}" in answer.text


def log_in(hub: Hub, token: str, target: str = "/", **headers: str) -> tuple[int, str, str]:
    with hub.client("") as client:
        answer = client.post("/login", data={"token": token, "next": target}, headers=headers)
    return answer.status_code, answer.headers.get("location", ""), answer.headers.get("set-cookie", "")


def test_a_login_sets_a_cookie_that_scripts_and_other_sites_cannot_read(hub: Hub) -> None:
    status, location, cookie = log_in(hub, hub.admin_token, "/runs/x?y=1")
    assert (status, location) == (303, "/runs/x?y=1")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert log_in(hub, new_token())[::2] == (401, "")
    assert log_in(hub, "")[::2] == (401, "")


@pytest.mark.parametrize("target", ["https://x.test", "//x.test", "/\\x.test", "javascript:alert(1)", "/a\nb", ""])
def test_a_login_never_redirects_to_another_site(hub: Hub, target: str) -> None:
    assert log_in(hub, hub.admin_token, target)[1] == "/"


def test_a_login_form_of_another_site_is_refused(hub: Hub) -> None:
    assert log_in(hub, hub.admin_token, **{"Sec-Fetch-Site": "cross-site"})[::2] == (403, "")


def test_a_write_token_does_not_log_in(hub: Hub, runner: Runner) -> None:
    assert log_in(hub, runner.token)[::2] == (401, "")


def test_a_page_redirects_strangers_to_the_login_with_the_way_back(hub: Hub, runner: Runner) -> None:
    with hub.client("") as stranger:
        answer = stranger.get(f"/runs/{runner.run_id}", headers=PAGE)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next=/runs/{runner.run_id}")
        assert stranger.get(f"/runs/{runner.run_id}/state").status_code == 401


def test_a_hub_behind_https_marks_its_cookie_as_secure(start_hub: Callable[..., Hub], tmp_path: Path) -> None:
    hub = start_hub(f"sqlite:///{tmp_path / 'hub.db'}", "--public-url", "https://hub.test")
    assert "Secure" in log_in(hub, hub.admin_token)[2]
