"""Who may do what, and where. Tokens are random and shown once; the database stores only their SHA-256.

The right `read` allows GET, `register` also PUT of attempts, and `admin` everything. An attempt's write token allows
the calls for its own executions.
"""

import hmac
import re
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from stepmark.errors import CannotRun
from stepmark.hub.settings import Grant, Right, Settings
from stepmark.hub.tables import attempts, executions, runs, tokens
from stepmark.results.wire import token_sha256

COOKIE = "stepmark_read"
RIGHTS: dict[Right, frozenset[str]] = {
    "read": frozenset({"read"}),
    "register": frozenset({"read", "register"}),
    "admin": frozenset({"read", "register", "admin"}),
}
_TOKEN = re.compile(r"smk_[A-Za-z0-9_-]{32,200}")
_ID = r"[a-z0-9][-a-z0-9]{0,62}"
_ATTEMPT = re.compile(rf"/api/v1/runs/({_ID})/attempts/([0-9]{{1,5}})")
_EXECUTION = re.compile(rf"/api/v1/executions/({_ID})/.+")
_END = re.compile(rf"{_ATTEMPT.pattern}/end")
_OF_RUN = re.compile(rf"/(?:api/v1/)?runs/({_ID})(?:/.*)?")
_CLAIM = re.compile(rf"{_ATTEMPT.pattern}/executions/{_ID}")


@dataclass(frozen=True)
class Principal:
    """A caller.

    `name` is the same for all tokens of one caller and is not secret. `namespaces` holds those that the caller sees;
    None means all. `attempt` is the (run, number) whose write token the caller has, and `token_sha256` is the hash of
    that token.
    """

    rights: frozenset[str] = frozenset()
    name: str = ""
    namespaces: frozenset[str] | None = None
    attempt: tuple[str, int] | None = None
    token_sha256: str | None = None

    def sees(self, namespace: str | None) -> bool:
        """Return whether the caller sees runs of this namespace; None stands for runs without one."""
        return self.namespaces is None or namespace in self.namespaces


ANONYMOUS = Principal()


def is_ours(token: str) -> bool:
    """Return whether it has the form of a hub's token."""
    return _TOKEN.fullmatch(token) is not None


def mounted(settings: Settings) -> dict[str, Grant]:
    """Return the rights of the tokens in mounted files, by SHA-256.

    Raises:
        CannotRun: A file cannot be read, or holds no token.
    """
    files: dict[Right, tuple[Path | None, frozenset[str]]] = {
        "admin": (settings.admin_token_file, frozenset()),
        "register": (settings.register_token_file, settings.register_token_namespaces),
    }
    return {
        _digest_in(path, right): Grant(right=right, namespaces=namespaces or None)
        for right, (path, namespaces) in files.items()
        if path is not None
    }


def granted(grant: Grant, name: str) -> Principal:
    """Return a caller whose token is not an attempt's write token."""
    return Principal(RIGHTS[grant.right], name, grant.namespaces)


def namespaces_in(text: str | None) -> frozenset[str] | None:
    """Return the namespaces from their form in the database."""
    return None if text is None else frozenset(text.split(","))


def _digest_in(path: Path, right: Right) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRun(
            f"{path}: expected the {right} token, found {type(error).__name__}. Check --{right}-token-file."
        ) from None
    if not is_ours(token):
        raise CannotRun(
            f"{path}: expected smk_ and at least 32 letters, digits, - or _, found something else. Replace the token."
        )
    return token_sha256(token)


def principal_of(connection: sa.Connection, token: str, now: float, known: dict[str, Grant]) -> Principal | None:
    """Return whose token this is; None if it is nobody's, or if it has expired.

    The token is looked up by its hash, which reveals nothing about it, and compared in constant time.
    """
    sha256 = token_sha256(token)
    for of_file, grant in known.items():
        if hmac.compare_digest(sha256, of_file):
            return granted(grant, f"file:{grant.right}")
    row = connection.execute(tokens.select().where(tokens.c.token_sha256 == sha256)).one_or_none()
    if row is not None:
        held = Principal(RIGHTS[row.right], f"token:{row.name}", namespaces_in(row.namespaces))
        return held if _holds(row, sha256, now) else None
    row = connection.execute(attempts.select().where(attempts.c.token_sha256 == sha256)).one_or_none()
    if row is not None and _holds(row, sha256, now):
        name = f"attempt:{row.run_id}/{row.number}"
        return Principal(name=name, attempt=(row.run_id, row.number), token_sha256=sha256)
    return None


def _holds(row: sa.Row[tuple[object, ...]], sha256: str, now: float) -> bool:
    return hmac.compare_digest(row.token_sha256, sha256) and now < row.expires_at


def needed(method: str, path: str) -> str:
    """Return the right that a request needs: read, register, write (an attempt's token) or admin."""
    if method == "PUT":
        if _ATTEMPT.fullmatch(path) or _END.fullmatch(path):
            return "register"
        return "write" if path.startswith("/api/v1/executions/") or _CLAIM.fullmatch(path) else "admin"
    if method in ("GET", "HEAD"):
        return "write" if path.startswith("/api/v1/executions/") else "read"
    return "admin"


def allowed(connection: sa.Connection, principal: Principal, method: str, path: str) -> bool:
    """Return whether the caller may make this request.

    A write token is good only for the executions of its own attempt.
    """
    right = needed(method, path)
    if "admin" in principal.rights:
        return True
    if right != "write":
        return right in principal.rights
    if principal.attempt is None:
        return False
    claimed = _CLAIM.fullmatch(path)
    if claimed:
        return (claimed[1], int(claimed[2])) == principal.attempt
    named = _EXECUTION.fullmatch(path)
    return named is not None and _owns(connection, principal.attempt, named[1])


def _owns(connection: sa.Connection, attempt: tuple[str, int], execution_id: str) -> bool:
    """Return whether the execution belongs to the attempt.

    An unknown execution counts as owned: the handler then answers that there is none.
    """
    query = sa.select(executions.c.run_id, executions.c.attempt).where(executions.c.execution_id == execution_id)
    row = connection.execute(query).one_or_none()
    return row is None or (row.run_id, row.attempt) == attempt


def hidden_run(connection: sa.Connection, principal: Principal, path: str) -> str | None:
    """Return the run in this address if the caller does not see its namespace, else None."""
    named = _OF_RUN.fullmatch(path)
    if principal.namespaces is None or named is None:
        return None
    row = connection.execute(sa.select(runs.c.namespace).where(runs.c.run_id == named[1])).one_or_none()
    return named[1] if row is not None and not principal.sees(row.namespace) else None
