"""OME-Zarr folders (0.4 and 0.5), read by the package zarr."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.facts import Facts
from napari_selfdeconv.io.ome_xml import add_ome_xml
from napari_selfdeconv.io.optional import import_for
from napari_selfdeconv.io.source import Source, check_series
from napari_selfdeconv.io.units import micrometres, number, seconds

_SOURCE = "the OME-Zarr metadata"


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a zarr array or group."""
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


@contextlib.contextmanager
def open_zarr(path: Path, series: int) -> Iterator[Source]:
    """Open one image of an OME-Zarr folder. The full resolution of a pyramid is opened."""
    zarr = import_for(path, "zarr")
    root = zarr.open(store=str(path), mode="r")
    if not isinstance(root, zarr.Group):
        above = path.resolve().parent
        if is_zarr(above):
            raise ConfigError(f"{path} is one array of a zarr folder", f"give {above}, which names its axes")
        raise ConfigError(
            f"{path} is a zarr array without the metadata of an OME-Zarr, which names the axes",
            "open it in Python (zarr.open), or save it as OME-TIFF or OME-Zarr",
        )
    images = _images(root)
    check_series(path.name, series, len(images))
    group = images[series]
    stated = _ome(group)["multiscales"][0]
    dataset = stated["datasets"][0]
    array = group[dataset["path"]]
    # Version 0.3 has names only, and earlier ones always t, c, z, y, x.
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in stated.get("axes", "tczyx")]
    facts = Facts()
    _add_scale(
        facts, axes, [*dataset.get("coordinateTransformations", ()), *stated.get("coordinateTransformations", ())]
    )
    for index, channel in enumerate(_ome(group).get("omero", {}).get("channels", ())):
        facts.add(f"channels.{index}.name", channel.get("label"), _SOURCE)
        colour = str(channel.get("color", "")).removeprefix("#").lower()
        facts.add(f"channels.{index}.colour", f"#{colour[:6]}" if len(colour) >= 6 else None, _SOURCE)
    provenance = array.attrs.get("provenance")
    _add_optics(facts, provenance)
    # bioformats2raw keeps the whole OME-XML of the file that it has converted.
    xml = path / "OME" / "METADATA.ome.xml"
    if xml.is_file():
        add_ome_xml(facts, xml.read_text("utf-8"), series, len(images), path.name)
    yield Source(
        path=path,
        format="OME-Zarr",
        axes="".join(str(axis["name"])[:1].upper() for axis in axes),
        shape=tuple(array.shape),
        dtype=np.dtype(array.dtype),
        series_names=tuple(_ome(one)["multiscales"][0].get("name") or one.basename for one in images),
        series=series,
        facts=facts,
        description=json.dumps(provenance) if isinstance(provenance, dict) else "",
        load=lambda: np.asarray(array[...]),
    )


def _add_optics(facts: Facts, provenance: Any) -> None:
    """Note the optics in the record that this program has written beside a result."""
    optics = provenance.get("optics") if isinstance(provenance, dict) else None
    source = "the record of the run"
    for channel, one in enumerate(optics if isinstance(optics, list) else [optics]):
        if not isinstance(one, dict):
            continue
        for name in ("na", "refractive_index"):
            facts.add(name, number(one.get(name)), source)
        for name, key in (
            ("wavelength_um", "emission_um"),
            ("excitation_um", "excitation_um"),
            ("pinhole_au",) * 2,
        ):
            facts.add(f"channels.{channel}.{key}", number(one.get(name)), source)


def _ome(group: Any) -> Mapping[str, Any]:
    """Return the OME attributes: under "ome" since version 0.5, at the top before."""
    attributes = dict(group.attrs)
    found = attributes.get("ome", attributes)
    return found if isinstance(found, dict) else {}


def _images(root: Any) -> list[Any]:
    """Return the groups that are images: this one, or those numbered 0, 1, ... as bioformats2raw writes them."""
    if "multiscales" in _ome(root):
        return [root]
    if "plate" in _ome(root):
        raise ConfigError(f"{root.store_path} is a plate", "give the folder of one field in it, such as A/1/0")
    names = itertools.takewhile(lambda name: name in root, map(str, itertools.count()))
    return [root[name] for name in names if "multiscales" in _ome(root[name])]


def _add_scale(
    facts: Facts, axes: Sequence[Mapping[str, Any]], transformations: Sequence[Mapping[str, Any]]
) -> None:
    """Note the product of the scales. An axis without a unit has no size: unknown sizes are written as 1."""
    scale = np.ones(len(axes))
    for transformation in transformations:
        if transformation.get("type") == "scale":
            scale = scale * [number(value) for value in transformation["scale"]]
    for axis, size in zip(axes, scale.tolist(), strict=True):
        name, unit = str(axis["name"]).lower(), str(axis.get("unit", ""))
        if name in ("z", "y", "x"):
            facts.add(f"voxel_{name}_um", micrometres(size, unit), _SOURCE)
        elif name == "t":
            facts.add("time_step_s", seconds(size, unit), _SOURCE)
