"""Batches of generated widefield stacks for pre-training (`stacks`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.holdout.masks import fill_with_noise, stratified_mask
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.wiener import wiener_kernel
from selfdeconv_tools.pretraining.stacks import Group

_PATCH = (32, 48, 48)
_GROUPS, _PER_GROUP = 2, 2
# An error counts as a share of the contrast of its truth, which is kept within these limits.
_CONTRASTS = (0.6, 40.0)


class HazyProblems:
    """Draws batches of (image and its filtered copies, truth, contrast) from generated stacks.

    Parameters
    ----------
    config : filters and blind spots.
    folder : of files that ``python -m selfdeconv_tools.pretraining.stacks`` wrote.
    seed : of the patches.
    """

    def __init__(self, config: TrainConfig, folder: Path, seed: int) -> None:
        self._config = config
        self._random = np.random.default_rng(seed)
        self._generator = torch.Generator().manual_seed(seed)
        groups = [Group.load(path) for path in sorted(folder.glob("*.npz"))]
        self._groups = [group for group in groups if group.pairs]
        if not self._groups:
            raise FileNotFoundError(f"{folder} holds no stacks: make them with pretraining.stacks")

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs (batch, channels, *patch), truths and contrasts (batch, 1, ...)."""
        parts = [self._group() for _ in range(_GROUPS)]
        inputs, truths, contrasts = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return inputs, truths, contrasts

    def _group(self) -> tuple[Tensor, Tensor, Tensor]:
        group = self._groups[self._random.integers(len(self._groups))]
        inverses = [Blur(wiener_kernel(group.near, value)) for value in self._config.network.inverse_channels]
        pairs = [self._patch(group) for _ in range(_PER_GROUP)]
        image, truth = (torch.stack(arrays)[:, None] for arrays in zip(*pairs, strict=True))
        spot = self._config.blind_spot
        with torch.inference_mode():
            mask = stratified_mask(len(image), image.shape[2:], spot.mask_percent, self._generator)
            mask[: len(image) // 2] = False
            image = fill_with_noise(image, mask, spot.mask_sigma, self._generator)
            inputs = torch.cat([image, *[inverse(image) for inverse in inverses]], 1)
        contrast = truth.flatten(1).std(1).clamp(*_CONTRASTS).view(-1, 1, 1, 1, 1)
        return inputs, truth, contrast

    def _patch(self, group: Group) -> tuple[Tensor, Tensor]:
        """Return a patch of a standardised image and of its truth, turned at random, often dimmed or moved."""
        random = self._random
        image, truth = group.pairs[random.integers(len(group.pairs))]
        mean, deviation = image.mean(), image.std()
        starts = [random.integers(n - min(n, p) + 1) for n, p in zip(image.shape, _PATCH, strict=True)]
        where = tuple(slice(s, s + p) for s, p in zip(starts, _PATCH, strict=True))
        both = torch.from_numpy(np.stack([(array[where] - mean) / deviation for array in (image, truth)]))
        both = both.flip([axis for axis in (1, 2, 3) if random.random() < 0.5])
        if random.random() < 0.5:
            both = both.transpose(2, 3)
        if random.random() < 0.5:
            both = both * random.uniform(0.7, 1.4) + random.normal(0, 0.25)
        return both[0], both[1]
