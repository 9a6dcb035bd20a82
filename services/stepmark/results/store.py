"""The store of one run: SQLite through SQLAlchemy Core, in WAL mode, so that a reader never blocks the writer.

Damage is detected when the store is read: every row has a digest, and every table a count (`results/tables.py`).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from stepmark.errors import CannotRun, ScenarioErrors, printable
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.cells import Cell, Machine, cells
from stepmark.plan.foreign import Origin, WorkloadFacts
from stepmark.results import tables
from stepmark.results.base import Text
from stepmark.results.certificate import Certificate
from stepmark.results.environment import Environment
from stepmark.results.record import LaunchHeader, LaunchRecord, pack_steps, unpack_steps
from stepmark.scenario.load import scenario_from_object
from stepmark.scenario.model import Scenario

FILE = "results.db"


class Run(BaseModel):
    """The description of a run, which all launches of a store share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stepmark_version: Text
    scenario: dict[str, Any]
    scenario_digest: str
    machine: Machine
    launcher: Literal["ray", "bare"]
    forked: bool
    environment: Environment
    workload_origin: Origin | None = None
    """Where the workload's code came from, if it is not stepmark's own."""
    workload_facts: WorkloadFacts | None = None
    """What that code said of the workload when the run was planned."""

    @cached_property
    def parsed_scenario(self) -> Scenario:
        """The scenario parsed from the document, once."""
        return scenario_from_object(self.scenario)

    def plan(self) -> Plan:
        """Return the plan of the run, for which no foreign code is needed."""
        return make_plan(self.parsed_scenario, self.machine, self.workload_facts)

    def cells(self) -> tuple[Cell, ...]:
        """Return the cells of the run's plan."""
        facts = self.workload_facts
        return cells(self.parsed_scenario, self.machine, facts.unavailable if facts is not None else None)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the model without the parsed scenario, since the copy may have another one."""
        made = super().model_copy(update=update, deep=deep)
        made.__dict__.pop("parsed_scenario", None)
        return made


Row = tuple[str, bytes]
"""The header of a launch as JSON, and its packed steps."""

LaunchRow = tuple[str, int, int, str, bytes]
"""The id, block and position of a launch, and its `Row`."""


def record_of(row: Row) -> LaunchRecord:
    """Return the record of a launch from its header's JSON and its packed steps.

    Raises:
        CannotRun: The row is not a launch.
    """
    header, blob = row
    try:
        return LaunchRecord(LaunchHeader.model_validate_json(header), *unpack_steps(blob))
    except ValueError as error:
        raise CannotRun(_not_ours("a stored launch", error)) from None


class SqliteStore:
    """The `results.db` of one run.

    Raises (from every method that writes): CannotRun, if the disk or the file cannot be written.
    Raises (from every method that reads): CannotRun, if the file does not hold what was written.
    """

    def __init__(self, engine: sa.Engine, file: Path) -> None:
        self._engine, self._file = engine, file
        self.has_digests = True
        """False for a file of an older version, in which damage cannot be detected."""

    @classmethod
    def create(cls, folder: Path, run: Run, durable: bool = True) -> Self:
        """Make a new store in this folder; if that fails, no file is left there.

        With `durable`, what a method has stored survives a power cut.
        """
        store = cls(_connect(folder / FILE, durable), folder / FILE)
        try:
            with store._writing() as connection:
                tables.make(connection)
                tables.insert(connection, tables.run, [(1, run.model_dump_json())])
        except CannotRun:
            store.close()
            for leftover in folder.glob(f"{FILE}*"):
                leftover.unlink(missing_ok=True)
            raise
        return store

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open an existing store.

        Raises:
            CannotRun: There is no store, the file is not a store, or it is damaged.
        """
        if not (folder / FILE).is_file():
            raise CannotRun(f"{folder / FILE}: expected the results of a run, found no such file. Give a run's folder.")
        store = cls(_connect(folder / FILE), folder / FILE)
        try:
            store._check()
        except CannotRun:
            store.close()
            raise
        return store

    @classmethod
    def open_to_go_on(cls, folder: Path) -> Self:
        """Open an existing store to add to it; a file of an older version gets its digests.

        Raises:
            CannotRun: As for `open`.
        """
        store = cls.open(folder)
        if not store.has_digests:
            store.certificates()  # raises if a row cannot be read, so that damage gets no digest
            for _ in store.records():
                pass
            with store._writing() as connection:
                tables.add_digests(connection)
            store.has_digests = True
        return store

    def _check(self) -> None:
        with self._reading() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if found != "ok":
                raise ValueError(found)
            self.has_digests = tables.is_sealed(connection)
            if self.has_digests:
                tables.check_seals(connection)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """Yield a connection that sees the file as it is now, whatever its writer does meanwhile."""
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN")
                yield connection
        except CannotRun:
            raise
        except Exception as error:  # SQLite, codecs and models raise many types of error for foreign bytes
            raise CannotRun(
                f"{self._file}: expected results of stepmark, found {printable(_short(error))}. "
                "The file is damaged or not stepmark's: restore a good copy, or measure again."
            ) from None

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise CannotRun(
                f"{self._file.parent}: expected to write results, found: {_short(error)}. "
                "Make room or choose another folder. Stored launches are kept, and --resume continues from them."
            ) from None

    def run(self) -> Run:
        """Return the description of the run, whose scenario this version can read."""
        with self._reading() as connection:
            document = connection.execute(sa.select(tables.run.c.document)).scalar_one()
            if self.has_digests:
                tables.check_run(connection, document)
            run = Run.model_validate_json(document)
            try:
                run.parsed_scenario  # noqa: B018  (raises)
            except ScenarioErrors as error:
                raise ValueError(f"a scenario that this version refuses: {error}") from None
            return run

    def launch_ids(self) -> frozenset[str]:
        """Return the ids of all stored launches."""
        with self._reading() as connection:
            return frozenset(connection.execute(sa.select(tables.launches.c.launch_id)).scalars())

    def headers(self) -> Iterator[LaunchHeader]:
        """Yield the headers of all launches, without their arrays."""
        with self._reading() as connection:
            for values in self._all(connection, tables.launches):
                yield LaunchHeader.model_validate_json(values[3])

    def append(self, record: LaunchRecord) -> None:
        """Store a finished launch; it is on disk when this returns."""
        header = record.header
        values = (header.launch_id, header.block, header.position, header.model_dump_json())
        steps_npz = pack_steps(record.step_nanoseconds, record.device_step_nanoseconds)
        self.insert_launches([(*values, steps_npz)])

    def insert_launches(self, rows: Iterable[LaunchRow]) -> None:
        """Store launches that are given as stored rows."""
        with self._writing() as connection:
            tables.insert(connection, tables.launches, rows)

    def certified(self) -> frozenset[str]:
        """Return the keys of the cells that have a certificate, whatever its result."""
        return frozenset(self.certificates())

    def certify(self, certificate: Certificate) -> None:
        """Store a certificate; it is on disk when this returns."""
        self.insert_certificates([(certificate.cell, certificate.model_dump_json())])

    def insert_certificates(self, rows: Iterable[tuple[str, str]]) -> None:
        """Store certificates that are given as pairs of cell key and JSON."""
        with self._writing() as connection:
            tables.insert(connection, tables.certificates, rows)

    def certificates(self) -> dict[str, Certificate]:
        """Return the certificates by the key of their cell."""
        with self._reading() as connection:
            if not sa.inspect(connection).has_table(tables.certificates.name):
                return {}  # the first versions had no such table
            documents = [document for _, document in self._all(connection, tables.certificates)]
            found = [Certificate.model_validate_json(document) for document in documents]
            return {certificate.cell: certificate for certificate in found}

    def rows(self) -> Iterator[Row]:
        """Yield the stored rows of all launches in the order of the plan."""
        with self._reading() as connection:
            for _, _, _, header, steps_npz in self._all(connection, tables.launches, *tables.ORDER_OF_PLAN):
                yield header, steps_npz

    def row(self, launch_id: str) -> Row:
        """Return the stored row of one launch."""
        query = self._query(tables.launches).where(tables.launches.c.launch_id == launch_id)
        with self._reading() as connection:
            _, _, _, header, steps_npz = tables.verified(connection.execute(query).one(), self.has_digests)
            return header, steps_npz

    def _all(self, connection: sa.Connection, table: sa.Table, *order: sa.Column[Any]) -> Iterator[tuple[Any, ...]]:
        for row in connection.execute(self._query(table).order_by(*order)):
            yield tables.verified(row, self.has_digests)

    def _query(self, table: sa.Table) -> sa.Select[Any]:
        return sa.select(*tables.columns_of(table, self.has_digests))

    def records(self) -> Iterator[LaunchRecord]:
        """Yield the records of all launches in the order of the plan."""
        return map(record_of, self.rows())

    def close(self) -> None:
        """Close the connections to the file."""
        self._engine.dispose()


def _connect(path: Path, durable: bool = True) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}")

    @sa.event.listens_for(engine, "connect")
    def _wal(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")

    return engine


def _not_ours(what: str, error: Exception) -> str:
    """Return the message for a row that is damaged, or of a version that this program cannot read."""
    found = printable(_short(error))
    return f"{what}: expected a row that this version can read, found {found}. Restore {FILE}, or measure again."


def _short(error: BaseException) -> str:
    """Return the error's text in one line of at most 200 characters."""
    text = str(getattr(error, "orig", None) or error) or type(error).__name__
    return " ".join(text.split())[:200]
