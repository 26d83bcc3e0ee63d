"""``selfdeconv info``: what a file states about its image and its microscope, and what it does not state."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from napari_selfdeconv.cli.options import template_of
from napari_selfdeconv.cli.terminal import say
from napari_selfdeconv.stop_token import StopToken

if TYPE_CHECKING:
    from napari_selfdeconv.api import ImageRecord

# Title and unit of each value, in the order of the page.
_IMAGE = {
    "voxel_z_um": ("voxel size z", "um"),
    "voxel_y_um": ("voxel size y", "um"),
    "voxel_x_um": ("voxel size x", "um"),
    "time_step_s": ("time step", "s"),
    "objective": ("objective", ""),
    "magnification": ("magnification", "x"),
    "na": ("numerical aperture", ""),
    "immersion": ("immersion", ""),
    "refractive_index": ("refractive index", ""),
}
_CHANNEL = {
    "name": ("name", ""),
    "colour": ("colour", ""),
    "emission_um": ("emission", "um"),
    "excitation_um": ("excitation", "um"),
    "modality": ("microscope", ""),
    "pinhole_um": ("pinhole", "um"),
    "pinhole_au": ("pinhole", "Airy units"),
    "camera_offset": ("camera offset", ""),
    "camera_gain": ("camera gain", ""),
}


def run_info(args: argparse.Namespace, _token: StopToken) -> None:
    from napari_selfdeconv.api import read_record

    choice = template_of(args).image
    record = read_record(args.image, series=choice.series, axes=choice.axes)
    if args.json:
        print(json.dumps(record.to_dict()))  # noqa: T201
    else:
        print("\n".join(info_lines(record)))  # noqa: T201


def run_light(args: argparse.Namespace, _token: StopToken) -> None:
    from napari_selfdeconv import api

    file = api.open_input(args.image, template_of(args))
    courses = api.measure_light(file.data, file.axes)
    for sentence in api.uncorrected_light(file.data.shape, file.axes, courses, "both"):
        say(sentence)
    if args.json:
        rows = [
            {
                "axis": one.axis,
                "channel": one.channel,
                "background": one.background,
                "levels": one.levels,
                "remaining": one.remaining,
                "flicker": one.flicker,
            }
            for one in courses
        ]
        print(json.dumps(rows))  # noqa: T201
        return
    if not courses:
        print("at least seven time points or planes are needed, and none of them may be dark")  # noqa: T201
    for one in courses:
        print(f"channel {one.channel}, along {one.axis}: {one.sentence}")  # noqa: T201
        most = max(one.levels)
        for number, level in enumerate(one.levels):
            print(f"  {number:4d} {level:12.5g} {'#' * round(40 * level / most)}")  # noqa: T201


def info_lines(record: ImageRecord) -> list[str]:
    """Return the record as lines of text: values and their place in the file, doubts, missing values."""
    size = " x ".join(map(str, record.shape))
    return [f"{record.file}: {record.format}, {record.axes} {size}, {record.dtype}", *_parts(record)]


def _parts(record: ImageRecord) -> Iterator[str]:
    if len(record.series_names) > 1:
        yield f"{len(record.series_names)} images in the file; choose one with --series N"
        for number, name in enumerate(record.series_names):
            here = "  <- this one" if number == record.series else ""
            yield f"  {number}: {name or 'no name'}{here}"
    yield from _values(record, record, "", _IMAGE)
    for number, channel in enumerate(record.channels):
        lines = list(_values(record, channel, f"channels.{number}.", _CHANNEL))
        if lines:
            yield f"channel {number}"
            yield from lines
    for title, remarks in (("doubtful", record.doubts), ("needed for a PSF, and missing", record.missing)):
        if remarks:
            yield title
            yield from (f"  {remark}" for remark in remarks)


def _values(record: ImageRecord, part: object, key: str, titles: dict[str, tuple[str, str]]) -> Iterator[str]:
    for name, (title, unit) in titles.items():
        value = getattr(part, name)
        if value is not None:
            shown = f"{value:g}" if isinstance(value, float) else value
            yield f"  {title:19s} {f'{shown} {unit}'.rstrip():32s} {record.source(key + name)}"
