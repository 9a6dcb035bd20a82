"""Watch a scenario on a cluster until it has finished, and print its result as after a local run."""

import time
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from stepmark.analysis.summary import Summary
from stepmark.cli.hub_source import local_folder
from stepmark.cli.options import HubChoices
from stepmark.cli.summaries import summary_of
from stepmark.controller import kube
from stepmark.controller.conditions import condition
from stepmark.controller.plan import is_final, status_of
from stepmark.errors import CannotRun, StepmarkError, printable
from stepmark.report import terminal
from stepmark.scenario.status import ScenarioStatus

_LOOK_SECONDS = 2.0
_UNSEEN_SECONDS = 20.0
"""How long a scenario may have no status before this is reported. A controller looks every 5 s."""
# These are the exit codes of `stepmark run` in the same cases.
_EXIT_CODES = {
    "InvalidSpec": 2,
    "UnknownProfile": 2,
    "BeyondLimits": 2,
    "ForbiddenProfile": 2,
    "ForbiddenPackage": 2,
    "WrongDevice": 2,
    "CannotRun": 3,
}


def watch_until_final(api: kube.Kube, created: dict[str, Any]) -> dict[str, Any]:
    """Print a line for every change until the scenario has finished, and return it.

    While the cluster does not answer, it is waited for.
    """
    metadata, said, away = created["metadata"], _Said(created["metadata"]["namespace"]), False
    while True:
        try:
            found = api.get(kube.SCENARIOS, metadata["namespace"], metadata["name"])
        except kube.NotFound:
            raise CannotRun(f"scenario {metadata['name']}: expected it to be there, found it deleted.") from None
        except kube.ApiError as error:
            if not away:
                typer.echo(f"the cluster does not answer, waiting: {error}", err=True)
            away = True
            time.sleep(_LOOK_SECONDS)
            continue
        away = False
        said.see(found)
        if is_final(found):
            return found
        time.sleep(_LOOK_SECONDS)


class _Said:
    """What was printed for a person who watches: each change once, and why each attempt ended."""

    def __init__(self, namespace: str) -> None:
        self._namespace, self._since = namespace, time.monotonic()
        self._lines: set[str] = set()
        self._last = ""

    def see(self, scenario: dict[str, Any]) -> None:
        status = status_of(scenario)
        if not scenario.get("status") and time.monotonic() - self._since > _UNSEEN_SECONDS:
            self._once(
                f"no controller has looked at it for {_UNSEEN_SECONDS:.0f} s; waiting on. Is namespace "
                f"{self._namespace} one of the chart's watchNamespaces, and does the controller run?"
            )
        for attempt in status.attempts:
            if attempt.ended_at is not None and attempt.reason != "Complete":
                self._once(printable(f"attempt {attempt.number} has ended, {attempt.reason}: {attempt.message}"))
        line = _line(status)
        if line != self._last:
            typer.echo(line, err=True)
            self._last = line

    def _once(self, line: str) -> None:
        if line not in self._lines:
            typer.echo(line, err=True)
            self._lines.add(line)


def _line(status: ScenarioStatus) -> str:
    attempt = f" (attempt {status.attempts[-1].number})" if status.attempts and status.attempts[-1].number > 1 else ""
    return printable(f"{status.phase}{attempt}: {status.message or 'waiting for the controller'}")


def finish(scenario: dict[str, Any], hub: HubChoices) -> None:
    """Print the result as after a local run, if the hub can be asked for it, and exit with the same exit code."""
    status = status_of(scenario)
    failed = condition(status, "Failed")
    code = 0 if status.phase == "Complete" else _EXIT_CODES.get(failed.reason if failed else "", 1)
    if status.result is not None:
        code = _show(status, hub) or code
    if code:
        raise typer.Exit(code)


def _show(status: ScenarioStatus, hub: HubChoices) -> int:
    """Print the table, or else what the status contains of it. Return 1 if something was not measured."""
    result = status.result
    assert result is not None
    summary = _summary_in_hub(result.run_id, hub)
    if summary is not None:
        terminal.show(summary, Console())
        typer.echo(f"more of it: stepmark report {result.run_id} --hub {hub.url}")
        return int(summary.failed)
    for line in result.headlines or (result.verdict,):
        typer.echo(printable(line))
    page = f", {result.url}" if result.url else ""
    typer.echo(f"its results: stepmark results {result.run_id} --hub URL{page}")
    return 0


def _summary_in_hub(run_id: str, hub: HubChoices) -> Summary | None:
    """Return the summary of the run, or None without a hub that gives it."""
    if hub.url is None:
        return None
    try:
        with local_folder(Path(run_id), hub) as folder:
            return summary_of(folder)
    except StepmarkError as error:
        typer.echo(f"the hub does not give the results: {error}", err=True)
        return None
