"""The outcome of a run on a file, and the record that its file gets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_selfdeconv.api.chosen_psf import ChosenPsf, Stated
from napari_selfdeconv.api.image_part import other_voxel_um
from napari_selfdeconv.api.record_optics import told_optics
from napari_selfdeconv.config.template import ImageChoice
from napari_selfdeconv.io.images import ImageFile
from napari_selfdeconv.io.record import ImageRecord
from napari_selfdeconv.network.model import Model


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a run on a file.

    Attributes
    ----------
    image, axes : the result, with the axes of the image.
    voxel_um : voxel size along z, y and x.
    provenance : the record, with the optics and the origin of each value.
    models : a model for each channel that a network was trained on or applied to.
    psfs : a PSF for each channel.
    losses : history of the training of the first channel.
    seconds : time of the run.
    written : whether the result is in its file already.

    Examples
    --------
    >>> Outcome(image=np.zeros((8, 8)), axes="YX", voxel_um=None, provenance={}).written
    False
    """

    image: Any
    axes: str
    voxel_um: tuple[float, ...] | None
    provenance: dict[str, Any]
    models: tuple[Model, ...] = ()
    psfs: tuple[ChosenPsf, ...] = ()
    losses: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    written: bool = False

    @property
    def stated(self) -> tuple[Stated, ...]:
        """The values of the optics of the first channel, each with its origin."""
        return self.psfs[0].stated if self.psfs else ()


def completed_record(file: ImageFile, psfs: Sequence[ChosenPsf]) -> ImageRecord | None:
    """Return the record that the file of a result gets: that of its image, completed by the optics of the run."""
    record = file.record
    if record is None:
        return None
    channels = list(record.channels)
    for number, chosen in enumerate(psfs):
        if chosen.optics is not None and number < len(channels):
            channels[number] = dataclasses.replace(
                channels[number],
                emission_um=chosen.optics.wavelength_um,
                excitation_um=chosen.optics.excitation_um or channels[number].excitation_um,
            )
    optics = next((chosen.optics for chosen in psfs if chosen.optics is not None), None)
    record = dataclasses.replace(record, channels=tuple(channels))
    if optics is None:
        return record
    return dataclasses.replace(record, na=optics.na, refractive_index=optics.refractive_index)


def origin(file: ImageFile, psfs: Sequence[ChosenPsf]) -> dict[str, Any]:
    """Return for the record of a result: the name of the image, the optics, a voxel size that was not used.

    Parameters
    ----------
    file : the image.
    psfs : one for all channels, or one for each.

    Examples
    --------
    >>> from napari_selfdeconv.api import ChosenPsf, ImageFile
    >>> origin(ImageFile(data=np.zeros((8, 8)), axes="YX"), [ChosenPsf(psf=np.ones((3, 3)) / 9)])
    {}
    """
    made = [
        told_optics(chosen.optics, {one.name: one.source for one in chosen.stated})
        for chosen in psfs
        if chosen.optics is not None
    ]
    found: dict[str, Any] = {} if file.record is None else {"source": file.record.file}
    if (other := other_voxel_um(file)) is not None:
        found["voxel_um_of_file"] = list(other)
    return found | ({"optics": made[0] if len(made) == 1 else made} if made else {})


def part_used(choice: ImageChoice) -> dict[str, Any]:
    """Return the part of the file that was chosen, for the record of a result; nothing for the whole file.

    Examples
    --------
    >>> part_used(ImageChoice(channel=1, crop=("10:40", ":")))
    {'part': {'channel': 1, 'crop': ['10:40', ':']}}
    """
    chosen = {name: choice.to_dict()[name] for name in ("series", "channel", "time", "z", "crop", "axes")}
    part = {name: value for name, value in chosen.items() if value is not None}
    return {"part": part} if part else {}
