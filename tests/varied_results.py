"""Variations of a real run's results that tests send to a hub: slower, of another machine, or failed with any text."""

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np

from running_hub import Results
from stepmark.results.record import pack_steps, unpack_steps


def slower(results: Results, factor: float, cells: str = "", seed: int = 0) -> Results:
    """Multiply every time of the cells whose key begins with `cells`, with a little noise for each launch."""
    random = np.random.default_rng(seed)
    rows = tuple((name, _scaled(body, factor * random.normal(1, 0.002), cells)) for name, body in results.rows)
    return replace(results, rows=rows)


def _scaled(body: dict[str, Any], factor: float, cells: str) -> dict[str, Any]:
    header = json.loads(json.dumps(body["header"]))
    if not f"{header['cell']['candidate']}.".startswith(cells) or header["failure"] is not None:
        return body
    steps, _ = unpack_steps(base64.b64decode(body["steps_npz"]))
    for rank in header["ranks"]:
        rank["parts"] = None
        for window in rank["windows"]:
            window["host_nanoseconds"] = round(window["host_nanoseconds"] * factor)
    scaled = pack_steps(np.floor(steps * factor).astype(np.int64))
    return {"header": header, "steps_npz": base64.b64encode(scaled).decode()}


def elsewhere(results: Results, packages: dict[str, str] | None = None, **environment: Any) -> Results:
    """Return the same figures with other facts about the machine and its software."""
    known = results.run.environment
    changes = environment | {"packages": known.packages | (packages or {})}
    return replace(results, run=results.run.model_copy(update={"environment": known.model_copy(update=changes)}))


def broken(results: Results, cause: str, launches: int) -> Results:
    """Return results in which the last `launches` launches failed with this cause."""
    rows = list(results.rows)
    for index in range(len(rows) - launches, len(rows)):
        name, body = rows[index]
        failure = {"rank": 0, "cause": cause, "stderr_tail": [cause[:1000]]}
        empty = base64.b64encode(pack_steps(np.zeros((0, 0), dtype=np.int64))).decode()
        rows[index] = name, {"header": body["header"] | {"ranks": [], "failure": failure}, "steps_npz": empty}
    return replace(results, rows=tuple(rows))
