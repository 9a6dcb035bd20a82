"""The tables of the database: what was received, and what was derived from it. Times are Unix seconds, UTC.

Received rows are written once and never changed, except an execution's state. Derived rows (`summaries`, `cells`,
`cell_devices`, `cell_inputs`, `comparisons`, `latest`) may be dropped and derived again. Rows whose values reach a
figure have a `row_sha256` and are written and read through `rows`. A change needs a migration in `migrations/versions`.
"""

import sqlalchemy as sa

metadata = sa.MetaData()

_ID = sa.String(63)
_TEXT = sa.String(400)
_ZERO, _EMPTY = sa.text("0"), sa.text("''")  # defaults of columns that a later version added
_WHO = sa.String(400)  # rights.Principal.name


def _seal() -> sa.Column[str]:
    """Return a column for the digest of all other columns of the row, except packed arrays."""
    return sa.Column("row_sha256", sa.String(64), nullable=False, server_default=_EMPTY)


tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("token_sha256", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(63), nullable=False, unique=True),
    sa.Column("right", sa.String(20), nullable=False),  # read | register | admin
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("namespaces", sa.Text),  # separated by commas; NULL: all
)

# Sessions of browsers, which may only read.
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_sha256", sa.String(64), primary_key=True),
    sa.Column("who", _WHO, nullable=False, index=True),  # the name of the caller whose token opened it
    sa.Column("namespaces", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", _ID, primary_key=True),
    sa.Column("name", sa.String(40), nullable=False),  # of the scenario
    sa.Column("namespace", _ID),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("execution_id", _ID),  # the one that counts: the newest of the newest attempt
    sa.Column("registered_by", _WHO),  # NULL: by a hub that did not store it
    # The end of the newest attempt, if it ended before any execution claimed it: wire.AttemptEnd.
    sa.Column("end_outcome", sa.String(20)),
    sa.Column("end_reason", sa.String(40)),
    _seal(),
    sa.Index("runs_by_time", "created_at"),
    sa.Index("runs_by_name", "name", "created_at"),
    sa.Index("runs_by_namespace", "namespace"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("run_id", _ID, sa.ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("token_sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    # How much the attempt has stored, for its limits.
    sa.Column("bytes", sa.BigInteger, nullable=False, server_default=_ZERO),
    sa.Column("executions", sa.Integer, nullable=False, server_default=_ZERO),
    # How the attempt ended, if its registrar has reported it: wire.AttemptEnd.
    sa.Column("ended_at", sa.Double),
    sa.Column("outcome", sa.String(20)),
    sa.Column("reason", sa.String(40)),
    sa.Column("message", sa.String(2000)),
)

executions = sa.Table(
    "executions",
    metadata,
    sa.Column("execution_id", _ID, primary_key=True),
    sa.Column("run_id", _ID, sa.ForeignKey("runs.run_id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("document", sa.Text, nullable=False),  # results.store.Run as JSON
    sa.Column("scenario_digest", sa.String(64), nullable=False),
    sa.Column("claimed_at", sa.Double, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),  # when its runner last called
    sa.Column("ended_at", sa.Double),
    sa.Column("outcome", sa.String(20), nullable=False),  # wire.Outcome, or "lost", or "superseded"
    sa.Column("reason", sa.String(40), nullable=False),  # wire.Reason
    sa.Column("message", sa.String(2000), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("progress", sa.Text),  # wire.Progress as JSON
    sa.Column("launches_expected", sa.Integer),
    sa.Column("revision", sa.Integer, nullable=False),  # grows with every record
    sa.Column("derived_revision", sa.Integer, nullable=False),  # the revision that the derived rows include
    sa.Column("serial", sa.Integer, nullable=False, server_default=_ZERO),  # its number within the run
    sa.Column("tried_revision", sa.Integer, nullable=False, server_default=_ZERO),  # the last one that was tried
    sa.Column("tries", sa.Integer, nullable=False, server_default=_ZERO),  # derivations of that revision
    # Sums of the digests of its rows, so that a lost row is detected.
    sa.Column("launches_sum", sa.String(64), nullable=False, server_default=_EMPTY),
    sa.Column("certificates_sum", sa.String(64), nullable=False, server_default=_EMPTY),
    _seal(),
    sa.Index("executions_by_outcome", "outcome", "reason"),
)
_derivable = executions.c.revision > executions.c.derived_revision
sa.Index("executions_to_derive", executions.c.outcome, sqlite_where=_derivable, postgresql_where=_derivable)

launches = sa.Table(
    "launches",
    metadata,
    sa.Column("execution_id", _ID, sa.ForeignKey("executions.execution_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("launch_id", _TEXT, primary_key=True),
    sa.Column("block", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("header", sa.Text, nullable=False),  # LaunchHeader as JSON
    sa.Column("step_nanoseconds_npz", sa.LargeBinary, nullable=False),
    sa.Column("body_sha256", sa.String(64), nullable=False),  # of header and array; tells repeats from conflicts
    sa.Column("received_at", sa.Double, nullable=False),
    _seal(),
)
ORDER_OF_PLAN = (launches.c.block, launches.c.position, launches.c.launch_id)

certificates = sa.Table(
    "certificates",
    metadata,
    sa.Column("execution_id", _ID, sa.ForeignKey("executions.execution_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("cell", _TEXT, primary_key=True),
    sa.Column("document", sa.Text, nullable=False),  # Certificate as JSON
    _seal(),
)

summaries = sa.Table(
    "summaries",
    metadata,
    sa.Column("execution_id", _ID, sa.ForeignKey("executions.execution_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("document", sa.Text),  # analysis.summary.Summary as JSON; NULL if it could not be derived
    sa.Column("problem", sa.Text, nullable=False),  # why there is no summary, or empty
    sa.Column("derived_at", sa.Double, nullable=False),
    _seal(),
)

cells = sa.Table(
    "cells",
    metadata,
    sa.Column("execution_id", _ID, sa.ForeignKey("executions.execution_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", _TEXT, primary_key=True),
    sa.Column("namespace", _ID, nullable=False, server_default=_EMPTY),  # of the scenario; empty: none
    sa.Column("scenario", sa.String(40), nullable=False),
    sa.Column("candidate", sa.String(40), nullable=False),
    sa.Column("engine", sa.String(40), nullable=False),
    sa.Column("strategy", sa.String(40), nullable=False),
    sa.Column("execution", sa.String(40), nullable=False),
    sa.Column("precision", sa.String(40), nullable=False),
    sa.Column("workers", sa.Integer, nullable=False),
    sa.Column("batch", sa.String(20), nullable=False, server_default=_EMPTY),  # per worker; empty: the run has one
    sa.Column("verdict", sa.String(40), nullable=False),  # analysis.cells.CellVerdict
    sa.Column("parity", sa.String(40), nullable=False),  # certified | within limits | not comparable | not checked
    sa.Column("ended_at", sa.Double, nullable=False),
    sa.Column("samples_per_second", sa.Double),
    sa.Column("samples_per_second_low", sa.Double),
    sa.Column("samples_per_second_high", sa.Double),
    sa.Column("step_seconds_p50", sa.Double),
    sa.Column("step_seconds_p95", sa.Double),
    sa.Column("step_seconds_p99", sa.Double),
    sa.Column("speedup", sa.Double),
    sa.Column("efficiency", sa.Double),
    sa.Column("exposed_communication_ratio", sa.Double),  # of the step
    sa.Column("wait_ratio", sa.Double),  # of the step
    sa.Column("mfu", sa.Double),
    sa.Column("peak_memory_bytes", sa.BigInteger),
    sa.Column("joules_per_sample", sa.Double),
    _seal(),
    sa.Index("cells_by_scenario", "namespace", "scenario", "key", "ended_at"),
)

# Of cells on GPUs: which they are, and how they were used.
cell_devices = sa.Table(
    "cell_devices",
    metadata,
    sa.Column("execution_id", _ID, sa.ForeignKey("executions.execution_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", _TEXT, primary_key=True),
    sa.Column("device", _ID),  # the name of the GPUs as a label; NULL: unknown, or they differ
    sa.Column("sm_clock_hz", sa.Double),
    sa.Column("power_watts", sa.Double),
    sa.Column("power_capped_ratio", sa.Double),  # of the time
    sa.Column("memory_bytes", sa.BigInteger),
    _seal(),
)

cell_inputs = sa.Table(
    "cell_inputs",
    metadata,
    sa.Column("execution_id", _ID, sa.ForeignKey("executions.execution_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", _TEXT, primary_key=True),
    sa.Column("wait_ratio", sa.Double),  # of the measured windows
    sa.Column("ceiling_samples_per_second", sa.Double),  # of the feed without training
    sa.Column("tokens_per_second", sa.Double),  # without padding
    sa.Column("padding_ratio", sa.Double),  # of all tokens
    sa.Column("recompiles", sa.Double),  # a median over launches
    sa.Column("compile_seconds", sa.Double),
    _seal(),
)

# Of cells that exchange messages: how fast. Their cells are no configurations, since their series have these labels.
collectives = sa.Table(
    "collectives",
    metadata,
    sa.Column("execution_id", _ID, sa.ForeignKey("executions.execution_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", _TEXT, primary_key=True),
    sa.Column("namespace", _ID, nullable=False, server_default=_EMPTY),  # of the scenario; empty: none
    sa.Column("scenario", sa.String(40), nullable=False),
    sa.Column("candidate", sa.String(40), nullable=False),
    sa.Column("engine", sa.String(40), nullable=False),
    sa.Column("strategy", sa.String(40), nullable=False),
    sa.Column("precision", sa.String(40), nullable=False),
    sa.Column("workers", sa.Integer, nullable=False),
    sa.Column("collective", sa.String(40), nullable=False),
    sa.Column("message_bytes", sa.BigInteger, nullable=False),
    sa.Column("latency_seconds", sa.Double, nullable=False),
    sa.Column("bus_bytes_per_second", sa.Double, nullable=False),
    sa.Column("bus_bytes_per_second_low", sa.Double),
    sa.Column("bus_bytes_per_second_high", sa.Double),
    sa.Column("ended_at", sa.Double, nullable=False),
    _seal(),
)

comparisons = sa.Table(
    "comparisons",
    metadata,
    sa.Column("execution_id", _ID, sa.ForeignKey("executions.execution_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", _TEXT, primary_key=True),  # candidate.level.precision.wN, and .bN where there are several batches
    sa.Column("namespace", _ID, nullable=False, server_default=_EMPTY),  # of the scenario; empty: none
    sa.Column("scenario", sa.String(40), nullable=False),
    sa.Column("candidate", sa.String(40), nullable=False),
    sa.Column("reference", sa.String(40), nullable=False),
    sa.Column("execution", sa.String(40), nullable=False),  # the level that is compared
    sa.Column("candidate_execution", sa.String(40), nullable=False, server_default=_EMPTY),  # the level, resolved
    sa.Column("reference_execution", sa.String(40), nullable=False, server_default=_EMPTY),
    sa.Column("reference_precision", sa.String(40)),  # NULL: it is the candidate's
    sa.Column("reason", sa.Text, nullable=False, server_default=_EMPTY),
    sa.Column("precision", sa.String(40), nullable=False),
    sa.Column("workers", sa.Integer, nullable=False),
    sa.Column("batch", sa.String(20), nullable=False, server_default=_EMPTY),  # per worker; empty: the run has one
    sa.Column("verdict", sa.String(40), nullable=False),  # analysis.compare.Verdict
    sa.Column("ratio", sa.Double),  # step time over the reference's
    sa.Column("ratio_low", sa.Double),
    sa.Column("ratio_high", sa.Double),
    sa.Column("ended_at", sa.Double, nullable=False),
    _seal(),
    sa.Index("comparisons_by_scenario", "namespace", "scenario", "key", "ended_at"),
)

# Which execution's row is current for a configuration, for /metrics. `what` is "cell", "comparison" or "collective";
# `configuration` holds all labels of the series, joined.
latest = sa.Table(
    "latest",
    metadata,
    sa.Column("what", sa.String(20), primary_key=True),
    sa.Column("configuration", _TEXT, primary_key=True),
    sa.Column("execution_id", _ID, sa.ForeignKey("executions.execution_id", ondelete="CASCADE"), nullable=False),
    sa.Column("key", _TEXT, nullable=False),
    sa.Column("ended_at", sa.Double, nullable=False),
    _seal(),
    sa.Index("latest_by_time", "what", "ended_at"),
)

# An empty table; writing to it shows whether the database can be written.
readiness = sa.Table("readiness", metadata, sa.Column("probe", sa.LargeBinary, nullable=False))
