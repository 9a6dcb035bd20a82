"""Set the workload `collective` beside a plain loop over the same library: the mean time of an all-reduce, by size.

python benchmarks/collective_sweep.py                   gloo and gRPC, 64 KiB to 64 MiB, 10 rounds
python benchmarks/collective_sweep.py --rounds 2 torch  a look at PyTorch alone

Target: stepmark / plain loop within 0.97 and 1.03 at every size. Two ranks have a core each. In each round a plain loop
comes before and one after two launches of each size, so that a slow minute of the machine affects both alike.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stepmark.analysis.intervals import geometric_mean
from stepmark.terms import size_text

SIZES = (1 << 16, 1 << 20, 1 << 24, 1 << 26)
ENGINES = {"torch": "ddp", "keras-tensorflow": "multi-worker-mirrored"}
WARMUP, BYTES_MOST, STEPS_LEAST, STEPS_MOST = 10, 2 << 30, 30, 500


def steps_of(size: int) -> int:
    """Return how many all-reduces are timed: fewer of large messages."""
    return max(STEPS_LEAST, min(STEPS_MOST, BYTES_MOST // size))


def main(engines: list[str], rounds: int) -> None:
    for engine in engines:
        ratios: dict[int, list[float]] = {size: [] for size in SIZES}
        for _ in range(rounds):
            before = {size: plain_seconds(engine, size) for size in SIZES}
            found = stepmark_seconds(engine)
            after = {size: plain_seconds(engine, size) for size in SIZES}
            for size in SIZES:
                ratios[size].append(found[size] / (before[size] * after[size]) ** 0.5)
        for size, values in ratios.items():
            ratio = geometric_mean(np.array(values))
            interval = "" if ratio.low is None else f" [{ratio.low:.3f}, {ratio.high:.3f}]"
            print(f"{engine}, {size_text(size)}: stepmark / plain loop {ratio.value:.3f}{interval}", flush=True)


def stepmark_seconds(engine: str) -> dict[int, float]:
    """Return the mean step of each size over two launches."""
    measured: dict[int, float] = {}
    for size in SIZES:
        steps = steps_of(size)
        spec = {
            "workload": {"model": "collective", "params": {"collective": "all-reduce"}},
            "candidates": [{"name": "it", "engine": engine, "strategy": ENGINES[engine]}],
            "sweep": {"messageBytes": [size]},
            "scale": {"workers": [2], "batchPerWorker": 1},
            "parity": "skipped",
            "measurement": {
                "launches": 2, "minSteps": steps, "maxSteps": steps, "minSeconds": 0, "warmupSteps": WARMUP,
                "warmupSeconds": 0, "maxTakenShare": 1,
            },
        }  # fmt: skip
        document = {"apiVersion": "stepmark.dev/v1alpha1", "kind": "Scenario", "metadata": {"name": "sweep"}}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "scenario.yaml"
            file.write_text(json.dumps(document | {"spec": spec}))
            command = [
                sys.executable,
                "-m",
                "stepmark",
                "run",
                str(file),
                "--launcher",
                "bare",
                "--out",
                f"{folder}/out",
            ]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            [cell] = json.loads((Path(folder) / "out" / "summary.json").read_text())["cells"]
        measured[size] = cell["step_seconds"]["mean"]["value"]
    return measured


def plain_seconds(engine: str, size: int) -> float:
    """Return the mean time of an all-reduce in a loop of its own, without stepmark."""
    ports = ",".join(str(free_port()) for _ in range(2))
    command = [sys.executable, __file__, "--child", engine, "--size", str(size), "--ports", ports]
    ranks = [
        subprocess.Popen([*command, "--rank", str(rank)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for rank in range(2)
    ]
    told = [rank.communicate(timeout=600)[0] for rank in ranks]
    return max(float(text.split()[-1]) for text in told)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def child(engine: str, rank: int, ports: list[str], size: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})
    exchange = {"torch": torch_loop, "keras-tensorflow": tensorflow_loop}[engine](rank, ports, size)
    for _ in range(WARMUP):
        exchange()
    begin = time.perf_counter()
    for _ in range(steps_of(size)):
        exchange()
    print((time.perf_counter() - begin) / steps_of(size), flush=True)
    os._exit(0)


def torch_loop(rank: int, ports: list[str], size: int) -> Callable[[], Any]:
    import torch
    import torch.distributed as group

    torch.set_num_threads(1)
    group.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{ports[0]}", rank=rank, world_size=2)
    values = torch.zeros(size // 4)
    values.fill_(0.0)
    return lambda: group.all_reduce(values)


def tensorflow_loop(rank: int, ports: list[str], size: int) -> Callable[[], Any]:
    task = {"type": "worker", "index": rank}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": [f"127.0.0.1:{p}" for p in ports]}, "task": task})
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    values = tf.zeros(size // 4)

    def total() -> "tf.Tensor":
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)

    return tf.function(lambda: strategy.run(total))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="*", default=[], help="torch, keras-tensorflow; default: both")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--ports", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.rank, given.ports.split(","), given.size)
    main(given.engines or list(ENGINES), given.rounds)
