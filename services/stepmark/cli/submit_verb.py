"""`stepmark submit` and `stepmark cancel`: create a scenario on a cluster, watch it, and end it."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from stepmark.cli.hub_source import local_folder
from stepmark.cli.publishing import HubChoices
from stepmark.cli.verbs import summary_of
from stepmark.controller import kube
from stepmark.controller.conditions import condition
from stepmark.controller.plan import is_final, status_of
from stepmark.errors import CannotRun, ScenarioError, ScenarioErrors, StepmarkError, printable
from stepmark.report import terminal
from stepmark.scenario.load import scenario_from_file
from stepmark.scenario.status import ScenarioStatus

_LOOK_SECONDS = 2.0
_UNSEEN_SECONDS = 20.0
"""How long a scenario may have no status before this is reported. A controller looks every 5 s."""
_PREFIX_MOST = 34
# These are the exit codes of `stepmark run` in the same cases.
_EXIT_CODES = {"InvalidSpec": 2, "UnknownProfile": 2, "BeyondLimits": 2, "ForbiddenProfile": 2, "CannotRun": 3}


@dataclass(frozen=True)
class Target:
    """Where a scenario is created.

    `name` is the object's exact name; None means that five characters are appended to the file's name.
    """

    namespace: str | None
    name: str | None = None


def submit(file: Path, target: Target, watch: bool, hub: HubChoices) -> None:
    """Create the scenario of this file. With `watch`, wait until it has finished.

    Raises:
        ScenarioErrors: the scenario is refused, here or by the cluster.
        CannotRun: the cluster cannot be reached, or does not know the kind Scenario.
        typer.Exit: with `watch`, the exit code that `stepmark run` would have ended with.
    """
    document = _document(file, target)
    api = kube.Kube.connect(1)
    namespace = target.namespace or document["metadata"].get("namespace") or api.namespace_of_context
    document["metadata"]["namespace"] = namespace
    try:
        created = api.create(kube.SCENARIOS, namespace, document)
    except kube.ApiError as error:
        raise _explained(error, namespace, target) from None
    metadata = created["metadata"]
    where = f"{metadata['name']} -n {namespace}"
    typer.echo(f"created scenario {metadata['name']} in namespace {namespace}")
    if not watch:
        typer.echo(f"its state:    kubectl get scenario {where}")
        typer.echo(f"wait for it:  kubectl wait --for=condition=Complete --timeout=-1s scenario/{where}")
        typer.echo(f"end it:       stepmark cancel {where}")
        typer.echo(f"its results:  stepmark results {metadata['uid']} --hub URL")
        return
    try:
        ended = _watch(api, created)
    except KeyboardInterrupt:
        typer.echo(f"The run goes on. To end it: stepmark cancel {where}", err=True)
        raise
    _finish(ended, hub)


def cancel(name: str, target: Target) -> None:
    """End a run.

    Raises:
        CannotRun: no scenario has this name, or the cluster cannot be reached.
    """
    api = kube.Kube.connect(1)
    namespace = target.namespace or api.namespace_of_context
    try:
        found = api.get(kube.SCENARIOS, namespace, name)
        if is_final(found):
            typer.echo(f"scenario {name} is over already: {status_of(found).phase}")
            return
        api.patch(kube.SCENARIOS, namespace, name, {"spec": {"cancel": True}})
    except kube.ApiError as error:
        raise _explained(error, namespace, Target(namespace, name)) from None
    typer.echo(f"scenario {name} will end: its Ray cluster is removed, and nothing of the attempt is a result")


def _document(file: Path, target: Target) -> dict[str, Any]:
    """Return the document without defaults, which the cluster fills in with the same values."""
    scenario = scenario_from_file(file)
    document: dict[str, Any] = scenario.model_dump(mode="json", by_alias=True, exclude_unset=True)
    metadata = {k: v for k, v in document["metadata"].items() if k in ("namespace", "labels", "annotations")}
    if target.name is not None:
        metadata["name"] = target.name
    else:
        prefix = scenario.metadata.generate_name or scenario.name
        metadata["generateName"] = f"{prefix[:_PREFIX_MOST].rstrip('-')}-"
    return {**document, "metadata": metadata}


def _watch(api: kube.Kube, created: dict[str, Any]) -> dict[str, Any]:
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


def _finish(scenario: dict[str, Any], hub: HubChoices) -> None:
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
    if hub.url is not None:
        try:
            with local_folder(Path(result.run_id), hub) as folder:
                summary = summary_of(folder)
        except StepmarkError as error:
            typer.echo(f"the hub does not give the results: {error}", err=True)
        else:
            terminal.show(summary, Console())
            typer.echo(f"more of it: stepmark report {result.run_id} --hub {hub.url}")
            return int(summary.failed)
    for line in result.headlines or (result.verdict,):
        typer.echo(printable(line))
    page = f", {result.url}" if result.url else ""
    typer.echo(f"its results: stepmark results {result.run_id} --hub URL{page}")
    return 0


def _explained(error: kube.ApiError, namespace: str, target: Target) -> StepmarkError:
    """Return what the API server refused, with what to do about it."""
    found = f"namespace {namespace}: {error}"
    if error.status in (400, 422):
        fix = "Correct the file, or bring the cluster's stepmark and yours to one version."
        return ScenarioErrors(
            [ScenarioError("the scenario", "one that this cluster takes", _refusal(error.message), fix)]
        )
    if isinstance(error, kube.Conflict):
        return CannotRun(f"{found}. One object is one run: choose another --name, or give none.")
    if isinstance(error, kube.NotFound) and target.name and "not found" in error.message:
        return CannotRun(f"scenario {target.name}: expected it in namespace {namespace}, found none. Check -n.")
    if isinstance(error, kube.NotFound):
        return CannotRun(f"{found}. Expected the kind Scenario, and the namespace. Install stepmark's chart.")
    if error.status == 403:
        return CannotRun(f"{found}. {_way_to_the_right(error, namespace)}")
    return CannotRun(f"{found}. Check the cluster: kubectl cluster-info.")


def _refusal(message: str) -> str:
    """Remove the API server's remark that it has not checked everything, which begins with `<nil>`."""
    return re.sub(r"(, |\[)?<nil>: Invalid value: [^:]*: some validation rules were not checked[^\],]*", "", message)


def _way_to_the_right(error: kube.ApiError, namespace: str) -> str:
    if "exceeded quota" in error.message:
        return "Delete scenarios that are over, or ask the cluster's owner for a larger quota."
    grant = f"kubectl create rolebinding NAME --clusterrole=edit --user=YOU -n {namespace}"
    return f"Ask the cluster's owner for a role that may {error.verb} scenarios, as edit may: {grant}"
