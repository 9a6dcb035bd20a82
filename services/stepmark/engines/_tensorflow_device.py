"""Have TensorFlow train on this launch's GPUs, or on CPU cores alone, and read what TensorFlow says of a GPU."""

from collections.abc import Iterable
from contextlib import AbstractContextManager

from stepmark.engines._capability import refuse_what_lacks
from stepmark.engines._device import Device, Memory
from stepmark.engines._protocol import RankContext
from stepmark.engines._support import Support
from stepmark.errors import UnsupportedHere

_NAMES_MOST = 5


def take_devices(support: Support, context: RankContext) -> None:
    """Have TensorFlow see this process's GPUs, or none on CPU cores. It must come before any operation.

    TensorFlow takes memory as it needs it, because it would otherwise take all of a GPU, and fail where an earlier
    process's memory is still being given back.

    Raises:
        UnsupportedHere: there are fewer GPUs than workers in this process, or they lack what the cell needs.
    """
    import tensorflow as tf

    if context.device.kind == "cpu":
        tf.config.set_visible_devices([], "GPU")
        return
    found = tf.config.list_physical_devices("GPU")
    if len(found) < context.replicas:
        raise UnsupportedHere(
            f"TensorFlow finds {len(found)} GPUs for {context.replicas} workers in this process: "
            "install its CUDA libraries (pip install 'tensorflow[and-cuda]'), and see what its log says"
        )
    own = found[: context.replicas]
    tf.config.set_visible_devices(own, "GPU")
    for gpu in own:
        tf.config.experimental.set_memory_growth(gpu, True)
        if (capability := tf.config.experimental.get_device_details(gpu).get("compute_capability")) is not None:
            refuse_what_lacks(support, context, capability)


def names(context: RankContext) -> list[str]:
    """Return TensorFlow's names of the devices of this process, one for each worker in it."""
    return [Device(context.device.kind, index).tensorflow_name for index in range(context.replicas)]


def placed_on(context: RankContext, replica: int) -> AbstractContextManager[None]:
    """Return the scope in which tensors are made for one worker of this process. On CPU cores TensorFlow decides."""
    import tensorflow as tf

    return tf.device(names(context)[replica] if context.device.kind == "gpu" else None)


def check_placement(placed: Iterable[tuple[str, str]]) -> None:
    """Check that all of these are on a GPU, each given by what it is and by TensorFlow's name of its device.

    TensorFlow silently uses the CPU for what it cannot place on a GPU.

    Raises:
        RuntimeError: something is not on a GPU.
    """
    stray = sorted({what for what, device in placed if ":GPU:" not in device.upper()})
    if stray:
        more = f" and {len(stray) - _NAMES_MOST} more" if len(stray) > _NAMES_MOST else ""
        raise RuntimeError(
            f"expected all variables and batches on GPUs, found on the CPU: {', '.join(stray[:_NAMES_MOST])}{more}"
        )


def drain(context: RankContext) -> None:
    """Return when all devices of this process have made what was begun.

    `tf.test.experimental.sync_devices` would ask the devices of other ranks too, and fail.
    """
    import tensorflow as tf

    for name in names(context):
        with tf.device(name):
            tf.raw_ops.SyncDevice()


def reset_memory(context: RankContext) -> None:
    """Begin anew to count the most memory that is used."""
    import tensorflow as tf

    for name in names(context):
        tf.config.experimental.reset_memory_stats(name)


def memory(context: RankContext) -> Memory:
    """Return the most memory used of any GPU of this process since the last reset. What is reserved is unknown."""
    import tensorflow as tf

    return Memory(max(tf.config.experimental.get_memory_info(name)["peak"] for name in names(context)))


def gpu_flags(model: object) -> dict[str, str]:
    """Return the GPU's name, the versions that TensorFlow was built for, and the kernel of the model's LSTM layers."""
    import keras
    import tensorflow as tf

    details = tf.config.experimental.get_device_details(tf.config.get_visible_devices("GPU")[0])
    build = tf.sysconfig.get_build_info()
    lstm = [layer for layer in getattr(model, "layers", ()) if isinstance(layer, keras.layers.LSTM)]
    found = {
        "device_name": details.get("device_name"),
        "cuda_runtime": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
        # Keras takes cuDNN's kernel by itself, and then says that XLA cannot compile the layer.
        "rnn": ("keras" if all(layer.supports_jit for layer in lstm) else "cudnn") if lstm else None,
    }
    return {name: str(value) for name, value in found.items() if value} | {"memory": "grows"}
