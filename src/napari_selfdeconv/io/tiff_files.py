"""TIFF: opened by tifffile, its pixels turned into intensities."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import GREY_HINT
from napari_selfdeconv.io.facts import Facts
from napari_selfdeconv.io.source import Source, check_series, pick_position
from napari_selfdeconv.io.tiff_records import add_tiff, refuse_hostile
from napari_selfdeconv.io.units import number

Conversion = Callable[[NDArray[Any]], NDArray[Any]]

_OVERVIEWS = ("thumbnail", "label", "macro", "label image", "macro image", "overview")


@contextlib.contextmanager
def open_tiff(path: Path, series: int) -> Iterator[Source]:
    """Open one image of a TIFF. The full resolution of a pyramid is opened."""
    with _complaints() as complaints, tifffile.TiffFile(path) as tif:
        refuse_hostile(tif, path.name)
        images = _images(tif)
        # LSM stores its positions as an axis of one image.
        inside = len(images) == 1 and "P" in images[0].axes
        if not inside:
            check_series(path.name, series, len(images))
        image = images[0 if inside else series]
        facts = Facts()
        kind, description = add_tiff(facts, tif, 0 if inside else series, len(images), path.name)
        convert = _conversion(facts, tif, image, path.name)
        _note(facts, complaints)
        _doubt_missing_planes(facts, tif, image)

        def load() -> NDArray[Any]:
            pixels = np.asarray(image.asarray())
            _note(facts, complaints)
            return convert(pixels)

        source = Source(
            path=path,
            format=kind,
            axes=image.axes,
            shape=tuple(image.shape),
            dtype=np.dtype(image.dtype),
            series_names=tuple(one.name for one in images),
            series=series,
            facts=facts,
            description=description,
            load=load,
        )
        yield pick_position(source, series)


def _note(facts: Facts, complaints: list[str]) -> None:
    """Pass on what tifffile has logged since the last call."""
    for complaint in complaints:
        # tifffile only logs this and returns the planes it has: a half-copied stack would look like a thinner one.
        if "invalid page offset" in complaint:
            raise ValueError("the file is cut off: copy it again")
    if complaints:
        facts.doubt("file", f"damaged metadata: {complaints[0]}", "")
    complaints.clear()


def _doubt_missing_planes(facts: Facts, tif: tifffile.TiffFile, image: tifffile.TiffPageSeries) -> None:
    """Note a doubt if planes that the OME-XML names are not in the file, because tifffile reads them as zeros."""
    if not tif.is_ome or "FileName" in (tif.ome_metadata or ""):
        return
    planes = math.prod(image.shape) // max(1, image.keyframe.size)
    if planes > len(tif.pages):
        problem = (
            f"the OME-XML names {planes} planes and the file holds {len(tif.pages)}: the others are read as 0"
        )
        facts.doubt("file", problem, "copy or export the file again")


def _images(tif: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    """Return the images of a file without previews and labels."""
    return [
        image
        for number, image in enumerate(tif.series)
        if number == 0 or not (image.keyframe.is_reduced or image.name.strip().lower() in _OVERVIEWS)
    ]


def _conversion(facts: Facts, tif: tifffile.TiffFile, image: tifffile.TiffPageSeries, name: str) -> Conversion:
    """Return the function that turns the stored numbers into intensities."""
    kind = image.keyframe.photometric
    if tif.is_imagej and not tif.is_ome:
        return _calibrated(facts, tif.imagej_metadata or {}, np.dtype(image.dtype))
    # ImageJ stores intensities whatever its look-up table is: the table is for the display only.
    if tif.is_imagej or kind not in (tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.PALETTE):
        return lambda pixels: pixels
    if kind == tifffile.PHOTOMETRIC.MINISWHITE:
        # NumPy's True, saved by tifffile or scikit-image, has this tag, and is read as True by them.
        if image.keyframe.bitspersample == 1 and image.keyframe.software == "tifffile.py":
            return lambda pixels: pixels
        return _white_is_zero(facts, image)
    return _palette(facts, image, name)


def _calibrated(facts: Facts, values: Mapping[str, Any], dtype: np.dtype[Any]) -> Conversion:
    """Return the conversion of signed numbers, which ImageJ stores as unsigned ones with a calibration.

    Other calibrations are only named: noise and saturation are those of the stored numbers.
    """
    # 20 and above: none, uncalibrated optical density, a function that is not in the file.
    if values.get("cf") not in range(20) or "c0" not in values:
        return lambda pixels: pixels
    line = [number(values.get(name)) for name in ("cf", "c0", "c1")]
    if line == [0.0, -32768.0, 1.0] and (dtype.kind, dtype.itemsize) == ("u", 2):
        return lambda pixels: (pixels.astype(np.int32) - 32768).astype(np.int16)
    if line != [0.0, 0.0, 1.0]:
        facts.doubt("file", "ImageJ's calibration of its values is not applied: the stored numbers are read", "")
    return lambda pixels: pixels


def _white_is_zero(facts: Facts, image: tifffile.TiffPageSeries) -> Conversion:
    if np.dtype(image.dtype).kind != "u" and image.keyframe.bitspersample != 1:
        facts.doubt("file", "the file says that small numbers are bright, which its type cannot show", "")
        return lambda pixels: pixels
    top = (1 << int(image.keyframe.bitspersample)) - 1
    facts.doubt("file", f"small numbers are bright in the file: it is read as {top} minus its numbers", "")

    def convert(pixels: NDArray[Any]) -> NDArray[Any]:
        return ~pixels if pixels.dtype.kind == "b" else np.subtract(top, pixels, dtype=pixels.dtype)

    return convert


def _palette(facts: Facts, image: tifffile.TiffPageSeries, name: str) -> Conversion:
    """Return the grey levels of a grey palette, or the numbers themselves if brightness increases with them."""
    table = np.asarray(image.keyframe.colormap)
    if np.all(table == table[0]):
        return lambda pixels: (table[0] // 257).astype(np.uint8)[pixels]
    brightness = table.astype(float).T @ (0.299, 0.587, 0.114)
    if np.any(np.diff(brightness) < 0):
        raise ConfigError(f"{name} is a colour image with a palette", GREY_HINT)
    facts.doubt("file", "the palette is taken for display colours: its numbers are read as intensities", "")
    return lambda pixels: pixels


@contextlib.contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what tifffile logs, instead of showing it on standard error."""
    found: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    propagate = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
