"""Define what workloads have in common that train no model: no weights, no operations to count, and one sample."""

from typing import Any

from stepmark.workloads._protocol import InputSpec, Workload


class Untrained(Workload):
    """Define a workload without a model. Its sample only has to have a shape."""

    has_weights = False

    def input(self, params: Any) -> InputSpec:
        return InputSpec("vector", (1,), classes=2)

    def parameter_count(self, params: Any) -> None:
        return None

    def flops_per_sample(self, params: Any) -> None:
        return None
