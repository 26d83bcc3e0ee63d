"""Microscopes in files that can be shared, and the last ones that this user has named."""

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
#: Where the remembered microscopes are, if not in the user's folder for settings.
FOLDER_VARIABLE = "SELFDECONV_CONFIG_FOLDER"
_WHAT = "a microscope"


def save_microscope(path: str | os.PathLike[str], microscope: Microscope) -> None:
    """Write a microscope as TOML, whole or not at all.

    Parameters
    ----------
    path : of the file, usually ending in ".toml"; replaced if it exists.
    microscope : name, optics, and what else is known of it.

    Raises
    ------
    ConfigError
        If the file cannot be written.

    Examples
    --------
    See `load_microscope`.
    """
    write_toml(path, {"format": FORMAT, **microscope.to_dict()})


def load_microscope(path: str | os.PathLike[str]) -> Microscope:
    """Read a microscope from a TOML file.

    Parameters
    ----------
    path : a file of `save_microscope`, or of the docks.

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
    """Put a microscope first among the remembered ones; one with its name is replaced, the eleventh forgotten.

    Parameters
    ----------
    microscope : with its name.

    Raises
    ------
    ConfigError
        If the file that holds them cannot be read or written.
    """
    others = [one for one in remembered_microscopes() if one.name != microscope.name]
    _write([microscope, *others][:MOST])


def forget_microscope(name: str) -> None:
    """Forget the microscope with this name; ConfigError as `remember_microscope`.

    Parameters
    ----------
    name : of the microscope; an unknown one is no error.
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
