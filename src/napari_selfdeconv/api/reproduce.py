"""A Python script or a command that repeats a result, as text, from its provenance."""

from __future__ import annotations

import json
import pprint
import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from napari_selfdeconv.api.record_optics import given_optics
from napari_selfdeconv.config.template import MethodChoice, Template
from napari_selfdeconv.errors import ConfigError

_HEAD = "from napari_selfdeconv.io import read_image, read_psf, write_ome_tiff\n"
_NO_RESULT = "this layer is not a result of this plugin: its metadata do not say how it was made"


def as_python(provenance: Mapping[str, Any], image: str, psf: str, out: str = "result.ome.tif") -> str:
    """Return a script that computes the same array again, on the same machine and with the same versions.

    Parameters
    ----------
    provenance : record of a result of a network, a classical method or an applied model.
    image, psf : names of the files to read. For an applied model, ``psf`` is the model file.
    out : name of the file to write.

    Raises
    ------
    ConfigError
        If the provenance is incomplete.

    Examples
    --------
    >>> print(as_python({"method": "richardson-lucy", "iterations": 5}, "a.tif", "p.tif").splitlines()[5])
    result = richardson_lucy(image, psf, 5, boundary='reflect')
    """
    kind = kind_of(provenance)
    read = f"image = read_image({image!r}).data\n"
    psf_line = f"psf = read_psf({psf!r}).data\n"
    voxel = provenance.get("voxel_um")
    write = f"write_ome_tiff({out!r}, result, {tuple(voxel) if voxel else None!r})\n"
    if kind == "network":
        config = pprint.pformat(provenance["config"], width=110, sort_dicts=False)
        tiles = provenance.get("tiles")
        tile_word = f", tiles=TileConfig.from_dict({tiles!r})" if tiles else ""
        return (
            "from napari_selfdeconv import TileConfig, TrainConfig, deconvolve\n"
            f"{_HEAD}\n{read}{psf_line}config = TrainConfig.from_dict(\n{_indent(config)}\n)\n"
            f"result = deconvolve(image, psf, config{_weights(provenance)}{tile_word}, voxel_um={voxel!r}).image\n"
            f"{write}"
        )
    if kind == "applied":
        return (
            f"from napari_selfdeconv import apply_model, load_model\n{_HEAD}\n"
            f"{read}result = apply_model(load_model({psf!r}), image{_weights(provenance)})\n{write}"
        )
    if kind == "rl":
        count = provenance["iterations"]
        return (
            f"from napari_selfdeconv import richardson_lucy\n{_HEAD}\n"
            f"{read}{psf_line}result = richardson_lucy(image, psf, {count}, boundary='reflect')\n{write}"
        )
    told = _classical_settings(provenance)
    settings = ", ".join(f"{key}={value!r}" for key, value in told.items() if value is not None)
    call = f"classical_method(image, psf, Classical({settings}){_weights(provenance)})"
    return (
        f"from napari_selfdeconv import Classical, classical_method\n{_HEAD}\n"
        f"{read}{psf_line}result = {call}.image\n{write}"
    )


def as_command(
    provenance: Mapping[str, Any], image: str, psf: str, config: str = "run.json", out: str = "result.ome.tif"
) -> str:
    """Return a command line that computes the same array again, on the same machine and with the same versions.

    Parameters
    ----------
    provenance : record of a result.
    image, psf, out : names of files; ``psf`` is the model's if a model was applied.
    config : file that holds `settings_json`.

    Examples
    --------
    >>> as_command({"config": {}, "seed": 0}, "my image.tif", "p.tif")
    "selfdeconv deconvolve 'my image.tif' --psf p.tif --config run.json --out result.ome.tif --mask none"
    """
    kind = kind_of(provenance)
    if kind == "network":
        words = ["deconvolve", image, "--psf", psf, "--config", config, "--out", out]
    elif kind == "applied":
        words = ["apply", psf, image, "--out", out]
    else:
        settings = _classical_settings(provenance)
        words = ["classical", image, "--psf", psf, "--method", settings["method"]]
        for key in ("iterations", "regularisation", "background", "offset", "gain", "read_noise"):
            if settings.get(key) is not None:
                words += [f"--{key.replace('_', '-')}", str(settings[key])]
        words += ["--median-guard"] * bool(settings.get("median_guard"))
        words += ["--boundary", settings["boundary"], "--out", out]
    return shlex.join(["selfdeconv", *words, "--mask", _mask(provenance) or "none"])


