"""The optics of a microscope, as far as its PSF needs them. Lengths in micrometres."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Annotated, Any

from napari_selfdeconv.config.rules import Each, Number, Text
from napari_selfdeconv.config.settings import Settings
from napari_selfdeconv.errors import ConfigError

_INDEX = Number(1.0, 4.0)
# Of light microscopes. Beyond these ranges nothing is in focus, or the light is not imaged by lenses of glass.
_NA = Number(0.01, 4.0)
_WAVELENGTH = Number(0.1, 2.0)
_THICKNESS = Number(0.0, 50_000.0)


@dataclass(frozen=True, kw_only=True)
class CoverslipLayers(Settings):
    """The layers of a Gibson-Lanni stack: those that the objective was designed for, and the real ones.

    Attributes
    ----------
    sample_index : refractive index of the sample, 1 to 4. The further it is from the immersion's, the longer and
        the less symmetric the PSF is along z.
    sample_depth_um : depth of the emitter below the coverslip, um.
    coverslip_index, coverslip_design_index : refractive index of the coverslip, and the one designed for.
    coverslip_um, coverslip_design_um : thickness of the coverslip, and the one designed for, um.
    immersion_design_index : index of the immersion that the objective was designed for; None: that of the optics.
    immersion_design_um : working distance of the design, um.

    References
    ----------
    Gibson and Lanni 1991, https://doi.org/10.1364/JOSAA.8.001601

    Examples
    --------
    >>> layers = CoverslipLayers(sample_index=1.38, sample_depth_um=10)
    >>> Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515, layers=layers).layers.coverslip_um
    170.0
    """

    sample_index: Annotated[float, _INDEX]
    sample_depth_um: Annotated[float, Number(0.0, 10_000.0)] = 0.0
    coverslip_index: Annotated[float, _INDEX] = 1.515
    coverslip_design_index: Annotated[float, _INDEX] = 1.515
    coverslip_um: Annotated[float, _THICKNESS] = 170.0
    coverslip_design_um: Annotated[float, _THICKNESS] = 170.0
    immersion_design_index: Annotated[float | None, _INDEX] = None
    immersion_design_um: Annotated[float, _THICKNESS] = 100.0


@dataclass(frozen=True, kw_only=True)
class Optics(Settings):
    """The properties of a microscope that determine its PSF.

    Attributes
    ----------
    na : numerical aperture, 0.01 to 4, below refractive_index.
    wavelength_um : emission wavelength in vacuum, 0.1 to 2 um.
    refractive_index : refractive index of the immersion, and of the sample unless ``layers`` are given. 1 to 4.
    defocus_um : shift of all planes along z, um.
    excitation_um, pinhole_au : excitation wavelength in um and diameter of the pinhole in Airy units of a confocal
        microscope; both or neither. A pinhole of 0 is a point. A larger one gives a wider PSF.
    layers : Gibson-Lanni stack, or None for a matched sample.
    pixel_integration : integrate over the camera's square pixel (True) or sample its centre (False).
    model : key of a model of the PSF; None is confocal if ``excitation_um`` is given, else widefield.
    model_values : values of those parameters of the model that have no field here, in the order of the model.

    Examples
    --------
    >>> Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33).excitation_um is None
    True
    >>> Optics(na=1.2, wavelength_um=0.52, refractive_index=1.0)
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.ConfigError: ...
    """

    na: Annotated[float, _NA]
    wavelength_um: Annotated[float, _WAVELENGTH]
    refractive_index: Annotated[float, _INDEX]
    defocus_um: Annotated[float, Number(-1000.0, 1000.0)] = 0.0
    excitation_um: Annotated[float | None, _WAVELENGTH] = None
    pinhole_au: Annotated[float | None, Number(0.0, 100.0)] = None
    layers: CoverslipLayers | None = None
    pixel_integration: bool = True
    model: Annotated[str | None, Text()] = None
    model_values: Annotated[tuple[float, ...], Each(Number(-1e6, 1e6))] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, strings, lists and dicts; without the model where the other fields say it."""
        values = super().to_dict()
        return {key: value for key, value in values.items() if key not in ("model", "model_values") or value}

    def __post_init__(self) -> None:
        given: Any = self.wavelength_um
        # Compared before it is converted: a whole number may be too large for a float.
        is_number = isinstance(given, numbers.Real)
        if is_number and 100 <= given <= 5000:
            wave = float(given)
            remedy = f"nanometres? then give {wave / 1000:g}" if wave <= 2000 else "0.52 for green light"
            raise ConfigError(f"wavelength_um must be a number from 0.1 to 2, got {wave:g} ({remedy})")
        super().__post_init__()
        if self.na >= self.refractive_index:
            raise ConfigError(f"na must be below refractive_index ({self.refractive_index:g}), got {self.na:g}")
        if (self.excitation_um is None) != (self.pinhole_au is None):
            raise ConfigError(
                "a confocal PSF needs both excitation_um and pinhole_au, got "
                f"excitation_um={self.excitation_um!r}, pinhole_au={self.pinhole_au!r}"
            )
        if self.excitation_um is not None and self.excitation_um > self.wavelength_um:
            raise ConfigError(
                f"excitation_um must not exceed the emission wavelength_um ({self.wavelength_um:g}), "
                f"got {self.excitation_um:g}"
            )
