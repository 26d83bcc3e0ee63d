"""Checks of typed values; each problem names its field."""

from __future__ import annotations

from collections.abc import Sequence

from napari_selfdeconv.errors import ConfigError

# No light microscope records light outside this range. The settings allow a little more.
_LIGHT_UM = (0.2, 2.0)
_MOST_INDEX = 4.0
# Larger than any voxel of a light microscope.
_MOST_VOXEL_UM = {"z": 200.0, "y": 20.0, "x": 20.0}


class FieldError(ConfigError):
    """A value that cannot be used, and the name of its field.

    ``missing`` means that nothing was typed yet. A missing value is asked for when a run starts, not before.
    """

    def __init__(self, field: str, problem: str, *, missing: bool = False) -> None:
        super().__init__(problem)
        self.field, self.missing = field, missing


def optics_problem(na: float, wavelength_um: float, refractive_index: float) -> FieldError | None:
    """Return the error of NA, emission or index, if there is one. 0 means that the number is missing."""
    if refractive_index and not 1 <= refractive_index <= _MOST_INDEX:
        return FieldError(
            "index",
            f"A refractive index of {refractive_index:g} is not possible: air has 1, water 1.33, oil 1.515.",
        )
    if na and refractive_index and na >= refractive_index:
        return FieldError(
            "na",
            f"A numerical aperture of {na:g} is not possible in a medium of index {refractive_index:g}: it is "
            "always smaller than the index. Check both on the objective and the immersion.",
        )
    if (impossible := wavelength_problem(wavelength_um)) is not None:
        return impossible
    if not na:
        words = "Type the numerical aperture (NA): it is engraved on the objective."
        return FieldError("na", words, missing=True)
    if not wavelength_um:
        words = "Type the emission wavelength: the peak of the dye, such as 510 nm for GFP."
        return FieldError("wavelength", words, missing=True)
    if not refractive_index:
        words = "Type the refractive index of the immersion: air 1, water 1.33, oil 1.515."
        return FieldError("index", words, missing=True)
    return None


def wavelength_problem(wavelength_um: float) -> FieldError | None:
    """Return the error of an emission wavelength, if there is one. 0 means that it is missing."""
    low, high = _LIGHT_UM
    if not wavelength_um or low <= wavelength_um <= high:
        return None
    near = next((w for w in (wavelength_um / 10, wavelength_um * 10) if 0.38 <= w <= 0.9), None)
    guess = "" if near is None else f" Did you mean {1000 * near:g} nm?"
    return FieldError(
        "wavelength",
        f"Microscopes do not record light of {1000 * wavelength_um:g} nm: green is 525 nm, red 610 nm.{guess}",
    )


def voxel_problem(sizes: Sequence[float]) -> FieldError | None:
    """Return the error of a voxel size (z, y, x; um), if there is one. 0 means that a number is missing."""
    named = list(zip("zyx"[-len(sizes) :], sizes, strict=True))
    for axis, size in named:
        if size > _MOST_VOXEL_UM[axis]:
            remedy = f"Nanometres? Then type {size / 1000:g}."
            words = f"A voxel of {size:g} µm along {axis} is larger than a cell. {remedy}"
            return FieldError(f"voxel {axis}", words)
    missing = [axis for axis, size in named if not size]
    if missing:
        where = "" if len(missing) == len(named) else f" along {', '.join(missing)}"
        words = f"The layer has no voxel size{where}. Enter it in micrometres ({', '.join(a for a, _ in named)})."
        return FieldError(f"voxel {missing[0]}", words, missing=True)
    return None


def camera_problem(gain: float | None, read_noise: float | None) -> FieldError | None:
    """Return the error of a typed gain or read noise, if there is one. None means that it is estimated.

    Examples
    --------
    >>> camera_problem(2.0, None), camera_problem(0.0, None).field
    (None, 'gain')
    """
    if gain is not None and gain <= 0:
        return FieldError("gain", f"A photon cannot have {gain:g} grey levels: type a number above 0, or nothing.")
    if read_noise is not None and read_noise < 0:
        return FieldError("read_noise", f"Noise cannot be {read_noise:g}: type 0, a number above 0, or nothing.")
    return None
