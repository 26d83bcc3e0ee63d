"""Other formats, read by the package bioio if the user has installed it with a plug-in for the format."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_selfdeconv.io.facts import Facts
from napari_selfdeconv.io.ome_xml import add_ome_xml
from napari_selfdeconv.io.source import Source, check_series
from napari_selfdeconv.io.units import number

_SOURCE = "bioio"


def has_bioio() -> bool:
    """Return whether bioio is installed."""
    return importlib.util.find_spec("bioio") is not None


@contextlib.contextmanager
def open_bioio(path: Path, series: int) -> Iterator[Source]:
    """Open one scene of a file in a format that bioio reads."""
    image = importlib.import_module("bioio").BioImage(path)
    names = tuple(str(name) for name in image.scenes)
    check_series(path.name, series, len(names))
    image.set_scene(series)
    facts = Facts()
    # Not every plug-in translates its metadata to OME.
    with contextlib.suppress(NotImplementedError):
        add_ome_xml(facts, image.ome_metadata.to_xml(), series, len(names), path.name)
    for axis in "ZYX":
        facts.add(f"voxel_{axis.lower()}_um", number(getattr(image.physical_pixel_sizes, axis)), _SOURCE)
    for index, name in enumerate(image.channel_names or ()):
        if f"channels.{index}.name" not in facts.values:
            facts.add(f"channels.{index}.name", str(name), _SOURCE)
    yield Source(
        path=path,
        format=path.suffix.removeprefix(".").upper(),
        axes=image.dims.order,
        shape=tuple(image.shape),
        dtype=np.dtype(image.dtype),
        series_names=names,
        series=series,
        facts=facts,
        load=lambda: np.asarray(image.data),
    )
