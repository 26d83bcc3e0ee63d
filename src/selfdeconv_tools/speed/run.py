"""The speed benchmark: measure every figure against its baseline, write them down, tabulate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from napari_selfdeconv.compute import device
from napari_selfdeconv.config.checks import check_whole
from napari_selfdeconv.errors import SelfDeconvError
from napari_selfdeconv.stop_token import StopToken
from selfdeconv_tools.speed import records
from selfdeconv_tools.speed.catalogue import chosen, figures
from selfdeconv_tools.speed.figure import Setting
from selfdeconv_tools.speed.report import markdown


def run_speed(
    out: Path,
    *,
    device_name: str,
    only: Sequence[str],
    repeats: int,
    small: bool,
    stop: StopToken,
    say: Callable[[str], None],
    images: Path | None = None,
    psf_path: Path | None = None,
) -> None:
    """Measure speed; write speed.csv and speed.md.

    Parameters
    ----------
    out : folder, made if it is not there. Figures that its table holds already are not measured again.
    device_name : where to compute.
    only : names of figures, or their beginnings; empty for all.
    repeats : pairs of measurements a figure.
    small : at sizes that test the code and say nothing about speed.
    stop, say : as in `run_quality`; ``stop`` ends the benchmark with the current figure, which is dropped: Ctrl-C
        also reaches the processes that measure its memory.
    images, psf_path : folder of truth images on which to find how soon Richardson-Lucy is beaten.

    Raises
    ------
    ConfigError
        For a name that is no figure, or a table of another version.
    """
    check_whole("repeats", repeats, 1, 1000)
    where = str(device.choose_device(device_name, "auto").device)
    setting = Setting(device=where, repeats=repeats, small=small)
    wanted = chosen(figures(setting, images, psf_path), only)
    out.mkdir(parents=True, exist_ok=True)
    table, machine = out / "speed.csv", records.machine(where)
    rows = records.read_rows(table)
    todo = [figure for figure in wanted if not records.has_figure(rows, figure, machine)]
    for number, figure in enumerate(todo, 1):
        start = time.perf_counter()
        try:
            # All rows of a figure or none: a figure with one row counts as measured.
            results = list(figure.measure(setting))
        except (RuntimeError, MemoryError, AssertionError, SelfDeconvError) as error:
            # Not written down, so that the next run tries it again; the others can be measured still.
            say(f"{number}/{len(todo)} {figure.name} failed: {' '.join(str(error).split())}")
            continue
        if stop.stopped:
            return
        for result in results:
            row = records.new_row(result, machine)
            rows.append(row)
            records.append_row(table, row)
            say(_line(f"{number}/{len(todo)}", row))
        say(f"{figure.name} took {time.perf_counter() - start:.0f} s")
    (out / "speed.md").write_text(markdown(rows), encoding="utf-8")
    say(f"wrote {out / 'speed.md'}")


def _line(number: str, row: records.Row) -> str:
    parts = [f"{number} {row['name']}"]
    if row["ours_s"]:
        parts.append(f"{row['ours_s']} s")
    if row["ratio_median"]:
        parts.append(f"{row['ratio_median']} times faster ({row['ratio_min']} to {row['ratio_max']})")
    if row["note"]:
        parts.append(row["note"])
    return ", ".join(parts)
