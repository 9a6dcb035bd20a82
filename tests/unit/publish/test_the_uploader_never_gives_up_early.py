"""The uploader against a hub with faults: everything arrives, nothing is raised, and every fault is reported."""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faulty_hub import Fault, FaultyHub, Folder, faulty_hub

from stepmark.publish import uploader as module
from stepmark.publish.access import Access, Attempt
from stepmark.publish.identity import Ended, identity_of
from stepmark.publish.uploader import Uploader
from stepmark.results.certificate import Certificate
from stepmark.results.wire import Progress

DONE = Ended(outcome="complete")


@pytest.fixture
def hub() -> Iterator[FaultyHub]:
    with faulty_hub() as found:
        yield found


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepmark.publish.backoff._FIRST_SECONDS", 0.01)
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.2)


class Run:
    """A folder with a run, its uploader, and what the uploader has said."""

    def __init__(self, tmp_path: Path, address: str, launches: int = 3, attempt: Attempt | None = None) -> None:
        self.folder = Folder(tmp_path / "run", launches)
        self.said: list[str] = []
        self.identity = identity_of(self.folder.path, "test", attempt)
        progress = Progress(launches_done=1, launches_total=9)
        access = Access(address, "smk_register", attempt)
        self.uploader = Uploader(access, self.identity, self.folder.path, lambda: progress, self.said.append)
        self.uploader.start()

    def finish(self, seconds: float = 120) -> str | None:
        return self.uploader.finish(DONE, seconds)

    def waits_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline, self.said
            time.sleep(0.005)


def test_everything_arrives_in_order_and_the_end_comes_last(tmp_path: Path, hub: FaultyHub) -> None:
    run = Run(tmp_path, hub.address)
    run.folder.store.certify(Certificate(cell="plain.w1", reference="plain.w1", badge="certified", text="same"))
    assert run.finish() is None
    assert list(hub.launches) == run.folder.names
    assert list(hub.certificates) == ["plain.w1"]
    final = hub.states[-1]
    assert (final["outcome"], final["launches"], final["progress"]["launches_total"]) == ("complete", 3, 9)
    assert hub.calls[-1].path.endswith("/state")
    assert run.said == []


def test_a_runner_registers_once_with_a_token_of_its_own(tmp_path: Path, hub: FaultyHub) -> None:
    hub.faults = [Fault("attempts", 503, times=2), Fault("received", 503), Fault("launches", 503)]
    run = Run(tmp_path, hub.address)
    assert run.finish() is None
    registrations = [call for call in hub.calls if call.path.endswith("/attempts/1")]
    others = [call for call in hub.calls if call not in registrations]
    assert [call.token for call in registrations] == ["smk_register"] * 3
    assert hub.calls[:3] == registrations
    assert len({call.token for call in others}) == 1
    expected = hashlib.sha256(others[0].token.encode()).hexdigest()
    assert {call.body["token_sha256"] for call in registrations} == {expected}


def test_where_an_attempt_is_given_the_token_is_its_write_token(tmp_path: Path, hub: FaultyHub) -> None:
    run = Run(tmp_path, hub.address, attempt=Attempt("nightly", 2))
    assert run.finish() is None
    assert {call.token for call in hub.calls} == {"smk_register"}
    assert hub.calls[0].path == f"/api/v1/runs/nightly/attempts/2/executions/{run.identity.execution_id}"


def test_a_launch_is_sent_when_it_is_stored(tmp_path: Path, hub: FaultyHub) -> None:
    run = Run(tmp_path, hub.address, launches=0)
    for count in (1, 2):
        name = run.folder.measure()
        run.uploader.wake()
        run.waits_for(lambda name=name: name in hub.launches)  # type: ignore[misc]
        assert len(hub.launches) == count
    assert run.finish() is None
    assert len(hub.paths("/launches/")) == 2


def test_heartbeats_report_the_progress_and_their_sequence_grows(tmp_path: Path, hub: FaultyHub) -> None:
    run = Run(tmp_path, hub.address, launches=0)
    run.waits_for(lambda: len(hub.states) >= 3)
    assert run.finish() is None
    assert hub.states[0]["progress"]["launches_done"] == 1
    sequences = [state["sequence"] for state in hub.states]
    assert sequences == sorted(set(sequences))


def test_a_launch_that_the_hub_has_is_not_sent_again(tmp_path: Path, hub: FaultyHub) -> None:
    hub.launches = {Folder(tmp_path / "other", 1).names[0]: {}}
    run = Run(tmp_path, hub.address)
    assert run.finish() is None
    assert len(hub.paths("/launches/")) == 2


