"""Microscopes in files that can be shared, and the list of those that the user named last."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from napari_selfdeconv.config.microscope import Microscope
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.toml_files import read_toml, write_toml

FORMAT = "napari-selfdeconv microscope 1"
#: How many microscopes are remembered.
MOST = 10
#: The file of the remembered microscopes, if it is not in the user's folder for settings.
FOLDER_VARIABLE = "SELFDECONV_CONFIG_FOLDER"
_WHAT = "a microscope"


def save_microscope(path: str | os.PathLike[str], microscope: Microscope) -> None:
    """Write a microscope as TOML, whole or not at all.

    Parameters
    ----------
    path : path of the file, usually ending in ".toml"; replaced if it exists.
    microscope : its name, its optics, and its voxel size and chromatic shifts if they are known.

    Raises
    ------
    ConfigError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import Optics
    >>> water = Microscope(name="60x water", optics=Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_microscope(f"{folder}/water.toml", water)
    ...     load_microscope(f"{folder}/water.toml").name
    '60x water'
    """
    write_toml(path, {"format": FORMAT, **microscope.to_dict()})


def load_microscope(path: str | os.PathLike[str]) -> Microscope:
    """Read a microscope from a TOML file.

    Parameters
    ----------
    path : path of a file written by `save_microscope` or by the docks.

    Raises
    ------
    ConfigError
        If the file cannot be read, or does not hold a microscope.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import Optics
    >>> water = Microscope(name="60x water", optics=Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_microscope(Path(folder) / "water.toml", water)
    ...     load_microscope(Path(folder) / "water.toml") == water
    True
    """
    values = read_toml(path, _WHAT)
    if values.pop("format", None) != FORMAT:
        raise ConfigError(f"{path} does not hold {_WHAT}: its format is not {FORMAT!r}")
    try:
        return Microscope.from_dict(values)
    except ConfigError as error:
        raise ConfigError(f"{path} does not hold {_WHAT} that can be used: {error}") from error


def remembered_microscopes() -> list[Microscope]:
    """Return the microscopes that were remembered, the last one first.

    Raises
    ------
    ConfigError
        If the file that holds them cannot be read; the message names it.

    Examples
    --------
    >>> all(one.optics.na > 0 for one in remembered_microscopes())
    True
    """
    path = _remembered_file()
    if not path.exists():
        return []
    values = read_toml(path, "microscopes")
    try:
        return [Microscope.from_dict(one) for one in values.get("microscope", ())]
    except ConfigError as error:
        raise ConfigError(f"{path} does not hold microscopes that can be used: {error}") from error


def remember_microscope(microscope: Microscope) -> None:
    """Put a microscope first among the ten remembered ones. One with the same name is replaced.

    Parameters
    ----------
    microscope : to remember.

    Raises
    ------
    ConfigError
        If the file that holds them cannot be read or written.

    Examples
    --------
    >>> import os, tempfile
    >>> from unittest import mock
    >>> from napari_selfdeconv import Optics
    >>> water = Microscope(name="60x water", optics=Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33))
    >>> with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {FOLDER_VARIABLE: folder}):
    ...     remember_microscope(water)
    ...     [one.name for one in remembered_microscopes()]
    ['60x water']
    """
    others = [one for one in remembered_microscopes() if one.name != microscope.name]
    _write([microscope, *others][:MOST])


def forget_microscope(name: str) -> None:
    """Forget the microscope with this name.

    Parameters
    ----------
    name : name of the microscope. Nothing happens if it is not remembered.

    Raises
    ------
    ConfigError
        As `remember_microscope`.

    Examples
    --------
    >>> import os, tempfile
    >>> from unittest import mock
    >>> from napari_selfdeconv import Optics
    >>> water = Microscope(name="60x water", optics=Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33))
    >>> with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {FOLDER_VARIABLE: folder}):
    ...     remember_microscope(water)
    ...     forget_microscope("60x water")
    ...     remembered_microscopes()
    []
    """
    _write([one for one in remembered_microscopes() if one.name != name])


def _write(microscopes: list[Microscope]) -> None:
    path = _remembered_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {path.parent}: {error.strerror}") from error
    write_toml(path, {"microscope": [one.to_dict() for one in microscopes]})


def _remembered_file() -> Path:
    given = os.environ.get(FOLDER_VARIABLE)
    folder = Path(given) if given else platformdirs.user_config_path("napari-selfdeconv", appauthor=False)
    return folder / "microscopes.toml"
