"""The client distinguishes a hub that is away from one that refuses, and no message holds the token."""

import email.utils
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_hub import Fault, FaultyHub, faulty_hub

from stepmark.publish.client import Away, Hub, Refused
from stepmark.results.wire import State

TOKEN = "smk_a-secret-that-nobody-may-see"
STATE = State(sequence=1, outcome="running")


@pytest.fixture
def hub() -> Iterator[FaultyHub]:
    with faulty_hub() as found:
        yield found


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_a_status_that_may_pass_means_that_the_hub_is_away(hub: FaultyHub, status: int) -> None:
    hub.faults = [Fault("state", status)]
    with Hub(hub.address, TOKEN) as client, pytest.raises(Away, match=f"{status} as the test asked") as found:
        client.put_state("e", STATE)
    assert TOKEN not in str(found.value)


@pytest.mark.parametrize(
    ("status", "code", "only_this_record", "superseded"),
    [
        (400, "invalid", True, False),
        (401, "unauthorized", False, False),
        (403, "forbidden", False, False),
        (404, "not-found", False, False),
        (409, "conflict", True, False),
        (409, "superseded", False, True),
        (413, "too-large", True, False),
        (422, "invalid", True, False),
        (302, "", False, False),
    ],
)
def test_a_status_that_will_not_pass_means_that_the_hub_refuses(
    hub: FaultyHub, status: int, code: str, only_this_record: bool, superseded: bool
) -> None:
    hub.faults = [Fault("state", status, code, {"Location": "http://127.0.0.1:1/elsewhere"})]
    with Hub(hub.address, TOKEN) as client, pytest.raises(Refused, match="as the test asked") as found:
        client.put_state("e", STATE)
    assert (found.value.only_this_record, found.value.superseded) == (only_this_record, superseded)
    assert TOKEN not in str(found.value)


def test_a_port_without_a_listener_means_that_the_hub_is_away() -> None:
    with faulty_hub() as gone:
        address = gone.address
    with Hub(address, TOKEN) as client, pytest.raises(Away, match="Connection refused"):
        client.put_state("e", STATE)


def test_a_connection_that_breaks_before_the_answer_means_that_the_hub_is_away(hub: FaultyHub) -> None:
    hub.faults = [Fault("state", 0)]
    with Hub(hub.address, TOKEN) as client, pytest.raises(Away):
        client.put_state("e", STATE)


def test_a_retry_after_is_read_as_seconds_or_a_date_and_is_unknown_otherwise(hub: FaultyHub) -> None:
    in_a_minute = email.utils.formatdate(time.time() + 60, usegmt=True)
    for text, low, high in (("17", 17, 17), (in_a_minute, 50, 61), ("soon", None, None), ("-5", None, None)):
        hub.faults = [Fault("state", 503, headers={"Retry-After": text})]
        with Hub(hub.address, TOKEN) as client, pytest.raises(Away) as found:
            client.put_state("e", STATE)
        seconds = found.value.retry_after_seconds
        assert seconds is None if low is None else low <= (seconds or 0) <= high  # type: ignore[operator]


@pytest.mark.parametrize("body", [b"", b"<html>proxy</html>", b"[" * 100_000, b'{"code": 3}', b"\xff"])
def test_an_answer_that_is_not_a_hubs_is_a_refusal_or_an_outage(hub: FaultyHub, body: bytes) -> None:
    hub.faults = [Fault("received", 404, body=body)]
    with (
        Hub(hub.address, TOKEN) as client,
        pytest.raises(Refused, match="the answer is not a hub's; check the address"),
    ):
        client.received("e")
    hub.faults = [Fault("received", 200, body=body)]
    with Hub(hub.address, TOKEN) as client, pytest.raises(Away, match="expected a hub's answer"):
        client.received("e")


def test_a_hostile_message_is_short_and_harmless(hub: FaultyHub) -> None:
    hub.faults = [Fault("state", 403, body=b'{"code": "x", "message": "\\u001b[31m' + b"m" * 100_000 + b'"}')]
    with Hub(hub.address, TOKEN) as client, pytest.raises(Refused) as found:
        client.put_state("e", STATE)
    assert str(found.value).isprintable()
    assert len(str(found.value)) < 700


def test_a_name_stays_within_its_part_of_the_address(hub: FaultyHub) -> None:
    with Hub(hub.address, TOKEN) as client:
        client.put_launch("e", "b000.a/../b?c#d.w1", b"{}")
    assert hub.calls[0].path == "/api/v1/executions/e/launches/b000.a%2F..%2Fb%3Fc%23d.w1"


def test_a_download_is_the_bytes_that_were_sent(hub: FaultyHub, tmp_path: Path) -> None:
    hub.faults = [Fault("results.db", 200, body=b"raw" * 1000)]
    with Hub(hub.address, TOKEN) as client:
        client.download_results("r", tmp_path / "results.db")
    assert (tmp_path / "results.db").read_bytes() == b"raw" * 1000
    assert (hub.calls[0].method, hub.calls[0].token) == ("GET", TOKEN)
