"""List, as data for reports, how each framework's engines differ from what its users get without asking.

A test compares these rows with what an engine really sets, where that can be read back.
"""

from dataclasses import replace

from stepmark.engines._optimizers import ADAMW
from stepmark.engines._protocol import LOSS_SCALE
from stepmark.engines._support import Departure

_EXACT = "float32 holds it exactly, as Keras keeps it in float32; 0.9 would cause an error of 1e-9 in float64"
_DECAY = "the same in every framework, and large enough for parity's five steps to show whether it is decoupled"


_FIT = ("fit",)


def _of_adamw(argument: str, ours: str, usual: str, why: str, without_options: tuple[str, ...] = ()) -> Departure:
    knob = f"AdamW's {argument}"
    return Departure(knob, ours, usual, why, optimizers=("adamw",), without_options=without_options)


# Both engines on torch have these. With fit, the optimiser and the loss scale are Keras'.
TORCH = (
    _of_adamw("betas", f"({ADAMW.beta1}, {ADAMW.beta2})", "(0.9, 0.999)", _EXACT, _FIT),
    _of_adamw(
        "eps",
        f"{ADAMW.epsilon:g} / sqrt(1 - beta2^t) in step t",
        "1e-08",
        "torch adds it after the bias correction and Keras before; set so before each step, which takes about a "
        "microsecond, both make the same update",
        _FIT,
    ),
    _of_adamw("weight_decay", f"{ADAMW.weight_decay}", "0.01", _DECAY, _FIT),
    Departure(
        knob="DDP's forward_sync_buffers",
        ours="False",
        usual="True: rank 0's buffers go to all ranks before each forward",
        why="DDP would broadcast in the step without exchange and not in the step after it, so the time split would be "
        "wrong and ranks would wait for each other; training uses no running statistics",
        forms=("ddp",),
    ),
    Departure(
        knob="TF32 in convolutions (torch.backends.cudnn.allow_tf32)",
        ours="False",
        usual="True",
        why="float32 means the same in every framework; choose the precision tf32 to use TF32",
        precisions=("float32",),
        devices=("gpu",),
    ),
    Departure(
        knob="initial loss scale",
        ours=f"{LOSS_SCALE:g}",
        usual="65536",
        why="Keras' default, so that both frameworks start with the same scale",
        precisions=("float16",),
        without_options=_FIT,
    ),
    Departure(
        knob="processes that compile (TORCHINDUCTOR_COMPILE_THREADS)",
        ours="1",
        usual="one for each core, 32 at most",
        why="every rank would start such a pool on the cores that all ranks share; with 1, first steps take longer",
        executions=("compiled",),
        devices=("cpu",),
    ),
    Departure(
        knob="processes that compile (torch._inductor.config.compile_threads)",
        ours="one for each core of the rank",
        usual="one for each core, 32 at most",
        why="every rank would start such a pool on the cores that all ranks share",
        executions=("compiled",),
        devices=("gpu",),
    ),
)

FSDP = (
    Departure(
        knob="what torch.compile is given",
        ours="each block of the model, sharded afterwards",
        usual="the whole model, as `single` and `ddp` do",
        why="a whole sharded model is recompiled at every hook; torch's recipes for FSDP2 compile blocks",
        forms=("fsdp",),
        executions=("compiled",),
    ),
)

_KERAS_IMPORT = Departure(
    knob="what Keras finds when it is imported",
    ours="no scikit-learn, no pandas, no other backend",
    usual="whatever is installed",
    why="no training step uses them, and they take most of the import's time and memory",
)

# All engines of Keras 3 have these.
KERAS = (
    _KERAS_IMPORT,
    Departure(
        knob="training loop",
        ours="a custom loop of single steps, as in Keras' guides to custom training loops",
        usual="model.fit, with its callbacks, metrics and data adapter",
        why="model.fit fails under MultiWorkerMirroredStrategy (keras-team/keras#20585) and does more than the step; "
        "the option fit has it",
        without_options=_FIT,
    ),
    Departure(
        knob="what model.fit is asked for",
        ours="one epoch a window, of batches that are already made; no metrics, no progress bar",
        usual="epochs of a whole data set; a progress bar, and often metrics such as the accuracy",
        why="the steps are then those of the written-out loop; docs/measuring.md says what a call of fit adds to them",
        options=_FIT,
    ),
)

