"""List, as data for reports, how each framework's engines differ from what its users get without asking.

A test compares these rows with what an engine really sets, where that can be read back.
"""

from stepmark.engines._protocol import LOSS_SCALE
from stepmark.engines._support import Departure

# Both engines on torch have these.
TORCH = (
    Departure(
        knob="DDP's forward_sync_buffers",
        ours="False",
        usual="True: rank 0's buffers go to all ranks before each forward",
        why="DDP would broadcast in a step without exchange and leave it out of the step after, so the time split "
        "would charge it to the wrong one, and ranks would wait for each other; training uses no running statistics",
        forms=("ddp",),
    ),
    Departure(
        knob="TF32 in convolutions (torch.backends.cudnn.allow_tf32)",
        ours="False",
        usual="True",
        why="float32 is float32 on all sides; the precision tf32 asks for it",
        precisions=("float32",),
        devices=("gpu",),
    ),
    Departure(
        knob="initial loss scale",
        ours=f"{LOSS_SCALE:g}",
        usual="65536",
        why="Keras' default: both sides start alike",
        precisions=("float16",),
    ),
    Departure(
        knob="processes that compile (TORCHINDUCTOR_COMPILE_THREADS)",
        ours="1",
        usual="one for each core, 32 at most",
        why="every rank would have such a pool, on the cores of all; first steps take longer without",
        executions=("compiled",),
        devices=("cpu",),
    ),
    Departure(
        knob="processes that compile (torch._inductor.config.compile_threads)",
        ours="one for each core of the rank",
        usual="one for each core, 32 at most",
        why="every rank would have such a pool, on the cores of all",
        executions=("compiled",),
        devices=("gpu",),
    ),
)

FSDP = (
    Departure(
        knob="what torch.compile is given",
        ours="each block of the model, sharded afterwards",
        usual="the whole model, as `single` and `ddp` do",
        why="a whole sharded model is compiled anew at each hook; torch's recipes for FSDP2 compile blocks",
        forms=("fsdp",),
        executions=("compiled",),
    ),
)

# All engines of Keras have these.
KERAS = (
    Departure(
        knob="what Keras finds when it is imported",
        ours="no scikit-learn, no pandas, no other backend",
        usual="whatever is installed",
        why="no training step uses them, and they are most of the import's time and memory",
    ),
    Departure(
        knob="training loop",
        ours="one step at a time, written out as in Keras' guides to custom loops",
        usual="model.fit, with its callbacks, metrics and data adapter",
        why="fit does not work under MultiWorkerMirroredStrategy (keras-team/keras#20585), and does more than the step",
    ),
)

KERAS_TORCH = (
    Departure(
        knob="optimiser",
        ours="torch.optim.SGD and torch's cross entropy",
        usual="Keras' own under model.fit; torch's under DDP, in Keras' guide",
        why="one way for `single` and `ddp`, so that workers are compared with workers",
        forms=("single",),
    ),
)

TENSORFLOW = (
    Departure(
        knob="XLA at the level `default`",
        ours="off: a step written out is a tf.function without jit_compile",
        usual='off in a loop of one\'s own; on in model.fit (jit_compile="auto") where the model supports it',
        why="the loop is written out; the level `compiled` has XLA",
        executions=("graph",),
    ),
    Departure(
        knob="form of the distributed step",
        ours="the variant `explicit`: forward and backward, then all-reduce, then update",
        usual="the variant `canonical`: variables in strategy.scope(), the whole step in strategy.run",
        why="only so can a step leave out its exchange, which the time split and the search for slow ranks need, "
        "and are gradients clipped after their sum; its all-reduce cannot overlap with the backward pass",
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
        why="DDP's are dense; only models with an embedding have them",
    ),
    Departure(
        knob="TF32 (tf.config.experimental.enable_tensor_float_32_execution)",
        ours="False",
        usual="True, on GPUs",
        why="float32 is float32 on all sides; the precision tf32 asks for it",
        precisions=("float32",),
    ),
)

JAX = (
    Departure(
        knob="waiting for a step",
        ours="each step is waited for",
        usual="JAX runs ahead of the device",
        why="it would run ahead without bound, and stamps would tell when steps were begun",
        devices=("cpu",),
    ),
    Departure(
        knob="waiting for a step",
        ours="JAX runs ahead of the device by 8 steps at most",
        usual="JAX runs ahead of the device",
        why="a queue without bound would hold the memory of its batches, and hide a slow step until much later",
        devices=("gpu",),
    ),
    Departure(
        knob="jax_default_matmul_precision",
        ours="highest",
        usual="None: the fastest that the device has, which on GPUs is TF32",
        why="float32 is float32 on all sides; the precision tf32 asks for it",
        precisions=("float32",),
    ),
)
