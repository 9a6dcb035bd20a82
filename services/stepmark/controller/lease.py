"""One active controller at a time, by a Lease. Two at once would be safe, as every action may be repeated: this spares
them from each other.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from stepmark.controller import kube
from stepmark.controller.ports import Api


class Lease:
    """Take it, renew it, give it back.

    Another's Lease has run out when it stayed the same for its length, by our clock: clocks of different machines are
    never compared.
    """

    def __init__(
        self, api: Api, namespace: str, name: str, identity: str, seconds: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._api, self._namespace, self._name = api, namespace, name
        self._identity, self._seconds, self._clock = identity, seconds, clock
        self._until = 0.0
        self._seen: tuple[str, float] | None = None  # the Lease's version, and when we first saw it
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def held(self) -> bool:
        """Whether this controller may act: for a little less long than others wait for it."""
        return self._clock() < self._until

    def start(self) -> None:
        """Keep it from now on, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Give it back, so that another one takes over at once."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(self._seconds)
        self.release()

    def _keep(self) -> None:
        while not self._stop.is_set():
            self.renew()
            self._stop.wait(self._seconds / 4)

    def renew(self) -> None:
        """Take or renew it, if nobody else has it. Failures are borne: it runs out by itself."""
        asked = self._clock()
        try:
            if self._take():
                self._until = asked + self._seconds * 2 / 3
        except kube.Conflict:
            self._until = min(self._until, asked)
        except kube.ApiError:
            return

    def release(self) -> None:
        """Say that nobody has it."""
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
