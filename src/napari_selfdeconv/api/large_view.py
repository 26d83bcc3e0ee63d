"""The part of a large image that is in view: its previews, and its instant result before training."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.events import Event, Interim, Preview, Progress, mapped
from napari_selfdeconv.inference.predict import deconvolve_whole
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.preview import Region, limit_region
from napari_selfdeconv.inference.refine import Refiner
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.stop_token import StopToken

# Voxels of the part with its surroundings: a few seconds on two cores.
_MOST_VOXELS = 2**20
# Voxels that are read around the part on each side, at most.
_WIDEST_MARGIN = 16
# Without more measurements than this, the part has no result of its own.
_LEAST_MEASURED = 0.5


@dataclass(frozen=True)
class PartInView:
    """A part of the training block that is deconvolved separately, with its surroundings.

    Attributes
    ----------
    problem : the part and its surroundings, in the scale of the block.
    inside : the part in them.
    offset : index of the first voxel of the part in the block.
    """

    problem: Problem
    inside: Region
    offset: tuple[int, ...]

    @classmethod
    def of(cls, block: Problem, region: Region | None) -> Self | None:
        """Return the middle of ``region``; None if fewer than half of its pixels are measurements.

        Parameters
        ----------
        block : the training block, ready for a network.
        region : part of the block; None takes all of it.
        """
        shape = block.image.shape
        margins = [min(n // 2, _WIDEST_MARGIN) for n in block.psf.shape]
        seen = limit_region(shape, region, _MOST_VOXELS)
        wide = tuple(slice(s.start - m, s.stop + m) for s, m in zip(seen, margins, strict=True))
        around = limit_region(shape, wide, _MOST_VOXELS)
        # Nothing is read beyond the block. Where the region was too large, the margin is inside.
        where = tuple(
            slice(max(s.start, a.start + m if a.start else 0), min(s.stop, a.stop - m if a.stop < n else n))
            for s, a, m, n in zip(seen, around, margins, shape, strict=True)
        )
        part = _cut(block, around)
        if part.weights is not None and part.weights.measured.mean() < _LEAST_MEASURED:
            return None
        inside = tuple(slice(w.start - a.start, w.stop - a.start) for w, a in zip(where, around, strict=True))
        return cls(part, inside, tuple(w.start for w in where))

    def deconvolve(
        self, model: Model, tiles: TileConfig, stop: StopToken
    ) -> Generator[Event, None, NDArray[np.float32]]:
        """Return the result of ``model``; yield progress. Warnings come with the result of the whole image."""
        choice = choose_device(model.config.compute.device, model.config.compute.precision)
        work = deconvolve_whole(model, self.problem, choice, tiles, stop, Refiner(choice.device))
        result, _ = yield from mapped(work, lambda event: event if isinstance(event, Progress) else None)
        return np.ascontiguousarray(result[self.inside])


def _cut(block: Problem, where: Region) -> Problem:
    """Return a part of a block without bright points, in the scale of the block."""
    assert block.bright is None
    far = None if block.far is None else block.far.cut(where)
    return replace(block, image=block.image[where], weights=block.weights_of(where), far=far)


def inside_block(region: Region | None, block: Region) -> Region | None:
    """Return the part of ``region`` inside the block, in indices of the block; None if they do not overlap.

    Examples
    --------
    >>> inside_block((slice(4, 12),), (slice(8, 24),)), inside_block((slice(0, 4),), (slice(8, 24),))
    ((slice(0, 4, None),), None)
    """
    if region is None:
        return None
    parts = []
    for s, b in zip(region, block, strict=True):
        low, high = max(s.start, b.start), min(s.stop, b.stop)
        if low >= high:
            return None
        parts.append(slice(low - b.start, high - b.start))
    return tuple(parts)


def moved_from(block: Region, part: PartInView | None) -> Callable[[Event], Event]:
    """Return the function that gives previews and results of the part their place in the whole image."""

    def moved(event: Event) -> Event:
        if isinstance(event, Preview):
            return replace(event, offset=_shifted(event.offset, block))
        if isinstance(event, Interim) and part is not None:
            return replace(event, offset=_shifted(part.offset, block))
        return event

    return moved


def _shifted(offset: tuple[int, ...], block: Region) -> tuple[int, ...]:
    return tuple(o + b.start for o, b in zip(offset, block, strict=True))
