"""Derive the summary of a run from its folder, and write its reports there."""

import sys
from pathlib import Path

from stepmark.analysis.summary import Summary, summarize_run
from stepmark.errors import CannotRun, printable
from stepmark.report import html, markdown
from stepmark.results.store import FILE, SqliteStore


def summary_of(folder: Path, price_per_worker_hour: float | None = None) -> Summary:
    """Return the summary of the run in this folder, derived anew.

    Raises:
        CannotRun: the folder has no results, or they are not what was written.
    """
    store = SqliteStore.open(folder)
    try:
        if store.has_digests:
            return summary_in(store, price_per_worker_hour)
        return _summary_without_digests(folder / FILE, store, price_per_worker_hour)
    finally:
        store.close()


def _summary_without_digests(file: Path, store: SqliteStore, price_per_worker_hour: float | None) -> Summary:
    warning = f"{file}: written by an older version, without digests: damage would not be seen"
    print(warning, file=sys.stderr, flush=True)
    try:
        return summary_in(store, price_per_worker_hour)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # Impossible figures raise these.
        raise CannotRun(f"{file}: expected records that agree, found {printable(repr(error))}.") from None


def summary_in(store: SqliteStore, price_per_worker_hour: float | None = None) -> Summary:
    """Return the summary of the run in a store that is open and has digests, derived anew.

    Raises:
        CannotRun: the rows are not what was written.
    """
    run = store.run()
    cells = run.cells()
    return summarize_run(run, cells, store.rows(), store.certificates(), price_per_worker_hour)


def write_reports(folder: Path, summary: Summary) -> list[Path]:
    """Write summary.json, report.md and report.html into this folder, and return their paths."""
    texts = {
        "summary.json": summary.model_dump_json(indent=2) + "\n",
        "report.md": markdown.render(summary),
        "report.html": html.render(summary),
    }
    try:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotRun(
            f"{folder}: expected to write reports, found: {error.strerror}. Make room, then `stepmark report {folder}`."
        ) from None
    return [folder / name for name in texts]
