"""A small API server that can fail at any call, before or after it commits, as no real one does on demand.

`tests/cluster/test_controller_contract.py` runs the same assertions against it and against a real API server.
"""

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stepmark.controller import kube

Object = dict[str, Any]
Key = tuple[str, str, str]


class Killed(BaseException):
    """Raised at the call at which the process of the controller ends."""


@dataclass
class FakeApi:
    """Holds objects by resource, namespace and name.

    `on_call` gets verb, resource, and whether the call was committed: False before every call, True after a write.
    It may raise.
    """

    on_call: Callable[[str, str, bool], None] = lambda verb, resource, committed: None
    refusals: dict[str, int] = field(default_factory=dict)
    """By namespace: the HTTP status with which every call about it is refused."""
    objects: dict[Key, Object] = field(default_factory=dict)
    log: list[tuple[str, str, str]] = field(default_factory=list)
    _versions: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def every(self, resource: str, namespace: str | None, selector: str = "") -> Iterator[Object]:
        self._called("list", resource, namespace)
        found = [self._copy(one) for key, one in sorted(self.objects.items()) if key[0] == resource]
        yield from (one for one in found if _in(one, namespace) and _selected(one, selector))

    def every_of(self, resource: str, namespace: str | None, label: str, values: list[str]) -> Iterator[Object]:
        if values:
            yield from self.every(resource, namespace, f"{label} in ({','.join(values)})")

    def get(self, resource: str, namespace: str | None, name: str) -> Object:
        self._called("get", resource, namespace)
        return self._copy(self._found("get", resource, namespace, name))

    def create(self, resource: str, namespace: str | None, manifest: Object) -> Object:
        self._called("create", resource, namespace)
        key = (resource, namespace or "", manifest["metadata"]["name"])
        if key in self.objects:
            raise kube.Conflict(409, "already exists", "create", resource, None)
        new = self._copy(manifest)
        new["metadata"] |= {"uid": f"uid-{next(self._versions)}", "creationTimestamp": now(), "generation": 1}
        self._write("create", key, new)
        return self._copy(new)

    def replace(self, resource: str, namespace: str | None, name: str, manifest: Object) -> Object:
        self._called("update", resource, namespace)
        self._check_version("update", resource, namespace, name, manifest)
        self._write("update", (resource, namespace or "", name), self._copy(manifest))
        return self._copy(manifest | {"metadata": self.objects[resource, namespace or "", name]["metadata"]})

    def patch(self, resource: str, namespace: str | None, name: str, change: Object, status: bool = False) -> Object:
        self._called("patch", resource, namespace)
        found = self._check_version("patch", resource, namespace, name, change)
        part = {"status": change.get("status", {})} if status else {k: v for k, v in change.items() if k != "status"}
        new = _merged(found, self._copy(part))
        new["metadata"]["generation"] += new.get("spec") != found.get("spec")
        self._write("patch", (resource, namespace or "", name), new)
        return self._copy(new)

    def delete(self, resource: str, namespace: str | None, name: str, uid: str) -> None:
        self._called("delete", resource, namespace)
        found = self._found("delete", resource, namespace, name)
        if found["metadata"]["uid"] != uid:
            raise kube.Conflict(409, "the UID in the precondition is another", "delete", resource, None)
        self.log.append(("delete", resource, name))
        self._remove((resource, namespace or "", name), found)
        self.on_call("delete", resource, True)

    def _called(self, verb: str, resource: str, namespace: str | None) -> None:
        self.on_call(verb, resource, False)
        status = self.refusals.get(namespace or "")
        if status is not None:
            kind = kube.NotFound if status == 404 else kube.ApiError
            raise kind(status, f"no {resource} for you", verb, resource, None)

    def _remove(self, key: Key, found: Object) -> None:
        """Remove an object with all that it owns."""
        self.objects.pop(key, None)
        for other, one in list(self.objects.items()):
            owners = one["metadata"].get("ownerReferences") or ()
            if any(owner["uid"] == found["metadata"]["uid"] for owner in owners):
                self._remove(other, one)

    def _found(self, verb: str, resource: str, namespace: str | None, name: str) -> Object:
        found = self.objects.get((resource, namespace or "", name))
        if found is None:
            raise kube.NotFound(404, "not found", verb, resource, None)
        return found

    def _check_version(self, verb: str, resource: str, namespace: str | None, name: str, given: Object) -> Object:
        found = self._found(verb, resource, namespace, name)
        expected = given.get("metadata", {}).get("resourceVersion")
        if expected is not None and expected != found["metadata"]["resourceVersion"]:
            raise kube.Conflict(409, "the object has been modified", verb, resource, None)
        return found

    def _write(self, verb: str, key: Key, new: Object) -> None:
        new["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[key] = new
        self.log.append((verb, key[0], key[2]))
        self.on_call(verb, key[0], True)

    @staticmethod
    def _copy(one: Object) -> Object:
        copied: Object = json.loads(json.dumps(one))
        return copied

    def only(self, resource: str, namespace: str = "runs") -> list[Object]:
        """Return the objects of a kind. This does not count as a call."""
        return [copy.deepcopy(one) for key, one in sorted(self.objects.items()) if key[:2] == (resource, namespace)]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _in(one: Object, namespace: str | None) -> bool:
    return namespace is None or one["metadata"].get("namespace") == namespace


def _selected(one: Object, selector: str) -> bool:
    labels = one["metadata"].get("labels") or {}
    if not selector:
        return True
    if " in (" in selector:
        key, _, values = selector.partition(" in (")
        return labels.get(key) in values.rstrip(")").split(",")
    key, _, value = selector.partition("=")
    return labels.get(key) == value


def _merged(old: Object, change: Object) -> Object:
    """Apply a JSON merge patch (RFC 7386)."""
    new = dict(old)
    for key, value in change.items():
        if value is None:
            new.pop(key, None)
        elif isinstance(value, dict) and isinstance(new.get(key), dict):
            new[key] = _merged(new[key], value)
        else:
            new[key] = value
    return new
