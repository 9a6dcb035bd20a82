"""The store of one run: SQLite through SQLAlchemy Core, in WAL mode, so that a reader never blocks the writer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from stepmark.errors import CannotRun, printable
from stepmark.plan.cells import Machine
from stepmark.results.certificate import Certificate
from stepmark.results.environment import Environment
from stepmark.results.record import LaunchHeader, LaunchRecord, pack_steps, unpack_steps
from stepmark.scenario.load import scenario_from_object
from stepmark.scenario.model import Scenario

FILE = "results.db"

_metadata = sa.MetaData()
_run = sa.Table(
    "run",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)
_launches = sa.Table(
    "launches",
    _metadata,
    sa.Column("launch_id", sa.String(400), primary_key=True),
    sa.Column("block", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("header", sa.Text, nullable=False),
    sa.Column("step_nanoseconds_npz", sa.LargeBinary, nullable=False),
)
_ORDER_OF_PLAN = (_launches.c.block, _launches.c.position, _launches.c.launch_id)
_certificates = sa.Table(
    "certificates",
    _metadata,
    sa.Column("cell", sa.String(400), primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)


class Run(BaseModel):
    """What all launches of a store belong to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stepmark_version: str
    scenario: dict[str, Any]
    scenario_digest: str
    machine: Machine
    launcher: Literal["ray", "bare"]
    forked: bool
    environment: Environment

    def parsed_scenario(self) -> Scenario:
        return scenario_from_object(self.scenario)


Row = tuple[str, bytes]


def record_of(row: Row) -> LaunchRecord:
    """A launch from its header's JSON and its packed steps.

    Raises:
        CannotRun: it is not one.
    """
    header, blob = row
    try:
        return LaunchRecord(LaunchHeader.model_validate_json(header), unpack_steps(blob))
    except ValueError as error:
        raise CannotRun(_not_ours("a stored launch", error)) from None


class SqliteStore:
    """`results.db` of one run.

    Raises (from every method that writes): CannotRun, when the disk or file will not take it.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @classmethod
    def create(cls, folder: Path, run: Run) -> Self:
        """A new store in this folder; none is left where it cannot be made."""
        store = cls(_connect(folder / FILE))
        try:
            with _explained(folder):
                _metadata.create_all(store._engine)
                with store._engine.begin() as connection:
                    connection.execute(_run.insert().values(id=1, document=run.model_dump_json()))
        except CannotRun:
            store.close()
            for leftover in folder.glob(f"{FILE}*"):
                leftover.unlink(missing_ok=True)
            raise
        return store

    @classmethod
    def open(cls, folder: Path) -> Self:
        """An existing store.

        Raises:
            CannotRun: there is none, or it is not one.
        """
        if not (folder / FILE).is_file():
            raise CannotRun(f"{folder / FILE}: expected the results of a run, found no such file. Give a run's folder.")
        store = cls(_connect(folder / FILE))
        try:
            _metadata.create_all(store._engine)  # results of an older version lack the newer tables
        except sa.exc.SQLAlchemyError as error:
            raise CannotRun(f"{folder / FILE}: expected results of stepmark, found {_short(error)}.") from None
        return store

    def run(self) -> Run:
        try:
            with self._engine.connect() as connection:
                return Run.model_validate_json(connection.execute(sa.select(_run.c.document)).scalar_one())
        except (sa.exc.SQLAlchemyError, ValueError) as error:
            raise CannotRun(
                f"{self._engine.url.database}: expected results of stepmark, found {_short(error)}."
            ) from None

    def launch_ids(self) -> frozenset[str]:
        with self._engine.connect() as connection:
            return frozenset(connection.execute(sa.select(_launches.c.launch_id)).scalars())

    def headers(self) -> Iterator[LaunchHeader]:
        """Of all launches, without their arrays.

        Raises:
            CannotRun: one of them is not one.
        """
        with self._engine.connect() as connection:
            for text in connection.execute(sa.select(_launches.c.header)).scalars():
                try:
                    yield LaunchHeader.model_validate_json(text)
                except ValueError as error:
                    raise CannotRun(_not_ours("a stored launch", error)) from None

    def append(self, record: LaunchRecord) -> None:
        """Store a finished launch; it is on disk when this returns."""
        row = {
            "launch_id": record.header.launch_id,
            "block": record.header.block,
            "position": record.header.position,
            "header": record.header.model_dump_json(),
            "step_nanoseconds_npz": pack_steps(record.step_nanoseconds),
        }
        with _explained(Path(str(self._engine.url.database)).parent), self._engine.begin() as connection:
            connection.execute(_launches.insert().values(row))

    def certified(self) -> frozenset[str]:
        """Keys of the cells that have been checked, whatever the result."""
        with self._engine.connect() as connection:
            return frozenset(connection.execute(sa.select(_certificates.c.cell)).scalars())

    def certify(self, certificate: Certificate) -> None:
        """Store a certificate; it is on disk when this returns."""
        row = {"cell": certificate.cell, "document": certificate.model_dump_json()}
        with _explained(Path(str(self._engine.url.database)).parent), self._engine.begin() as connection:
            connection.execute(_certificates.insert().values(row))

    def certificates(self) -> dict[str, Certificate]:
        """Cell key -> certificate."""
        with self._engine.connect() as connection:
            documents = connection.execute(sa.select(_certificates.c.document)).scalars()
            try:
                found = [Certificate.model_validate_json(document) for document in documents]
            except ValueError as error:
                raise CannotRun(_not_ours("a stored certificate", error)) from None
        return {certificate.cell: certificate for certificate in found}

    def rows(self) -> Iterator[Row]:
        """All launches in the order of the plan, as they are stored."""
        query = sa.select(_launches.c.header, _launches.c.step_nanoseconds_npz)
        with self._engine.connect() as connection:
            for row in connection.execute(query.order_by(*_ORDER_OF_PLAN)):
                yield row.header, row.step_nanoseconds_npz

    def row(self, launch_id: str) -> Row:
        """One launch, as it is stored."""
        query = sa.select(_launches.c.header, _launches.c.step_nanoseconds_npz)
        with self._engine.connect() as connection:
            row = connection.execute(query.where(_launches.c.launch_id == launch_id)).one()
        return row.header, row.step_nanoseconds_npz

    def records(self) -> Iterator[LaunchRecord]:
        """All launches in the order of the plan."""
        return map(record_of, self.rows())

    def close(self) -> None:
        self._engine.dispose()


def _connect(path: Path) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}")

    @sa.event.listens_for(engine, "connect")
    def _wal(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    return engine


class _explained:
    """Database errors in a person's words."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sa.exc.SQLAlchemyError | OSError):
            raise CannotRun(
                f"{self._folder}: expected to write results, found: {_short(error)}. "
                "Make room or choose another folder; what was stored before is kept, and --resume goes on from it."
            ) from None


def _not_ours(what: str, error: Exception) -> str:
    """Of a row that is damaged, or of a version that this one cannot read."""
    return f"{what}: expected what stepmark writes, found {printable(_short(error))}. Measure anew, or restore {FILE}."


def _short(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0][:200]
