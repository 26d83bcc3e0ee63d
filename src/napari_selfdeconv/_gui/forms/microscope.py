"""One microscope for a viewer: values typed in one dock appear in all, also in docks opened later."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_selfdeconv._gui.forms.problems import optics_problem
from napari_selfdeconv._gui.layers.exchange import about
from napari_selfdeconv._gui.layers.file_record import channel_of, file_of, record_of
from napari_selfdeconv._gui.runs.controller import RunController, RunRequest
from napari_selfdeconv._gui.runs.record import record_job
from napari_selfdeconv.api import (
    MODELS,
    make_optics,
    model_key,
    optics_of,
    overruled,
    parameter_values,
    stated_model,
)
from napari_selfdeconv.config.optics import CoverslipLayers, Optics
from napari_selfdeconv.config.template import GIVEN

if TYPE_CHECKING:
    from napari_selfdeconv.api import ChannelRecord, ImageRecord

Sizes = tuple[float, ...]
# Numbers that differ less look the same in the fields.
_SAME = 1e-4
# A value that is missing for several channels is listed once.
_OF_CHANNEL = r" of channel \d+( \(.*\))?$"


@dataclass(frozen=True, kw_only=True)
class TypedOptics:
    """The optics as typed, possible or not. A missing number is 0. Lengths are in um.

    Attributes
    ----------
    na, wavelength_um, refractive_index, defocus_um, pixel_integration : as in `Optics`.
    model : key of the PSF model.
    values : of the parameters that only this model has, by name.
    layers : of a sample of another index; None for a matched one.
    """

    na: float = 0.0
    wavelength_um: float = 0.0
    refractive_index: float = 0.0
    model: str = "widefield"
    values: tuple[tuple[str, float], ...] = ()
    layers: tuple[tuple[str, float], ...] | None = None
    defocus_um: float = 0.0
    pixel_integration: bool = True

    @classmethod
    def of(cls, optics: Optics) -> TypedOptics:
        """Return the typed values that give ``optics``."""
        layers = None
        if optics.layers is not None:
            layers = tuple((k, v) for k, v in optics.layers.to_dict().items() if v is not None)
        return cls(
            na=optics.na,
            wavelength_um=optics.wavelength_um,
            refractive_index=optics.refractive_index,
            model=model_key(optics),
            values=tuple(parameter_values(optics).items()),
            layers=layers,
            defocus_um=optics.defocus_um,
            pixel_integration=optics.pixel_integration,
        )

    def optics(self) -> Optics:
        """Return the settings; ConfigError if one is impossible. It names the field of NA, emission or index."""
        problem = optics_problem(self.na, self.wavelength_um, self.refractive_index)
        if problem is not None:
            raise problem
        return make_optics(
            self.model,
            dict(self.values),
            na=self.na,
            wavelength_um=self.wavelength_um,
            refractive_index=self.refractive_index,
            defocus_um=self.defocus_um,
            layers=None if self.layers is None else CoverslipLayers(**dict(self.layers)),
            pixel_integration=self.pixel_integration,
        )

    def beyond_the_three(self) -> str:
        """Return the settings besides NA, emission and index in words; empty for a plain widefield microscope."""
        parts = [] if self.model == "widefield" else [MODELS[self.model].title]
        for parameter in MODELS[self.model].parameters:
            value = dict(self.values).get(parameter.name, parameter.proposed)
            shown = f"{1000 * value:g} nm" if parameter.wavelength else f"{value:g}"
            parts.append(f"{parameter.label.lower()} {shown}")
        if self.layers is not None:
            parts.append(f"sample of index {dict(self.layers)['sample_index']:g}")
        if self.defocus_um:
            parts.append(f"defocus {self.defocus_um:g} µm")
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class PsfSource:
    """Where the PSF comes from.

    Attributes
    ----------
    generated : computed from the optics, or taken from a layer.
    layer_id : napari's id of that layer; None if no layer is chosen yet.
    clean : prepare the layer as a measured bead needs it.
    whole_stack : make a generated PSF as large as the light of the stack.
    chosen_for : napari's id of the image that the user has chosen it for by hand; "" if a dock proposed it.
    """

    generated: bool
    layer_id: str | None = None
    clean: bool = False
    whole_stack: bool = True
    chosen_for: str = ""


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What the file of an image states.

    Attributes
    ----------
    file : its name; "" without a file, or if nothing could be read.
    values, sources : numbers by the names of `TypedOptics`' fields and "voxel z" to "voxel x"; their origin.
    channels : what is stated of each channel.
    kinds : of microscope, that of the image's channel or those of all of its channels.
    model, model_values : of a PSF, where the file states the kind of microscope.
    missing : what a PSF needs and the file does not state.
    doubts : values that cannot be right.
    """

    file: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[ChannelRecord, ...] = ()
    kinds: tuple[str, ...] = ()
    model: str | None = None
    model_values: tuple[tuple[str, float], ...] = ()
    missing: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def sources_of(self, typed: TypedOptics, channel: int | None = None) -> dict[str, str]:
        """Return the place in the file of each value of the optics, or "given"; of the emission of a channel."""
        values = {name: getattr(typed, name) for name in ("na", "wavelength_um", "refractive_index")}
        values |= dict(typed.values)
        stated = {name: [getattr(one, name, None) for one in self.channels] for name, _ in typed.values}
        stated |= {name: [value] for name, value in self.values.items()}
        if channel is not None:
            stated["wavelength_um"] = [one.emission_um for one in self.channels[channel : channel + 1]]
        place = f"the file {self.file}"
        sources = {}
        for name, value in values.items():
            others = [one for one in stated.get(name, []) if one is not None]
            same = any(abs(one - value) < _SAME for one in others)
            other = ", ".join(f"{one:g}" for one in dict.fromkeys(others))
            sources[name] = self.sources.get(name, place) if same else GIVEN + overruled(other)
        if kinds := self.other_kinds(typed):
            sources["psf_model"] = GIVEN + overruled(kinds)
        return sources

    def other_kinds(self, typed: TypedOptics) -> str:
        """Return the kinds of microscope that the file states and the PSF is not of."""
        return ", ".join(kind for kind in self.kinds if stated_model(kind) != typed.model)


