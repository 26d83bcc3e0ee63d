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
from selfdeconv_tools.pretraining.problems import Draw, Example
from selfdeconv_tools.pretraining.stacks import Group

_PATCH = (32, 48, 48)
_GROUPS, _PER_GROUP = 2, 2
_VALIDATION_STEP = 8
_LEAST_GROUPS = 2
# An error counts as a share of the contrast of its truth, which is kept within these limits.
_CONTRASTS = (0.6, 40.0)


class HazyProblems:
    """Draws batches of (image, its filtered copies and the first estimate; truth; contrast) from stacks.

    Parameters
    ----------
    config : filters and blind spots.
    folder : of files that ``python -m selfdeconv_tools.pretraining.stacks`` wrote.
    seed : seed of the patches.
    """

    def __init__(self, config: TrainConfig, folder: Path, seed: int) -> None:
        self._config, self._seed = config, seed
        groups = [group for path in sorted(folder.glob("*.npz")) if (group := Group.load(path)).stacks]
        if len(groups) < _LEAST_GROUPS:
            raise FileNotFoundError(
                f"{folder} holds the stacks of {len(groups)} microscopes and {_LEAST_GROUPS} are needed: "
                "make them with pretraining.stacks"
            )
        # Every eighth microscope is for validation alone.
        self._unseen = groups[::_VALIDATION_STEP]
        self._groups = [group for number, group in enumerate(groups) if number % _VALIDATION_STEP]

    def batch(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs (batch, channels, *patch), truths and contrasts (batch, 1, ...)."""
        draw = Draw.of(self._seed, number)
        parts = [self._group(draw) for _ in range(_GROUPS)]
        inputs, truths, contrasts = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return inputs, truths, contrasts

    def validation(self) -> dict[str, list[Example]]:
        """Return the first scene, at both exposures, of every microscope that was never drawn."""
        examples: list[Example] = []
        for group in self._unseen:
            inverses = self._inverses(group)
            for arrays in group.stacks[:2]:
                image, truth, first = (
                    torch.from_numpy((a - arrays[0].mean()) / arrays[0].std())[None, None] for a in arrays
                )
                with torch.inference_mode():
                    filtered = [inverse(image) for inverse in inverses]
                    examples.append((torch.cat([image, *filtered, first], 1), truth))
        return {"unseen microscopes": examples}

    def _inverses(self, group: Group) -> list[Blur]:
        return [Blur(wiener_kernel(group.near, value)) for value in self._config.network.inverse_channels]

    def _group(self, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
        group = self._groups[draw.random.integers(len(self._groups))]
        inverses = self._inverses(group)
        patches = [_patch(group, draw.random) for _ in range(_PER_GROUP)]
        image, truth, first = torch.stack(patches)[:, :, None].unbind(1)
        spot = self._config.blind_spot
        with torch.inference_mode():
            mask = stratified_mask(len(image), image.shape[2:], spot.mask_percent, draw.generator)
            mask[: len(image) // 2] = False
            image = fill_with_noise(image, mask, spot.mask_sigma, draw.generator)
            inputs = torch.cat([image, *[inverse(image) for inverse in inverses], first], 1)
        contrast = truth.flatten(1).std(1).clamp(*_CONTRASTS).view(-1, 1, 1, 1, 1)
        return inputs, truth, contrast


def _patch(group: Group, random: np.random.Generator) -> Tensor:
    """Return a patch of a standardised image, its truth and estimate, turned at random, often dimmed or moved."""
    stack = group.stacks[random.integers(len(group.stacks))]
    image = stack[0]
    mean, deviation = image.mean(), image.std()
    starts = [random.integers(n - min(n, p) + 1) for n, p in zip(image.shape, _PATCH, strict=True)]
    where = tuple(slice(s, s + p) for s, p in zip(starts, _PATCH, strict=True))
    patch = torch.from_numpy(np.stack([(array[where] - mean) / deviation for array in stack]))
    patch = patch.flip([axis for axis in (1, 2, 3) if random.random() < 0.5])
    if random.random() < 0.5:
        patch = patch.transpose(2, 3)
    if random.random() < 0.5:
        patch = patch * random.uniform(0.7, 1.4) + random.normal(0, 0.25)
    return patch
