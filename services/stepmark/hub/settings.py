"""What an operator decides about a hub: addresses, the database, rights beside the stored tokens, and limits."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from stepmark.hub.logs import Format, Level

Right = Literal["read", "register", "admin"]

Seconds = Annotated[float, Field(gt=0, le=3600)]
Bytes = Annotated[int, Field(ge=1024, le=1 << 31)]
ManyBytes = Annotated[int, Field(ge=1024, le=1 << 50)]
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]


class Grant(BaseModel):
    """What somebody may, and in which namespaces; None: in every one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    right: Right
    namespaces: frozenset[Namespace] | None = None


class Limits(BaseModel):
    """What one hub takes of others. Every default stands here.

    `attempt_bytes_most`, `attempt_executions_most`: that one attempt may store, with one write token.
    `namespace_bytes_most`: that all runs of a namespace may store; those without one count as one.
    `derive_bytes_most`: memory that a derivation may take beside its program; `derive_seconds_most`: time that it may
    take. `connections_per_peer_most`: open at one time from one address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempt_bytes_most: ManyBytes = 2 << 30
    attempt_executions_most: Annotated[int, Field(ge=1, le=1000)] = 20
    namespace_bytes_most: ManyBytes = 8 << 30
    derive_bytes_most: ManyBytes = 384 << 20
    derive_seconds_most: Seconds = 600
    connections_per_peer_most: Annotated[int, Field(ge=1, le=100_000)] = 256


class Settings(Limits):
    """One hub. Addresses are HOST:PORT; port 0 takes a free one.

    `small_body_bytes_most`: of every body that is not a launch's. `bodies_bytes_most`: of all bodies being received or
    handled at one time, so that many clients together cannot fill the memory. `body_seconds_most`: for a whole body.
    `heartbeat_seconds`: a running execution that is silent for longer counts as lost. `token_review_audience`: with it,
    bearer tokens that are not the hub's own are shown to Kubernetes, and `token_review_users` says what which user may.
    `register_token_namespaces`: those that the token of `register_token_file` is good for; empty: every one.
    `public_url`: where people reach the hub, with https if a proxy adds it; the cookie of a login is then Secure.
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
    log_format: Format = "text"
    log_level: Level = "info"

    @property
    def cookies_are_secure(self) -> bool:
        return self.public_url is not None and self.public_url.startswith("https://")
