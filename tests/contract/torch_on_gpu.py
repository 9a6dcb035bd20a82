"""What the engine `torch` asks of its framework on a GPU, read where none is. Run as a script: prints one JSON object.

Constructors that need a GPU are replaced by ones that keep what they were given.
"""

import json
import os
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from on_meta import CONTEXT, engine_on_meta
from small_models import SMALL

from stepmark import catalog
from stepmark.engines import _torch_device
from stepmark.engines._feed import Source
from stepmark.engines._protocol import RankContext
from stepmark.orchestrate.folders import leased_ports
from stepmark.workloads import _batches

MODULE: Any = catalog.load_engine("torch")
GPT = catalog.load_workload("gpt")
FOUND: dict[str, Any] = {}


def made(**changes: Any) -> Any:
    return engine_on_meta(MODULE, "none")(replace(CONTEXT, **changes))


def built(**changes: Any) -> Any:
    return build(made(**changes))


def build(engine: Any) -> Any:
    params = GPT.parse(SMALL["gpt"])
    batches = _batches.global_batches(GPT.input(params), "synthetic", 7, 8, 2)
    engine.build(GPT, params, batches, 0.0625)
    return engine


def distributed_data_parallel() -> None:
    """What DDP is given, by a torch that has `forward_sync_buffers` and by one that has not."""
    import torch

    class Stub(torch.nn.Module):
        bucket_bytes_cap, gradient_as_bucket_view, static_graph = 25 << 20, False, False

        def keep(self, module: Any, given: dict[str, Any]) -> None:
            super().__init__()
            self.__dict__ |= {key: value for key, value in given.items() if key.endswith("buffers")}
            devices = {parameter.device.type for parameter in module.parameters()}
            FOUND["ddp"].append({**given, "weights": sorted(devices), "flags": None})

    class New(Stub):
        def __init__(
            self, module: Any, device_ids: Any, gradient_as_bucket_view: Any, forward_sync_buffers: Any
        ) -> None:
            self.keep(module, {"device_ids": device_ids, "forward_sync_buffers": forward_sync_buffers})

    class Old(Stub):
        def __init__(self, module: Any, device_ids: Any, gradient_as_bucket_view: Any, broadcast_buffers: Any) -> None:
            self.keep(module, {"device_ids": device_ids, "broadcast_buffers": broadcast_buffers})

    FOUND["ddp"] = []
    for stub in (New, Old):
        with mock.patch.object(torch.nn.parallel, "DistributedDataParallel", stub):
            engine = built(strategy="ddp")
        FOUND["ddp"][-1]["flags"] = engine._strategy.flags()
        with mock.patch.object(torch.distributed, "all_reduce") as reduce:
            engine.parts()["all_reduce"](0)
        FOUND["ddp"][-1]["reduced on"] = sorted({call.args[0].device.type for call in reduce.call_args_list})


def fully_sharded() -> None:
    """The mesh and the policies that FSDP2 is given, and whether autocast is left out."""
    for precision in ("float32", "bfloat16"):
        with (
            mock.patch("torch.distributed.device_mesh.init_device_mesh") as mesh,
            mock.patch("torch.distributed.fsdp.fully_shard") as shard,
        ):
            engine = built(strategy="fsdp", precision=precision)
        policies = [call.kwargs["mp_policy"] for call in shard.call_args_list]
        FOUND[f"fsdp {precision}"] = {
            "mesh": list(mesh.call_args.args),
            "policies": [[str(p.param_dtype), str(p.reduce_dtype), str(p.output_dtype)] for p in policies],
            "autocast": type(engine._autocast()).__name__,
            "flags": engine._strategy.flags(),
        }


def mixed_precision_of_fsdp_trains() -> None:
    """The same steps on the CPU with FSDP's casts, with autocast, and in float32."""
    import torch

    losses: dict[str, list[Any]] = {}
    for name, precision in (("casts", "bfloat16"), ("autocast", "bfloat16"), ("float32", "float32")):
        with leased_ports(1) as [port]:
            cpu = replace(CONTEXT, strategy="fsdp", precision=precision, device=replace(CONTEXT.device, kind="cpu"))
            engine = MODULE.Engine(replace(cpu, addresses=(f"127.0.0.1:{port}",)))
            engine.join_group()
        with mock.patch.object(type(engine._strategy), "casts", lambda _, name=name: name == "casts"):
            build(engine)
            losses[name] = [(engine.step(0), engine.synchronize())[1] for _ in range(6)]
        kinds = {str(part.dtype) for p in engine._trained for part in (p, p.grad)} | {str(engine._losses[0].dtype)}
        losses[f"{name} kinds"] = sorted(kinds)
        torch.distributed.destroy_process_group()
    FOUND["fsdp losses"] = losses


def group() -> None:
    import torch

    with (
        mock.patch.object(torch.distributed, "TCPStore"),
        mock.patch.object(torch.distributed, "init_process_group") as init,
        mock.patch.dict(os.environ),
        mock.patch.object(_torch_device.Cuda, "start"),
    ):
        MODULE.Engine(replace(CONTEXT, strategy="ddp", addresses=("127.0.0.1:1",))).join_group()
        FOUND["group"] = {
            "backend": init.call_args.args[0],
            "device": str(init.call_args.kwargs["device_id"]),
            "recorder": {name: value for name, value in os.environ.items() if name.startswith("TORCH_NCCL_")},
            "folder": str(Path.cwd()),
        }


