"""Check on a machine with GPUs what stepmark assumes of them, and write down what it finds.

    python3 scripts/gpu_check --out FOLDER [--quick | --rehearse] [--only NAME ...] [--ranks N] [--print]

Each check runs in a process with a time limit of its own. FOLDER/gpu.json is written after every check, so that nothing
is lost if the machine goes; a table ends the output. No setting of a card is changed. `--quick` takes every check at
its smallest (within 150 s), `--rehearse` runs the same code on CPU cores with tiny sizes, and `--ranks N` also measures
on N GPUs of this machine. `--print` ends the output with a line "gpu.json: " and the file, for logs of a cluster. The
exit code is 0 where nothing contradicts stepmark, 1 where something does, and 3 where nothing could be checked.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from registry import CHECKS, Check, Size

HERE = Path(__file__).parent
SERVICES = HERE.parents[1] / "services"


def main() -> int:
    """Run the checks that are asked for, and return the exit code."""
    arguments = parsed()
    size = Size.of(arguments)
    if arguments.check is not None:
        return one(next(check for check in CHECKS if check.name == arguments.check), size, Path(arguments.out))
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    chosen = [check for check in CHECKS if not arguments.only or check.name in arguments.only]
    results: dict[str, Any] = {"size": size.name, "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    for check in chosen:
        print(f"gpu_check: {check.name}, at most {check.limit_seconds(size)} s ...", flush=True)
        results[check.name] = in_a_process(check, size, out)
        (out / "gpu.json").write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    code = table([(check, results[check.name]) for check in chosen], out)
    if arguments.print:
        print(f"gpu.json: {json.dumps(results, sort_keys=True)}")
    return code


def parsed() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="gpu_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, help="folder for gpu.json and what the checks leave")
    parser.add_argument("--only", nargs="*", choices=[check.name for check in CHECKS], help="run these checks only")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--quick", action="store_true", help="every check at its smallest, within 150 s")
    kind.add_argument("--rehearse", action="store_true", help="on CPU cores, with tiny sizes")
    parser.add_argument("--ranks", type=int, default=1, help="GPUs of this machine to measure on together")
    parser.add_argument("--print", action="store_true", help="print gpu.json as one line at the end")
    parser.add_argument("--check", choices=[check.name for check in CHECKS], help=argparse.SUPPRESS)
    return parser.parse_args()


def in_a_process(check: Check, size: Size, out: Path) -> dict[str, Any]:
    """Return what a check found: figures, problems and seconds. A check that dies or hangs has that as its problem."""
    folder = Path(tempfile.mkdtemp(prefix=f"{check.name}-", dir=out))
    command = [sys.executable, str(HERE), "--out", str(folder), "--check", check.name, *size.flags]
    paths = [str(SERVICES), *filter(None, [os.environ.get("PYTHONPATH")])]
    started = time.monotonic()
    with (folder / "output.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": ":".join(paths)}, start_new_session=True
        )
        problem = waited(process, check.limit_seconds(size))
    found: dict[str, Any] = {"figures": {}, "problems": []}
    if (folder / "found.json").exists():
        found = json.loads((folder / "found.json").read_text())
    if problem is not None:
        last = (folder / "output.log").read_text(errors="replace").strip().splitlines()[-5:]
        found["problems"] = [*found["problems"], f"{problem}: {' | '.join(last)}"[:1500]]
    return found | {"seconds": round(time.monotonic() - started, 1)}


def waited(process: "subprocess.Popen[bytes]", seconds: float) -> str | None:
    """Wait for the process, and return how it ended badly, or None."""
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        return f"it took longer than {seconds} s"
    return None if code == 0 else f"it ended with exit code {code}"


def one(check: Check, size: Size, folder: Path) -> int:
    """Run one check in this process, and write what it found after every figure."""
    from findings import Findings

    check.run(size, Findings(folder / "found.json", folder))
    return 0


def table(results: list[tuple[Check, dict[str, Any]]], out: Path) -> int:
    """Print a line for each check and its problems, and return the exit code."""
    print()
    for check, found in results:
        figures = ", ".join(f"{name} {value}" for name, value in found["figures"].items() if is_short(value))
        print(f"{'ok ' if not found['problems'] else 'BAD'} {check.name:<18} {found['seconds']:>6} s  {figures}"[:400])
        for problem in found["problems"]:
            print(f"      {problem}")
    print(f"\ngpu_check: figures are in {out / 'gpu.json'}")
    if not results or not any(found["figures"] for _, found in results):
        return 3
    return 1 if any(found["problems"] for _, found in results) else 0


def is_short(value: object) -> bool:
    """Return whether a figure fits into the table."""
    return isinstance(value, int | float | str) and len(str(value)) <= 40


if __name__ == "__main__":
    sys.exit(main())
