"""The parameters of a generated PSF in a JSON file, which is checked when it is read."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.config.rules import Each, Number, Whole
from napari_selfdeconv.config.settings import Settings
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.atomic import whole_or_not_at_all
from napari_selfdeconv.io.json_files import read_json

FORMAT = "napari-selfdeconv PSF 1"


@dataclass(frozen=True, kw_only=True)
class PsfParameters(Settings):
    """The parameters that a PSF is computed from.

    Attributes
    ----------
    optics : the microscope.
    voxel_um : voxel size, (dz, dy, dx) or (dy, dx), um.
    shape : size of the array in the same order, odd.

    Examples
    --------
    >>> optics = Optics(na=0.8, wavelength_um=0.6, refractive_index=1.33)
    >>> made = PsfParameters(optics=optics, voxel_um=(0.4, 0.4), shape=(17, 17))
    >>> PsfParameters.from_dict(made.to_dict()) == made
    True
    """

    optics: Optics
    voxel_um: Annotated[tuple[float, ...], Each(Number(0.0, 1000.0, open_low=True), counts=(2, 3))]
    shape: Annotated[tuple[int, ...], Each(Whole(1, 4096), counts=(2, 3))]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) != len(self.voxel_um):
            raise ConfigError(f"shape and voxel_um need 2 or 3 numbers each, got {self.shape} and {self.voxel_um}")
        if any(size % 2 == 0 for size in self.shape):
            raise ConfigError(f"shape must hold odd numbers, so that there is a middle voxel, got {self.shape}")


def save_parameters(path: str | os.PathLike[str], parameters: PsfParameters) -> None:
    """Write the parameters, whole or not at all.

    Parameters
    ----------
    path : path of a JSON file; replaced if it exists.
    parameters : optics, voxel size and shape.

    Raises
    ------
    ConfigError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import Optics
    >>> optics = Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_parameters(
    ...         f"{folder}/psf.json", PsfParameters(optics=optics, voxel_um=(0.1, 0.1), shape=(31, 31))
    ...     )
    ...     load_parameters(f"{folder}/psf.json").shape
    (31, 31)
    """
    text = json.dumps({"format": FORMAT, **parameters.to_dict()}, indent=2)
    with whole_or_not_at_all(Path(path)) as temporary:
        temporary.write_text(text, "utf-8")


def load_parameters(path: str | os.PathLike[str]) -> PsfParameters:
    """Read a file written by `save_parameters`.

    Parameters
    ----------
    path : JSON file.

    Raises
    ------
    ConfigError
        If the file cannot be read, or does not hold PSF parameters.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import Optics
    >>> optics = Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33)
    >>> parameters = PsfParameters(optics=optics, voxel_um=(0.1, 0.1), shape=(31, 31))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_parameters(f"{folder}/psf.json", parameters)
    ...     load_parameters(f"{folder}/psf.json") == parameters
    True
    """
    values = read_json(path, "PSF parameters")
    if values.pop("format", None) != FORMAT:
        raise ConfigError(f"{path} does not hold PSF parameters: its format is not {FORMAT!r}")
    try:
        return PsfParameters.from_dict(values)
    except ConfigError as error:
        raise ConfigError(f"{path} does not hold PSF parameters that can be used: {error}") from error