KERAS_2 = (
    _KERAS_IMPORT,
    Departure(
        knob="training loop",
        ours="a custom loop of single steps, as in Keras' guides to custom training loops",
        usual="model.fit, with its callbacks, metrics and data adapter",
        why="it is the loop of the engines of Keras 3, so that step times can be compared",
    ),
)

# The engines whose optimiser is Keras' own have these.
KERAS_ADAMW = (
    _of_adamw("beta_1", f"{ADAMW.beta1}", "0.9", _EXACT),
    _of_adamw("beta_2", f"{ADAMW.beta2}", "0.999", _EXACT),
    _of_adamw(
        "epsilon",
        f"{ADAMW.epsilon:g}",
        "1e-07",
        "the same in every framework, and above the rounding errors of gradients that are zero in theory",
    ),
    _of_adamw("weight_decay", f"{ADAMW.weight_decay}", "0.004", _DECAY),
)

KERAS_TORCH = (
    *(replace(one, options=_FIT) for one in KERAS_ADAMW),
    Departure(
        knob="optimiser",
        ours="torch's own (torch.optim) and torch's cross entropy",
        usual="Keras' own with model.fit; torch's with DDP, as in Keras' guide",
        why="the same code runs for `single` and `ddp`, so that their step times can be compared",
        forms=("single",),
        without_options=_FIT,
    ),
)

# Both engines on TensorFlow have these.
TENSORFLOW = (
    Departure(
        knob="form of the distributed step",
        ours="the variant `explicit`: forward and backward, then all-reduce, then update",
        usual="the variant `canonical`: variables in strategy.scope(), the whole step in strategy.run",
        why="the time split and the search for slow ranks need a step without exchange, and gradients must be clipped "
        "after their sum; in return, the all-reduce cannot overlap with the backward pass",
        forms=("explicit", "ring"),
    ),
    Departure(
        knob="what exchanges gradients (CommunicationOptions.implementation)",
        ours="NCCL",
        usual="AUTO, which takes TensorFlow's ring over gRPC on GPUs too",
        why="PyTorch takes NCCL; TensorFlow's ring goes through the host's memory, and the variant `ring` has it",
        forms=("explicit", "canonical"),
        devices=("gpu",),
    ),
    Departure(
        knob="packs of gradients (CommunicationOptions.bytes_per_pack)",
        ours="26214400",
        usual="0: one pack of everything",
        why="DDP's buckets have this size; one pack of everything needs the gradients' memory once more",
        forms=("multi-worker-mirrored",),
        devices=("gpu",),
    ),
    Departure(
        knob="memory of a GPU (set_memory_growth)",
        ours="True",
        usual="False: TensorFlow takes all of it at once",
        why="a launch would fail while the memory of the one before it is still being given back",
        devices=("gpu",),
    ),
    Departure(
        knob="gradients of embeddings",
        ours="dense",
        usual="IndexedSlices, which travel by an all-gather",
        why="DDP's gradients are dense; this concerns only models with an embedding",
    ),
    Departure(
        knob="TF32 (tf.config.experimental.enable_tensor_float_32_execution)",
        ours="False",
        usual="True, on GPUs",
        why="float32 means the same in every framework; choose the precision tf32 to use TF32",
        precisions=("float32",),
    ),
)

# Keras 3 alone compiles in `fit` unasked.
KERAS_TENSORFLOW = (
    *TENSORFLOW,
    Departure(
        knob="XLA at the level `default`",
        ours="off: the step is a tf.function without jit_compile",
        usual='off in a custom training loop; on in model.fit (jit_compile="auto") where the model supports it',
        why="the training loop is custom, and with the option fit a level means the same; `compiled` has XLA",
        executions=("graph",),
    ),
)

JAX = (
    Departure(
        knob="waiting for a step",
        ours="the process waits for each step",
        usual="the process runs ahead of the device",
        why="JAX would run ahead without bound, and the times would show when steps began, not when they ended",
        devices=("cpu",),
    ),
    Departure(
        knob="waiting for a step",
        ours="JAX runs ahead of the device by 8 steps at most",
        usual="JAX runs ahead of the device",
        why="a queue without bound would hold the memory of its batches, and hide a slow step until much later",
        devices=("gpu",),
        without_options=_FIT,
    ),
    Departure(
        knob="jax_default_matmul_precision",
        ours="highest",
        usual="None: the fastest precision that the device has, which on GPUs is TF32",
        why="float32 means the same in every framework; choose the precision tf32 to use TF32",
        precisions=("float32",),
    ),
)
