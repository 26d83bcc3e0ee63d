"""Objectives, immersions and kinds of microscopes, as the makers' software names them."""

from __future__ import annotations

import re

from napari_selfdeconv.io.facts import Facts
from napari_selfdeconv.io.units import number

_MAGNIFICATION = re.compile(r"(?<![\d.,])(\d+(?:[.,]\d+)?)\s*[x×](?![a-z])", re.IGNORECASE)
_NA = re.compile(r"(?:\d\s*[x×][a-z]*\s*/\s*|\bNA\s*[:=]?\s*|[a-z\d]\s?NA\s?[:=]?)(\d[.,]\d+)", re.IGNORECASE)
_IMMERSIONS = (
    ("oil", re.compile(r"\boil\b|\boel\b|\böl\b", re.IGNORECASE)),
    ("silicone", re.compile(r"\bsil(icone?)?\b", re.IGNORECASE)),
    ("glycerol", re.compile(r"\bgly(c|cerol|cerin|cerine)?\b", re.IGNORECASE)),
    ("water", re.compile(r"\bwater(dipping)?\b|\bwasser\b", re.IGNORECASE)),
    ("air", re.compile(r"\bair\b|\bdry\b", re.IGNORECASE)),
)
_MODALITIES = (
    (re.compile(r"spinning.?dis[ck]|swept.?field", re.IGNORECASE), "spinning disk confocal"),
    (re.compile(r"multi.?photon|two.?photon", re.IGNORECASE), "multiphoton"),
    (re.compile(r"confocal|\blscm\b", re.IGNORECASE), "laser scanning confocal"),
    (re.compile(r"wide.?field", re.IGNORECASE), "widefield"),
    (re.compile(r"\bspim\b|light.?sheet", re.IGNORECASE), "light sheet"),
)


def immersion_name(text: str) -> str | None:
    """Return one of oil, silicone, glycerol, water and air; None where the text names none of these.

    Examples
    --------
    >>> immersion_name("WaterDipping"), immersion_name("Plan-Apochromat 63x/1.40 Oil DIC"), immersion_name("Multi")
    ('water', 'oil', None)
    """
    return next((name for name, pattern in _IMMERSIONS if pattern.search(text)), None)


def modality_name(text: str) -> str | None:
    """Return the kind of microscope in plain words; an unknown kind unchanged; None for "Other"."""
    known = next((name for pattern, name in _MODALITIES if pattern.search(text)), None)
    return known or (None if text.strip().lower() in ("", "other", "unknown") else text.strip())


def add_objective(facts: Facts, name: str, source: str) -> None:
    """Note an objective and what its name states: "Plan-Apochromat 63x/1.40 Oil DIC".

    Call this after the fields that hold the same values have been read, so that the fields are preferred.
    """
    facts.add("objective", name, source)
    within = f"the objective's name in {source}"
    if found := _MAGNIFICATION.search(name):
        facts.add("magnification", number(found[1].replace(",", ".")), within)
    if found := _NA.search(name):
        facts.add("na", number(found[1].replace(",", ".")), within)
    facts.add("immersion", immersion_name(name), within)
