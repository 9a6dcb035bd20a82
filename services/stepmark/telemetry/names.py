"""All Prometheus metrics of stepmark in one table, and the metrics of others that its dashboards use.

Names follow Prometheus' conventions: base units, the unit last, `_total` for counters. The ends of an interval have
names of their own, so that a sum over a name stays meaningful. An unknown value has no series; it is never 0.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "counter", "histogram"]

NAMESPACE = "scenario_namespace"
"""The label for the namespace of the Scenario object, empty where it has none. Prometheus' own label `namespace` is
that of the pod that it scrapes.
"""
CELL = ("candidate", "engine", "strategy", "execution", "precision", "workers", "batch")
CONFIGURATION = ("scenario", NAMESPACE, *CELL)
"""The labels that identify the figures of one cell, whichever run they come from.

`batch` is the batch per worker where the scenario has several, and otherwise empty.
"""
PAIR = ("scenario", NAMESPACE, "candidate", "reference", "execution", "precision", "workers", "batch")
"""The labels that identify one comparison. `execution` is the execution level that is compared."""
COLLECTIVE = (
    "scenario", NAMESPACE, "candidate", "engine", "strategy", "precision", "workers", "collective", "message_bytes",
)  # fmt: skip
"""The labels that identify one collective with messages of one size."""
STATS = ("p50", "p95", "p99")


@dataclass(frozen=True)
class Metric:
    """One metric name.

    `unit` is the unit of its values, in words; `labels` are all labels that stepmark itself sets.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def _cell(name: str, unit: str, help: str, *labels: str) -> Metric:
    return Metric(f"stepmark_{name}", "gauge", unit, help, (*CONFIGURATION, *labels))


def _pair(name: str, unit: str, help: str, *labels: str) -> Metric:
    return Metric(f"stepmark_comparison_{name}", "gauge", unit, help, (*PAIR, *labels))


def _collective(name: str, unit: str, help: str) -> Metric:
    return Metric(f"stepmark_collective_{name}", "gauge", unit, help, COLLECTIVE)


def _hub(name: str, kind: Kind, unit: str, help: str, *labels: str) -> Metric:
    return Metric(f"stepmark_hub_{name}", kind, unit, help, labels)


def _controller(name: str, kind: Kind, unit: str, help: str, *labels: str) -> Metric:
    return Metric(f"stepmark_controller_{name}", kind, unit, help, labels)


def _live(name: str, kind: Kind, unit: str, help: str, *labels: str) -> Metric:
    return Metric(f"stepmark_live_{name}", kind, unit, help, ("scenario", *labels))


# Figures of the newest ended run of every configuration.
THROUGHPUT = _cell(
    "throughput_samples_per_second", "samples per second", "Samples per second of the whole job, mean over launches."
)
THROUGHPUT_LOW = _cell(
    "throughput_low_samples_per_second", "samples per second", "Lower end of the throughput's 95 % interval."
)
THROUGHPUT_HIGH = _cell(
    "throughput_high_samples_per_second", "samples per second", "Upper end of the throughput's 95 % interval."
)
STEP = _cell("step_seconds", "seconds", "Percentiles of the steady steps, slowest rank, all launches.", "stat")
SPEEDUP = _cell("speedup_ratio", "ratio", "Throughput over that of one worker of the same candidate.")
EFFICIENCY = _cell("efficiency_ratio", "ratio", "Speed-up divided by the number of workers.")
EXPOSED = _cell(
    "exposed_communication_ratio", "ratio of the step", "Share of a step that waits for the gradients' exchange."
)
WAIT = _cell("wait_ratio", "ratio of the step", "Share of a step that waits for slower ranks.")
MFU = _cell(
    "model_flops_utilization_ratio", "ratio of the peak", "FLOPs of the model over the vendor's peak of all workers."
)
MEMORY = _cell("peak_memory_bytes", "bytes", "Most memory of a worker: its process', or on GPUs its framework's.")
ENERGY = _cell("energy_joules_per_sample", "joules per sample", "Energy of all devices over the samples.")
DEVICE = _cell("device_info", "always 1", "The GPUs that the cell was measured on.", "device")
DEVICE_MEMORY = _cell("device_peak_memory_bytes", "bytes", "Largest memory that a worker used of its GPUs.")
DEVICE_CLOCK = _cell("device_sm_clock_hertz", "hertz", "Mean clock of the GPUs while steps were measured.")
DEVICE_POWER = _cell("device_power_watts", "watts", "Mean power of a worker's GPUs while steps were measured.")
DEVICE_CAPPED = _cell(
    "device_power_capped_ratio", "ratio of the time", "Share of the time in which the power limit lowered the clocks."
)
INPUT_WAIT = _cell(
    "input_wait_ratio", "ratio of the time", "Share of the measured time in which ranks waited for input."
)
INPUT_CEILING = _cell(
    "input_ceiling_samples_per_second", "samples per second", "What the feed gives to all workers without training."
)
TOKENS = _cell("tokens_per_second", "tokens per second", "Tokens without padding, of the whole job.")
PADDING = _cell("padding_ratio", "ratio of the tokens", "Share of padding in all tokens that the model is given.")
RECOMPILES = _cell("recompiles", "times", "How often a launch compiled or traced the step again for a new shape.")
COMPILE_SECONDS = _cell("compile_seconds", "seconds", "What all compilations of a launch took.")
PARITY = _cell(
    "parity_state",
    "always 1",
    "Whether the cell trains the reference's model; only the state that holds has a series.",
    "state",
)
VERDICT = _cell("verdict_state", "always 1", "The cell's verdict; only the state that holds has a series.", "state")
LAST_RUN = _cell("last_run_timestamp_seconds", "Unix time", "When the run that these figures come from ended.")

