"""What a file states about its image and its microscope, and the place of each value in the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ChannelRecord", "ImageRecord", "Remark"]


@dataclass(frozen=True, kw_only=True)
class Remark:
    """A sentence about one value of a record.

    Attributes
    ----------
    field : the value it is about, named as in `ImageRecord.sources`; "voxel" for all three sizes.
    problem : what is wrong.
    remedy : what to do about it.

    Examples
    --------
    >>> str(Remark(field="na", problem="the numerical aperture is not known", remedy="--na"))
    'the numerical aperture is not known: --na'
    """

    field: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}: {self.remedy}" if self.remedy else self.problem


@dataclass(frozen=True, kw_only=True)
class ChannelRecord:
    """What a file states about one channel. None means that the file does not state a value.

    Attributes
    ----------
    name : name of the channel or its dye.
    colour : on the screen, as "#rrggbb".
    emission_um, excitation_um : wavelengths in vacuum, in micrometres.
    modality : kind of microscope, such as "widefield" or "laser scanning confocal".
    pinhole_um, pinhole_au : diameter of the pinhole in micrometres and in Airy units, whichever is stated.
    camera_offset, camera_gain : offset and gain of the detector, in the unit of the file.

    Examples
    --------
    >>> ChannelRecord(name="GFP", emission_um=0.51).modality is None
    True
    """

    name: str | None = None
    colour: str | None = None
    emission_um: float | None = None
    excitation_um: float | None = None
    modality: str | None = None
    pinhole_um: float | None = None
    pinhole_au: float | None = None
    camera_offset: float | None = None
    camera_gain: float | None = None


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """What a file states about one image. None means that the file does not state a value. Nothing is guessed.

    Attributes
    ----------
    file : name of the file.
    format : format of the file, such as "OME-TIFF".
    series_names : one name for each image (position, scene) of the file.
    series : which of them this record is about.
    axes, shape, dtype : as stored, without axes of length 1 (Y and X stay). One letter for each axis.
    voxel_z_um, voxel_y_um, voxel_x_um : voxel size in micrometres; along z it is the step of the stack.
    time_step_s : time from one time point to the next, in seconds.
    objective, magnification, na : name, magnification and NA of the objective.
    immersion, refractive_index : name of the medium between objective and coverslip, and its index.
    channels : one for each channel.
    sources : the place of each value in the file; keys such as "na" and "channels.0.emission_um".
    doubts : contradictions and values that cannot be right, with what to do.

    Examples
    --------
    >>> record = ImageRecord(
    ...     file="a.tif", format="TIFF", axes="YX", shape=(8, 8), dtype="uint8", voxel_y_um=0.1, voxel_x_um=0.1
    ... )
    >>> record.voxel_um, record.missing[0].problem
    ((0.1, 0.1), 'the numerical aperture is not known')
    """

    file: str
    format: str
    series_names: tuple[str, ...] = ("",)
    series: int = 0
    axes: str
    shape: tuple[int, ...]
    dtype: str
    voxel_z_um: float | None = None
    voxel_y_um: float | None = None
    voxel_x_um: float | None = None
    time_step_s: float | None = None
    objective: str | None = None
    magnification: float | None = None
    na: float | None = None
    immersion: str | None = None
    refractive_index: float | None = None
    channels: tuple[ChannelRecord, ...] = (ChannelRecord(),)
    sources: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[Remark, ...] = ()

    @property
    def voxel_um(self) -> tuple[float, ...] | None:
        """Voxel size in um along those of Z, Y, X that are in the axes; None unless all are stated."""
        sizes = [size for size in self.stated_um if size is not None]
        return tuple(sizes) if len(sizes) == len(self.stated_um) else None

    @property
    def stated_um(self) -> tuple[float | None, ...]:
        """Voxel size in um along each of Z, Y, X that is in the axes; None where the file does not state it."""
        return tuple(self._size(axis) for axis in self.axes if axis in "ZYX")

    @property
    def voxel_note(self) -> str:
        """The origin of the voxel size, or why it is missing; a line for the user."""
        spatial = [axis for axis in self.axes if axis in "ZYX"]
        known = [axis for axis in spatial if self._size(axis) is not None]
        origin = ", ".join(dict.fromkeys(self.source(f"voxel_{axis.lower()}_um") for axis in known))
        why = [
            doubt.problem for doubt in self.doubts if doubt.field in ("file", "voxel") or "voxel_" in doubt.field
        ]
        if not known:
            return "no voxel size: " + ("; ".join(why) or "the file does not state it")
        if len(known) < len(spatial):
            missing = ", ".join(axis.lower() for axis in spatial if axis not in known)
            sizes = ", ".join(f"{axis.lower()} {self._size(axis):g} um" for axis in known)
            origin = f"voxel size unknown along {missing} ({sizes}, from {origin})"
        else:
            origin = f"from {origin}"
        return origin + (f" ({'; '.join(why)})" if why else "")

    @property
    def missing(self) -> tuple[Remark, ...]:
        """Values that a PSF needs and the file does not state, with where to find and how to give them."""
        return tuple(_missing(self))

    def value(self, name: str) -> Any:
        """Return a value by its name in ``sources``, such as "channels.0.emission_um"; None if not stated."""
        *channel, name = name.split(".")
        return getattr(self.channels[int(channel[1])] if channel else self, name)

    def source(self, name: str) -> str:
        """Return the place of a value in the file, or "the record" if that is not known."""
        return self.sources.get(name, "the record")

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, strings, lists and dicts, with ``missing``."""
        return {
            **dataclasses.asdict(self),
            "voxel_um": self.voxel_um,
            "missing": [dataclasses.asdict(remark) for remark in self.missing],
        }

    def _size(self, axis: str) -> float | None:
        return {"Z": self.voxel_z_um, "Y": self.voxel_y_um, "X": self.voxel_x_um}[axis]


