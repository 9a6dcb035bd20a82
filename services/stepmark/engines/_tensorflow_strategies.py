"""Make the strategies of tf.distribute that TensorFlow's engine trains with."""

import json
import os
from typing import TYPE_CHECKING

from stepmark.engines._protocol import RankContext

if TYPE_CHECKING:
    import tensorflow as tf


def mirrored(replicas: int) -> "tf.distribute.Strategy":
    """Return a strategy with `replicas` logical CPU devices in one process."""
    import tensorflow as tf

    [cpu] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(replicas)])


def multi_worker(context: RankContext) -> "tf.distribute.Strategy":
    """Return a strategy that joins all ranks of `context.addresses`.

    The call may wait until the last of them has started.
    """
    import tensorflow as tf

    task = {"type": "worker", "index": context.rank}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": list(context.addresses)}, "task": task})
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=float(context.collective_timeout_seconds))
    return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
