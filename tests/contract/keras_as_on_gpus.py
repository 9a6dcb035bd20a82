"""Train as on GPUs, with logical CPU devices in their place. Run as a script in each framework; it prints JSON.

python keras_as_on_gpus.py jax                  JAX sees two devices, and `single` shares each batch between them
python keras_as_on_gpus.py mirrored             TensorFlow's GPU:0 and GPU:1 are CPU:1 and CPU:2; CPU:0 is the host
python keras_as_on_gpus.py keras-2-mirrored     the same in Keras 2
python keras_as_on_gpus.py multi-worker-mirrored RANK ADDRESS ADDRESS     one of two ranks
"""

import json
import os
import sys
from typing import Any
from unittest import mock

from stepmark import catalog
from stepmark.engines._device import CPU, GPU, Device
from stepmark.engines._protocol import RankContext
from stepmark.workloads import _batches

STEPS = 12


def context(strategy: str, device: Device, **changes: Any) -> RankContext:
    fixed: dict[str, Any] = {"variant": None, "execution": "graph", "addresses": (), "feed_each_step": False}
    several = {"rank": int(sys.argv[2]), "world_size": 2, "addresses": tuple(sys.argv[3:])} if sys.argv[2:] else {}
    return RankContext(
        strategy=strategy, precision="float32", threads=1, seed=7, launch_seed=7, block=0,
        collective_timeout_seconds=60, device=device, **({"rank": 0, "world_size": 1} | fixed | several | changes),
    )  # fmt: skip


def trained(module: Any, given: RankContext, strategy: Any = None) -> tuple[Any, list[float]]:
    """An engine that has made its steps, and their losses. With a strategy it does not join its group anew."""
    engine = module.Engine(given)
    if strategy is None:
        engine.join_group()
    else:
        engine._strategy = strategy
    workload = catalog.load_workload("mlp")
    params = workload.parse({"hidden": 16})
    size = 8 * given.replicas * given.world_size
    batches = _batches.global_batches(workload.input(params), "synthetic", 7, size, 3)
    own = [_batches.shard(batch, given.rank, given.world_size) for batch in batches]
    engine.build(workload, params, own, 0.0625)
    losses = []
    for index in range(STEPS):
        engine.step(index)
        losses.append(engine.synchronize())
    return engine, losses


def parts_run(engine: Any) -> list[str]:
    """The parts that were called with the same batch in turn, as `time_parts` does."""
    before, compilations = engine.parts(), None
    for index in (5, 6, 7):
        engine.step(index)
        for call in before.values():
            call(index)
            engine.synchronize()
        compilations = engine.compilations() if index == 5 else compilations
    assert engine.compilations() == compilations
    return sorted(before)


def on_jax() -> dict[str, Any]:
    os.environ["XLA_FLAGS"] += " --xla_force_host_platform_device_count=2"
    module = catalog.load_engine("keras-jax")
    module.import_framework()
    import jax

    def run(device: Device, fed: bool) -> tuple[Any, list[float]]:
        return trained(module, context("single", device, execution="compiled", feed_each_step=fed))

    with mock.patch("stepmark.engines._jax_device.check_gpu"):
        (waiting, waited), (_, fed), (ahead, queued) = run(CPU, False), run(GPU, True), run(GPU, False)
    for index in range(40):
        ahead.step(index)
    queue = len(ahead._ahead._losses)
    ahead.drain()
    return {
        "losses": {"cpu": waited, "gpu": queued, "fed": fed},
        "devices": len(ahead._state[0][0].devices()),
        "shares": len({shard.device for shard in ahead._batches[0][0][0].addressable_shards}),
        "queue": [len(waiting._ahead._losses), queue, len(ahead._ahead._losses)],
        "ready": all(leaf.is_ready() for leaf in jax.tree.leaves(ahead._state)),
        "parts": parts_run(ahead),
    }


def stand_ins() -> Any:
    """TensorFlow's name of GPU i is that of CPU i + 1, so what is not placed by its name is seen on CPU:0."""
    name = property(lambda self: f"CPU:{self.index + (self.kind == 'gpu')}")
    return mock.patch.object(Device, "tensorflow_name", name)


def seen_devices(engine: Any) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for what, device in engine._placed():
        found.setdefault("batch" if what == "a batch" else "variable", set()).add(device.rpartition("device:")[2])
    return {what: sorted(devices) for what, devices in found.items()}


def on_tensorflow(which: str) -> dict[str, Any]:
    module = catalog.load_engine("tf-keras" if which == "keras-2-mirrored" else "keras-tensorflow")
    module.import_framework()
    import tensorflow as tf

    [cpu] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 3)
    package = "stepmark.engines._tensorflow_device"
    with stand_ins(), mock.patch(f"{package}.take_devices"), mock.patch(f"{package}.check_placement"):
        return (multi_worker if which == "multi-worker-mirrored" else mirrored)(module)


def mirrored(module: Any) -> dict[str, Any]:
    def run(fed: bool, **changes: Any) -> tuple[Any, list[float]]:
        return trained(module, context("mirrored", GPU, replicas=2, feed_each_step=fed, **changes))

    resident, losses = run(False)
    fed, fed_losses = run(True)
    one, one_losses = trained(module, context("single", GPU, accumulate=2))
    one_fed, one_fed_losses = trained(module, context("single", GPU, accumulate=2, feed_each_step=True))
    return {
        "losses": {"resident": losses, "fed": fed_losses},
        "single": {"resident": one_losses, "fed": one_fed_losses},
        "placed": [seen_devices(engine) for engine in (resident, fed)],
        "single placed": [seen_devices(engine)["batch"] for engine in (one, one_fed)],
        "inputs": [engine.feed and engine.feed.flags(engine._inputs)["input"] for engine in (resident, fed, one_fed)],
        "parts": [parts_run(engine) for engine in (fed, one, one_fed)],
    }


def multi_worker(module: Any) -> dict[str, Any]:
    first, losses = trained(module, context("multi-worker-mirrored", GPU, variant="explicit"))
    found = {"explicit": losses}
    for variant in ("explicit", "canonical", "ring"):
        again = context("multi-worker-mirrored", GPU, variant=variant, feed_each_step=True)
        engine, found[f"{variant}, fed"] = trained(module, again, first._strategy)
    options = first._strategy.extended._communication_options
    return {
        "losses": found,
        "options": [str(options.implementation), options.bytes_per_pack, options.timeout_seconds],
        "parts": parts_run(engine),
    }


if __name__ == "__main__":
    which = sys.argv[1]
    with mock.patch("stepmark.engines._keras_parts.matmul_side", return_value=64):  # A GPU's takes a core a minute.
        print(json.dumps(on_jax() if which == "jax" else on_tensorflow(which)), flush=True)
    os._exit(0)  # TensorFlow's threads may hang in an orderly exit.