def facts_of(layer: Image, record: ImageRecord) -> FileFacts:
    """Return what a record states of the microscope of ``layer``."""
    channel = channel_of(layer, record)
    number = None if channel is None else record.channels.index(channel)
    where = {
        "na": "na",
        "refractive_index": "refractive_index",
        "wavelength_um": f"channels.{number}.emission_um",
        **{f"voxel {axis}": f"voxel_{axis}_um" for axis in "zyx"},
    }
    values = {
        name: float(value)
        for name, key in where.items()
        if ("None" not in key and (value := record.value(key)) is not None)
    }
    model: str | None = None
    model_values: tuple[tuple[str, float], ...] = ()
    kinds = [one.modality for one in (record.channels if channel is None else [channel]) if one.modality]
    if channel is not None and kinds:
        model = stated_model(kinds[0])
    if model is not None and channel is not None:
        model_values = tuple(
            (one.name, one.proposed if (own := getattr(channel, one.name, None)) is None else float(own))
            for one in MODELS[model].parameters
        )
    mine = [
        remark
        for remark in record.missing
        if number is None or not remark.field.startswith("channels.") or f"channels.{number}." in remark.field
    ]
    return FileFacts(
        file=record.file,
        values=values,
        sources={name: record.sources.get(where[name], "") for name in values},
        channels=tuple(record.channels),
        kinds=tuple(dict.fromkeys(kinds)),
        model=model,
        model_values=model_values,
        missing=tuple(
            dict.fromkeys(re.sub(_OF_CHANNEL, "", remark.problem.removesuffix(" is not known")) for remark in mine)
        ),
        doubts=tuple(remark.problem for remark in record.doubts),
    )


