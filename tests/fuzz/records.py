"""Wire records, which a runner sends to a hub and a store holds, with changed structure or changed bytes."""

import base64
import functools
import json
import random
import sqlite3
from contextlib import closing
from typing import Any

from pydantic import BaseModel, ValidationError

from conftest import ROOT
from fuzz.mutations import garbled, leaves, mutated
from stepmark.errors import CannotRun
from stepmark.results.certificate import Certificate
from stepmark.results.store import record_of
from stepmark.results.wire import Claim, LaunchUpload, Progress, Registration, State

ERROR = {"tensor": "w", "error": 1e-7}
FIGURES = {
    "forward": 1e-7, "loss": 1e-8, "gradient": 1e-7, "gradient_scale": 1.0, "gradient_rest": 1e-7, "tensors": [ERROR],
    "weights": 1e-7, "update": 1e-6, "held": True, "steps": 5, "unmatched": ["b"],
}  # fmt: skip
LIMITS = dict.fromkeys(("forward", "loss", "gradient", "scale", "tensor", "weights", "update"), 1e-5)
STAGE = {
    "name": "as timed", "engine": "torch", "reference_engine": "keras", "figures": FIGURES, "limits": LIMITS,
    "ranks_agree": True, "problem": "",
}  # fmt: skip
CERTIFICATE = {
    "cell": "a.eager.float32.w1", "reference": "b", "badge": "certified", "text": "1e-7", "stages": [STAGE],
    "samples_per_worker": 8, "weights_digest": "0" * 64, "batches_digest": "1" * 64, "flags": {"torch": "2"},
}  # fmt: skip
PROGRESS = {"launches_done": 1, "launches_total": 4, "cell": "a", "global_samples_per_second": 1000.0}
STATE = {"sequence": 7, "outcome": "running", "reason": "", "message": "m", "progress": PROGRESS, "launches": 4}
REGISTRATION = {"name": "test", "namespace": "a", "token_sha256": "2" * 64, "expires_in_seconds": 3600}


@functools.cache
def starts() -> list[tuple[type[BaseModel], Any]]:
    """Return valid records with their models, which others are made from."""
    found: list[tuple[type[BaseModel], Any]] = [(Registration, REGISTRATION), (State, STATE), (Progress, PROGRESS)]
    for file in sorted((ROOT / "tests" / "corpus" / "results").glob("*.db")):
        with closing(sqlite3.connect(file)) as stored:
            run = json.loads(stored.execute("select document from run").fetchone()[0])
            header, steps = stored.execute("select header, step_nanoseconds_npz from launches").fetchone()
        upload = {"header": json.loads(header), "steps_npz": base64.b64encode(steps).decode()}
        found += [(Claim, {"run": run}), (LaunchUpload, upload), (LaunchUpload, upload), (Certificate, CERTIFICATE)]
    return found


@functools.cache
def tame() -> list[Any]:
    return [value for _, start in starts() for value in leaves(start)]


def record(seed: int) -> tuple[type[BaseModel], bytes]:
    """Return a record and its model, always the same for the same seed."""
    chance = random.Random(f"record {seed}")
    model, value = chance.choice(starts())
    kind = chance.random()
    if model is LaunchUpload and kind < 0.2:
        steps = garbled(base64.b64decode(value["steps_npz"]), chance)
        value = value | {"steps_npz": base64.b64encode(steps).decode()}
    elif kind < 0.9:
        value = mutated(value, chance, tame())
    data = json.dumps(value).encode()
    return model, data if kind < 0.8 else garbled(data, chance)


def check(model: type[BaseModel], data: bytes) -> str:
    """Return "accepted" or "refused"; raise anything else.

    An accepted record is the same after it was written and read again.
    """
    try:
        found = model.model_validate_json(data)
    except ValidationError:
        return "refused"
    written = found.model_dump_json(by_alias=True)
    assert model.model_validate_json(written).model_dump_json(by_alias=True) == written
    if isinstance(found, LaunchUpload):
        try:
            record_of((found.header.model_dump_json(), found.steps_npz))
        except CannotRun:
            return "refused"
    return "accepted"
