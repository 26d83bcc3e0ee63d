"""The optics in the record of a result: what its PSF was computed from, and which values the user gave."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.config.template import GIVEN, OF_MICROSCOPE
from napari_selfdeconv.io.record import ImageRecord
from napari_selfdeconv.psf.models import model_key, model_of, parameter_values

# Image files may state these kinds of microscope.
_OF_FILES = ("widefield", "confocal")


def optics_of(provenance: Mapping[str, Any]) -> tuple[Optics, ...]:
    """Return the optics in the record of a result: one for all channels, or one for each.

    Parameters
    ----------
    provenance : record of a result; without optics if the PSF was not computed from them.

    Raises
    ------
    ConfigError
        If a value is missing or impossible.

    Examples
    --------
    >>> told = {"na": 1.4, "wavelength_um": 0.52, "refractive_index": 1.515, "sources": {"na": "given"}}
    >>> [optics.na for optics in optics_of({"optics": told})], optics_of({})
    ([1.4], ())
    """
    return tuple(optics for optics, _ in _told(provenance))


def given_optics(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the optics that the user gave, as far as all channels share them: the part ``optics`` of a template.

    Parameters
    ----------
    provenance : record of a result.

    Raises
    ------
    ConfigError
        If a value is missing or impossible.

    Examples
    --------
    >>> told = {"na": 1.4, "wavelength_um": 0.52, "refractive_index": 1.515, "sources": {"na": "given"}}
    >>> given_optics({"optics": [told, {**told, "wavelength_um": 0.61}]})
    {'na': 1.4}
    """
    parts = [_given(optics, sources) for optics, sources in _told(provenance)]
    first = parts[0] if parts else {}
    return {name: value for name, value in first.items() if all(part.get(name) == value for part in parts)}


def told_optics(optics: Optics, sources: Mapping[str, str]) -> dict[str, Any]:
    """Return the entry ``optics`` of a record, for one channel.

    Parameters
    ----------
    optics : what the PSF was computed from.
    sources : the origin of each value by its name: "given", or the place in the file.

    Examples
    --------
    >>> told = told_optics(Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515), {"na": "given"})
    >>> told["na"], told["sources"]
    (1.4, {'na': 'given'})
    """
    return {**optics.to_dict(), "sources": dict(sources)}


def overruled(stated: str) -> str:
    """Return the end of the origin of a given value, for a file that states another one; empty if it does not.

    Parameters
    ----------
    stated : what the file states.

    Examples
    --------
    >>> "given" + overruled("light sheet"), "given" + overruled("")
    ('given; the file states light sheet', 'given')
    """
    return f"; the file states {stated}" if stated else ""


def source_of(
    name: str, value: float, key: str | None, named: Mapping[str, str], record: ImageRecord | None, given: bool
) -> str:
    """Return the origin of a value, and what the file states if that is another value.

    Parameters
    ----------
    name, value : of a setting of the optics.
    key : its place in a record of a file; None if files do not state it.
    named : origin of the values of a named microscope.
    record : what the file states; None without a file.
    given : whether the value is not that of the file.
    """
    if record is None or key is None:
        return named.get(name, GIVEN)
    if not given:
        return record.source(key)
    other = record.value(key)
    same = other is None or math.isclose(other, value, rel_tol=1e-3)
    return named.get(name, GIVEN) + overruled("" if same else f"{other:g}")


def _told(provenance: Mapping[str, Any]) -> list[tuple[Optics, Mapping[str, str]]]:
    """Return the optics of each channel, and the origins of their values."""
    told = provenance.get("optics") or []
    return [
        (Optics.from_dict({k: v for k, v in one.items() if k != "sources"}), one.get("sources", {}))
        for one in ([told] if isinstance(told, Mapping) else told)
    ]


def _given(optics: Optics, sources: Mapping[str, str]) -> dict[str, Any]:
    model_of(optics)
    own = parameter_values(optics)
    values = {name: getattr(optics, name) for name in ("na", "wavelength_um", "refractive_index")} | own
    by_user = {name for name, source in sources.items() if source.startswith((GIVEN, OF_MICROSCOPE))}
    given: dict[str, Any] = {name: value for name, value in values.items() if name in by_user}
    if model_key(optics) not in _OF_FILES or given.keys() & own or "psf_model" in by_user:
        given["psf_model"] = model_key(optics)
    # No file states these.
    if optics.layers is not None:
        given["layers"] = {name: value for name, value in optics.layers.to_dict().items() if value is not None}
    if optics.defocus_um:
        given["defocus_um"] = optics.defocus_um
    return given
