"""All settings of a run, for the command line, settings files, batches and docks.

A settings file is TOML. Its tables are the parts of `Template`, and its names are those of the fields.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from napari_selfdeconv.config import flat_names
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.rules import Choice, Each, Flag, Number, NumberOr, Text, Whole
from napari_selfdeconv.config.settings import Settings
from napari_selfdeconv.config.template_rules import PresetName, Span, Told, Values
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError

Dtype = Literal["float32", "uint16"]
Compression = Literal["none", "zlib", "zstd", "lzw"]
Kind = Literal["ome.tif", "zarr"]
#: The origin of a value that the user gave, and how that of a value of a microscope begins.
GIVEN, OF_MICROSCOPE = "given", "the microscope "
_COUNT = Whole(0, 10_000_000)
# `Optics` checks the ranges, and its message says what to do about a wavelength in nanometres.
_ANY = Number(-math.inf, math.inf)


@dataclass(frozen=True, kw_only=True)
class ImageChoice(Settings):
    """The part of a file that is used, and how it is read.

    Attributes
    ----------
    series : number of the image in a file of several, from 0.
    axes : names of the axes, such as "ZYX", if the file names them wrongly.
    voxel_um : voxel size in um, ([z,] y, x); None takes that of the file.
    channel, time : number of the channel and of the time point, from 0.
    correct_light : "bleaching", "flicker" or "both" makes the light of a series even before the deconvolution.
    z : planes as "FIRST:END", without END.
    crop : rows and columns in the same form.

    Examples
    --------
    >>> ImageChoice(channel=1, z="3:20").voxel_um is None
    True
    """

    called: ClassVar[str] = "image: "
    series: Annotated[
        int | None, _COUNT, Told("number of the image in a file of several, from 0", metavar="N")
    ] = None
    axes: Annotated[
        str | None, Text(), Told("names of the axes, if the file names them wrongly", metavar="ZYX")
    ] = None
    voxel_um: Annotated[
        tuple[float, ...] | None,
        Each(Number(0.0, 1000.0, open_low=True), counts=(2, 3)),
        Told("voxel size in um, [DZ] DY DX; default: the file's", metavar="UM"),
    ] = None
    channel: Annotated[int | None, _COUNT, Told("number of the channel, from 0", metavar="N")] = None
    time: Annotated[int | None, _COUNT, Told("number of the time point, from 0", metavar="N")] = None
    correct_light: Annotated[
        Literal["bleaching", "flicker", "both"] | None,
        Choice(("bleaching", "flicker", "both")),
        Told("make the light of a series (or of planes) even before the deconvolution; default: no"),
    ] = None
    z: Annotated[str | None, Span(), Told("planes FIRST:END, without END, as in 3:20", metavar="A:B")] = None
    crop: Annotated[
        tuple[str, ...] | None,
        Each(Span(), counts=(2,)),
        Told("rows and columns, as in --crop 100:400 :300", metavar="A:B"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class OpticsChoice(Settings):
    """The optics that are given. Other values are taken from the file.

    Attributes
    ----------
    microscope : file of a microscope, or the name of a remembered one. It gives the optics that are missing.
    na, wavelength_um, refractive_index, defocus_um : as in `Optics`.
    psf_model : key of `MODELS`; None chooses the model that has the given values.
    values : parameters that only some PSF models have, by name, such as "pinhole_au".
    layers : fields of `CoverslipLayers`, by name.

    Examples
    --------
    >>> OpticsChoice(na=1.4, values={"pinhole_au": 1.0}).given
    True
    """

    called: ClassVar[str] = "optics: "
    microscope: Annotated[
        str | None,
        Text(),
        Told("file of a microscope, or a name that napari remembers; it gives the optics that are missing"),
    ] = None
    na: Annotated[float | None, _ANY, Told("numerical aperture")] = None
    wavelength_um: Annotated[float | None, _ANY, Told("emission wavelength, um")] = None
    refractive_index: Annotated[float | None, _ANY, Told("refractive index of the immersion")] = None
    defocus_um: Annotated[float | None, _ANY, Told("shift of the focus, um; default: 0")] = None
    psf_model: Annotated[
        str | None, Text(), Told("kind of microscope; default: the kind that has the given values")
    ] = None
    values: Annotated[Mapping[str, float], Values()] = field(default_factory=dict)
    layers: Annotated[Mapping[str, float], Values()] = field(default_factory=dict)

    @property
    def given(self) -> bool:
        """Whether any of the optics is given."""
        return self != OpticsChoice()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from names and values. A name that is not a field belongs to ``values``."""
        own = {f.name for f in fields(cls)}
        extra = {name: value for name, value in values.items() if name not in own}
        rest = {name: value for name, value in values.items() if name in own}
        return super().from_dict({**rest, "values": {**rest.get("values", {}), **extra}})