def settings_json(provenance: Mapping[str, Any]) -> str:
    """Return the settings of a network's run as JSON, for ``selfdeconv deconvolve --config``.

    Parameters
    ----------
    provenance : record of a network's result.

    Examples
    --------
    >>> from napari_selfdeconv import preset
    >>> text = settings_json({"config": preset("quick", 2, seed=7).to_dict()})
    >>> json.loads(text)["config"]["optimiser"]["steps"] > 0
    True
    """
    return json.dumps({"config": provenance["config"], "tiles": provenance.get("tiles")}, indent=2)


def template_of_record(provenance: Mapping[str, Any]) -> Template:
    """Return the settings of a run as a template for other images, from the record of its result.

    It holds the method or the training of the network, how pixels were left out unless a mask was given, the
    correction of the light, and given optics if the PSF was computed from them. Optics from the file of the image
    are left out, because each file states its own.

    Parameters
    ----------
    provenance : record of a result.

    Raises
    ------
    ConfigError
        If the record does not state how the result was made.

    Examples
    --------
    >>> template = template_of_record({"settings": {"method": "tv", "iterations": 5}})
    >>> template.method.name, template.method.iterations
    ('tv', 5)
    """
    parts: dict[str, Any] = {}
    if "config" in provenance:
        tiles = provenance.get("tiles") or {}
        parts["training"] = {"run": dict(provenance["config"]), "tiles": {**tiles, "tile": None}}
        parts["method"] = {}
    elif "settings" in provenance or _is_old_rl(provenance):
        settings = _classical_settings(provenance)
        own = {one.name for one in fields(MethodChoice)}
        parts["method"] = {name: value for name, value in settings.items() if name in own}
        parts["method"]["name"] = settings["method"]
    else:
        raise ConfigError(_NO_RESULT)
    mask = (provenance.get("mask") or {"from": "none"})["from"]
    if mask != "given":
        parts["method"]["mask"] = mask
    if "corrected_light" in provenance:
        parts["image"] = {"correct_light": provenance["corrected_light"]["what"]}
    return Template.from_dict({**parts, "optics": given_optics(provenance)})


def kind_of(provenance: Mapping[str, Any]) -> str:
    """Return the kind of computation that made a result: "network", "applied", "classical" or "rl".

    Parameters
    ----------
    provenance : record of a result.

    Raises
    ------
    ConfigError
        If one command cannot repeat it, or the provenance is incomplete.

    Examples
    --------
    >>> kind_of({"method": "richardson-lucy", "iterations": 5}), kind_of({"config": {}, "seed": 0})
    ('rl', 'network')
    """
    if "corrected_light" in provenance or "chromatic_shifts" in provenance:
        raise ConfigError(
            "this result was corrected for uneven light or for shifts between channels: make it again with "
            "selfdeconv and the same --correct-light or --align"
        )
    if provenance.get("applied_to") is not None:
        return "applied"
    if "continued_from" in provenance:
        raise ConfigError(
            "this result comes from a model that was trained further, and one command cannot repeat it: train the "
            "first model again and continue it"
        )
    if "series" in provenance or "block" in provenance:
        what = "a series or of channels" if "series" in provenance else "an image larger than memory"
        raise ConfigError(
            f"this is the result of {what}: it can be made again from the dock, or in Python with the settings "
            "that its metadata holds, not in one command"
        )
    if "config" in provenance:
        return "network"
    if "settings" in provenance:
        return "classical"
    if _is_old_rl(provenance):
        return "rl"
    raise ConfigError(_NO_RESULT)


def _weights(provenance: Mapping[str, Any]) -> str:
    """Return the argument of weights."""
    mask = _mask(provenance)
    return "" if mask is None else f", weights={mask!r}"


def _mask(provenance: Mapping[str, Any]) -> str | None:
    """Return how the weights were found; ConfigError for weights from the user, which records do not hold."""
    mask = provenance.get("mask")
    if mask is None:
        return None
    if mask["from"] == "given":
        count = f" of {mask['pixels']} pixels" if "pixels" in mask else ""
        raise ConfigError(
            f"this result was made with a mask{count} that its metadata does not hold: "
            "make it again with the same mask"
        )
    return str(mask["from"])


def _is_old_rl(provenance: Mapping[str, Any]) -> bool:
    """Whether a record is one of Richardson-Lucy of version 0.1."""
    return str(provenance.get("method")).lower() == "richardson-lucy"


def _classical_settings(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a classical method. Records without a border are of versions that reflected."""
    settings = provenance.get("settings") or {"method": "rl", "iterations": provenance["iterations"]}
    return {"boundary": "reflect", **settings}


def _indent(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())
