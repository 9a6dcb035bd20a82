"""Metadata of a scenario: its name, and what a Kubernetes object may have in addition."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from stepmark.strict import Name, StrictModel

# The API server and its clients write these keys. None of them describes the run.
_OF_THE_SERVER = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "ownerReferences",
    "finalizers",
    "selfLink",
)


def _name_or_prefix(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"required": ["name"]}, {"required": ["generateName"]}]
    del schema["required"]


class Metadata(StrictModel):
    """Names the run. On a cluster this is the metadata of the Kubernetes object."""

    model_config = ConfigDict(json_schema_extra=_name_or_prefix)

    name: Name
    """Name of at most 40 lower-case letters, digits and dashes; absent: derived from generateName."""
    generate_name: Annotated[str, Field(pattern=r"^[a-z][-a-z0-9]*$", max_length=35)] | None = None
    """On a cluster, the beginning of the name if `name` is absent; the cluster appends five characters."""
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)] | None = None
    """Kubernetes namespace of the object."""
    labels: dict[str, Annotated[str, Field(max_length=63)]] = Field(default={}, max_length=64)
    """Labels of the Kubernetes object. They do not affect the run."""
    annotations: dict[str, Annotated[str, Field(max_length=262144)]] = Field(default={}, max_length=64)
    """Annotations of the Kubernetes object. They do not affect the run."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("name") is not None:
            return given
        prefix = given.get("generateName")
        return {**given, "name": prefix.rstrip("-")} if isinstance(prefix, str) else given


def without_server_fields(document: dict[str, Any]) -> dict[str, Any]:
    """Remove from an object what the API server added, and return the document that a person would have written."""
    metadata = document.get("metadata")
    kept = {key: value for key, value in document.items() if key != "status"}
    if isinstance(metadata, dict):
        kept["metadata"] = {key: value for key, value in metadata.items() if key not in _OF_THE_SERVER}
    return kept
