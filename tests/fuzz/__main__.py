"""`python -m fuzz MINUTES [SEED]`, in the folder of the tests: check documents and records until the time is over.

Prints the seed of every case that fails, and keeps its bytes in the corpus. The exit code is 1 if one failed.
"""

import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable

from conftest import ROOT
from fuzz import documents, records

CORPUS = ROOT / "tests" / "corpus" / "fuzzed"


def case(kind: str, seed: int) -> tuple[str, bytes, Callable[[], str]]:
    """Return the name of the case's file in the corpus, its bytes, and its check."""
    if kind == "document":
        data = documents.document(seed)
        return f"document-{seed}.yaml", data, lambda: documents.check(data)
    model, data = records.record(seed)
    return f"{model.__name__}-{seed}.json", data, lambda: records.check(model, data)


def main() -> int:
    until = time.monotonic() + 60 * float(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**9)
    print(f"from seed {seed}", flush=True)
    found: Counter[str] = Counter()
    while time.monotonic() < until:
        for kind in ("document", "record"):
            name, data, check = case(kind, seed)
            try:
                found[f"{kind} {check()}"] += 1
            except Exception:
                traceback.print_exc()
                print(f"seed {seed} is kept: {CORPUS / name}", flush=True)
                (CORPUS / name).write_bytes(data)
                found[f"{kind} broken"] += 1
        seed += 1
    print(", ".join(f"{count} x {what}" for what, count in sorted(found.items())))
    return int(any(what.endswith("broken") for what in found))


if __name__ == "__main__":
    sys.exit(main())
