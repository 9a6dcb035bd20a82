"""Choose the loss: the workload's own, or the one that its kind of label calls for."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from stepmark.workloads._lengths import IGNORED, Batch
from stepmark.workloads._protocol import InputSpec, Workload


def torch_mean(workload: Workload, spec: InputSpec, framework: str) -> Callable[[Any, Any], Any]:
    """Return a function of logits and labels that gives the mean over samples, tokens or values.

    `framework` is that of the model, which is keras where a Keras model is trained in torch's loop.
    """
    import torch

    own: Callable[[Any, Any], Any] | None = getattr(workload, f"{framework}_loss", None)
    if own is not None:
        return own
    if spec.labels == "values":
        return torch.nn.MSELoss()
    if spec.labels == "bits":
        return torch.nn.BCEWithLogitsLoss()
    cross_entropy = torch.nn.CrossEntropyLoss()
    return lambda logits, labels: cross_entropy(logits.flatten(0, -2), labels.flatten())


def keras_sum(workload: Workload, spec: InputSpec) -> Callable[[Any, Any], Any]:
    """Return a function of labels and logits that gives the sum over samples, tokens or values.

    The caller divides it by the number of labels of all ranks.
    """
    import keras
    from keras import ops

    own: Callable[[Any, Any], Any] | None = getattr(workload, "keras_loss", None)
    if own is not None:
        return lambda labels, logits: own(logits, labels) * math.prod(labels.shape)
    if spec.labels == "values":
        return lambda labels, logits: ops.sum(ops.square(logits - ops.cast(labels, logits.dtype)))
    if spec.labels == "bits":
        return lambda labels, logits: ops.sum(
            ops.binary_crossentropy(ops.cast(labels, logits.dtype), logits, from_logits=True)
        )
    summed: Callable[[Any, Any], Any] = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=IGNORED if spec.padded and spec.next_token else None, reduction="sum"
    )
    return summed


def keras_labels(spec: InputSpec, batches: Sequence[Batch], ranks: int, parts: int) -> Callable[[Any], Any]:
    """Return a function of the labels of one part of a step that gives the number of labels of the whole step.

    `batches` are those of one of `ranks` processes, and a step has `parts` parts of equal size. Labels of padding do
    not count. Where all batches have as many labels, the number is a constant.
    """
    if not spec.next_token or (not spec.padded and len({labels.shape for _, labels in batches}) == 1):
        whole = float(batches[0][1].size * ranks)
        return lambda _: whole
    import keras

    def counted(labels: Any) -> Any:
        real = keras.ops.not_equal(labels, IGNORED)
        return parts * keras.ops.sum(keras.ops.cast(real, keras.config.floatx()))

    return counted


def keras_mean(workload: Workload, spec: InputSpec, replicas: int) -> Any:
    """Return what `model.compile` gets as its loss, which is a mean over samples, tokens or values.

    Keras divides a loss of its own by the number of replicas under tf.distribute, and leaves a number alone that a
    function returns.
    """
    import keras
    from keras import ops

    own: Callable[[Any, Any], Any] | None = getattr(workload, "keras_loss", None)
    if own is not None:  # Keras has made all labels floats.
        dtype = "int32" if spec.labels == "classes" else keras.config.floatx()
        return lambda labels, logits: own(logits, ops.cast(labels, dtype)) / replicas
    if spec.labels == "values":
        return keras.losses.MeanSquaredError()
    if spec.labels == "bits":
        return keras.losses.BinaryCrossentropy(from_logits=True)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
