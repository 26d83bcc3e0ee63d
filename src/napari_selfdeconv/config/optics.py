"""The optics of a microscope, as far as its PSF needs them. Lengths in micrometres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from napari_selfdeconv.config.checks import Settings, check_number
from napari_selfdeconv.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class CoverslipLayers(Settings):
    """A Gibson-Lanni stack: what the objective was designed for, and what is really there. Lengths in um.

    ``sample_depth_um`` is how deep below the coverslip the emitter lies.
    """

    sample_index: float
    sample_depth_um: float = 0.0
    coverslip_index: float = 1.515
    coverslip_design_index: float = 1.515
    coverslip_um: float = 170.0
    coverslip_design_um: float = 170.0
    immersion_design_index: float | None = None
    immersion_design_um: float = 100.0

    def __post_init__(self) -> None:
        for name in ("sample_index", "coverslip_index", "coverslip_design_index"):
            check_number(name, getattr(self, name), 1.0, 4.0)
        if self.immersion_design_index is not None:
            check_number("immersion_design_index", self.immersion_design_index, 1.0, 4.0)
        check_number("sample_depth_um", self.sample_depth_um, 0.0, 10_000.0)
        for name in ("coverslip_um", "coverslip_design_um", "immersion_design_um"):
            check_number(name, getattr(self, name), 0.0, 50_000.0)


@dataclass(frozen=True, kw_only=True)
class Optics(Settings):
    """The microscope, as far as its PSF needs it.

    Attributes
    ----------
    na : numerical aperture, 0 < na < refractive_index.
    wavelength_um : emission wavelength in vacuum, 0.1 to 5 um.
    refractive_index : of the immersion (and of the sample, unless ``layers`` says otherwise).
    defocus_um : shift of all planes along z.
    excitation_um, pinhole_au : confocal detection; both or neither (a pinhole of 0 is a point).
    layers : Gibson-Lanni stack, or None for a matched sample.
    pixel_integration : integrate over the camera's square pixel (True) or sample its centre (False).
    """

    na: float
    wavelength_um: float
    refractive_index: float
    defocus_um: float = 0.0
    excitation_um: float | None = None
    pinhole_au: float | None = None
    layers: CoverslipLayers | None = None
    pixel_integration: bool = True

    def __post_init__(self) -> None:
        hint = ""
        if isinstance(self.wavelength_um, (int, float)) and 100 <= self.wavelength_um <= 5000:
            hint = f" (nanometres? then give {self.wavelength_um / 1000:g})"
        check_number("wavelength_um", self.wavelength_um, 0.1, 5.0, hint=hint)
        check_number("refractive_index", self.refractive_index, 1.0, 4.0)
        check_number("na", self.na, 0.0, 4.0, open_low=True)
        if self.na >= self.refractive_index:
            raise ConfigError(f"na must be below refractive_index ({self.refractive_index:g}), got {self.na:g}")
        check_number("defocus_um", self.defocus_um, -1000.0, 1000.0)
        if (self.excitation_um is None) != (self.pinhole_au is None):
            raise ConfigError(
                "a confocal PSF needs both excitation_um and pinhole_au, got "
                f"excitation_um={self.excitation_um!r}, pinhole_au={self.pinhole_au!r}"
            )
        if self.excitation_um is not None:
            check_number("excitation_um", self.excitation_um, 0.1, 5.0)
            check_number("pinhole_au", self.pinhole_au, 0.0, 100.0)
            if self.excitation_um > self.wavelength_um:
                raise ConfigError(
                    f"excitation_um must not exceed the emission wavelength_um ({self.wavelength_um:g}), "
                    f"got {self.excitation_um:g}"
                )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        layers = values.get("layers")
        if isinstance(layers, Mapping):
            values = {**values, "layers": CoverslipLayers.from_dict(layers)}
        return super().from_dict(values)
