"""The settings of a hub: addresses, the database, rights besides the stored tokens, and limits.

The command line shows their docstrings.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from stepmark.terms import LogFormat, LogLevel

Right = Literal["read", "register", "admin"]

SMALL_BODY_BYTES_MOST = 1 << 20
"""The most for a body that is not a launch's, if `Settings.body_bytes_most` is not less."""
BODIES_BYTES_MOST = 128 << 20
"""The most for all bodies that are received or handled at one time, so that many clients cannot fill the memory."""

Seconds = Annotated[float, Field(gt=0, le=3600)]
Bytes = Annotated[int, Field(ge=1024, le=1 << 31)]
ManyBytes = Annotated[int, Field(ge=1024, le=1 << 50)]
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]


class Grant(BaseModel):
    """A right, and the namespaces that it is for; None means all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    right: Right
    namespaces: frozenset[Namespace] | None = None


class Limits(BaseModel):
    """The limits on what a hub stores for others. All their defaults are here."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    attempt_bytes_most: ManyBytes = 2 << 30
    """Bytes that one attempt may store with its write token."""
    attempt_executions_most: Annotated[int, Field(ge=1, le=1000)] = 20
    """Number of executions that one attempt may have."""
    namespace_bytes_most: ManyBytes = 8 << 30
    """Bytes that all runs of a namespace may store. Runs without one count as one namespace."""
    derive_bytes_most: ManyBytes = 384 << 20
    """Bytes of memory that deriving the figures of one run may take, in addition to the program's own."""
    derive_seconds_most: Seconds = 600
    """How long deriving them may take."""
    connections_per_peer_most: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Open connections from one address. A proxy in front of the hub is one address."""


class Settings(Limits):
    """The settings of one hub: each is an option of `stepmark hub serve` and a variable STEPMARK_HUB_..."""

    database: str = "sqlite:///stepmark-hub.db"
    """Address of the database: sqlite:///FILE, or postgresql+pg8000://USER@HOST/NAME. A password belongs into the
    environment variable."""
    listen: str = "127.0.0.1:8080"
    """HOST:PORT of the pages and the API. Port 0 takes a free one."""
    metrics_listen: str = "127.0.0.1:9091"
    """HOST:PORT of /metrics, for Prometheus alone. Port 0 takes a free one."""
    public_url: str | None = None
    """Where people reach the hub, if through a proxy. With https, the cookie of a login is sent over https only."""
    anonymous_read: bool = False
    """Everyone may read."""
    admin_token_file: Path | None = None
    """File that holds an admin token."""
    register_token_file: Path | None = None
    """File that holds the controller's token, which may register runs."""
    register_token_namespaces: frozenset[Namespace] = frozenset()
    """A namespace that the controller's token is good for. May be given again. Default: every one."""
    token_review_audience: str | None = None
    """Accept bearer tokens that Kubernetes confirms for this audience. Default: none."""
    token_review_users: dict[str, Grant] = Field(default_factory=dict)
    """What a user that Kubernetes confirms may do: USER=RIGHT, or USER=RIGHT@NAMESPACE,... such as
    system:serviceaccount:ci:runner=register@ci. May be given again."""
    body_bytes_most: Bytes = 32 << 20
    """Largest upload, in bytes."""
    body_seconds_most: Seconds = 30
    """How long an upload may take."""
    heartbeat_seconds: Seconds = 300
    """A running execution that is silent for longer counts as lost."""
    log_format: LogFormat = "text"
    """Format of the log: text lines for people, or one JSON object per line."""
    log_level: LogLevel = "info"
    """Lowest level that is logged."""
    migrate: bool = False
    """Bring a PostgreSQL database to this version's schema before serving. An SQLite database always is."""

    @property
    def cookies_are_secure(self) -> bool:
        """Whether the cookie of a login is sent over https only."""
        return self.public_url is not None and self.public_url.startswith("https://")
