"""Serve results that outlive their runs, manage tokens, and maintain the database."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help=__doc__, no_args_is_help=True)
token = typer.Typer(help="Tokens that read, register runs, or administer.", no_args_is_help=True)
app.add_typer(token, name="token")

Database = Annotated[
    str,
    typer.Option(
        "--database",
        envvar="STEPMARK_HUB_DATABASE",
        help="sqlite:///FILE, or postgresql+pg8000://USER@HOST/NAME. A password belongs into the environment variable.",
    ),
]
DEFAULT_DATABASE = "sqlite:///stepmark-hub.db"


class Right(StrEnum):
    """The rights that a token can have."""

    read = "read"
    register = "register"
    admin = "admin"


@app.command()
def serve(
    database: Database = DEFAULT_DATABASE,
    listen: Annotated[str, typer.Option(envvar="STEPMARK_HUB_LISTEN", help="HOST:PORT; port 0 takes a free one.")] = (
        "127.0.0.1:8080"
    ),
    metrics_listen: Annotated[
        str, typer.Option(envvar="STEPMARK_HUB_METRICS_LISTEN", help="HOST:PORT of /metrics, for Prometheus alone.")
    ] = "127.0.0.1:9091",
    public_url: Annotated[
        str | None,
        typer.Option(envvar="STEPMARK_HUB_PUBLIC_URL", help="Where people reach the hub, if through a proxy."),
    ] = None,
    anonymous_read: Annotated[
        bool, typer.Option("--anonymous-read", envvar="STEPMARK_HUB_ANONYMOUS_READ", help="Everyone may read.")
    ] = False,
    admin_token_file: Annotated[
        Path | None, typer.Option(envvar="STEPMARK_HUB_ADMIN_TOKEN_FILE", help="A file that holds an admin token.")
    ] = None,
    register_token_file: Annotated[
        Path | None,
        typer.Option(envvar="STEPMARK_HUB_REGISTER_TOKEN_FILE", help="A file that holds the controller's token."),
    ] = None,
    register_token_namespace: Annotated[
        list[str] | None,
        typer.Option(
            envvar="STEPMARK_HUB_REGISTER_TOKEN_NAMESPACE",
            help="A namespace that this token is good for. May be given again. Default: every one.",
        ),
    ] = None,
    token_review_audience: Annotated[
        str | None,
        typer.Option(
            envvar="STEPMARK_HUB_TOKEN_REVIEW_AUDIENCE",
            help="Accept tokens that Kubernetes confirms for this audience. Default: none.",
        ),
    ] = None,
    token_review_user: Annotated[
        list[str] | None,
        typer.Option(
            envvar="STEPMARK_HUB_TOKEN_REVIEW_USER",
            help="USER=RIGHT, or USER=RIGHT@NAMESPACE,... such as system:serviceaccount:ci:runner=register@ci. "
            "May be given again.",
        ),
    ] = None,
    body_bytes_most: Annotated[
        int | None,
        typer.Option(envvar="STEPMARK_HUB_BODY_BYTES_MOST", help="Largest upload, in bytes. Default: 33554432."),
    ] = None,
    body_seconds_most: Annotated[
        float | None,
        typer.Option(envvar="STEPMARK_HUB_BODY_SECONDS_MOST", help="How long an upload may take. Default: 30."),
    ] = None,
    heartbeat_seconds: Annotated[
        float | None,
        typer.Option(envvar="STEPMARK_HUB_HEARTBEAT_SECONDS", help="Silence after which a run is lost. Default: 300."),
    ] = None,
    attempt_bytes_most: Annotated[
        int | None,
        typer.Option(envvar="STEPMARK_HUB_ATTEMPT_BYTES_MOST", help="That one attempt may store. Default: 2 GiB."),
    ] = None,
    attempt_executions_most: Annotated[
        int | None,
        typer.Option(envvar="STEPMARK_HUB_ATTEMPT_EXECUTIONS_MOST", help="Processes of one attempt. Default: 20."),
    ] = None,
    namespace_bytes_most: Annotated[
        int | None,
        typer.Option(envvar="STEPMARK_HUB_NAMESPACE_BYTES_MOST", help="That a namespace may store. Default: 8 GiB."),
    ] = None,
    derive_bytes_most: Annotated[
        int | None,
        typer.Option(
            envvar="STEPMARK_HUB_DERIVE_BYTES_MOST",
            help="Memory for the figures of one run, beside the program's. Default: 384 MiB.",
        ),
    ] = None,
    derive_seconds_most: Annotated[
        float | None,
        typer.Option(envvar="STEPMARK_HUB_DERIVE_SECONDS_MOST", help="Time for them. Default: 600."),
    ] = None,
    connections_per_peer_most: Annotated[
        int | None,
        typer.Option(
            envvar="STEPMARK_HUB_CONNECTIONS_PER_PEER_MOST",
            help="Open at one time from one address; a proxy in front of the hub is one. Default: 256.",
        ),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(envvar="STEPMARK_HUB_LOG_FORMAT", help="text or json. Default: text.")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(envvar="STEPMARK_HUB_LOG_LEVEL", help="debug, info, warning or error. Default: info.")
    ] = None,
    migrate: Annotated[
        bool,
        typer.Option(
            "--migrate", envvar="STEPMARK_HUB_MIGRATE", help="Bring a PostgreSQL database to this version first."
        ),
    ] = False,
) -> None:
    """Take results from `stepmark run --hub`, and show them to people, programs and Prometheus, until SIGTERM."""
    from stepmark.cli import hub_verbs

    given = {
        "database_url": database,
        "listen": listen,
        "metrics_listen": metrics_listen,
        "public_url": public_url,
        "anonymous_read": anonymous_read,
        "admin_token_file": admin_token_file,
        "register_token_file": register_token_file,
        "token_review_audience": token_review_audience,
        "token_review_users": hub_verbs.users(token_review_user or []),
        "body_bytes_most": body_bytes_most,
        "body_seconds_most": body_seconds_most,
        "heartbeat_seconds": heartbeat_seconds,
        "register_token_namespaces": register_token_namespace or None,
        "attempt_bytes_most": attempt_bytes_most,
        "attempt_executions_most": attempt_executions_most,
        "namespace_bytes_most": namespace_bytes_most,
        "derive_bytes_most": derive_bytes_most,
        "derive_seconds_most": derive_seconds_most,
        "connections_per_peer_most": connections_per_peer_most,
        "log_format": log_format,
        "log_level": log_level,
    }
    hub_verbs.serve(given, migrate)


@app.command()
def migrate(database: Database = DEFAULT_DATABASE) -> None:
    """Migrate the database to the schema of this version. Take a backup first."""
    from stepmark.cli import hub_verbs

    hub_verbs.migrate(database)


@app.command()
def prune(
    older_than: Annotated[str, typer.Option(help="Days or weeks, such as 90d or 12w.", show_default=False)],
    namespace: Annotated[str | None, typer.Option(help="Of this one alone. Default: of every one.")] = None,
    database: Database = DEFAULT_DATABASE,
) -> None:
    """Delete runs that were registered longer ago than this, and everything measured for them, while the hub serves."""
    from stepmark.cli import hub_verbs

    hub_verbs.prune(older_than, namespace, database)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A new file.", show_default=False)],
    database: Database = DEFAULT_DATABASE,
) -> None:
    """Copy everything into one file, while the hub serves. The file is an SQLite hub database, whatever this one is."""
    from stepmark.cli import hub_verbs

    hub_verbs.backup(file, database)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `backup` wrote.", show_default=False)],
    database: Database = DEFAULT_DATABASE,
) -> None:
    """Copy a backup into an empty database, SQLite or PostgreSQL."""
    from stepmark.cli import hub_verbs

    hub_verbs.restore(file, database)


@token.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="Whom it is for: up to 63 of a-z, 0-9, -, .", show_default=False)],
    right: Annotated[Right, typer.Option(help="read: look; register: also add runs; admin: everything.")],
    expires_in_days: Annotated[int, typer.Option(min=1, max=3650, help="Days until it is worth nothing.")] = 90,
    namespace: Annotated[
        list[str] | None, typer.Option(help="Good for this one alone. May be given again. Default: every one.")
    ] = None,
    database: Database = DEFAULT_DATABASE,
) -> None:
    """Create a token and print it. It is printed only once, since the database keeps only its hash."""
    from stepmark.cli import hub_verbs

    hub_verbs.token_create(name, right.value, expires_in_days, namespace or [], database)


@token.command("list")
def token_list(database: Database = DEFAULT_DATABASE) -> None:
    """Print the name, right and expiry of every token."""
    from stepmark.cli import hub_verbs

    hub_verbs.token_list(database)


@token.command("revoke")
def token_revoke(
    name: Annotated[str, typer.Argument(help="As given to `create`.", show_default=False)],
    database: Database = DEFAULT_DATABASE,
) -> None:
    """Revoke a token at once."""
    from stepmark.cli import hub_verbs

    hub_verbs.token_revoke(name, database)
