"""One suite for all pairs of engine and workload, which finds new files in engines/ or workloads/ by itself.

Each engine trains everything in one process, since frameworks do not share one; the tests look at its reports. All
engines start with the first test.
"""

import json
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import forked
import pytest

from conftest import needs, trained_models
from contract.small_models import SMALL
from stepmark import catalog
from stepmark.engines._support import WAYS_TO_FEED

PARAMS = SMALL | {"scripted": {"stepSeconds": 0.001}}
REAL = [name for name in catalog.engine_names() if name != "sleeper"]


def support(engine: str) -> Any:
    return catalog.load_engine(engine).SUPPORT


def models(engine: str) -> list[str]:
    known = {name: catalog.load_workload(name) for name in ("scripted", *trained_models())}
    return [name for name, one in known.items() if support(engine).framework in one.frameworks()]


def levels(known: dict[str, str | None]) -> list[str]:
    return [level for level, refusal in known.items() if refusal is None]


def on_cpu(engine: str, kind: str) -> list[str]:
    """The `precisions` or `options` that an engine has on CPU cores."""
    of_gpus = {name for one in support(engine).refusals if one.devices == ("cpu",) for name in getattr(one, kind)}
    return [name for name in levels(getattr(support(engine), kind)) if name not in of_gpus]


def jobs(engine: str) -> list[dict[str, Any]]:
    """List all models at each execution level; the smallest at each precision, with each option, and fed each step."""
    default, small = support(engine).default_execution, models(engine)[0] if engine == "sleeper" else "mlp"
    found: list[dict[str, Any]] = [
        {"model": m, "execution": e} for m in models(engine) for e in levels(support(engine).executions)
    ]
    found += [{"model": small, "execution": default, "precision": p} for p in on_cpu(engine, "precisions")]
    found += [{"model": "resnet", "execution": default, "options": [o]} for e, o in OPTIONS if e == engine]
    if engine != "sleeper":
        found += [{"model": "mlp", "execution": default, "feed_each_step": True}]
        found += [{"model": "mlp", "execution": default, "accumulate": 2}]
        found += [{"model": "mlp", "execution": default, "clip_global_norm": 0.01}]
        found += [{"model": "mlp", "execution": default, "optimizer": "adamw"}]
    return found


CODE = """
import functools, json, os, sys
import numpy as np
from stepmark import catalog
from stepmark.engines import _device
from stepmark.engines._optimizers import RATES
from stepmark.engines._protocol import RankContext
from stepmark.workloads import _batches

module = catalog.load_engine(sys.argv[1])
os.environ.update(module.SUPPORT.environment)
module.import_framework()
if sys.argv[1] == "keras-torch":  # Each of Keras' many layers would be traced up to eight times, which takes seconds.
    sys.modules["torch._dynamo"].config.recompile_limit = 2
_device.MATMUL_SIDE = 64  # Without the compiler's optimisations a large product in 16 bits takes seconds.
small = json.loads(sys.argv[3])
inductor = getattr(sys.modules.get("torch"), "compile", None)
for number, job in enumerate(json.loads(sys.argv[2])):
    if "torch._dynamo" in sys.modules:  # Beyond its limit Dynamo runs eagerly; the limit is one of the process.
        sys.modules["torch._dynamo"].reset()
        # Graphs are made of every model, and machine code of one: it is made of graphs, and knows no models.
        other = functools.partial(inductor, backend="aot_eager")
        sys.modules["torch"].compile = inductor if job["model"] == "mlp" else other
    workload = catalog.load_workload(job["model"])
    params = workload.parse(small[job["model"]])
    changes = {key: value for key, value in job.items() if key not in ("model", "execution", "precision")}
    context = RankContext(
        0, 1, "single", None, job["execution"], job.get("precision", "float32"), (), 1, 7, 7, 0, 60, **changes
    )
    engine = module.Engine(context)
    if number == 0 or job.get("precision"):
        engine.join_group() if number == 0 or "tensorflow" not in sys.modules else None
    batches = _batches.global_batches(workload.input(params), "synthetic", 7, 8, 2)
    engine.build(workload, params, batches, RATES[context.optimizer])
    before = engine.weights()
    losses = []
    for index in range(6):
        engine.step(2 * index)  # The batch is always the same, so the loss must fall.
        losses.append(engine.synchronize())
    compilations = engine.compilations()
    engine.step(0)
    again = engine.compilations() != compilations
    after = engine.weights()
    losses_again = []
    if context.optimizer == "adamw":
        engine.restart(before, RATES["adamw"])
        for index in range(6):
            engine.step(2 * index)
            losses_again.append(engine.synchronize())
    engine.load_weights(before)
    restored = engine.weights()
    engine.step_without_reduce(0)
    engine.synchronize()
    parts = engine.parts()
    # Eager gradients of the other models take seconds a call, and are the same code.
    for call in parts.values() if job["model"] == "mlp" or job["execution"] != "eager" else ():
        call(0)
    before_again, compilations = engine.weights(), engine.compilations()
    for call in parts.values() if job["model"] == "mlp" else ():
        call(1)
    parts_compiled_again = engine.compilations() != compilations
    print(json.dumps({
        "losses": losses,
        "losses_again": losses_again,
        "compilations": compilations,
        "compiled_again": again,
        "logits": list(engine.forward(0).shape) if before else None,
        "parameters": sum(w.size for w in before.values()),
        "expected": workload.parameter_count(params),
        "moved": any(not np.array_equal(before[k], after[k]) for k in before),
        "restored": all(np.array_equal(before[k], restored[k]) for k in before),
        "parts": sorted(parts),
        "parts_compiled_again": parts_compiled_again,
        "parts_moved": any(not np.array_equal(before_again[k], v) for k, v in engine.weights().items()),
        "names": {name: list(values.shape) for name, values in sorted(before.items())},
        "flags": engine.flags(),
    }), flush=True)
engine.close()
"""


