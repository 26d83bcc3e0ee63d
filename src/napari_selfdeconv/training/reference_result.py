"""The reference result: f(x) of the frames with the initial weights. Every step needs it; it is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from napari_selfdeconv.compute.device import Choice, repeatable
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.network.model import Deconvolver, autocast
from napari_selfdeconv.training.sampler import Place, cut


class ReferenceResult:
    """f of whole frames, with weights that do not change.

    A frame is computed in cells, each when a patch first needs it. Patches overlap, so this saves time: a run of
    `quick` draws thirteen times the pixels of a 1024 x 1024 image.

    Parameters
    ----------
    network : in evaluation mode, on the device.
    frames : inputs of the network (channels, *space), on the device.
    config : its ``reference_cell``.
    """

    def __init__(
        self, network: Deconvolver, frames: Sequence[Tensor], config: TrainConfig, choice: Choice
    ) -> None:
        self.network = network
        self._cell, self._margin = config.reference_cell
        self._frames, self._choice = frames, choice
        self._results = [torch.empty_like(frame[0]) for frame in frames]
        self._computed: set[tuple[int, ...]] = set()

    def __call__(self, places: Sequence[Place]) -> Tensor:
        """Return f(x) at the places of a batch, (batch, 1, *patch), turned as the patches are."""
        return torch.stack([place.cut(self._compute_around(place)) for place in places])[:, None]

    def _compute_around(self, place: Place) -> Tensor:
        """Return the result of the frame of ``place``, computed at least there."""
        spans = [range(s.start // self._cell, (s.stop - 1) // self._cell + 1) for s in place.where]
        for cell in product((place.frame,), *spans):
            if cell not in self._computed:
                self._compute_cell(*cell)
                self._computed.add(cell)
        return self._results[place.frame]

    def _compute_cell(self, number: int, *cell: int) -> None:
        frame = self._frames[number]
        starts = [i * self._cell for i in cell]
        core = [slice(a, min(n, a + self._cell)) for a, n in zip(starts, frame.shape[1:], strict=True)]
        wide = [
            slice(max(0, c.start - self._margin), min(n, c.stop + self._margin))
            for c, n in zip(core, frame.shape[1:], strict=True)
        ]
        inside = tuple(slice(c.start - w.start, c.stop - w.start) for c, w in zip(core, wide, strict=True))
        with torch.no_grad(), repeatable(self._choice.device), autocast(self._choice):
            result = self.network(cut(frame, wide)[None])
        self._results[number][tuple(core)] = result[0, 0][inside].float()