def _missing(record: ImageRecord) -> list[Remark]:
    """Return a remark for each missing value, in the order of the form and the command line."""
    found = []

    def ask(field: str, what: str, remedy: str) -> None:
        found.append(Remark(field=field, problem=f"{what} is not known", remedy=remedy))

    lateral = [axis for axis in "YX" if record._size(axis) is None]
    if lateral:
        ask("voxel", "the pixel size", "camera pixel divided by the magnification; --voxel-um [DZ] DY DX")
    if "Z" in record.axes and record.voxel_z_um is None:
        ask("voxel_z_um", "the step along z", "the step of the z-drive; --voxel-um DZ DY DX")
    if record.na is None:
        ask("na", "the numerical aperture", "it is engraved on the objective; --na")
    if record.refractive_index is None:
        of = f" ({record.immersion})" if record.immersion else ""
        ask("refractive_index", f"the refractive index of the immersion{of}", "see its bottle; --refractive-index")
    for number, channel in enumerate(record.channels):
        key = f"channels.{number}."
        of = f" of channel {number}" + (f" ({channel.name})" if channel.name else "")
        of = of if len(record.channels) > 1 or channel.name else ""
        modality = channel.modality or ""
        if channel.emission_um is None:
            ask(key + "emission_um", f"the emission wavelength{of}", "peak of dye and filter; --wavelength-um")
        if channel.modality is None:
            remedy = "widefield needs nothing more; confocal needs --excitation-um and --pinhole-au"
            ask(key + "modality", f"the kind of microscope{of}", remedy)
        if ("confocal" in modality or "photon" in modality) and channel.excitation_um is None:
            ask(key + "excitation_um", f"the excitation wavelength{of}", "of the laser; --excitation-um")
        if "confocal" in modality and channel.pinhole_au is None:
            size = "" if channel.pinhole_um is None else f", which is {channel.pinhole_um:g} um,"
            remedy = "see the acquisition software; --pinhole-au"
            ask(key + "pinhole_au", f"the pinhole{of}{size} in Airy units", remedy)
    return found
