"""The hub's address and token, read from options and the environment and checked before anything runs."""

import ipaddress
import re
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from stepmark.errors import CannotRun, printable

TOKEN_VARIABLE = "STEPMARK_HUB_TOKEN"  # noqa: S105  (the name of a variable)

_TOKEN = re.compile(r"[!-~]{1,4096}")
_ATTEMPT = re.compile(r"([a-z0-9][-a-z0-9]{0,62})/([1-9][0-9]{0,3})")


@dataclass(frozen=True)
class Attempt:
    """One try at a run, which somebody has registered already."""

    run_id: str
    number: int


@dataclass(frozen=True)
class Access:
    """The address of a hub and the token for it.

    With an `attempt`, the token is the attempt's write token; otherwise it has the right that the command needs.
    """

    url: str
    token: str = field(repr=False)
    attempt: Attempt | None = None

    @property
    def is_readable_on_the_way(self) -> bool:
        """Whether others on the network may read the token: plain http to another machine."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def access(url: str, token_file: Path | None, attempt: str | None, environment: MutableMapping[str, str]) -> Access:
    """Read the token from the file or from the environment, and check the address and the attempt.

    The token is removed from the environment, since no child process needs it.

    Raises:
        CannotRun: The token is missing, or the address, the token or the attempt is malformed.
    """
    kept = environment.pop(TOKEN_VARIABLE, None)
    token = _read(token_file) if token_file is not None else kept
    if not token:
        raise CannotRun(
            f"--hub: expected a token, found none. Give --hub-token-file FILE, or set {TOKEN_VARIABLE}. "
            "`stepmark hub token create NAME --right register` makes one (to read results, --right read)."
        )
    if not _TOKEN.fullmatch(token):
        raise CannotRun(
            "--hub: expected a token of printable characters without spaces, found others. Copy the whole token again."
        )
    return Access(_address(url), token, _attempt(attempt) if attempt is not None else None)


def _read(file: Path) -> str:
    try:
        with file.open(encoding="ascii") as opened:
            return opened.read(8192).strip()
    except (OSError, UnicodeDecodeError) as error:
        detail = error.strerror if isinstance(error, OSError) else "bytes that are not ASCII text"
        raise CannotRun(f"{file}: expected the hub's token, found: {detail}. Correct --hub-token-file.") from None


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or not url.isprintable():
        raise CannotRun(
            f"--hub: expected an address such as https://hub.example.com, found {printable(url[:100])!r}. Correct it."
        )
    if parts.username is not None or parts.password is not None:
        raise CannotRun(
            "--hub: expected an address without a user or password, found one. Give the token by --hub-token-file."
        )
    return url.rstrip("/")


def _attempt(text: str) -> Attempt:
    found = _ATTEMPT.fullmatch(text)
    if found is None:
        raise CannotRun(
            f"--hub-attempt: expected RUN_ID/NUMBER, such as nightly-4k2x9/1, found {printable(text[:100])!r}. "
            "Correct it."
        )
    return Attempt(found[1], int(found[2]))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