@cache
def processes() -> "dict[str, Future[subprocess.CompletedProcess[str]]]":
    """Start one process for each engine, two at a time: each is pinned to one thread by its RankContext."""
    pool = ThreadPoolExecutor(2)
    return {engine: pool.submit(process, engine) for engine in catalog.engine_names()}


def process(engine: str) -> "subprocess.CompletedProcess[str]":
    return forked.run(engine, CODE, engine, json.dumps(jobs(engine)), json.dumps(PARAMS))


@cache
def everything(engine: str) -> dict[str, dict[str, Any]]:
    """Return what an engine reported of each job."""
    needs(*support(engine).requires)
    done = processes()[engine].result()
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    seen = {json.dumps(job): json.loads(line) for job, line in zip(jobs(engine), lines, strict=False)}
    assert done.returncode == 0, f"{jobs(engine)[len(lines)]}: {done.stderr[-3000:]}"
    return seen


def seen(engine: str, **job: Any) -> dict[str, Any]:
    job.setdefault("execution", support(engine).default_execution)
    return everything(engine)[json.dumps({key: job[key] for key in ("model", "execution", *job)})]


def test_every_model_has_a_small_size_for_tests() -> None:
    assert set(SMALL) == set(trained_models())


PAIRS = [(e, m, x) for e in catalog.engine_names() for m in models(e) for x in levels(support(e).executions)]


@pytest.mark.parametrize(("engine", "model", "execution"), PAIRS)
def test_an_engine_trains_a_model_and_exports_and_loads_its_weights(engine: str, model: str, execution: str) -> None:
    found = seen(engine, model=model, execution=execution)
    assert found["restored"]
    assert not found["compiled_again"]
    assert not found["parts_compiled_again"]  # What is traced anew is so in the first round, which is no sample.
    assert not found["parts_moved"]  # The step without its update moves no weight.
    assert all(found["flags"].values())
    if found["expected"] is not None:
        assert found["parameters"] == found["expected"]
        assert found["moved"]
        assert found["losses"][-1] < found["losses"][0]
        assert found["logits"][0] == 8


@pytest.mark.parametrize("engine", [engine for engine in REAL if "torch" in engine])
def test_every_model_is_compiled_by_torch_and_none_falls_back_to_eager(engine: str) -> None:
    counted = [seen(engine, model=model, execution="compiled")["compilations"] for model in models(engine)]
    assert all(before < after for before, after in pairwise([0, *counted])), counted  # Torch counts for the process.


