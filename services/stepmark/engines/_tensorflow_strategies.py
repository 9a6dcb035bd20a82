"""Make the strategies of tf.distribute that TensorFlow's engine trains with."""

import json
import os
from typing import TYPE_CHECKING

from stepmark.engines import _tensorflow_device
from stepmark.engines._protocol import RankContext

if TYPE_CHECKING:
    import tensorflow as tf

PACK_BYTES = 25 << 20  # On GPUs gradients are exchanged in packs of this size, which is that of DDP's buckets.


def mirrored(context: RankContext) -> "tf.distribute.Strategy":
    """Return a strategy with all workers in this process: on its GPUs, or on as many logical CPU devices."""
    import tensorflow as tf

    if context.device.kind == "cpu":
        [cpu] = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * context.replicas)
    return tf.distribute.MirroredStrategy(_tensorflow_device.names(context))


def multi_worker(context: RankContext) -> "tf.distribute.Strategy":
    """Return a strategy that joins all ranks of `context.addresses`.

    The call may wait until the last of them has started.
    """
    import tensorflow as tf

    task = {"type": "worker", "index": context.rank}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": list(context.addresses)}, "task": task})
    return tf.distribute.MultiWorkerMirroredStrategy(communication_options=communication(context))


def communication(context: RankContext) -> "tf.distribute.experimental.CommunicationOptions":
    """Return how ranks exchange gradients.

    On GPUs NCCL is asked for by name, because TensorFlow chooses its own ring over gRPC for them too. The variant
    `ring` asks for that ring.
    """
    import tensorflow as tf

    options = tf.distribute.experimental.CommunicationOptions
    timeout_seconds = float(context.collective_timeout_seconds)
    if context.device.kind == "cpu":
        return options(timeout_seconds=timeout_seconds)
    kinds = tf.distribute.experimental.CommunicationImplementation
    return options(
        implementation=kinds.RING if context.variant == "ring" else kinds.NCCL,
        bytes_per_pack=PACK_BYTES,
        timeout_seconds=timeout_seconds,
    )


def transport(context: RankContext) -> str:
    """Return the name of what carries gradients between workers; "none" where nothing does."""
    if context.device.kind == "gpu" and context.variant != "ring":
        return "nccl" if context.world_size * context.replicas > 1 else "none"
    return "tf grpc" if context.world_size > 1 else "none"
