"""Generate the CustomResourceDefinition of `Scenario` from the models."""

from typing import Any

import yaml

from stepmark.generate.structural import CannotExpress, Schema, structural
from stepmark.scenario.model import Scenario, Spec
from stepmark.scenario.status import ScenarioStatus
from stepmark.strict import NAME_PATTERN

GROUP, VERSION, PLURAL = "stepmark.dev", "v1alpha1", "scenarios"

_COLUMNS = (
    ("Phase", "string", ".status.phase", 0),
    ("Progress", "string", ".status.message", 0),
    ("Verdict", "string", ".status.result.verdict", 0),
    ("Attempt", "integer", ".status.attempts[-1:].number", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Profile", "string", ".spec.profile", 1),
    ("Model", "string", ".spec.workload.model", 1),
    ("Workers", "string", ".spec.scale.workers", 1),
    ("Run", "string", ".status.result.runId", 1),
)

_HEAD = """{{- /* Generated from stepmark/scenario by `make generate`; a test fails when it is stale. */}}
{{- if .Values.crds.install }}
"""
_KEEP = """  labels: {{- include "stepmark.labels" (list . "crd") | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def crd() -> Schema:
    """Return the CustomResourceDefinition as an object."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _object()},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*column) for column in _COLUMNS],
    }
    names = {
        "kind": "Scenario",
        "listKind": "ScenarioList",
        "plural": PLURAL,
        "singular": "scenario",
        "shortNames": ["scn"],
        "categories": ["all", "stepmark"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _column(name: str, kind: str, path: str, priority: int) -> Schema:
    return {"name": name, "type": kind, "jsonPath": path, "priority": priority}


def _object() -> Schema:
    name = {"type": "string", "maxLength": 40, "pattern": NAME_PATTERN}
    return {
        "type": "object",
        "description": (Scenario.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": name}},
            "spec": _immutable(structural(Spec, "spec")),
            "status": structural(ScenarioStatus, "status"),
        },
    }


def _immutable(spec: Schema) -> Schema:
    """Add the rules that make `spec` immutable, since one object is one run.

    Only `suspend` can change freely, and `cancel` can become true.
    """
    for key, field in spec["properties"].items():
        if key not in spec["required"] and "default" not in field:
            raise CannotExpress(f"spec.{key}: neither required nor with a default, so it could come and go")
        rule = {"rule": "self == oldSelf", "message": _IMMUTABLE}
        if key == "suspend":
            continue
        if key == "cancel":
            rule = {"rule": "self || !oldSelf", "message": "a cancelled scenario stays cancelled: create another one"}
        field["x-kubernetes-validations"] = [*field.get("x-kubernetes-validations", ()), rule]
    return spec


_IMMUTABLE = "a scenario is one run and cannot change: create another one under a new name, or use stepmark submit"


def text() -> str:
    """Return the CustomResourceDefinition as YAML."""
    return _yaml(crd())


def template() -> str:
    """Return the CustomResourceDefinition as a Helm template, with the values `crds.install` and `crds.keep`.

    Raises:
        CannotExpress: a description looks like a template.
    """
    document = crd()
    spec = _yaml({"spec": document.pop("spec")})
    if "{{" in spec:
        raise CannotExpress("a description has {{ in it, which Helm would evaluate")
    return _HEAD + _yaml(document) + _KEEP + spec + "{{- end }}\n"


def _yaml(document: Any) -> str:
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


class _Plain(yaml.SafeDumper):
    """A dumper that writes no anchors, which rules that occur several times would otherwise become."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
