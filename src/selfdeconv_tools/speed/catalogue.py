"""Every speed figure, in the order in which they are measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_selfdeconv.errors import ConfigError
from selfdeconv_tools.speed import (
    breakdown,
    chip,
    convolution,
    generation,
    inference,
    opening,
    richardson_lucy,
    steps,
    winning,
)
from selfdeconv_tools.speed.figure import Figure, Setting


def figures(setting: Setting, images: Path | None = None, psf_path: Path | None = None) -> list[Figure]:
    """Return all figures; ``images`` and their PSF add one for each truth image."""
    return [
        *steps.figures(setting),
        *convolution.figures(setting),
        *inference.figures(setting),
        *richardson_lucy.figures(setting),
        *generation.figures(setting),
        *opening.figures(),
        *winning.figures(setting, images, psf_path),
        *breakdown.figures(setting),
        *chip.figures(setting),
    ]


def chosen(found: Sequence[Figure], only: Sequence[str]) -> list[Figure]:
    """Return the figures whose names are, or begin with, one of ``only``; all where it is empty.

    Raises
    ------
    ConfigError
        For a name that fits none.
    """
    for name in only:
        if not any(_fits(figure, name) for figure in found):
            raise ConfigError(f"no speed figure is called {name!r}: {', '.join(f.name for f in found)}")
    return [figure for figure in found if not only or any(_fits(figure, name) for name in only)]


def _fits(figure: Figure, name: str) -> bool:
    return figure.name == name or figure.name.startswith(f"{name}-")
