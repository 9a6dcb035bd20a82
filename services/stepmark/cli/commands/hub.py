"""`stepmark hub`: the service that keeps results, its tokens and its database."""

from pathlib import Path
from typing import Annotated

import typer

from stepmark.cli.settings_options import option, takes_settings
from stepmark.errors import CannotRun, printable
from stepmark.hub.settings import Grant, Right, Settings

VARIABLES = "STEPMARK_HUB_"
DATABASE = Settings.model_fields["database"].default

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
token = typer.Typer(help="Tokens that read, register runs, or administer.", no_args_is_help=True)
app.add_typer(token, name="token")

Database = Annotated[str, option(Settings, "database", VARIABLES)]


def _users(given: list[str]) -> dict[str, Grant]:
    """Parse USER=RIGHT or USER=RIGHT@NAMESPACE,... entries. A Kubernetes user name may contain any character.

    Raises:
        CannotRun: an entry is malformed.
    """
    found: dict[str, Grant] = {}
    for one in given:
        user, separator, granted = one.rpartition("=")
        right, bound, where = granted.partition("@")
        try:
            if not separator:
                raise ValueError
            namespaces = frozenset(where.split(",")) if bound else None
            found[user] = Grant.model_validate({"right": right, "namespaces": namespaces})
        except ValueError:
            raise CannotRun(
                "--token-review-user: expected USER=read, =register or =admin, and @NAMESPACE,... where it is bound, "
                f"found {printable(one)}."
            ) from None
    return found


@app.command()
@takes_settings(Settings, VARIABLES, {"token_review_users": _users})
def serve(settings: Settings) -> None:
    """Take results from `stepmark run --hub`, and show them to people, programs and Prometheus, until SIGTERM."""
    from stepmark.cli.verbs import hub as verb

    verb.serve(settings)


@app.command()
def migrate(database: Database = DATABASE) -> None:
    """Migrate the database to the schema of this version. Take a backup first."""
    from stepmark.cli.verbs import hub as verb

    verb.migrate(database)


@app.command()
def prune(
    older_than: Annotated[str, typer.Option(help="Days or weeks, such as 90d or 12w.", show_default=False)],
    namespace: Annotated[str | None, typer.Option(help="Of this one alone. Default: of every one.")] = None,
    database: Database = DATABASE,
) -> None:
    """Delete runs that were registered longer ago than this, and everything measured for them, while the hub serves."""
    from stepmark.cli.verbs import hub as verb

    verb.prune(older_than, namespace, database)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A new file.", show_default=False)],
    database: Database = DATABASE,
) -> None:
    """Copy everything into one file, while the hub serves. The file is an SQLite hub database, whatever this one is."""
    from stepmark.cli.verbs import hub as verb

    verb.backup(file, database)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `backup` wrote.", show_default=False)],
    database: Database = DATABASE,
) -> None:
    """Copy a backup into an empty database, SQLite or PostgreSQL."""
    from stepmark.cli.verbs import hub as verb

    verb.restore(file, database)


@token.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="Whom it is for: up to 63 of a-z, 0-9, -, .", show_default=False)],
    right: Annotated[Right, typer.Option(help="read: look; register: also add runs; admin: everything.")],
    expires_in_days: Annotated[int, typer.Option(min=1, max=3650, help="Days until it is worth nothing.")] = 90,
    namespace: Annotated[
        list[str] | None, typer.Option(help="Good for this one alone. May be given again. Default: every one.")
    ] = None,
    database: Database = DATABASE,
) -> None:
    """Create a token and print it. It is printed only once, since the database keeps only its hash."""
    from stepmark.cli.verbs import hub as verb

    verb.token_create(name, right, expires_in_days, namespace or [], database)


@token.command("list")
def token_list(database: Database = DATABASE) -> None:
    """Print the name, right and expiry of every token."""
    from stepmark.cli.verbs import hub as verb

    verb.token_list(database)


@token.command("revoke")
def token_revoke(
    name: Annotated[str, typer.Argument(help="As given to `create`.", show_default=False)],
    database: Database = DATABASE,
) -> None:
    """Revoke a token at once."""
    from stepmark.cli.verbs import hub as verb

    verb.token_revoke(name, database)