def settings() -> None:
    import torch
    import torch._inductor.config

    FOUND["settings"] = {}
    cudnn = torch.backends.cudnn
    for precision, options in (("float32", ()), ("tf32", ("cudnn-autotune",))):
        cudnn.allow_tf32 = True  # what users get
        engine = made(precision=precision, options=options)
        engine.join_group()
        FOUND["settings"][precision] = [cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32, cudnn.benchmark]
    torch.set_float32_matmul_precision("highest")
    with mock.patch("torch.compile") as compiled:
        for options in ((), ("cuda-graphs",)):
            engine = made(execution="compiled", threads=3, options=options)
            engine.join_group()
            build(engine)
    FOUND["compiled"] = [call.kwargs for call in compiled.call_args_list]
    FOUND["compile threads"] = torch._inductor.config.compile_threads


def refusals() -> None:
    import torch

    FOUND["no GPU"] = said(CONTEXT)
    for name in ("CUBLAS_EMULATE_SINGLE_PRECISION", "NVIDIA_TF32_OVERRIDE"):
        with mock.patch.dict(os.environ, {name: "1"}):
            FOUND[name] = said(CONTEXT)
    with (
        mock.patch.object(torch.cuda, "is_available", return_value=True),
        mock.patch.object(torch.cuda, "set_device"),
        mock.patch.object(torch.cuda, "get_device_capability", return_value=(7, 5)) as capability,
    ):
        FOUND["on a T4"] = [said(CONTEXT), said(replace(CONTEXT, precision="bfloat16"))]
        capability.return_value = (7, 0)
        FOUND["on a V100"] = said(CONTEXT)


def said(context: RankContext) -> str:
    try:
        _torch_device.Cuda(context).start(MODULE.SUPPORT)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@contextmanager
def inputs_of_10_bits() -> Any:
    """Products and convolutions as TF32 makes them, or a little worse, as it rounds and this cuts."""
    import torch

    def rounded(one: Any) -> Any:
        return (one.contiguous().view(torch.int32) & ~0x1FFF).view(torch.float32)

    def short(name: str, owner: Any) -> AbstractContextManager[Any]:
        real = getattr(owner, name)
        return mock.patch.object(owner, name, lambda *given, **named: real(*map(rounded, given), **named))

    with short("matmul", torch), short("conv2d", torch.nn.functional):
        yield


def tf32_probe() -> None:
    FOUND["probe"] = _torch_device.probe_tf32("cpu")
    with inputs_of_10_bits():
        FOUND["probe of tf32"] = _torch_device.probe_tf32("cpu")


def fed() -> None:
    """Samples that are fed: pinned when they are kept, and copied without waiting."""
    tensors = [mock.Mock(), mock.Mock()]
    device = _torch_device.Cuda(CONTEXT)
    make = mock.Mock(return_value=tuple(tensors))
    kept = device.kept(Source([[(np.zeros((1, 1)), np.zeros(1))]]), make)
    for _ in range(3):
        device.send(next(kept))
    copies = [one.pin_memory.return_value.to.call_args for one in tensors]
    FOUND["fed"] = [[*one.args, one.kwargs] for one in copies]
    FOUND["made"] = make.call_count


def step_calls() -> None:
    """In which order a step waits, works and records, and what begins a window."""
    calls: list[str] = []
    engine = built()
    engine._events = SimpleNamespace(
        before_step=lambda: calls.append("wait"),
        after_step=lambda: calls.append("record"),
        mark=lambda steps: calls.append(f"mark {steps}"),
        nanoseconds=lambda: [5, 6],
    )
    engine._device.begin_window = lambda: calls.append("forget the most memory")
    update = engine._update

    def updated() -> None:
        update()
        calls.append("update")

    engine._update = updated
    engine.mark_window(2)
    engine.step(0)
    FOUND["calls"] = calls
    FOUND["asynchronous"] = [engine.asynchronous, engine.device_step_nanoseconds()]


def flags() -> None:
    import torch

    with (
        mock.patch.object(torch.cuda, "get_device_name", return_value="NVIDIA H200"),
        mock.patch.object(torch.cuda.nccl, "version", return_value=(2, 27, 7)),
        mock.patch.object(_torch_device, "probe_tf32", return_value="product 1.0e-06, convolution 1.0e-06") as probe,
    ):
        engine = made(strategy="single", feed_each_step=True)
        build(engine)
        engine._device.name = "cuda:0"
        engine._device.send = lambda tensors: tensors  # Nothing can be moved to a GPU that is not there.
        FOUND["flags"] = (engine.flags(), engine.flags())[1]
        FOUND["probes"] = probe.call_count


def main() -> None:
    os.environ.update(MODULE.SUPPORT.environment)
    MODULE.import_framework()
    for check in (
        distributed_data_parallel, fully_sharded, mixed_precision_of_fsdp_trains, group, settings, refusals, tf32_probe,
        fed, step_calls, flags,
    ):  # fmt: skip
        check()
    print(json.dumps(FOUND))


if __name__ == "__main__":
    main()
