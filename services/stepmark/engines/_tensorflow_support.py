"""Declare as data which options the engine on TensorFlow has, and what does not go together there."""

from collections.abc import Mapping

from stepmark.engines import _tensorflow_collectives
from stepmark.engines._support import FEEDING, LENGTHS, NVIDIA_MODES, Refusal

OPTIONS: Mapping[str, str | None] = {
    "channels-last": None,  # Keras' own layout
    "fused-optimizer": "TensorFlow has no fused optimizer; XLA fuses the update at the level compiled",
    "foreach-optimizer": "this is an implementation of torch's optimisers",
    "cudnn-autotune": None,  # TensorFlow always does.
    "cuda-graphs": "TensorFlow has no switch for them",
    "dataloader": "torch.utils.data.DataLoader is PyTorch's, which this engine does not load; use tf-data",
    "tf-data": None,  # On GPUs it is used unasked.
    "py-dataset": None,
    **LENGTHS,
    "dynamic-compile": None,  # tf.function(reduce_retracing=True)
}
REFUSALS = (
    *NVIDIA_MODES,
    *FEEDING,
    *_tensorflow_collectives.REFUSALS,
    Refusal(
        "Keras clips each replica's gradient before the sum, which is another algorithm (weights off by 1e-3 after "
        "5 steps); use multi-worker-mirrored with the variant explicit, which clips after the sum",
        forms=("mirrored", "canonical"),
        clipping=True,
    ),
    Refusal(
        "dynamic-compile: nothing is traced at the level eager", options=("dynamic-compile",), executions=("eager",)
    ),
    Refusal(
        "dynamic-compile: XLA compiles each shape anew, whatever was traced; use graph",
        options=("dynamic-compile",),
        executions=("compiled",),
    ),
    Refusal("XLA cannot reach the variables of another device", forms=("mirrored",), executions=("compiled",)),
    Refusal(
        "ring: it is TensorFlow's exchange between GPUs without NCCL, and on CPU cores `explicit` has it already",
        forms=("ring",),
        devices=("cpu",),
    ),
    Refusal(
        "compiled: TensorFlow 2.21's XLA has no code for GPUs of compute capability 10.0 and later "
        "(tensorflow/tensorflow#111958); use graph",
        executions=("compiled",),
        devices=("gpu",),
        capability_from=(10, 0),
    ),
    Refusal(
        "compiled: on GPUs Keras takes cuDNN's LSTM, which XLA cannot compile; use graph",
        executions=("compiled",),
        devices=("gpu",),
        workloads=("lstm",),
    ),
)
