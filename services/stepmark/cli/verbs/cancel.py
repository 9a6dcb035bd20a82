"""`stepmark cancel`: end a run on a cluster."""

import typer

from stepmark.cli.cluster import Target, explained
from stepmark.controller import kube
from stepmark.controller.plan import is_final, status_of


def cancel(name: str, namespace: str | None) -> None:
    """End a run. Without a namespace, it is that of the kubectl context.

    Raises:
        CannotRun: no scenario has this name, or the cluster cannot be reached.
    """
    api = kube.Kube.connect(1)
    namespace = namespace or api.namespace_of_context
    try:
        found = api.get(kube.SCENARIOS, namespace, name)
        if is_final(found):
            typer.echo(f"scenario {name} is over already: {status_of(found).phase}")
            return
        api.patch(kube.SCENARIOS, namespace, name, {"spec": {"cancel": True}})
    except kube.ApiError as error:
        raise explained(error, namespace, Target(namespace, name)) from None
    typer.echo(f"scenario {name} will end: its Ray cluster is removed, and nothing of the attempt is a result")
