"""`stepmark submit`: create a scenario on a cluster, and watch it where that is asked for."""

from pathlib import Path
from typing import Any

import typer

from stepmark.cli.cluster import Target, explained
from stepmark.cli.options import HubChoices
from stepmark.cli.watching import finish, watch_until_final
from stepmark.controller import kube
from stepmark.scenario.load import scenario_from_file

_PREFIX_MOST = 34


def submit(file: Path, target: Target, watch: bool, hub: HubChoices) -> None:
    """Create the scenario of this file. With `watch`, wait until it has finished.

    Raises:
        ScenarioErrors: the scenario is refused, here or by the cluster.
        CannotRun: the cluster cannot be reached, or does not know the kind Scenario.
        typer.Exit: with `watch`, the exit code that `stepmark run` would have ended with.
    """
    document = _document(file, target)
    api = kube.Kube.connect(1)
    created = _created(api, document, target)
    name, namespace = created["metadata"]["name"], created["metadata"]["namespace"]
    typer.echo(f"created scenario {name} in namespace {namespace}")
    if watch:
        finish(_watched(api, created), hub)
    else:
        where = f"{name} -n {namespace}"
        typer.echo(f"its state:    kubectl get scenario {where}")
        typer.echo(f"wait for it:  kubectl wait --for=condition=Complete --timeout=-1s scenario/{where}")
        typer.echo(f"end it:       stepmark cancel {where}")
        typer.echo(f"its results:  stepmark results {created['metadata']['uid']} --hub URL")


def _created(api: kube.Kube, document: dict[str, Any], target: Target) -> dict[str, Any]:
    namespace = target.namespace or document["metadata"].get("namespace") or api.namespace_of_context
    document["metadata"]["namespace"] = namespace
    try:
        return api.create(kube.SCENARIOS, namespace, document)
    except kube.ApiError as error:
        raise explained(error, namespace, target) from None


def _watched(api: kube.Kube, created: dict[str, Any]) -> dict[str, Any]:
    """Return the scenario when it has finished. Ctrl-C ends only the watching."""
    try:
        return watch_until_final(api, created)
    except KeyboardInterrupt:
        name, namespace = created["metadata"]["name"], created["metadata"]["namespace"]
        typer.echo(f"The run goes on. To end it: stepmark cancel {name} -n {namespace}", err=True)
        raise


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
