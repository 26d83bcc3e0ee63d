"""Random training patches of one image or of several frames, turned by symmetries of the PSF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from napari_selfdeconv.arrays.symmetry import Symmetry
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.physics.pixel_weights import PixelWeights

# An axis with fewer periods of the grid is too short to leave one out.
_LEAST_PERIODS = 6


@dataclass(frozen=True)
class Place:
    """Where a patch lies, in which frame, and how it is turned."""

    frame: int
    where: tuple[slice, ...]
    symmetry: Symmetry

    def cut(self, frame: Tensor) -> Tensor:
        """Return the patch of an array that has the shape of the frame, with or without channels in front."""
        return self.symmetry.apply(cut(frame, self.where))


class PatchBatch(NamedTuple):
    """Patches (batch, 1, *patch), float32; their held-out pixels, boolean; where they lie.

    ``estimate`` has the further channels of the network's input: one, or none. ``hideable`` is where pixels may be
    hidden; None is everywhere. ``weights`` and ``at_least`` are as in `config.loss_terms.Passes`.
    """

    x: Tensor
    estimate: Tensor
    held: Tensor
    places: tuple[Place, ...]
    hideable: Tensor | None = None
    weights: Tensor | None = None
    at_least: Tensor | None = None


class Sampler:
    """Draws patches, and with each the pixels of it that are held out of training.

    Parameters
    ----------
    frames : inputs of the network (channels, *space), of one shape; the patches lie on their device.
    held_out : boolean, one for each frame, on the same device.
    config : patch size and batch size.
    symmetries : the flips and rotations to choose from.
    generator : source of randomness, on the CPU.
    weights : how much the pixels of each frame count; None if all are measurements.
    hideable : boolean, where pixels of each frame may be hidden; None is everywhere.
    """

    def __init__(
        self,
        frames: Sequence[Tensor],
        held_out: Sequence[Tensor],
        config: TrainConfig,
        symmetries: Sequence[Symmetry],
        generator: torch.Generator,
        weights: Sequence[PixelWeights] | None = None,
        hideable: Sequence[Tensor] | None = None,
    ) -> None:
        self._weights = self._at_least = None
        if weights is not None:
            device, known = frames[0].device, [one.at_least for one in weights]
            self._weights = [torch.as_tensor(one.values, device=device).float() for one in weights]
            if any(one is not None for one in known):
                self._at_least = [
                    torch.zeros(held_out[0].shape, dtype=torch.bool, device=device)
                    if one is None
                    else torch.as_tensor(one, device=device)
                    for one in known
                ]
        self._frames, self._held_out, self._hideable = frames, held_out, hideable
        self._shape = held_out[0].shape
        self._patch = list(patch_shape(self._shape, config))
        # A patch that is not square in yx cannot be swapped and stacked with the others.
        square = self._patch[-1] == self._patch[-2]
        self._symmetries = [s for s in symmetries if square or not s.swap]
        self._batch = config.optimiser.batch_size
        self._generator = generator

    def draw(self) -> PatchBatch:
        """Return a batch."""
        places = tuple(self._place() for _ in range(self._batch))
        inputs = torch.stack([place.cut(self._frames[place.frame]) for place in places])
        hideable, weights, at_least = (
            None if arrays is None else _cut(arrays, places)
            for arrays in (self._hideable, self._weights, self._at_least)
        )
        held = _cut(self._held_out, places)
        return PatchBatch(inputs[:, :1], inputs[:, 1:], held, places, hideable, weights, at_least)

    def _place(self) -> Place:
        frame = self._integer(len(self._frames)) if len(self._frames) > 1 else 0
        starts = [self._integer(n - p + 1) for n, p in zip(self._shape, self._patch, strict=True)]
        where = tuple(slice(s, s + p) for s, p in zip(starts, self._patch, strict=True))
        return Place(frame, where, self._symmetries[self._integer(len(self._symmetries))])

    def _integer(self, below: int) -> int:
        return int(torch.randint(below, (), generator=self._generator))


def cut(frame: Tensor, where: Sequence[slice]) -> Tensor:
    """Return a part of a frame, with or without channels in front.

    Examples
    --------
    >>> cut(torch.zeros(2, 5, 6), (slice(3), slice(4))).shape
    torch.Size([2, 3, 4])
    """
    return frame[(slice(None),) * (frame.ndim - len(where)) + tuple(where)]


def _cut(arrays: Sequence[Tensor], places: Sequence[Place]) -> Tensor:
    """Return the patches of arrays, one for each frame, (batch, 1, *patch)."""
    return torch.stack([place.cut(arrays[place.frame]) for place in places])[:, None]


def patch_shape(shape: Sequence[int], config: TrainConfig) -> tuple[int, ...]:
    """Return the shape of the patches of an image or a volume.

    A patch that holds a whole axis always lies on the down-sampling grid of the network in the same way. The
    network learns the noise of a volume with it: on 32 planes, views of another phase were 0.4 dB better than
    that one. So such a patch is a period of the grid shorter, and moves. In small images this gains nothing.
    Settings that begin with random weights, the paper's among them, keep their patch.

    Examples
    --------
    >>> from napari_selfdeconv.config.presets import preset
    >>> patch_shape((32, 40, 64), preset("quick", 3)), patch_shape((20, 40, 64), preset("quick", 3))
    ((28, 36, 48), (20, 36, 48))
    """
    period = 2 ** (config.network.levels - 1)
    moves = config.start.pretrained and len(shape) == 3
    most = config.optimiser.patch
    return tuple(n - period if moves and _LEAST_PERIODS * period <= n <= most else min(n, most) for n in shape)
