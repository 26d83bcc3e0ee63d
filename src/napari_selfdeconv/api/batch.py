"""Many files with one template, as a generator of events for the command line and the docks.

Existing results are skipped, so a run that was stopped can continue. A file that cannot be used becomes a row of
the table and does not stop the others.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from napari_selfdeconv.api.batch_items import BatchItem
from napari_selfdeconv.api.batch_rows import BatchResult, FileFinished, FileStarted, append_row, write_overview
from napari_selfdeconv.api.checkpoints import Checkpoint
from napari_selfdeconv.api.chosen_method import classical_of, is_network
from napari_selfdeconv.api.inputs import open_input
from napari_selfdeconv.api.outcome import Outcome
from napari_selfdeconv.api.report import report_html
from napari_selfdeconv.api.results import save_outcome, stem
from napari_selfdeconv.api.run import iter_run
from napari_selfdeconv.config.template import Template
from napari_selfdeconv.errors import Cancelled, ConfigError, reason_of
from napari_selfdeconv.events import Event, Warned, mapped
from napari_selfdeconv.io.atomic import whole_or_not_at_all
from napari_selfdeconv.io.images import read_record
from napari_selfdeconv.io.template_files import read_template, save_template
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.network.model_file import load_model, save_model
from napari_selfdeconv.stop_token import StopToken

Sharing = Literal["file", "all", "channel"]
_TABLE, _INDEX, _SETTINGS, _REPLACED = "batch.csv", "index.html", "batch.toml", "batch.replaced.txt"


def iter_batch(
    items: Sequence[BatchItem],
    template: Template,
    out: str | Path,
    *,
    sharing: Sharing = "file",
    reports: bool = True,
    overwrite: bool = False,
    stop: StopToken | None = None,
) -> Generator[Event | FileStarted | FileFinished, None, BatchResult]:
    """Deconvolve many files.

    Parameters
    ----------
    items : from `find_images`.
    template : settings of every run. Without a series, all images of a file are deconvolved; without a channel or
        a time, all channels and time points.
    out : folder for the results, for a page about each ("reports"), for the table batch.csv and for index.html.
    sharing : "file" trains a network for each file. "all" trains one on the first file that can be used and
        applies it to all others; "channel" does so for each channel.
    reports : whether a page is written for each file.
    overwrite : whether existing results are computed again. If this is interrupted, a run without it goes on.
    stop : ``stop()`` ends the training of the current file and stops after that file. ``cancel()`` discards it.

    Yields
    ------
    FileStarted, the events of each run, FileFinished.

    Raises
    ------
    ConfigError
        If there are no files, or the folder holds results of other settings or cannot be written. A file that
        fails raises no error.
    Cancelled
        After ``stop.cancel()``. Finished results are kept.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from napari_selfdeconv.api import find_images, write_ome_tiff, write_psf
    >>> from napari_selfdeconv.events import drain
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_ome_tiff(f"{folder}/cell.ome.tif", np.random.default_rng(0).random((16, 16)), (0.1, 0.1))
    ...     write_psf(f"{folder}/psf.tif", np.full((3, 3), 1 / 9, np.float32), (0.1, 0.1))
    ...     settings = {"method": {"name": "rl", "iterations": 1}, "psf": {"file": f"{folder}/psf.tif"}}
    ...     items, template = find_images(f"{folder}/*.ome.tif"), Template.from_dict(settings)
    ...     [row.status for row in drain(iter_batch(items, template, f"{folder}/results")).rows]
    ['done']
    """
    stop, out = stop or StopToken(), Path(out)
    if not is_network(template):
        classical_of(template.method)
    common = _common_folder([item.path for item in items])
    _begin(out, template, overwrite)
    earlier = _Earlier(out, overwrite)
    shared = _Shared(sharing if is_network(template) else "file", out, overwrite)
    rows: list[FileFinished] = []
    taken: set[Path] = set()
    try:
        for number, item in enumerate(items, 1):
            stop.raise_if_cancelled()
            if stop.stopped:
                break
            yield FileStarted(number=number, total=len(items), path=item.path)
            places = _Places.of(item.path, common, out, template.output.kind or "ome.tif", taken)
            for row in (yield from _all_images(item, template, places, shared, earlier, reports, stop)):
                rows.append(row)
                append_row(out / _TABLE, row, first=len(rows) == 1)
                yield row
    finally:
        write_overview(out / _INDEX, rows)
    if not stop.stopped and all(row.status != "failed" for row in rows):
        earlier.forget()
    return BatchResult(rows=tuple(rows), table=out / _TABLE, stopped=stop.stopped)


@dataclass
class _Shared:
    """The networks that files share. They are stored in the folder, so that a later run finds them.

    With ``overwrite`` those of an earlier run are removed, because they may be of other settings.
    """

    sharing: Sharing
    out: Path
    overwrite: bool
    models: list[Model] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.overwrite:
            for path in self._stored():
                path.unlink()
        if self.sharing != "file":
            self.models = [load_model(path) for path in self._stored()]

    def _stored(self) -> list[Path]:
        paths = (self.out / "models").glob("channel*.safetensors")
        return sorted(paths, key=lambda path: (len(path.name), path))

    def for_channels(self, count: int) -> list[Model]:
        """Return a model for each channel; an empty list if they have to be trained."""
        if self.sharing == "all" and self.models:
            return [self.models[0]] * count
        return list(self.models)

    def remember(self, outcome: Outcome) -> None:
        """Keep the models of the first file, unless every file has its own."""
        if self.sharing == "file" or self.models:
            return
        (self.out / "models").mkdir(exist_ok=True)
        for number, model in enumerate(outcome.models):
            save_model(self.out / "models" / f"channel{number}.safetensors", model)
        self.models = list(outcome.models)


@dataclass
class _Earlier:
    """The results of earlier runs in a folder.

    While they are overwritten, a list in the folder names those that are new. The others do not count, also not
    in a later run.
    """

    out: Path
    overwrite: bool

    def __post_init__(self) -> None:
        self._list = self.out / _REPLACED
        if self.overwrite:
            self._list.write_text("", "utf-8")
        self._new = set(self._list.read_text("utf-8").splitlines()) if self._list.exists() else None

    def has(self, output: Path) -> bool:
        return output.exists() and (self._new is None or self._name(output) in self._new)

    def add(self, output: Path) -> None:
        if self._new is not None:
            with self._list.open("a", encoding="utf-8") as file:
                file.write(f"{self._name(output)}\n")

    def forget(self) -> None:
        """Remove the list: every result is new."""
        self._list.unlink(missing_ok=True)

    def _name(self, output: Path) -> str:
        return output.relative_to(self.out).as_posix()


@dataclass(frozen=True)
class _Places:
    """The paths of the results of one file; ``taken`` are those of all images of the batch so far."""

    file: Path
    folder: Path
    reports: Path
    kind: str
    taken: set[Path]

    @classmethod
    def of(cls, path: Path, common: Path, out: Path, kind: str, taken: set[Path]) -> _Places:
        inside = path.resolve().parent.relative_to(common)
        return cls(path, out / inside, out / "reports" / inside, kind, taken)

    def take(self, series: int | None) -> tuple[Path, Path]:
        """Return the paths of result and page of an image, which no other image of the batch has.

        Two files may differ only by their endings, a table may name a file twice, and an image of a file may be
        called like another file.
        """
        name, ending = stem(self.file), self.file.suffix.removeprefix(".")
        longer = (f"{name}_{ending}_{number}" for number in itertools.count(2))
        of_series = "" if series is None else f"_{series}"
        for one in itertools.chain((name, f"{name}_{ending}"), longer):
            output = self.folder / f"{one}{of_series}_deconvolved.{self.kind}"
            if output not in self.taken:
                break
        self.taken.add(output)
        return output, self.reports / f"{one}{of_series}.html"


def _all_images(
    item: BatchItem,
    template: Template,
    places: _Places,
    shared: _Shared,
    earlier: _Earlier,
    reports: bool,
    stop: StopToken,
) -> Generator[Event, None, list[FileFinished]]:
    """Run one file, each of its images in turn; return a row for each."""
    rows: list[FileFinished] = []
    try:
        own = item.template(template)
        names = read_record(item.path, axes=own.image.axes).series_names if own.image.series is None else ("",)
    except Exception as error:  # A broken file must not stop the others.
        return [FileFinished(file=str(item.path), status="failed", message=reason_of(error))]
    for series in range(len(names)) if len(names) > 1 else (None,):
        if stop.stopped and rows:
            break
        started = time.perf_counter()
        label = str(item.path) if series is None else f"{item.path} [{series}: {names[series]}]"
        output, report = places.take(series)
        if earlier.has(output):
            rows.append(
                FileFinished(
                    file=label,
                    status="there already",
                    output=output,
                    report=report if report.exists() else None,
                )
            )
            continue
        one = own if series is None else own.part("image", series=series)
        try:
            row = yield from _one_image(item.path, one, output, report, shared, reports, stop)
            earlier.add(output)
            rows.append(dataclasses.replace(row, file=label, seconds=round(time.perf_counter() - started, 3)))
        except Cancelled:
            raise
        except Exception as error:
            seconds = round(time.perf_counter() - started, 3)
            rows.append(FileFinished(file=label, status="failed", seconds=seconds, message=reason_of(error)))
    return rows


def _one_image(
    path: Path,
    template: Template,
    output: Path,
    report: Path,
    shared: _Shared,
    reports: bool,
    stop: StopToken,
) -> Generator[Event, None, FileFinished]:
    file = open_input(path, template)
    channels = file.data.shape[file.axes.index("C")] if "C" in file.axes else 1
    warnings: list[str] = [str(doubt) for doubt in file.record.doubts] if file.record is not None else []
    output.parent.mkdir(parents=True, exist_ok=True)
    # A batch that was killed continues. If its settings have changed since, this file starts again.
    checkpoint = Checkpoint(f"{output}.checkpoint", resume=True, strict=False, remove=False)
    models = shared.for_channels(channels)
    work = iter_run(file, template, models=models, stop=stop.child(), checkpoint=checkpoint)

    def remembered(event: Event) -> Event:
        if isinstance(event, Warned):
            warnings.append(event.message)
        return event

    outcome = yield from mapped(work, remembered)
    stored = save_outcome(output, outcome, file, template.output)
    checkpoint.discard()
    shared.remember(outcome)
    if reports:
        report.parent.mkdir(parents=True, exist_ok=True)
        text = report_html(file, outcome, template, warnings, output=output, stored=stored)
        with whole_or_not_at_all(report) as temporary:
            temporary.write_text(text, "utf-8")
    return FileFinished(
        file=str(path),
        status="done",
        output=output,
        report=report if reports else None,
        message="; ".join(warnings),
    )


def _begin(out: Path, template: Template, overwrite: bool) -> None:
    """Make the folder; refuse one with results of other settings."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {out}: {error.strerror}") from error
    known = out / _SETTINGS
    if known.exists() and not overwrite and read_template(known) != template:
        raise ConfigError(
            f"{out} holds results of other settings ({_SETTINGS})", "name another folder, or add --overwrite"
        )
    save_template(known, template)


def _common_folder(paths: Sequence[Path]) -> Path:
    """Return the folder that holds all files, directly or in folders of it."""
    if not paths:
        raise ConfigError("there is no file to deconvolve")
    try:
        return Path(os.path.commonpath([path.resolve().parent for path in paths]))
    except ValueError:
        raise ConfigError("the files are on different drives", "make a batch for each drive") from None
