"""The rows of a batch: events while it runs, its table, and its overview page."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from napari_selfdeconv.api.report import index_html
from napari_selfdeconv.io.atomic import whole_or_not_at_all
from napari_selfdeconv.io.units import number

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


def write_table(table: Path, rows: Sequence[FileFinished]) -> None:
    """Write the table, whole or not at all."""
    with whole_or_not_at_all(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for row in rows:
            writer.writerow([getattr(row, name) if getattr(row, name) is not None else "" for name in _COLUMNS])


def read_rows(table: Path, out: Path) -> list[FileFinished]:
    """Return the rows of a table that an earlier run wrote, without results that are no longer in the folder."""
    if not table.exists():
        return []
    rows = []
    # A spreadsheet may have saved it since.
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        for cells in csv.DictReader(file):
            status = next((one for one in get_args(Status) if one == cells.get("status")), None)
            output, report = (_inside(out, cells.get(name) or "") for name in ("output", "report"))
            if status is None or (output is None and status != "failed"):
                continue
            seconds = number(cells.get("seconds"))
            rows.append(
                FileFinished(
                    file=cells.get("file") or "",
                    status=status,
                    seconds=seconds if math.isfinite(seconds) else 0.0,
                    output=output,
                    report=report,
                    message=cells.get("message") or "",
                )
            )
    return rows


def with_history(row: FileFinished, before: Sequence[FileFinished]) -> FileFinished:
    """Return a row; of a result that was there already, with its time and its warnings."""
    found = next((one for one in before if one.output == row.output), None)
    if row.status != "there already" or found is None:
        return row
    return replace(row, seconds=found.seconds, message=found.message)


def others(before: Sequence[FileFinished], rows: Sequence[FileFinished]) -> list[FileFinished]:
    """Return the rows of an earlier run about results and failed files that this run does not name."""
    outputs = {row.output for row in rows}
    # The images of a file have its name and their own.
    files = {name for row in rows for name in (row.file, row.file.rpartition(" [")[0])}
    return [row for row in before if (row.file not in files if row.output is None else row.output not in outputs)]


def _inside(out: Path, text: str) -> Path | None:
    """Return a path of a table inside the folder, which may have moved since; None if there is no such file."""
    parts = Path(text).parts
    places = (out.joinpath(*parts[start:]) for start in range(len(parts)) if not Path(parts[start]).is_absolute())
    return next((place for place in places if place.exists()), None)


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
