"""Define the exchange of one message by all ranks in each step, as nccl-tests measure it. Nothing is trained."""

from stepmark.strict import StrictModel
from stepmark.workloads._messages import Collective, Message
from stepmark.workloads._protocol import FRAMEWORKS, InputSpec, Workload


class Params(StrictModel):
    """Choose the collective. Its sizes are the scenario's `sweep.messageBytes`."""

    collective: Collective = "all-reduce"
    """What is done with the message: all-reduce, reduce-scatter, all-gather, or broadcast from rank 0."""


class Exchange(Workload):
    """Exchange messages. A sample is one collective of one worker, and there is no model."""

    params_model = Params
    engine_class = "Collectives"
    has_weights = False
    exchanges_messages = True

    def frameworks(self) -> tuple[str, ...]:
        return FRAMEWORKS

    def input(self, params: Params) -> InputSpec:
        return InputSpec("vector", (1,), classes=2)

    def parameter_count(self, params: Params) -> None:
        return None

    def flops_per_sample(self, params: Params) -> None:
        return None

    def message(self, params: Params, size: int | None, workers: int, precision: str) -> Message | None:
        return None if size is None else Message.of(params.collective, workers, size, precision)


WORKLOAD = Exchange()