PAIR_RATIO = _pair("step_time_ratio", "ratio", "Median step time over the reference's: below 1 is faster.")
PAIR_LOW = _pair("step_time_low_ratio", "ratio", "Lower end of the ratio's 95 % interval.")
PAIR_HIGH = _pair("step_time_high_ratio", "ratio", "Upper end of the ratio's 95 % interval.")
PAIR_VERDICT = _pair(
    "verdict_state", "always 1", "The comparison's verdict; only the state that holds has a series.", "state"
)

LATENCY = _collective("latency_seconds", "seconds", "Mean time of one collective until its last rank has ended it.")
BUS = _collective("bus_bytes_per_second", "bytes per second", "Bus bandwidth of a collective, as nccl-tests define it.")
BUS_LOW = _collective("bus_low_bytes_per_second", "bytes per second", "Lower end of the bus bandwidth's 95 % interval.")
BUS_HIGH = _collective(
    "bus_high_bytes_per_second", "bytes per second", "Upper end of the bus bandwidth's 95 % interval."
)

RUN_STATE = Metric(
    "stepmark_run_state",
    "gauge",
    "always 1",
    "State of a scenario's newest run; only the state that holds has a series.",
    ("scenario", NAMESPACE, "outcome", "reason"),
)

# Figures of the hub itself, read from its database at each scrape.
DATABASE_UP = _hub("database_up", "gauge", "1 or 0", "Whether the database has answered this scrape.")
DATABASE_BYTES = _hub("database_bytes", "gauge", "bytes", "Size of the database.")
VOLUME_BYTES = _hub("volume_bytes", "gauge", "bytes", "Size of the volume that a SQLite database is on.")
VOLUME_FREE = _hub("volume_free_bytes", "gauge", "bytes", "Free space of that volume.")
DAMAGED = _hub(
    "damaged", "gauge", "rows", "Rows behind the newest figures that are damaged: they are not as they were written."
)
BUILD = _hub("build_info", "gauge", "always 1", "The version of stepmark that serves.", "version")
SCHEMA = _hub("schema_info", "gauge", "always 1", "The revision of the database's tables.", "revision")
RUNS = _hub("runs", "gauge", "runs", "Runs by outcome; every further attempt at a run counts.", "outcome", "reason")
UNSEEN = _hub(
    "running_unseen_seconds", "gauge", "seconds", "How long ago the most silent running execution was heard of."
)
QUEUE = _hub(
    "derivation_queue", "gauge", "executions", "Executions with records whose figures are not derived yet.", "state"
)
CONFIGURATIONS = _hub(
    "configurations", "gauge", "configurations", "Cells, comparisons and scenarios that have a newest result.", "what"
)
LEFT_OUT = _hub(
    "configurations_left_out",
    "gauge",
    "configurations",
    "Of these, not shown here: above the limit of series, with a name that is no label, or a duplicate.",
    "what",
    "reason",
)
READ_SECONDS = _hub("read_seconds", "gauge", "seconds", "How long reading the database for this scrape took.")

# Figures of the hub itself, counted since it started.
RECEIVED = _hub(
    "received_total",
    "counter",
    "calls",
    "Calls of runners that had the right, by their result.",
    "kind",
    "result",
)
REFUSED = _hub("refused_total", "counter", "calls", "Calls that were refused.", "reason")
STEP_SAMPLES = _hub("step_samples_total", "counter", "samples", "Step times received: steps x ranks.")
DERIVATIONS = _hub("derivations_total", "counter", "derivations", "Executions whose figures were derived.", "result")
DERIVE_SECONDS = _hub("derive_seconds", "histogram", "seconds", "How long deriving one execution's figures took.")
DATABASE_ERRORS = _hub("database_errors_total", "counter", "errors", "Calls that failed because of the database.")

