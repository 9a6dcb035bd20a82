"""The settings of a hub: addresses, the database, rights besides the stored tokens, and limits."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from stepmark.terms import LogFormat, LogLevel

Right = Literal["read", "register", "admin"]

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
    """The limits on what a hub accepts from others. All their defaults are here.

    `attempt_bytes_most` and `attempt_executions_most` limit what one attempt may store with one write token.
    `namespace_bytes_most` limits what all runs of a namespace may store; runs without one count as one namespace.
    `derive_bytes_most` is the memory that a derivation may take besides its program, and `derive_seconds_most` its
    time. `connections_per_peer_most` limits the open connections from one address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempt_bytes_most: ManyBytes = 2 << 30
    attempt_executions_most: Annotated[int, Field(ge=1, le=1000)] = 20
    namespace_bytes_most: ManyBytes = 8 << 30
    derive_bytes_most: ManyBytes = 384 << 20
    derive_seconds_most: Seconds = 600
    connections_per_peer_most: Annotated[int, Field(ge=1, le=100_000)] = 256


class Settings(Limits):
    """The settings of one hub. Addresses are HOST:PORT; port 0 takes a free one.

    `small_body_bytes_most` limits every body that is not a launch's. `bodies_bytes_most` limits all bodies being
    received or handled at one time, so that many clients together cannot fill the memory. `body_seconds_most` limits
    the time for a whole body. A running execution that is silent for longer than `heartbeat_seconds` counts as lost.

    With `token_review_audience`, bearer tokens that are not the hub's own are checked by Kubernetes, and
    `token_review_users` says what each user may do. `register_token_namespaces` are those that the token of
    `register_token_file` is good for; empty means all. `public_url` is where people reach the hub, with https if a
    proxy adds it; the cookie of a login is then Secure.
    """

    database_url: str
    listen: str
    metrics_listen: str
    public_url: str | None = None
    anonymous_read: bool = False
    admin_token_file: Path | None = None
    register_token_file: Path | None = None
    register_token_namespaces: frozenset[Namespace] = frozenset()
    token_review_audience: str | None = None
    token_review_users: dict[str, Grant] = Field(default_factory=dict)
    body_bytes_most: Bytes = 32 << 20
    small_body_bytes_most: Bytes = 1 << 20
    bodies_bytes_most: Bytes = 128 << 20
    body_seconds_most: Seconds = 30
    heartbeat_seconds: Seconds = 300
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"

    @property
    def cookies_are_secure(self) -> bool:
        """Whether the cookie of a login is sent over https only."""
        return self.public_url is not None and self.public_url.startswith("https://")
