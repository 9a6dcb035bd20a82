"""Declare as data what both engines on torch have in common: options, what does not go together, and environment."""

from stepmark.engines._support import FEEDING, LENGTHS, NVIDIA_MODES, Refusal

OPTIONS: dict[str, str | None] = {
    "channels-last": None,
    "fused-optimizer": None,
    "foreach-optimizer": None,
    "bucket-view": None,
    "cudnn-autotune": None,
    "cuda-graphs": None,
    **LENGTHS,
    "dynamic-compile": None,  # torch.compile(dynamic=True)
    "dataloader": None,
    "tf-data": "tf.data is TensorFlow's; PyTorch's own is the option dataloader",
    "py-dataset": "keras.utils.PyDataset is Keras'; PyTorch's own is the option dataloader",
}
_GRAPHS = ("cuda-graphs",)
REFUSALS = (
    *NVIDIA_MODES,
    *FEEDING,
    Refusal("PyTorch's wheels have no machine code for GPUs below compute capability 7.5", capability_below=(7, 5)),
    Refusal("cuda-graphs: GPUs have them, and this cell runs on CPU cores", options=_GRAPHS, devices=("cpu",)),
    Refusal("cuda-graphs: torch.compile makes them; use the level compiled", options=_GRAPHS, executions=("eager",)),
    Refusal(
        "dynamic-compile: torch.compile has it; use the level compiled",
        options=("dynamic-compile",),
        executions=("eager",),
    ),
    Refusal("an optimizer is fused or foreach, not both", all_options=("fused-optimizer", "foreach-optimizer")),
    Refusal(
        "foreach-optimizer: torch takes it on GPUs without asking",
        ("single", "ddp"),
        options=("foreach-optimizer",),
        devices=("gpu",),
    ),
    # pytorch/pytorch#169545: torch ends with an error.
    Refusal("cuda-graphs: a micro-batch would overwrite the last one's gradients", options=_GRAPHS, accumulation=True),
)
# Without the first variable, a test for CUDA would start CUDA, and a process that has done so cannot be forked.
ENVIRONMENT = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
