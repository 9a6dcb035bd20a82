"""Whether the time split tells communication from waiting: two real ranks, one of them made 15 ms late in every step.

python benchmarks/time_split.py [torch|keras-tensorflow ...]      each within 10 % of what was injected

The wait is known from the sleep that was put in. The exchange is known in two ways, and neither is perfect: from
launches with nobody late, which take turns with the others (TensorFlow's ring takes 15 ms in one launch and 22 in the
next); and from the same buckets alone, after the same sleep, in the same processes (DDP copies them too, and overlaps).
The update is a difference of two steps; it is compared with the same update called by itself, with all its arguments.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from stepmark import catalog
from stepmark.analysis.breakdown import launch_split
from stepmark.engines._device import matmul_flops
from stepmark.engines._protocol import PartName, RankContext
from stepmark.engines._sleeper_device import sleep_exactly
from stepmark.launch.group import ControlGroup
from stepmark.launch.parts import time_parts
from stepmark.orchestrate.folders import leased_ports
from stepmark.workloads import _batches

STRATEGIES = {"torch": "ddp", "keras-tensorflow": "multi-worker-mirrored"}
LATE_SECONDS, ROUNDS, SAMPLES_SECONDS = 0.015, 5, 20.0
FLOPS = matmul_flops("cpu", "float32")


def rank_main(name: str, rank: int, late_seconds: float, ports: list[int]) -> None:
    """Run one rank; print its parts as JSON."""
    module, workload = catalog.load_engine(name), catalog.load_workload("mlp")
    group = ControlGroup.join(f"127.0.0.1:{ports[0]}", "token", rank, 2, 60)

    class Late(module.Engine):  # type: ignore[name-defined, misc]
        def step(self, index: int) -> None:
            sleep_exactly(late_seconds)
            super().step(index)

        def step_without_reduce(self, index: int) -> None:
            if name != "torch":  # torch's step without exchange calls `step`, which is late already.
                sleep_exactly(late_seconds)
            super().step_without_reduce(index)

        def parts(self) -> dict[PartName, Callable[[int], None]]:
            parts = super().parts()

            def late(part: Callable[[int], None]) -> Callable[[int], None]:
                def call(index: int) -> None:
                    sleep_exactly(late_seconds)
                    part(index)

                return call

            timed: tuple[PartName, ...] = ("all_reduce", "step_without_update")
            found = {key: late(parts[key]) for key in timed}
            return {**found, "update": _update_alone(self, name)}  # type: ignore[dict-item]

    execution = module.SUPPORT.default_execution
    addresses = tuple(f"127.0.0.1:{port}" for port in ports[1:])
    engine = Late(RankContext(rank, 2, STRATEGIES[name], None, execution, "float32", addresses, 1, 0, 0, 0, 60))
    engine.join_group()
    params = workload.parse({"hidden": 1024, "layers": 3})
    batches = _batches.global_batches(workload.input(params), "synthetic", 0, 64, 2)
    engine.build(workload, params, [_batches.shard(batch, rank, 2) for batch in batches], 0.001)
    for index in range(20):
        engine.step(index)
    print("PARTS " + time_parts(engine, group, SAMPLES_SECONDS, 20, FLOPS).model_dump_json(), flush=True)
    group.finish()


def _update_alone(engine: Any, name: str) -> Callable[[int], None]:
    """Return the update called by itself, with gradients: those of torch's last step, or zeros for Keras."""
    if name == "torch":
        return lambda _: engine._update()
    import tensorflow as tf

    zeros = [tf.zeros(v.shape, v.dtype) for v in engine._model.trainable_variables]
    return lambda _: engine._update(*zeros)


def _start(name: str, rank: int, late_seconds: float, ports: list[int]) -> "subprocess.Popen[str]":
    """Start a rank on a core of its own, in the engine's environment."""
    variables = [f"{key}={value}" for key, value in catalog.load_engine(name).SUPPORT.environment.items()]
    program = [sys.executable, __file__, "rank", name, str(rank), str(late_seconds), json.dumps(ports)]
    command = ["taskset", "-c", str(rank), "env", *variables, *program]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def split(name: str, late_seconds: float) -> dict[str, float]:
    """Return seconds: exchange and update as the split finds them, the same alone, and the first rank's wait."""
    with leased_ports(3) as ports:
        ranks = [_start(name, rank, late_seconds if rank else 0.0, ports) for rank in range(2)]
        parts = [
            json.loads(next(line for line in rank.communicate()[0].splitlines() if line.startswith("PARTS"))[6:])
            for rank in ranks
        ]
    seconds = {key: [[ns / 1e9 for ns in one["nanoseconds"][key]] for one in parts] for key in parts[0]["nanoseconds"]}
    found = launch_split(
        step=seconds["step"],
        step_without_reduce=seconds["step_without_reduce"],
        step_without_update=seconds["step_without_update"],
    )
    alone = min(statistics.median(samples) for samples in seconds["all_reduce"]) - late_seconds
    update_alone = statistics.mean(statistics.median(samples) for samples in seconds["update"])
    return {
        "found": found.exposed, "alone": alone, "wait": float(found.rank_wait[0]), "update": found.update or 0.0,
        "update alone": update_alone,
    }  # fmt: skip


def main() -> None:
    for name in sys.argv[1:] or STRATEGIES:
        rounds = [(split(name, 0.0), split(name, LATE_SECONDS)) for _ in range(ROUNDS)]
        ratios = {
            "exchange found / without a late rank": [late["found"] / balanced["found"] for balanced, late in rounds],
            "exchange found / alone": [late["found"] / late["alone"] for _, late in rounds],
            "wait found / injected": [late["wait"] / LATE_SECONDS for _, late in rounds],
        }
        for what, seen in ratios.items():
            print(f"{name}: {what} {statistics.median(seen):.3f} ({min(seen):.3f} to {max(seen):.3f})", flush=True)
        for what in ("update", "update alone"):
            seen = [1e3 * one[what] for pair in rounds for one in pair]
            print(f"{name}: {what} {statistics.median(seen):.2f} ms ({min(seen):.2f} to {max(seen):.2f})", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["rank"]:
        rank_main(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), json.loads(sys.argv[5]))
    else:
        main()
