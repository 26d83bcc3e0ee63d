"""Settings of a run in a file: TOML written by the user, or the JSON of an earlier run."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from napari_selfdeconv.config.template import Template
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.json_files import read_json
from napari_selfdeconv.io.toml_files import read_toml, toml_text, write_toml

_WHAT = "the settings of a run"


def read_template(path: str | os.PathLike[str]) -> Template:
    """Read the settings of a run.

    Parameters
    ----------
    path : a TOML file with the tables image, optics, psf, method, training and output, each of them optional; or a
        JSON file with the ``config`` (and ``tiles``) of an earlier run. Paths in it are relative to its folder.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a setting does not exist or has a value that is not allowed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "run.toml"
    ...     _ = path.write_text("[training]\\nsteps = 50")
    ...     read_template(path).training.config(2).optimiser.steps
    50
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".json":
            found = read_json(path, _WHAT)
            if not isinstance(found.get("config"), dict):
                raise ConfigError("it has no 'config'")
            return Template.from_dict({"training": {"run": found["config"], "tiles": found.get("tiles") or {}}})
        template = Template.from_dict(read_toml(path, _WHAT))
    except ConfigError as error:
        if str(path) in str(error):
            raise
        raise ConfigError(f"{path} does not hold {_WHAT} that can be used: {error}") from error
    places = {"psf": ("file",), "method": ("mask",), "optics": ("microscope",), "output": ("align",)}
    for part, names in places.items():
        settings = getattr(template, part)
        moved = {name: _beside(path, getattr(settings, name)) for name in names}
        template = dataclasses.replace(template, **{part: dataclasses.replace(settings, **moved)})
    return template


def save_template(path: str | os.PathLike[str], template: Template) -> None:
    """Write the settings of a run as TOML, whole or not at all.

    Parameters
    ----------
    path : path of a TOML file; replaced if it exists.
    template : settings of a run.

    Raises
    ------
    ConfigError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_template(f"{folder}/run.toml", Template.from_dict({"optics": {"na": 1.4}}))
    ...     read_template(f"{folder}/run.toml").optics.na
    1.4
    """
    write_toml(path, template_dict(template))


def template_text(template: Template) -> str:
    """Return a settings file as text.

    Parameters
    ----------
    template : settings of a run.

    Examples
    --------
    >>> print(template_text(Template.from_dict({"optics": {"na": 1.4}})))
    [optics]
    na = 1.4
    <BLANKLINE>
    """
    return toml_text(template_dict(template))


def template_dict(template: Template) -> dict[str, Any]:
    """Return the content of a settings file: each part that is not empty, without values left to the program.

    Examples
    --------
    >>> template_dict(Template.from_dict({"optics": {"na": 1.4, "pinhole_au": 1}}))
    {'optics': {'na': 1.4, 'pinhole_au': 1}}
    """
    found: dict[str, Any] = {}
    for part, values in template.to_dict().items():
        flat = {name: value for name, value in values.items() if value not in (None, {})}
        # Their names stand beside the others.
        for name in ("values", "settings"):
            flat |= flat.pop(name, {})
        if flat.get("tiles") == Template().training.tiles.to_dict():
            del flat["tiles"]
        if flat:
            found[part] = flat
    return found


def _beside(path: Path, name: str | None) -> str | None:
    """Return the path of a file that a settings file names. A name that is not a file there is unchanged."""
    if name is None or not (path.parent / name).exists():
        return name
    return str(path.parent / name)