@dataclass(frozen=True, kw_only=True)
class PsfChoice(Settings):
    """A PSF that is not computed from the optics.

    Attributes
    ----------
    file : path of the PSF; None computes the PSF from the optics.
    prepare : whether the PSF is cleaned, centred and cropped first (`prepare_psf`), as a measured bead needs it.

    Examples
    --------
    >>> PsfChoice(file="bead.tif", prepare=True).file
    'bead.tif'
    """

    called: ClassVar[str] = "psf: "
    file: Annotated[
        str | None, Text(), Told("PSF file; without it the PSF is computed from the optics", flag="--psf")
    ] = None
    prepare: Annotated[
        bool | None,
        Flag(),
        Told("clean, centre and crop a measured PSF first (see prepare-psf)", flag="--prepare-psf"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class MethodChoice(Settings):
    """The method: a network, or a classical method and its settings.

    Attributes
    ----------
    name : "network" (None as well), or a key of `METHODS`.
    iterations, regularisation, median_guard, boundary, background, offset, gain, read_noise : as in `Classical`.
    mask : path of an image that is not 0 at pixels to leave out; or "auto" (None as well), "auto+nan" or "none".
    device : "auto" (None as well), "cpu", "cuda", "cuda:N" or "mps".

    Examples
    --------
    >>> MethodChoice(name="rl", iterations=20).boundary is None
    True
    """

    called: ClassVar[str] = "method: "
    name: Annotated[str | None, Text(), Told("network (default), or a classical method", flag="--method")] = None
    iterations: Annotated[int | None, Whole(1, 100_000), Told("iterations", metavar="N")] = None
    regularisation: Annotated[
        float | None, Number(0.0, 1e3), Told("weight of the regularisation", metavar="W")
    ] = None
    median_guard: Annotated[bool | None, Flag(), Told("replace single bright or dark pixels first")] = None
    boundary: Annotated[
        str | None,
        Text(),
        Told(
            "open: light may come from outside the image; reflect: the image continues as its mirror image; "
            "zero: no light comes from outside. Default: open"
        ),
    ] = None
    background: Annotated[
        float | str | None,
        NumberOr("varying", Number(-1e9, 1e9)),
        Told(
            "light that comes from no object, such as the camera's offset: a number, or varying for a field that "
            "varies slowly; default: a constant estimated with open, else 0",
            metavar="LEVEL",
        ),
    ] = None
    offset: Annotated[
        float | None,
        Number(-1e9, 1e9),
        Told("camera offset, the value of a pixel without light; default: estimated"),
    ] = None
    gain: Annotated[
        float | None,
        Number(0.0, 1e9, open_low=True),
        Told("camera gain, the intensity of one photon; default: estimated"),
    ] = None
    read_noise: Annotated[
        float | None,
        Number(0.0, 1e9),
        Told("read noise of the camera, the standard deviation of a pixel without light; default: estimated"),
    ] = None
    mask: Annotated[
        str | None,
        Text(),
        Told(
            "image that is not 0 at pixels to leave out; auto (the default) finds saturated and hot pixels, dead "
            "rows and columns and black areas; auto+nan also NaN; none uses every pixel",
            metavar="FILE",
        ),
    ] = None
    device: Annotated[str | None, Text(), Told("auto (the default), cpu, cuda, cuda:N or mps")] = None


@dataclass(frozen=True, kw_only=True)
class TrainingChoice(Settings):
    """The training of the network: a preset or the settings of an earlier run, and the changes to it.

    Attributes
    ----------
    preset : name of the preset; None takes "quick".
    settings : changes by their flat names, as `preset` takes them.
    run : all settings of an earlier run, as `TrainConfig.to_dict` gives them.
    tiles : tiles of the inference.

    Examples
    --------
    >>> TrainingChoice(preset="quick", settings={"steps": 50}).config(2).optimiser.steps
    50
    """

    called: ClassVar[str] = "training: "
    preset: Annotated[str | None, PresetName(), Told("default: quick")] = None
    settings: Annotated[Mapping[str, Any], Values(any_value=True)] = field(default_factory=dict)
    run: TrainConfig | None = None
    tiles: TileConfig = field(default_factory=TileConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        flat_names.placed(self.settings)
        if self.run is not None and self.preset is not None:
            raise ConfigError("the settings of an earlier run hold its preset: leave out --preset")

    def config(self, ndim: int) -> TrainConfig:
        """Return the settings of a run on an image of ``ndim`` axes."""
        if self.run is not None:
            return self.run.replace(**self.settings)
        return preset(self.preset or "quick", ndim, **self.settings)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from names and values. A name that is not a field is a setting of the network."""
        own = {f.name for f in fields(cls)}
        extra = {name: value for name, value in values.items() if name not in own}
        rest = {name: value for name, value in values.items() if name in own}
        return super().from_dict({**rest, "settings": {**rest.get("settings", {}), **extra}})


@dataclass(frozen=True, kw_only=True)
class OutputChoice(Settings):
    """How a result is stored.

    Attributes
    ----------
    dtype : "float32" (None as well), or "uint16", which is rounded, and scaled if necessary.
    align : microscope, as a file or a remembered name, by whose chromatic shifts the channels are aligned.
    compression : of the OME-TIFF, without loss; None is "none".
    kind : format of the results of a batch, "ome.tif" (None as well) or "zarr".

    Examples
    --------
    >>> OutputChoice(dtype="uint16", compression="zlib").kind is None
    True
    """

    called: ClassVar[str] = "output: "
    dtype: Annotated[
        Dtype | None,
        Choice(get_args(Dtype)),
        Told("number type of the result; default: float32. uint16 is rounded, and scaled if necessary"),
    ] = None
    align: Annotated[
        str | None,
        Text(),
        Told(
            "align the channels by the chromatic shifts of this microscope (file or name); "
            "selfdeconv shifts measures them",
            metavar="MICROSCOPE",
        ),
    ] = None
    compression: Annotated[
        Compression | None,
        Choice(get_args(Compression)),
        Told("compression of the OME-TIFF, without loss; default: none"),
    ] = None
    kind: Annotated[
        Kind | None,
        Choice(get_args(Kind)),
        Told("format of the results of a folder: ome.tif (default) or zarr", flag="--kind"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Template(Settings):
    """All settings of a run. A field of value None is decided later.

    Attributes
    ----------
    image : which part of the file.
    optics : the optics that are given.
    psf : a PSF file instead of the optics.
    method : network or classical method, with its settings.
    training : preset and changes to it.
    output : how the result is stored.

    Examples
    --------
    >>> template = Template.from_dict({"optics": {"na": 1.4, "pinhole_au": 1}, "training": {"steps": 50}})
    >>> template.optics.values, template.training.config(2).optimiser.steps
    ({'pinhole_au': 1}, 50)
    >>> template.part("optics", na=1.2).optics.na
    1.2
    """

    image: ImageChoice = field(default_factory=ImageChoice)
    optics: OpticsChoice = field(default_factory=OpticsChoice)
    psf: PsfChoice = field(default_factory=PsfChoice)
    method: MethodChoice = field(default_factory=MethodChoice)
    training: TrainingChoice = field(default_factory=TrainingChoice)
    output: OutputChoice = field(default_factory=OutputChoice)

    def part(self, part: str, /, **changes: Any) -> Self:
        """Return the template with some fields of one part changed."""
        return replace(self, **{part: replace(getattr(self, part), **changes)})
