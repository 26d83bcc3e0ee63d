"""Many files with one template, as a generator of events for the command line and the docks.

Existing results of the same image and settings are skipped, so a run that was stopped can continue. A file that
cannot be used becomes a row of the table and does not stop the others.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_selfdeconv.api.batch_folder import (
    TABLE,
    EarlierResults,
    SharedNetworks,
    Sharing,
    opened_folder,
    recorded,
)
from napari_selfdeconv.api.batch_identity import Identity
from napari_selfdeconv.api.batch_items import BatchItem
from napari_selfdeconv.api.batch_rows import (
    BatchResult,
    FileFinished,
    FileStarted,
    others,
    read_rows,
    with_history,
    write_overview,
    write_table,
)
from napari_selfdeconv.api.checkpoints import Checkpoint
from napari_selfdeconv.api.chosen_method import classical_of, is_network
from napari_selfdeconv.api.inputs import open_input
from napari_selfdeconv.api.report import report_html
from napari_selfdeconv.api.results import save_outcome, stem
from napari_selfdeconv.api.run import iter_run
from napari_selfdeconv.config.template import Template
from napari_selfdeconv.errors import Cancelled, ConfigError, reason_of
from napari_selfdeconv.events import Event, Warned, mapped
from napari_selfdeconv.io.atomic import whole_or_not_at_all
from napari_selfdeconv.io.images import read_record
from napari_selfdeconv.stop_token import StopToken

_INDEX = "index.html"
# Between the name of an image and the ending of its result.
_RESULT = "_deconvolved."


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
        A result lies in the folder `BatchItem.inside` of it.
    sharing : "file" trains a network for each file. "all" trains one on the first file that can be used and
        applies it to all others; "channel" does so for each channel.
    reports : whether a page is written for each file.
    overwrite : whether existing results are computed again. If this is interrupted, a run without it goes on, also
        with some of the files first.
    stop : ``stop()`` ends the training of the current file and stops after that file. Its result is stored, and a
        later run makes it again. ``cancel()`` discards it.

    Yields
    ------
    FileStarted, the events of each run, FileFinished.

    Raises
    ------
    ConfigError
        If there are no files, or the folder holds results of other settings, cannot be written, or another batch
        is running in it. A file that fails raises no error.
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
    if not items:
        raise ConfigError("there is no file to deconvolve")
    with opened_folder(out, template, overwrite):
        return (yield from _all_files(items, template, out, sharing, reports, overwrite, stop))


def _all_files(
    items: Sequence[BatchItem],
    template: Template,
    out: Path,
    sharing: Sharing,
    reports: bool,
    overwrite: bool,
    stop: StopToken,
) -> Generator[Event | FileStarted | FileFinished, None, BatchResult]:
    """Run the files one after another; arguments as in `iter_batch`."""
    earlier = EarlierResults(out)
    if overwrite:
        earlier.overwrite(list(items))
    shared = SharedNetworks(sharing if is_network(template) else "file", out, overwrite)
    rows: list[FileFinished] = []
    before = read_rows(out / TABLE, out)
    taken: set[Path] = set()
    try:
        for number, item in enumerate(items, 1):
            stop.raise_if_cancelled()
            if stop.stopped:
                break
            yield FileStarted(number=number, total=len(items), path=item.path)
            places = _Places.of(item, out, template.output.kind or "ome.tif", taken)
            found = yield from _all_images(item, template, places, shared, earlier, reports, stop)
            if not stop.stopped and all(row.status != "failed" for row in found):
                earlier.finish(item)
            for row in found:
                rows.append(with_history(row, before))
                write_table(out / TABLE, [*rows, *others(before, rows)])
                yield rows[-1]
    finally:
        write_overview(out / _INDEX, [*rows, *others(before, rows)])
    return BatchResult(rows=tuple(rows), table=out / TABLE, stopped=stop.stopped)


@dataclass(frozen=True)
class _Places:
    """The paths of the results of one file; ``taken`` are those of all images of the batch so far."""

    file: Path
    folder: Path
    reports: Path
    kind: str
    taken: set[Path]

    @classmethod
    def of(cls, item: BatchItem, out: Path, kind: str, taken: set[Path]) -> _Places:
        return cls(item.path, out / item.inside, out / "reports" / item.inside, kind, taken)

    def outputs(self, series: int | None) -> Iterator[Path]:
        """Yield the paths that the result of an image may have, without those of other images of the batch.

        Two files may differ only by their endings, a table may name a file twice, and an image of a file may be
        called like another file.
        """
        name, ending = stem(self.file), self.file.suffix.removeprefix(".")
        longer = (f"{name}_{ending}_{number}" for number in itertools.count(2))
        of_series = "" if series is None else f"_{series}"
        for one in itertools.chain((name, f"{name}_{ending}"), longer):
            output = self.folder / f"{one}{of_series}{_RESULT}{self.kind}"
            if output not in self.taken:
                yield output

    def report(self, output: Path) -> Path:
        """Return the path of the page about a result."""
        return self.reports / f"{output.name.removesuffix(f'{_RESULT}{self.kind}')}.html"


def _all_images(
    item: BatchItem,
    template: Template,
    places: _Places,
    shared: SharedNetworks,
    earlier: EarlierResults,
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
        one = own if series is None else own.part("image", series=series)
        try:
            identity = earlier.identity(item, one, shared.sharing)
            output, there_already = earlier.choose(places.outputs(series), identity)
            places.taken.add(output)
            report = places.report(output)
            if there_already:
                there = report if report.exists() else None
                rows.append(FileFinished(file=label, status="there already", output=output, report=there))
                continue
            row = yield from _one_image(item.path, one, output, report, shared, identity, reports, stop)
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
    shared: SharedNetworks,
    identity: Identity,
    reports: bool,
    stop: StopToken,
) -> Generator[Event, None, FileFinished]:
    file = open_input(path, template)
    record = identity.to_dict()
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
    if outcome.provenance.get("stopped"):
        warnings.append("the training was stopped before its end: the next run makes this result again")
    outcome = dataclasses.replace(outcome, provenance=recorded(outcome, record))
    # First of all the networks: after a kill, another one would be trained for the other files.
    shared.remember(outcome)
    stored = save_outcome(output, outcome, file, template.output)
    checkpoint.discard()
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
