"""What an operator decides about a hub: addresses, the database, rights beside the stored tokens, and limits."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Right = Literal["read", "register", "admin"]

Seconds = Annotated[float, Field(gt=0, le=3600)]
Bytes = Annotated[int, Field(ge=1024, le=1 << 31)]


class Settings(BaseModel):
    """One hub. Addresses are HOST:PORT; port 0 takes a free one.

    `small_body_bytes_most`: of every body that is not a launch's. `bodies_bytes_most`: of all bodies being received or
    handled at one time, so that many clients together cannot fill the memory. `body_seconds_most`: for a whole body.
    `heartbeat_seconds`: a running execution that is silent for longer counts as lost. `token_review_audience`: with it,
    bearer tokens that are not the hub's own are shown to Kubernetes, and `token_review_users` says what which user may.
    `public_url`: where people reach the hub, with https if a proxy adds it; the cookie of a login is then Secure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str
    listen: str
    metrics_listen: str
    public_url: str | None = None
    anonymous_read: bool = False
    admin_token_file: Path | None = None
    register_token_file: Path | None = None
    token_review_audience: str | None = None
    token_review_users: dict[str, Right] = Field(default_factory=dict)
    body_bytes_most: Bytes = 32 << 20
    small_body_bytes_most: Bytes = 1 << 20
    bodies_bytes_most: Bytes = 128 << 20
    body_seconds_most: Seconds = 30
    heartbeat_seconds: Seconds = 300

    @property
    def cookies_are_secure(self) -> bool:
        return self.public_url is not None and self.public_url.startswith("https://")
