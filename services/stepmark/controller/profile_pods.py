"""What a cluster's owner adds to the pods of a run: labels, annotations, a runtime class and a ServiceAccount."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from stepmark.controller.notation import LabelKey, LabelValue, ObjectName
from stepmark.strict import StrictModel

_OWN_LABELS = ("stepmark.dev/", "app.kubernetes.io/", "ray.io/", "kueue.x-k8s.io/")
STAY = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
"""Annotations of every pod: neither of the two node autoscalers may evict a run in order to remove a node."""
Annotation = Annotated[str, Field(max_length=4096)]


class Pods(StrictModel):
    """What all pods of a run take over as it stands."""

    labels: dict[LabelKey, LabelValue] = Field(default={}, max_length=32)
    """Additional labels of the pods, such as for accounting or a network policy. Labels of stepmark, Ray and Kueue are
    refused."""
    annotations: dict[LabelKey, Annotation] = Field(default={}, max_length=32)
    """Additional annotations of the pods, such as for a network or a scheduler."""
    runtime_class_name: ObjectName | None = None
    """RuntimeClass of the worker pods, such as nvidia; absent: the cluster's default."""
    service_account_name: ObjectName | None = None
    """ServiceAccount of the pods in the run's namespace, such as one that a security policy knows. Its token is not
    mounted. Absent: the namespace's default."""

    @model_validator(mode="after")
    def _a_run_keeps_its_own(self) -> Self:
        taken = [key for key in self.labels if key.startswith(_OWN_LABELS)]
        if taken:
            raise ValueError(f"labels without {taken[0]}, which stepmark, Ray or Kueue sets")
        taken = [key for key in self.annotations if key in STAY]
        if taken:
            raise ValueError(f"annotations without {taken[0]}, which keeps a run on its nodes")
        return self
