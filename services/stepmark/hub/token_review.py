"""Bearer tokens of a Kubernetes cluster, such as those of service accounts: the API server says whose they are."""

import hashlib
import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from stepmark.errors import CannotRun
from stepmark.hub.refusals import Refused, log
from stepmark.hub.settings import Grant, Settings

_REMEMBERED = 1000
_REMEMBERED_SECONDS = 60.0
_TIMEOUT_SECONDS = 5.0
_TOKEN_MOST = 16_384


@dataclass(frozen=True)
class User:
    """A user of Kubernetes by its name there, with its right in the hub."""

    name: str
    grant: Grant


class TokenReviewer:
    """Ask the API server about tokens, and cache its answers by the token's hash for a minute."""

    def __init__(self, audience: str, users: dict[str, Grant]) -> None:
        """Connect to the cluster's API.

        Raises:
            CannotRun: There is no cluster to ask.
        """
        self._audience, self._users = audience, users
        self._api = _api()
        self._known: OrderedDict[str, tuple[float, User | None]] = OrderedDict()
        self._lock = threading.Lock()

    def user_of(self, token: str) -> User | None:
        """Return whose token it is; None if it is not good for this audience, or the user has no right here.

        Raises:
            Refused: The API server does not answer.
        """
        if len(token) > _TOKEN_MOST or not token.isascii() or not token.isprintable():
            return None
        key = hashlib.sha256(token.encode()).hexdigest()
        with self._lock:
            asked_at, user = self._known.get(key, (float("-inf"), None))
        if time.monotonic() - asked_at < _REMEMBERED_SECONDS:
            return user
        user = self._ask(token)
        with self._lock:
            self._known[key] = (time.monotonic(), user)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return user

    def _ask(self, token: str) -> User | None:
        from kubernetes import client

        spec = client.V1TokenReviewSpec(token=token, audiences=[self._audience])
        try:
            answer = self._api.create_token_review(
                client.V1TokenReview(spec=spec), _request_timeout=_TIMEOUT_SECONDS
            ).status
        except Exception as error:  # the client and urllib3 raise many types, whose texts may quote the request
            log.error("token review: the API server does not answer: %s", type(error).__name__)
            raise Refused(
                503,
                "unavailable",
                "the token cannot be checked now: the Kubernetes API does not answer. Try again later.",
            ) from None
        # An API server that does not check audiences would confirm a token made for another service.
        if not answer.authenticated or self._audience not in (answer.audiences or ()):
            return None
        grant = self._users.get(answer.user.username)
        return None if grant is None else User(answer.user.username, grant)


def reviewer_of(settings: Settings) -> TokenReviewer | None:
    """Return a reviewer, or None unless the settings switch token reviews on.

    Raises:
        CannotRun: There is no cluster to ask.
    """
    if settings.token_review_audience is None:
        return None
    return TokenReviewer(settings.token_review_audience, settings.token_review_users)


def _api() -> Any:
    try:
        from kubernetes import client, config
    except ImportError:
        raise CannotRun("token review: expected the kubernetes package, found none. Install stepmark[hub].") from None
    try:
        try:
            config.load_incluster_config()
        except config.ConfigException:
            config.load_kube_config(os.environ.get("KUBECONFIG") or None)
    except (config.ConfigException, OSError):
        raise CannotRun(
            "token review: expected to run in a Kubernetes cluster or to have a kubeconfig, found neither. "
            "Leave --token-review-audience out."
        ) from None
    return client.AuthenticationV1Api()