@pytest.mark.parametrize("engine", REAL)
def test_every_precision_trains_and_gives_losses_of_its_own(engine: str) -> None:
    known = on_cpu(engine, "precisions")
    losses = {precision: seen(engine, model="mlp", precision=precision)["losses"] for precision in known}
    assert all(found[-1] < found[0] for found in losses.values())
    assert len({tuple(found) for found in losses.values()}) == len(known)


@pytest.mark.parametrize("engine", REAL)
def test_an_engine_switches_tf32_off_and_reports_it(engine: str) -> None:
    assert seen(engine, model="mlp", precision="float32")["flags"]["tf32"] == "off"


@pytest.mark.parametrize("engine", REAL)
def test_an_engine_scales_the_loss_dynamically_in_float16_alone(engine: str) -> None:
    assert seen(engine, model="mlp", precision="float16")["flags"]["loss_scale"].startswith("dynamic")
    assert seen(engine, model="mlp", precision="float32")["flags"]["loss_scale"] == "none"


@pytest.mark.parametrize("engine", REAL)
def test_samples_fed_each_step_give_the_losses_of_resident_ones(engine: str) -> None:
    plain = seen(engine, model="mlp")["losses"]
    assert seen(engine, model="mlp", feed_each_step=True)["losses"] == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("engine", REAL)
def test_the_parts_of_a_step_run_alone(engine: str) -> None:
    alone = set(seen(engine, model="mlp")["parts"])
    assert "matmul" in alone
    assert "step_without_update" in alone
    assert set(seen(engine, model="mlp", feed_each_step=True)["parts"]) == alone | {"input"}


@pytest.mark.parametrize("engine", REAL)
def test_micro_batches_give_the_losses_of_the_whole_batch(engine: str) -> None:
    plain = seen(engine, model="mlp")["losses"]
    assert seen(engine, model="mlp", accumulate=2)["losses"] == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("engine", REAL)
def test_clipped_gradients_change_the_loss_less(engine: str) -> None:
    plain, clipped = seen(engine, model="mlp")["losses"], seen(engine, model="mlp", clip_global_norm=0.01)["losses"]
    assert clipped[0] == pytest.approx(plain[0])
    assert 0 < clipped[0] - clipped[-1] < 0.1 * (plain[0] - plain[-1])


@pytest.mark.parametrize("engine", REAL)
def test_adamw_trains_and_starts_again_as_it_began(engine: str) -> None:
    found = seen(engine, model="mlp", optimizer="adamw")
    assert found["losses"][-1] < found["losses"][0]
    assert found["losses_again"] == found["losses"]
    assert found["flags"]["optimizer"].startswith("AdamW")


ELSEWHERE = (
    "bucket-view",  # Only DDP has it: test_departures_are_what_engines_set.py.
    *WAYS_TO_FEED,  # test_every_way_to_feed_gives_the_same_samples.py
    *("bucketed", "dynamic-length", "dynamic-compile"),  # test_shapes_change_compilations_and_no_result.py
    *("fit", "steps-per-execution"),  # test_fit_makes_the_same_updates.py
)
OPTIONS = [(e, o) for e in REAL for o in on_cpu(e, "options") if o not in ELSEWHERE]


@pytest.mark.parametrize(("engine", "option"), OPTIONS)
def test_an_option_is_set_and_does_not_change_the_losses(engine: str, option: str) -> None:
    plain, optional = seen(engine, model="resnet"), seen(engine, model="resnet", options=[option])
    assert optional["losses"] == pytest.approx(plain["losses"], rel=1e-3)
    flag = {
        "channels-last": ("memory_format", "channels_last"),
        "fused-optimizer": ("fused_optimizer", "true"),
        "foreach-optimizer": ("foreach_optimizer", "true"),
    }[option]
    assert optional["flags"][flag[0]] == flag[1]


@pytest.mark.parametrize("model", trained_models())
def test_weights_have_the_same_names_and_shapes_in_every_engine(model: str) -> None:
    names = [seen(engine, model=model)["names"] for engine in REAL]
    assert all(names[0] == other for other in names)
