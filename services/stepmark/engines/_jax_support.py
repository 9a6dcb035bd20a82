"""Declare as data which precisions and options the engine on JAX has, and what does not go together there."""

from collections.abc import Mapping

from stepmark.engines import _jax_collectives, _keras_fit
from stepmark.engines._support import FEEDING, LENGTHS, NVIDIA_MODES

PRECISIONS: Mapping[str, str | None] = {
    "float32": None,
    "tf32": None,
    "bfloat16": None,
    "float16": None,
    "float64": "Keras computes several float64 operations in float32 on JAX (errors of 1e-7)",
}
OPTIONS: Mapping[str, str | None] = {
    "channels-last": None,  # Keras' own layout
    "fused-optimizer": "JAX has no fused optimizer; XLA fuses the update at the level compiled",
    "foreach-optimizer": "this is an implementation of torch's optimisers",
    "cudnn-autotune": None,  # XLA always does.
    "cuda-graphs": "JAX has no switch for them; XLA decides by itself what it records as a graph",
    **LENGTHS,
    "dynamic-compile": "XLA compiles each shape anew; JAX has no programs for several shapes",
    "dataloader": "torch.utils.data.DataLoader is PyTorch's, which this engine does not load; use py-dataset",
    "tf-data": "tf.data is TensorFlow's, which this engine does not load; use py-dataset",
    "py-dataset": None,
    **_keras_fit.OPTIONS,
}
REFUSALS = (*NVIDIA_MODES, *FEEDING, *_jax_collectives.REFUSALS, *_keras_fit.REFUSALS)
