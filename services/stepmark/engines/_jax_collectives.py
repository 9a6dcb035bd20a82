"""Make collectives with JAX: one compiled program, over gloo between CPU cores and NCCL between GPUs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._collectives import COMMON_REFUSALS, CollectiveSteps, as_float32, refused
from stepmark.engines._jax_device import RunAhead
from stepmark.engines._protocol import RankContext
from stepmark.workloads._messages import Message

if TYPE_CHECKING:
    import jax

REFUSALS = (
    *COMMON_REFUSALS,
    refused("JAX exchanges between processes only in what it compiles; use compiled", executions=("eager",)),
    refused(
        "JAX compiles no broadcast for CPU cores (pbroadcast), and its broadcast_one_to_all is an all-reduce",
        "broadcast",
        devices=("cpu",),
    ),
)


class JaxCollectives(CollectiveSteps):
    """Exchange one message in each step. The engine adds how the group is joined."""

    _ahead: RunAhead

    def _begin(self, message: Message) -> Callable[[], Any]:
        call, own = collective(message, self._context)

        def exchange() -> None:
            self._output = call(own)
            self._ahead.began(self._output)

        return exchange

    def _result(self) -> NDArray[Any]:
        return as_float32(self._output.addressable_data(0))

    def drain(self) -> None:
        self._output.block_until_ready()
        self._ahead.drained()


def collective(message: Message, context: RankContext) -> tuple[Callable[[Any], Any], "jax.Array"]:
    """Return a compiled function that makes one collective, and its argument: what the ranks give."""
    import jax
    from jax.sharding import Mesh, NamedSharding
    from jax.sharding import PartitionSpec as Spec

    mesh = Mesh(np.array(jax.devices()), ("workers",))
    own = jax.make_array_from_process_local_data(
        NamedSharding(mesh, Spec("workers")), message.contribution(context.rank).astype(context.precision)
    )
    body = _bodies()[message.collective]
    # Each rank has a result of its own, so nothing is moved or checked beside the collective.
    call = jax.shard_map(body, mesh=mesh, in_specs=Spec("workers"), out_specs=Spec("workers"), check_vma=False)
    return jax.jit(call), own


def _bodies() -> dict[str, Callable[[Any], Any]]:
    """Return what each rank does with its own part, by collective."""
    from jax import lax

    return {
        "all-reduce": lambda own: lax.psum(own, "workers"),
        "reduce-scatter": lambda own: lax.psum_scatter(own, "workers", tiled=True),
        "all-gather": lambda own: lax.all_gather(own, "workers", tiled=True),
        "broadcast": lambda own: lax.pbroadcast(own, "workers", 0),
    }
