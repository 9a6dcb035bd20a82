"""Which planted mistakes cost a cell its verdict: of a model that is written twice, and of the timed run alone.

python benchmarks/planted_mistakes.py

The plants, and how they are trained, are those of tests/contract. The control is models without a mistake, which must
pass.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "contract"))
import planted
import test_parity_catches_planted_mistakes as before_timing
import test_timed_runs_are_proven as timed


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before_timing.train(folder)
        timed.train(folder)
        mistakes = {plant: before_timing.figures(folder, plant)[1] for plant in planted.MISTAKES}
        mistakes |= {f"timed run: {plant}": timed.found(folder, plant).problem for plant in timed.NAMED}
        honest = {
            plant: before_timing.figures(folder, plant)[1]
            for plant in planted.AS_WRITTEN
            if not plant.startswith("bfloat16")
        }
        honest |= {"timed run: honest": timed.found(folder, "honest").problem}
    for plant, problem in (mistakes | honest).items():
        print(f"  {plant:32s} {problem[:1500] or 'passes'}")
    found, refused = sum(map(bool, mistakes.values())), sum(map(bool, honest.values()))
    print(f"\nfound {found} of {len(mistakes)} planted mistakes; refused {refused} of {len(honest)} that are right")


if __name__ == "__main__":
    main()
