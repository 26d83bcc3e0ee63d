"""The rows of a batch: events while it runs, its table, and its overview page."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_selfdeconv.api.report import index_html
from napari_selfdeconv.io.atomic import whole_or_not_at_all

Status = Literal["done", "there already", "failed"]
_COLUMNS = ("file", "status", "seconds", "output", "report", "message")


@dataclass(frozen=True, kw_only=True)
class FileStarted:
    """A file was started.

    Attributes
    ----------
    number, total : number of the file, from 1, and how many there are.
    path : path of the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> FileStarted(number=1, total=3, path=Path("a.tif")).path.name
    'a.tif'
    """

    number: int
    total: int
    path: Path


@dataclass(frozen=True, kw_only=True)
class FileFinished:
    """A file, or one image of it, is done, had a result already, or failed.

    Attributes
    ----------
    file : the input, with its series if it holds several images.
    status : how it ended.
    seconds : time taken.
    output, report : the files that were written; None if none was written.
    message : why it failed, or its warnings in one line.

    Examples
    --------
    >>> FileFinished(file="a.tif", status="failed", message="a.tif is empty").status
    'failed'
    """

    file: str
    status: Status
    seconds: float = 0.0
    output: Path | None = None
    report: Path | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """The result of a batch.

    Attributes
    ----------
    rows : one for each image.
    table : path of batch.csv.
    stopped : whether the user ended it.

    Examples
    --------
    >>> from pathlib import Path
    >>> rows = (FileFinished(file="a.tif", status="done"), FileFinished(file="b.tif", status="failed"))
    >>> BatchResult(rows=rows, table=Path("batch.csv")).count("done")
    1
    """

    rows: tuple[FileFinished, ...]
    table: Path
    stopped: bool = False

    def count(self, status: Status) -> int:
        """Return how many files have this status."""
        return sum(row.status == status for row in self.rows)


def append_row(table: Path, row: FileFinished, *, first: bool) -> None:
    """Append a row to the table; the first one makes it."""
    with table.open("w" if first else "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if first:
            writer.writerow(_COLUMNS)
        writer.writerow([getattr(row, name) if getattr(row, name) is not None else "" for name in _COLUMNS])


def write_overview(path: Path, rows: Sequence[FileFinished]) -> None:
    """Write the page with a row for each image, with links relative to its folder."""
    with whole_or_not_at_all(path) as temporary:
        temporary.write_text(index_html(_cells(rows, path.parent)), "utf-8")


def _cells(rows: Sequence[FileFinished], out: Path) -> Iterator[dict[str, str]]:
    for row in rows:
        yield {
            "file": row.file,
            "status": row.status,
            "seconds": f"{row.seconds:.1f}",
            "output": "" if row.output is None else row.output.relative_to(out).as_posix(),
            "report": "" if row.report is None else row.report.relative_to(out).as_posix(),
            "message": row.message,
        }