class SharedMicroscope(QObject):
    """The microscope that all docks of a viewer share. Signal ``changed`` comes when a value changes.

    Attributes
    ----------
    optics : the values typed last, or those that an image states.
    source : where the PSF comes from; None until the user decides.
    image_id : napari's id of the image that a PSF was asked for last; "" before.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.optics = TypedOptics()
        self.source: PsfSource | None = None
        self.image_id = ""
        self._followed, self._before = "", self.optics
        # Stated by the image that was followed last.
        self._defocus_um = 0.0
        self._facts: dict[str, FileFacts] = {}
        self._voxel_um: dict[str, tuple[Sizes, Sizes | None]] = {}
        self._emissions_um: dict[str, tuple[float, ...]] = {}
        self._reading = RunController(self)

    def set_optics(self, optics: TypedOptics) -> None:
        """Store typed optics."""
        if optics != self.optics:
            self.optics = optics
            self.changed.emit()

    def set_source(self, source: PsfSource) -> None:
        """Store the user's choice of where the PSF comes from."""
        if source != self.source:
            self.source = source
            self.changed.emit()

    def facts(self, image: Image | None) -> FileFacts:
        """Return what is known so far of the file of ``image``."""
        return FileFacts() if image is None else self._facts.get(str(image.unique_id), FileFacts())

    def follow(self, image: Image | None) -> None:
        """Store what ``image`` or its file states of the microscope, unless the user has typed values since."""
        if image is None or self._followed == str(image.unique_id):
            return
        key = self._followed = str(image.unique_id)
        # Where an image lies in focus is no property of the microscope: it does not hold for the next image.
        if self._defocus_um and self.optics.defocus_um == self._defocus_um:
            self.set_optics(replace(self.optics, defocus_um=0.0))
        self._defocus_um, self._before = 0.0, self.optics
        if told := optics_of(about(image)):
            self.set_optics(TypedOptics.of(told[0]))
            self._defocus_um = self.optics.defocus_um
        elif key in self._facts:
            self._fill(self._facts[key])
        elif (record := record_of(image)) is not None:
            self._take(image, record)
        elif (path := file_of(image)) is not None:
            self._reading.start_newest(
                RunRequest(job=record_job(path), what="Reading", on_success=lambda found: self._take(image, found))
            )

    def voxel_um(self, image: Image | None, of_layer: Sizes | None, ndim: int) -> Sizes:
        """Return the voxel size (last ``ndim`` axes, um) that was typed for ``image``; 0 is unknown.

        ``of_layer`` is the layer's present voxel size. It is used if nothing was typed, or if the layer has
        changed since. If the layer has no voxel size, that of its file is used.
        """
        typed, then = ((), None) if image is None else self._voxel_um.get(str(image.unique_id), ((), None))
        if len(typed) == ndim and then == of_layer:
            return typed
        stated = self.facts(image).values
        return of_layer or tuple(stated.get(f"voxel {axis}", 0.0) for axis in "zyx"[-ndim:] if ndim)

    def set_voxel_um(self, image: Image, of_layer: Sizes | None, sizes: Sizes) -> None:
        """Store the voxel size typed for ``image``; ``of_layer`` is the layer's own."""
        if sizes != self.voxel_um(image, of_layer, len(sizes)):
            self._voxel_um[str(image.unique_id)] = sizes, of_layer
            self.changed.emit()

    def emissions_um(self, image: Image, channels: int) -> tuple[float, ...]:
        """Return the emission of each channel, um: what was typed, or what the file states; 0 is unknown."""
        typed = self._emissions_um.get(str(image.unique_id), ())
        if len(typed) == channels:
            return typed
        stated = [one.emission_um or 0.0 for one in self.facts(image).channels[:channels]]
        return (*stated, *(0.0,) * (channels - len(stated)))

    def set_emissions_um(self, image: Image, emissions_um: tuple[float, ...]) -> None:
        """Store the emissions typed for the channels of ``image``."""
        if emissions_um != self.emissions_um(image, len(emissions_um)):
            self._emissions_um[str(image.unique_id)] = emissions_um
            self.changed.emit()

    def _take(self, image: Image, record: ImageRecord | None) -> str:
        if record is not None:
            key = str(image.unique_id)
            self._facts[key] = facts_of(image, record)
            if key == self._followed:
                self._fill(self._facts[key])
        return ""

    def _fill(self, facts: FileFacts) -> None:
        told: dict[str, Any] = {name: value for name, value in facts.values.items() if "voxel" not in name}
        if facts.model is not None and (self.optics.model, self.optics.values) == (
            self._before.model,
            self._before.values,
        ):
            scans = MODELS[facts.model].scans
            told |= {"model": facts.model, "values": facts.model_values, "pixel_integration": not scans}
        # What was typed while the file was read stays.
        untouched = {name for name in told if getattr(self.optics, name) == getattr(self._before, name)}
        self.optics = replace(self.optics, **{name: told[name] for name in untouched})
        # The voxel size may differ although the optics are the same.
        self.changed.emit()


_OF_VIEWERS: WeakKeyDictionary[Any, SharedMicroscope] = WeakKeyDictionary()


def microscope_of(viewer: Any) -> SharedMicroscope:
    """Return the microscope of a viewer, the same one for all its docks."""
    found = _OF_VIEWERS.get(viewer)
    if found is None:
        found = _OF_VIEWERS[viewer] = SharedMicroscope()
    return found