@pytest.mark.parametrize("status", [503, 0])
@pytest.mark.parametrize("where", ["/attempts/1", "/executions/", "received", "launches", "state"])
def test_a_fault_of_the_hub_that_passes_loses_nothing(tmp_path: Path, hub: FaultyHub, where: str, status: int) -> None:
    hub.faults = [Fault(where, status, times=2)]
    run = Run(tmp_path, hub.address)
    assert run.finish() is None
    assert set(hub.launches) == set(run.folder.names)
    assert hub.states[-1]["outcome"] == "complete"


def test_an_outage_and_its_end_are_each_reported_once(tmp_path: Path, hub: FaultyHub) -> None:
    hub.faults = [Fault("/api", 503, times=4)]
    run = Run(tmp_path, hub.address)
    run.waits_for(lambda: bool(hub.states))
    assert len(run.said) == 2
    assert run.said[0].startswith("hub: not available, ")
    assert "503" in run.said[0]
    assert run.said[1] == "hub: available again"
    assert run.finish() is None


def test_a_record_that_is_refused_does_not_hold_up_the_others(tmp_path: Path, hub: FaultyHub) -> None:
    run = Run(tmp_path, hub.address, launches=0)
    names = [run.folder.measure() for _ in range(3)]
    hub.faults = [Fault(names[1], 422, "invalid")]
    why_not = run.finish()
    assert set(hub.launches) == {names[0], names[2]}
    assert why_not is not None
    assert names[1] in why_not
    assert "2 of 3 launches are in the hub" in why_not
    assert hub.states[-1]["outcome"] == "complete"


def test_a_launch_that_breaks_the_connection_is_sent_last(tmp_path: Path, hub: FaultyHub) -> None:
    names = Folder(tmp_path / "other", 3).names
    hub.faults = [Fault(names[0], 0, times=3)]
    run = Run(tmp_path, hub.address)
    assert run.finish() is None
    assert list(hub.launches) == [names[1], names[2], names[0]]


@pytest.mark.parametrize(("status", "code"), [(401, "unauthorized"), (403, "forbidden"), (404, "not-found")])
def test_a_refusal_ends_the_uploads_and_is_reported_while_measuring_goes_on(
    tmp_path: Path, hub: FaultyHub, status: int, code: str
) -> None:
    hub.faults = [Fault("/executions/", status, code)]
    run = Run(tmp_path, hub.address)
    run.waits_for(lambda: bool(run.said))
    assert str(status) in run.said[0]
    assert not hub.launches
    run.folder.measure()
    run.uploader.wake()
    why_not = run.finish()
    assert why_not is not None
    assert str(status) in why_not
    assert "launches" not in why_not  # how many the hub has is not known any more
    assert not run.uploader.superseded


def test_a_superseded_execution_sends_nothing_more(tmp_path: Path, hub: FaultyHub) -> None:
    run = Run(tmp_path, hub.address, attempt=Attempt("nightly", 1))
    run.waits_for(lambda: bool(hub.states))
    hub.faults = [Fault("launches", 409, "superseded")]
    run.folder.measure()
    run.uploader.wake()
    run.waits_for(lambda: run.uploader.superseded)
    calls = len(hub.calls)
    run.folder.measure()
    run.uploader.wake()
    assert run.finish() is not None
    assert len(hub.calls) == calls


def test_finishing_waits_no_longer_than_it_is_allowed_to(tmp_path: Path) -> None:
    with faulty_hub() as gone:
        address = gone.address
    run = Run(tmp_path, address)
    run.waits_for(lambda: bool(run.said))  # It has tried once.
    why_not = run.finish(seconds=0.3)
    assert why_not is not None
    assert "Connection refused" in why_not
    assert "0 of 3 launches are in the hub" in why_not


def test_a_hub_that_comes_back_during_the_wait_gets_every_launch(tmp_path: Path, hub: FaultyHub) -> None:
    hub.faults = [Fault("/api", 503, times=3, headers={"Retry-After": "0"})]
    run = Run(tmp_path, hub.address)
    assert run.finish() is None
    assert len(hub.launches) == 3


def test_an_error_inside_the_uploader_is_reported_and_not_raised(
    tmp_path: Path, hub: FaultyHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("stepmark.publish.spool.Spool.upload_json", broken)
    run = Run(tmp_path, hub.address)
    why_not = run.finish()
    assert why_not is not None
    assert why_not == "RuntimeError: a bug"


def test_the_sequence_of_a_state_is_above_the_last_that_the_hub_has_whatever_the_clock_says(
    tmp_path: Path, hub: FaultyHub
) -> None:
    """An earlier process drew the last sequence from a clock that was ahead."""
    hub.states = [{"sequence": 2**52, "outcome": "interrupted", "progress": None}]
    run = Run(tmp_path, hub.address)
    assert run.finish() is None
    assert hub.states[-1]["sequence"] > 2**52
    assert hub.states[-1]["outcome"] == "complete"
