"""Downloads hold what the runner measured, to the last step."""

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from running_hub import Hub, Results, Runner
from stepmark.analysis.summary import Summary
from stepmark.hub import downloads, parquet
from stepmark.report import step_table
from stepmark.results.record import unpack_steps
from stepmark.results.store import SqliteStore
from stepmark.runs.summaries import summary_of
from unit.report.example_summary import certificate
from varied_results import broken

pytest_plugins = ["running_hub"]


@pytest.fixture(scope="module")
def runner(hub: Hub, results: Results) -> Runner:
    """Send a run with a failed launch and a certificate."""
    sent = hub.runner(broken(results, "rank 0: out of memory", 1))
    sent.send_all("failed")
    plain = Summary.model_validate(hub.wait_until_derived(sent.run_id)).cells[0]
    proof = certificate(plain.model_copy(update={"parity": "certified"}))
    assert sent.put(f"{sent.execution}/certificates/{plain.key}", proof).status_code == 201
    hub.wait_until_derived(sent.run_id)
    return sent


def download(hub: Hub, runner: Runner, name: str, folder: Path) -> Path:
    with hub.client() as client:
        answer = client.get(f"/api/v1/runs/{runner.run_id}/{name}")
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["content-length"]) == len(answer.content)
    (folder / name).write_bytes(answer.content)
    return folder / name


def test_the_downloaded_results_are_the_runners_and_give_the_same_summary(
    hub: Hub, runner: Runner, tmp_path: Path
) -> None:
    download(hub, runner, "results.db", tmp_path)
    assert summary_of(tmp_path) == Summary.model_validate(hub.get(f"/api/v1/runs/{runner.run_id}/summary"))
    store = SqliteStore.open(tmp_path)
    assert store.run() == runner.results.run
    assert [blob for _, blob in store.rows()] == [
        base64.b64decode(body["steps_npz"]) for _, body in sorted(runner.results.rows, key=_place)
    ]
    assert len(store.certificates()) == 1
    store.close()


def _place(row: tuple[str, dict[str, dict[str, int]]]) -> tuple[int, int]:
    return row[1]["header"]["block"], row[1]["header"]["position"]


def test_the_parquet_file_has_every_step_of_every_rank_once(hub: Hub, runner: Runner, tmp_path: Path) -> None:
    file = str(download(hub, runner, "steps.parquet", tmp_path))
    query = (
        "SELECT launch_id, rank, count(*), sum(step_nanoseconds), count_if(warmup), max(step), any_value(workers), "
        "any_value(candidate), any_value(block) FROM read_parquet(?) GROUP BY launch_id, rank ORDER BY ALL"
    )
    found = duckdb.connect().execute(query, [file]).fetchall()
    expected = []
    for launch_id, body in runner.results.rows:
        header, (steps, _) = body["header"], unpack_steps(base64.b64decode(body["steps_npz"]))
        for rank, own in enumerate(steps):
            warm = sum(w["steps"] for w in header["ranks"][0]["windows"] if w["kind"] == "warmup")
            cell = header["cell"]
            expected.append(
                (launch_id, rank, len(own), int(own.sum()), warm, len(own) - 1, cell["workers"], cell["candidate"],
                 header["block"])
            )  # fmt: skip
    assert found == sorted(expected)
    assert len(found) == sum(len(body["header"]["ranks"]) for _, body in runner.results.rows)


def test_parquet_is_written_in_parts_and_into_a_folder_with_any_name(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_table, "_STEPS_AT_ONCE", 7)
    folder = tmp_path / "it's; here"
    folder.mkdir()
    store = SqliteStore.open(results.folder)
    parquet.write(store.rows(), folder)
    steps = np.concatenate([record.step_nanoseconds.ravel() for record in store.records()])
    store.close()
    read = duckdb.connect().execute("SELECT step_nanoseconds, step FROM read_parquet(?)", [str(folder / parquet.FILE)])
    assert read.fetchnumpy()["step_nanoseconds"].tolist() == steps.tolist()


def test_a_summary_is_not_sent_again_to_a_client_that_has_it(hub: Hub, runner: Runner) -> None:
    address = f"/api/v1/runs/{runner.run_id}/summary"
    with hub.client() as client:
        first = client.get(address)
        again = client.get(address, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
        other = client.get(address, headers={"If-None-Match": '"other"'})
    assert (again.status_code, again.content) == (304, b"")
    assert other.content == first.content
    assert first.headers["content-disposition"] == f'attachment; filename="{runner.run_id}-summary.json"'


@pytest.mark.parametrize("name", ["summary", "results.db", "steps.parquet"])
def test_a_download_needs_a_token_and_a_missing_one_is_not_found(
    hub: Hub, runner: Runner, results: Results, name: str
) -> None:
    waiting = hub.runner(results)
    with hub.client() as client:
        for run_id in ("nobody", waiting.run_id):
            answer = client.get(f"/api/v1/runs/{run_id}/{name}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    with hub.client("") as stranger:
        assert stranger.get(f"/api/v1/runs/{runner.run_id}/{name}").status_code == 401


def test_a_download_leaves_no_folder_behind(start_hub: Callable[..., Hub], results: Results, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    hub = start_hub(f"sqlite:///{tmp_path / 'hub.db'}", TMPDIR=str(scratch))
    runner = hub.runner(results)
    runner.send_all()
    for name in ("results.db", "steps.parquet"):
        download(hub, runner, name, tmp_path)
    assert not list(scratch.glob("stepmark-download-*"))


def test_a_download_whose_client_goes_away_closes_its_file(tmp_path: Path) -> None:
    (tmp_path / "made").write_bytes(bytes(10))
    file = (tmp_path / "made").open("rb")

    async def gone(*_: object) -> Message:
        raise OSError

    scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
    with pytest.raises(ClientDisconnect):
        asyncio.run(downloads._FileResponse(file, "application/octet-stream", {})(scope, gone, gone))  # type: ignore[arg-type]
    assert file.closed
