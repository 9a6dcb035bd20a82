"""Define the exchange of one message by all ranks in each step, as nccl-tests measure it. Nothing is trained."""

from stepmark.strict import StrictModel
from stepmark.workloads._messages import Collective, Message
from stepmark.workloads._protocol import FRAMEWORKS
from stepmark.workloads._untrained import Untrained


class Params(StrictModel):
    """Choose the collective. Its sizes are the scenario's `sweep.messageBytes`."""

    collective: Collective = "all-reduce"
    """What is done with the message: all-reduce, reduce-scatter, all-gather, or broadcast from rank 0."""


class Exchange(Untrained):
    """Exchange messages. A sample is one collective of one worker, and there is no model."""

    params_model = Params
    engine_class = "Collectives"
    exchanges_messages = True

    def frameworks(self) -> tuple[str, ...]:
        return FRAMEWORKS

    def message(self, params: Params, size: int | None, workers: int, precision: str) -> Message | None:
        return None if size is None else Message.of(params.collective, workers, size, precision)


WORKLOAD = Exchange()
