"""Nikon's ND2, read by the package nd2."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_selfdeconv.io.facts import Facts
from napari_selfdeconv.io.optics_names import add_objective, immersion_name
from napari_selfdeconv.io.optional import import_for
from napari_selfdeconv.io.source import Source, pick_position
from napari_selfdeconv.io.units import micrometres, number

_SOURCE = "Nikon's metadata"
_MODALITIES = {
    "laserScanConfocal": "laser scanning confocal",
    "spinningDiskConfocal": "spinning disk confocal",
    "sora": "spinning disk confocal",
    "dsdConfocal": "spinning disk confocal",
    "sweptFieldConfocalPinhole": "spinning disk confocal",
    "multiphoton": "multiphoton",
    "SIM": "structured illumination",
    "TIRF": "TIRF",
}


@contextlib.contextmanager
def open_nd2(path: Path, series: int) -> Iterator[Source]:
    """Open one position of an ND2 file."""
    with import_for(path, "nd2").ND2File(path) as file:
        facts = Facts()
        _add_channels(facts, file.metadata.channels or [], "Z" in file.sizes)
        names = _add_experiment(facts, file.experiment)
        source = Source(
            path=path,
            format="Nikon ND2",
            axes="".join(file.sizes),
            shape=tuple(file.sizes.values()),
            dtype=np.dtype(file.dtype),
            facts=facts,
            description=str((file.text_info or {}).get("description", "")),
            load=lambda: np.asarray(file.asarray()).reshape(tuple(file.sizes.values())),
        )
        yield pick_position(source, series, names)


def _add_channels(facts: Facts, channels: list[Any], stack: bool) -> None:
    for index, channel in enumerate(channels):
        key, stated, microscope = f"channels.{index}.", channel.channel, channel.microscope
        facts.add(key + "name", stated.name, _SOURCE)
        colour = stated.color
        facts.add(key + "colour", f"#{colour.r:02x}{colour.g:02x}{colour.b:02x}", _SOURCE)
        facts.add(key + "emission_um", micrometres(number(stated.emissionLambdaNm), "nm"), _SOURCE)
        facts.add(key + "excitation_um", micrometres(number(stated.excitationLambdaNm), "nm"), _SOURCE)
        facts.add(key + "pinhole_um", number(microscope.pinholeDiameterUm), _SOURCE)
        facts.add(
            key + "modality", next(filter(None, map(_MODALITIES.get, microscope.modalityFlags)), None), _SOURCE
        )
        facts.add("na", number(microscope.objectiveNumericalAperture), _SOURCE)
        facts.add("magnification", number(microscope.objectiveMagnification), _SOURCE)
        facts.add("refractive_index", number(microscope.immersionRefractiveIndex), _SOURCE)
        if index == 0:
            facts.add("immersion", immersion_name(microscope.objectiveName or ""), _SOURCE)
            add_objective(facts, microscope.objectiveName or "", _SOURCE)
            # A size that was not calibrated is stored as 1, and the step of a single plane has no meaning.
            sizes = zip("xyz", channel.volume.axesCalibration, channel.volume.axesCalibrated, strict=True)
            for axis, size, calibrated in sizes:
                if calibrated and (axis != "z" or stack):
                    facts.add(f"voxel_{axis}_um", number(size), _SOURCE)


def _add_experiment(facts: Facts, loops: list[Any]) -> tuple[str, ...]:
    """Note the steps in time and along z; return the names of the positions."""
    names: tuple[str, ...] = ()
    for loop in loops:
        if loop.type == "TimeLoop":
            facts.add("time_step_s", number(loop.parameters.periodMs) / 1000, _SOURCE)
        elif loop.type == "ZStackLoop":
            facts.add("voxel_z_um", abs(number(loop.parameters.stepUm)), _SOURCE)
        elif loop.type == "XYPosLoop":
            points = enumerate(loop.parameters.points)
            names = tuple(point.name or f"position {index}" for index, point in points)
    return names