# Figures of the controller on a cluster.
LAST_LOOK = _controller(
    "last_sync_timestamp_seconds", "gauge", "Unix time", "When the controller last finished looking at all scenarios."
)
LOOK_SECONDS = _controller("reconcile_seconds", "histogram", "seconds", "How long one look at all scenarios took.")
CONTROLLER_ERRORS = _controller("errors_total", "counter", "calls", "Calls that failed.", "kind")
SCENARIOS = _controller("scenarios", "gauge", "scenarios", "Scenarios in the cluster.", "phase")
ATTEMPTS_ENDED = _controller("attempts_ended_total", "counter", "attempts", "Attempts that have ended.", "reason")
NAMESPACE_LISTED = _controller(
    "namespace_listed",
    "gauge",
    "1 or 0",
    "1 for a namespace whose objects the last look could list.",
    "namespace",
)
SCENARIOS_ENDED = _controller("scenarios_ended_total", "counter", "scenarios", "Scenarios that have ended.", "phase")
ACTIVE = _controller("active", "gauge", "1 or 0", "1 for the controller that holds the Lease.")

REGULAR_ENDINGS = "Complete|LaunchFailed|CannotRun|DeadlineExceeded|Preempted|Cancelled|Stopped"
"""The reasons of attempts that ended as their scenario or somebody wanted; any other reason is a problem of the
cluster.
"""
IRREGULAR = f'reason!~"{REGULAR_ENDINGS}"'

# Figures of a running plan, served on its driver's own port.
LIVE_LAUNCHES_DONE = _live("launches_done", "gauge", "launches", "Launches that have ended.")
LIVE_LAUNCHES_PLANNED = _live("launches_planned", "gauge", "launches", "Launches of the plan as it stands.")
LIVE_PROGRESS = _live("progress_ratio", "gauge", "ratio", "Launches that have ended over those planned.")
LIVE_CELL = _live("cell_info", "gauge", "always 1", "The cell that is measured now.", *CELL)
LIVE_SAMPLES_PER_SECOND = _live(
    "samples_per_second", "gauge", "samples per second", "Running throughput of the current cell.", *CELL
)
LIVE_STEPS = _live("steps_total", "counter", "steps", "Steps made, warm-up included.", *CELL)

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


@dataclass(frozen=True)
class External:
    """A metric of another program that the dashboards show as context; its value times `factor` is in `unit`.

    `labels` are the labels that tell its series apart on a dashboard; `workload` stands for the pod that a series is
    about.
    """

    name: str
    source: Literal["dcgm-exporter", "Ray", "Prometheus"]
    unit: str
    factor: float
    help: str
    labels: tuple[str, ...]


def _gpu(name: str, unit: str, factor: float, help: str) -> External:
    return External(f"DCGM_FI_{name}", "dcgm-exporter", unit, factor, help, ("workload", "gpu"))


def _ray(name: str, unit: str, factor: float, help: str) -> External:
    return External(f"ray_{name}", "Ray", unit, factor, help, ("workload",))


GPU_UTILIZATION = _gpu("DEV_GPU_UTIL", "ratio", 0.01, "Share of time in which a kernel ran (percent).")
GPU_MEMORY = _gpu("DEV_FB_USED", "bytes", 2.0**20, "Device memory in use (MiB).")
GPU_POWER = _gpu("DEV_POWER_USAGE", "watts", 1, "Power.")
GPU_CLOCK = _gpu("DEV_SM_CLOCK", "hertz", 1e6, "Clock of the multiprocessors (MHz).")
GPU_TEMPERATURE = _gpu("DEV_GPU_TEMP", "degrees Celsius", 1, "Temperature.")
GPU_XID = _gpu("DEV_XID_ERRORS", "XID", 1, "Number of the last fault that the driver reported; 0 where there was none.")
GPU_TENSOR = _gpu("PROF_PIPE_TENSOR_ACTIVE", "ratio", 1, "Share of cycles in which the tensor cores were busy.")
RAY_CPU = _ray("node_cpu_utilization", "ratio", 0.01, "Share of a node's CPUs in use (percent).")
RAY_MEMORY = _ray("node_mem_used", "bytes", 1, "Memory in use on a node.")
SCRAPE_SECONDS = External(
    "scrape_duration_seconds", "Prometheus", "seconds", 1, "How long a scrape took.", ("job", "instance")
)
SCRAPE_SAMPLES = External(
    "scrape_samples_scraped", "Prometheus", "series", 1, "Series that a scrape returned.", ("job", "instance")
)

EXTERNAL: tuple[External, ...] = tuple(value for value in list(globals().values()) if isinstance(value, External))
