"""A program without a main guard that is interrupted while it measures, and then goes on in the same process.

Arguments: the launcher and the number of workers. It prints what is left of the run's processes and threads, how many
launches were kept, and how many there are in the end, as JSON.
"""

import json
import os
import signal
import sys
import threading
import time

import psutil

import stepmark
from conftest import scenario_document

DOCUMENT = scenario_document(
    scale={"workers": [int(sys.argv[2])], "batchPerWorker": 8},
    measurement={"launches": 3, "minSteps": 20, "minSeconds": 0, "warmupSteps": 1, "warmupSeconds": 0},
)
LAUNCHER = sys.argv[1]


def kept() -> int:
    """Return how many launches are stored; 0 before there is a store."""
    try:
        return sum(1 for _ in stepmark.load("out/test").launches())
    except stepmark.errors.CannotRun:
        return 0


def interrupt_after_the_first_launch() -> None:
    while kept() == 0:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


signal.signal(signal.SIGINT, signal.default_int_handler)  # Where tests run in the background it may be ignored.
threading.Thread(target=interrupt_after_the_first_launch, daemon=True).start()
interrupted = False
try:
    stepmark.run(DOCUMENT, launcher=LAUNCHER)  # type: ignore[arg-type]
except KeyboardInterrupt:
    interrupted = True
left = [process.cmdline() for process in psutil.Process().children(recursive=True)]
threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
first = kept()
result = stepmark.run(DOCUMENT, launcher=LAUNCHER, resume=True, progress=False)  # type: ignore[arg-type]
print(json.dumps({"interrupted": interrupted, "left": left, "threads": threads, "kept": [first, kept()]}))
