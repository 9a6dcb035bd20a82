"""Launches as large as a hub accepts, which a hostile runner may send for a scenario of its own making."""

import base64
import json
from typing import Any

import numpy as np

from running_hub import Results
from stepmark.plan.blocks import launch_id
from stepmark.plan.cells import cells
from stepmark.results.record import WARMUP_STEPS_MOST, pack_steps
from stepmark.results.store import Run
from stepmark.scenario.load import scenario_from_object

RANKS, STEPS = 800, 2 * WARMUP_STEPS_MOST
"""The step times take 64 MB unpacked, a little less than `wire.STEPS_BYTES_MOST`."""


def huge(results: Results, launches: int) -> Results:
    """Return this many launches of one cell with 800 workers, each with as many steps as a launch may have."""
    scenario = results.run.scenario | {"spec": _spec(results.run.scenario["spec"], launches)}
    parsed = scenario_from_object(scenario)
    known = results.run.model_dump() | {"scenario": scenario, "scenario_digest": parsed.digest()}
    run = Run.model_validate(known | {"machine": {"places": RANKS, "programs": ()}})
    [cell] = cells(parsed, run.machine)
    steps = np.full((RANKS, STEPS), 1_000_000, dtype=np.int64)
    blob = base64.b64encode(pack_steps(steps)).decode()
    header: dict[str, Any] = results.rows[0][1]["header"]
    half = WARMUP_STEPS_MOST * 1_000_000
    windows = [{"kind": kind, "steps": WARMUP_STEPS_MOST, "host_nanoseconds": half} for kind in ("warmup", "measured")]
    ranks = [header["ranks"][0] | {"rank": rank, "windows": windows, "parts": None} for rank in range(RANKS)]
    own = {"cell": json.loads(cell.model_dump_json()), "scenario_digest": parsed.digest(), "ranks": ranks}
    rows = tuple(
        (name, {"header": header | own | {"launch_id": name, "block": block, "position": 0}, "steps_npz": blob})
        for block in range(launches)
        if (name := launch_id(cell, block, 0))
    )
    return Results(results.folder, run, rows, ())


def _spec(spec: dict[str, Any], launches: int) -> dict[str, Any]:
    measurement = spec["measurement"] | {"launches": launches, "maxSteps": 5000}
    return spec | {
        "candidates": spec["candidates"][:1], "scale": {"workers": [RANKS], "batchPerWorker": 8},
        "measurement": measurement,
    }  # fmt: skip
