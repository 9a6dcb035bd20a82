"""The only module that talks to the API server: plain dictionaries in and out, through the official client.

The client's typed models are not used: they cost more time than the calls and drop fields of newer servers. Every call
has a time-out, and errors carry messages that fit into a condition.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.config import ConfigException

from stepmark.errors import CannotRun, printable

_TIMEOUT_SECONDS = (5, 30)
_PAGE = 500
_UIDS_OF_A_CALL = 60  # This makes a selector of 2.5 kB; servers and proxies accept 8.

SCENARIOS, RAYJOBS = "stepmark.dev/v1alpha1/scenarios", "ray.io/v1/rayjobs"
PODS, EVENTS, CONFIG_MAPS, SECRETS = "v1/pods", "v1/events", "v1/configmaps", "v1/secrets"
NETWORK_POLICIES, LEASES = "networking.k8s.io/v1/networkpolicies", "coordination.k8s.io/v1/leases"
CRDS = "apiextensions.k8s.io/v1/customresourcedefinitions"
RESOURCE_OF_KIND = {
    "RayJob": RAYJOBS,
    "ConfigMap": CONFIG_MAPS,
    "Secret": SECRETS,
    "NetworkPolicy": NETWORK_POLICIES,
}


class ApiError(Exception):
    """The API server refused a call, or did not answer (status 0)."""

    def __init__(self, status: int, message: str, verb: str, what: str, retry_after_seconds: float | None) -> None:
        super().__init__(printable(f"{verb} {what}: {message}")[:1000])
        self.status, self.verb, self.what = status, verb, what
        self.message, self.retry_after_seconds = printable(message)[:800], retry_after_seconds


class NotFound(ApiError):
    """The object or its kind does not exist."""


class Conflict(ApiError):
    """The object exists already, or has changed since it was read."""


@dataclass(frozen=True)
class Patience:
    """Exponential back-off with jitter."""

    first_seconds: float = 1.0
    most_seconds: float = 60.0

    def seconds(self, failures: int, retry_after_seconds: float | None, jitter: float | None = None) -> float:
        """Return how long to wait after `failures` failures in a row, never less than the server asks for.

        `jitter` is a number from 0 to 1; None draws one at random.
        """
        share = random.random() if jitter is None else jitter  # noqa: S311
        backoff = min(self.most_seconds, self.first_seconds * 2 ** min(failures - 1, 16)) * (0.5 + share / 2)
        return max(backoff, retry_after_seconds or 0.0)


class Kube:
    """A client of one API server. It is thread-safe.

    Raises (from every method): ApiError.
    """

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    @classmethod
    def connect(cls, threads: int, kubeconfig: Path | None = None) -> "Kube":
        """Connect to the cluster that this pod runs in, or else to the one of the kubeconfig.

        Without `kubeconfig`, the one that kubectl uses is taken.

        Raises:
            CannotRun: there is neither a service account nor a kubeconfig.
        """
        settings = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=settings)
        except ConfigException:
            try:
                config.load_kube_config(str(kubeconfig) if kubeconfig else None, client_configuration=settings)
            except (ConfigException, OSError, TypeError) as error:
                raise CannotRun(
                    f"expected a cluster's credentials, found none: {printable(str(error))[:200]}. "
                    "Set KUBECONFIG, or run in a pod with a service account."
                ) from None
        settings.connection_pool_maxsize = threads + 2
        settings.retries = urllib3.Retry(0)  # The controller retries by itself, since it knows what each call means.
        return cls(client.ApiClient(settings))

    @property
    def namespace_of_context(self) -> str:
        """The namespace that kubectl would use, or `default` where there is no kubeconfig."""
        try:
            _, active = config.list_kube_config_contexts()
        except (ConfigException, OSError, TypeError):
            return "default"
        return str(active.get("context", {}).get("namespace") or "default")

    def every(self, resource: str, namespace: str | None, selector: str = "") -> Iterator[dict[str, Any]]:
        """Yield all objects, page by page. If a page's token has expired (410), list everything again in one call."""
        try:
            yield from self._pages(resource, namespace, selector)
        except ApiError as error:
            if error.status != 410:
                raise
            yield from self._pages(resource, namespace, selector, limit=0)

    def _pages(
        self, resource: str, namespace: str | None, selector: str, limit: int = _PAGE
    ) -> Iterator[dict[str, Any]]:
        more = ""
        while True:
            query = {"limit": str(limit) if limit else "", "labelSelector": selector, "continue": more}
            page = self._call("GET", _path(resource, namespace), query=query, verb="list", what=resource)
            yield from page["items"]
            more = page["metadata"].get("continue") or ""
            if not more:
                return

    def every_of(self, resource: str, namespace: str | None, label: str, values: list[str]) -> Iterator[dict[str, Any]]:
        """Yield the objects whose label has one of the values.

        Finished runs leave thousands of objects, which need not be read this way.
        """
        for start in range(0, len(values), _UIDS_OF_A_CALL):
            chosen = ",".join(sorted(values[start : start + _UIDS_OF_A_CALL]))
            yield from self.every(resource, namespace, f"{label} in ({chosen})")

    def get(self, resource: str, namespace: str | None, name: str) -> dict[str, Any]:
        """Return one object; raises NotFound where there is none."""
        return self._call("GET", _path(resource, namespace, name), verb="get", what=resource)

    def create(self, resource: str, namespace: str | None, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create an object. Fields that the server does not know are refused, not dropped."""
        query = {"fieldValidation": "Strict"}
        return self._call("POST", _path(resource, namespace), manifest, query, verb="create", what=resource)

    def replace(self, resource: str, namespace: str | None, name: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Replace the whole object. Its resourceVersion must be the current one."""
        return self._call("PUT", _path(resource, namespace, name), manifest, verb="update", what=resource)

    def patch(
        self, resource: str, namespace: str | None, name: str, change: dict[str, Any], status: bool = False
    ) -> dict[str, Any]:
        """Apply a JSON merge patch. With a resourceVersion in it, raise Conflict if the object has changed since."""
        path = _path(resource, namespace, name) + ("/status" if status else "")
        what = f"{resource}/status" if status else resource
        return self._call("PATCH", path, change, kind="application/merge-patch+json", verb="patch", what=what)

    def delete(self, resource: str, namespace: str | None, name: str, uid: str) -> None:
        """Delete the object with exactly this UID, after everything that it owns."""
        options = {"propagationPolicy": "Foreground", "preconditions": {"uid": uid}}
        self._call("DELETE", _path(resource, namespace, name), options, verb="delete", what=resource)

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
        kind: str = "application/json",
        *,
        verb: str,
        what: str,
    ) -> dict[str, Any]:
        headers = {"Accept": "application/json", **({"Content-Type": kind} if body is not None else {})}
        given = [(key, value) for key, value in (query or {}).items() if value]
        request = self._api.param_serialize(
            method, path, query_params=given, header_params=headers, auth_settings=["BearerToken"]
        )
        method, url, headers, _, _ = request
        try:
            answer = self._api.call_api(method, url, headers, body, _request_timeout=_TIMEOUT_SECONDS)
            data = answer.read()
        except (client.ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(0, f"no answer ({type(error).__name__})", verb, what, None) from None
        if not 200 <= answer.status <= 299:
            raise _refusal(answer.status, data, answer.getheader("Retry-After"), verb, what)
        found: dict[str, Any] = json.loads(data)
        return found


def _refusal(status: int, data: bytes, retry_after: str | None, verb: str, what: str) -> ApiError:
    try:
        message = str(json.loads(data).get("message", ""))
    except (ValueError, AttributeError):
        message = data[:200].decode(errors="replace")
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
    kind = {404: NotFound, 409: Conflict}.get(status, ApiError)
    return kind(status, message or f"HTTP {status}", verb, what, seconds)


def _path(resource: str, namespace: str | None, name: str = "") -> str:
    """Return the URL path. `resource` is group/version/plural, or version/plural for the core group."""
    *group, version, plural = resource.split("/")
    parts = ["apis", group[0], version] if group else ["api", version]
    parts += ["namespaces", namespace] if namespace else []
    return "/" + "/".join([*parts, plural, *([name] if name else [])])
