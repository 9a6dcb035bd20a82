"""Make torch's optimisers, which the engines `torch` and `keras-torch` share."""

from typing import TYPE_CHECKING, Any

from stepmark.engines._optimizers import ADAMW, MOMENTUM
from stepmark.engines._protocol import RankContext

if TYPE_CHECKING:
    import torch


def make(context: RankContext, trained: "list[torch.nn.Parameter]", learning_rate: float) -> "torch.optim.Optimizer":
    """Return the rank's optimiser, in the implementation that its options ask for."""
    import torch

    # Where both are None, torch chooses: one kernel for many tensors (foreach) on GPUs, a loop over tensors on CPUs.
    how: dict[str, Any] = {
        name: True if f"{name}-optimizer" in context.options else None for name in ("fused", "foreach")
    }
    if context.optimizer == "sgd":
        return torch.optim.SGD(trained, lr=learning_rate, momentum=MOMENTUM, **how)
    betas, decay = (ADAMW.beta1, ADAMW.beta2), ADAMW.weight_decay
    adamw = torch.optim.AdamW(trained, lr=learning_rate, betas=betas, eps=ADAMW.epsilon, weight_decay=decay, **how)
    adamw.register_step_pre_hook(KerasEpsilon())
    return adamw


class KerasEpsilon:
    """Set torch's epsilon before each step to the one that gives Keras' update.

    It is a number of the host, and to set it takes about a microsecond. An optimiser without state makes its first
    step.
    """

    def __init__(self) -> None:
        self._steps = 0

    def __call__(self, optimizer: "torch.optim.Optimizer", *_: Any) -> None:
        self._steps = self._steps + 1 if optimizer.state else 1
        for group in optimizer.param_groups:
            group["eps"] = ADAMW.torch_epsilon(self._steps)
