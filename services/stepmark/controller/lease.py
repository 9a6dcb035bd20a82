"""A Lease that keeps one controller active at a time.

Two active controllers would be safe, since every action is idempotent; the Lease keeps them from working against each
other. The official client's module for leader election (37.0) is not used: it cannot be stopped and does not release
the Lease, so that every upgrade would wait for its end; it measures time by the wall clock; an error of the connection
ends it; and nothing asks it, before an action, whether the Lease is still held.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from stepmark.controller import kube
from stepmark.controller.ports import Api


class Lease:
    """Takes, renews and releases the Lease.

    The Lease of another controller has expired when it has not changed for its duration by our clock. Clocks of
    different machines are never compared.
    """

    def __init__(
        self, api: Api, namespace: str, name: str, identity: str, seconds: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._api, self._namespace, self._name = api, namespace, name
        self._identity, self._seconds, self._clock = identity, seconds, clock
        self._until = 0.0
        self._seen: tuple[str, float] | None = None  # The Lease's version, and when it was first seen.
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def held(self) -> bool:
        """Return whether this controller may act. It stops a little before others may take over."""
        return self._clock() < self._until

    def start(self) -> None:
        """Start a thread that takes and renews the Lease."""
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing and release the Lease, so that another controller takes over at once."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(self._seconds)
        self.release()

    def _keep(self) -> None:
        while not self._stop.is_set():
            self.renew()
            self._stop.wait(self._seconds / 4)

    def renew(self) -> None:
        """Take or renew the Lease, if no other controller holds it. Errors are ignored: the Lease then expires."""
        asked = self._clock()
        try:
            if self._take():
                self._until = asked + self._seconds * 2 / 3
        except kube.Conflict:
            self._until = min(self._until, asked)
        except kube.ApiError:
            return

    def release(self) -> None:
        """Clear the holder of the Lease, if this controller holds it."""
        if not self.held():
            return
        self._until = 0.0
        try:
            found = self._api.get(kube.LEASES, self._namespace, self._name)
            if found["spec"].get("holderIdentity") == self._identity:
                found["spec"] = {**found["spec"], "holderIdentity": ""}
                self._api.replace(kube.LEASES, self._namespace, self._name, found)
        except kube.ApiError:
            return

    def _take(self) -> bool:
        try:
            found = self._api.get(kube.LEASES, self._namespace, self._name)
        except kube.NotFound:
            self._api.create(kube.LEASES, self._namespace, self._manifest())
            return True
        holder = found["spec"].get("holderIdentity") or ""
        if holder not in ("", self._identity) and not self._has_run_out(found):
            return False
        changed = {**found, "spec": self._spec(found["spec"], holder)}
        self._api.replace(kube.LEASES, self._namespace, self._name, changed)
        return True

    def _has_run_out(self, found: dict[str, Any]) -> bool:
        version = found["metadata"]["resourceVersion"]
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, self._clock())
        return self._clock() - self._seen[1] > float(found["spec"].get("leaseDurationSeconds") or self._seconds)

    def _manifest(self) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._spec({}, ""),
        }

    def _spec(self, before: dict[str, Any], holder: str) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        new = holder != self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._seconds,
            "renewTime": now,
            "acquireTime": now if new else before.get("acquireTime") or now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + new,
        }
