"""Batches of generated images for pre-training: a scene, blurred with a random PSF and recorded.

``python -m selfdeconv_tools.pretraining.problems --ndim 2 --scenes 20000 --out FILE.npy`` draws scenes in advance.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.holdout.masks import fill_with_noise, stratified_mask
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.wiener import wiener_kernel
from selfdeconv_tools.numeric_arguments import above_zero
from selfdeconv_tools.pretraining.kernels import broad_kernel, kernel
from selfdeconv_tools.pretraining.recording import CORRELATED, STRONGER, NoiseRange, recorded
from selfdeconv_tools.pretraining.scenes import packed_scene

# For each number of axes: side of a scene, of a patch; groups a batch (one PSF each), patches a group.
SIZES = {2: (192, 96, 4, 4), 3: (80, 40, 2, 2)}
MARGIN = 16
_VALIDATION_SCENES = 24
_VALIDATION_KERNELS = 12
# Of the brightest voxel. A patch may hold nothing but zeros, where few photons are counted.
_LEAST_DEVIATION = 0.02
# Fewer scenes are drawn sooner than processes start.
_WORTH_PROCESSES = 64

# Inputs (1, channels, *patch), truth (1, 1, *patch): one validation image.
Example: TypeAlias = tuple[Tensor, Tensor]
_Operator: TypeAlias = tuple[Blur, list[Blur]]
Array = NDArray[np.float32]


class Problems:
    """Draws batches of (image and its filtered copies, truth, contrast), standardised like a user's image.

    A batch depends on the seed and its number alone. A run that goes on from a checkpoint therefore sees what the
    uninterrupted run would have seen.

    Parameters
    ----------
    config : filters and blind spots.
    ndim : 2 or 3.
    scenes, kernels : how many are drawn.
    seed : seed of scenes, PSFs and batches.
    drawn : file of scenes that were drawn before (`draw_scenes`), instead of ``scenes`` new ones.
    """

    def __init__(
        self, config: TrainConfig, ndim: int, scenes: int, kernels: int, seed: int, drawn: Path | None = None
    ) -> None:
        self._config, self._ndim, self._seed = config, ndim, seed
        _, self._patch, self._groups, self._per_group = SIZES[ndim]
        # The last scenes are for validation alone.
        count = scenes + _VALIDATION_SCENES
        found = draw_scenes(ndim, count, seed) if drawn is None else np.load(drawn, allow_pickle=False)
        if found.ndim != ndim + 1 or len(found) <= _VALIDATION_SCENES:
            raise ConfigError(
                f"{drawn} has shape {found.shape}; needed are over {_VALIDATION_SCENES} scenes of {ndim} axes",
                "draw them with pretraining.problems",
            )
        self._scenes, self._unseen = list(found[:-_VALIDATION_SCENES]), list(found[-_VALIDATION_SCENES:])
        self._operators = self._draw_operators(kernel, kernels, 0)

    def batch(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs (batch, channels, *patch), truths and contrasts (batch, 1, ...)."""
        draw = Draw.of(self._seed, number)
        parts = [self._group(draw) for _ in range(self._groups)]
        inputs, truths, contrasts = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return inputs, truths, contrasts

    def validation(self) -> dict[str, list[Example]]:
        """Return images of scenes and PSFs that were never drawn, within the range of training and outside it."""
        familiar = self._draw_operators(kernel, _VALIDATION_KERNELS, 1)
        broad = self._draw_operators(broad_kernel, _VALIDATION_KERNELS, 2)
        conditions = {
            "as learned": (familiar, NoiseRange()),
            "stronger noise": (familiar, STRONGER),
            "correlated noise": (familiar, CORRELATED),
            "broader PSF": (broad, NoiseRange()),
        }
        return {name: self._examples(*condition) for name, condition in conditions.items()}

    def _examples(self, operators: list[_Operator], noise: NoiseRange) -> list[Example]:
        draw = Draw.of(self._seed, -1)
        examples: list[Example] = []
        for number, packed in enumerate(self._unseen):
            blur, inverses = operators[number % len(operators)]
            truth = torch.from_numpy(np.asarray(packed / 65535, np.float32))[None, None]
            with torch.inference_mode():
                image = recorded(blur(truth), noise, draw.random, draw.generator)
                mean, deviation = image.mean(), image.std().clamp(min=_LEAST_DEVIATION)
                image, truth = (image - mean) / deviation, (truth - mean) / deviation
                image, truth = image[self._inside], truth[self._inside]
                examples.append((torch.cat([image, *[inverse(image) for inverse in inverses]], 1), truth))
        return examples

    @property
    def _inside(self) -> tuple[Any, ...]:
        return (..., *[slice(MARGIN, -MARGIN)] * self._ndim)

    def _draw_operators(
        self, make: Callable[[np.random.Generator, int], Array], count: int, stream: int
    ) -> list[_Operator]:
        random = np.random.default_rng((self._seed, stream))
        psfs = [make(random, self._ndim) for _ in range(count)]
        values = self._config.network.inverse_channels
        return [(Blur(psf), [Blur(wiener_kernel(psf, value)) for value in values]) for psf in psfs]

    def _group(self, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
        blur, inverses = self._operators[draw.random.integers(len(self._operators))]
        truth = torch.from_numpy(np.stack([self._crop(draw) for _ in range(self._per_group)]))[:, None]
        spot = self._config.blind_spot
        with torch.inference_mode():
            image = recorded(blur(truth), NoiseRange(), draw.random, draw.generator)
            image, truth, contrast = standardised(image, truth, draw.random)
            image, truth = image[self._inside], truth[self._inside]
            mask = stratified_mask(len(image), image.shape[2:], spot.mask_percent, draw.generator)
            # Half of the patches are whole, as at the end of a run; half have blind spots, as in training.
            mask[: len(image) // 2] = False
            image = fill_with_noise(image, mask, spot.mask_sigma, draw.generator)
            inputs = torch.cat([image, *[inverse(image) for inverse in inverses]], 1)
        return inputs, truth, contrast

    def _crop(self, draw: Draw) -> Array:
        size = self._patch + 2 * MARGIN
        packed = self._scenes[draw.random.integers(len(self._scenes))]
        starts = [draw.random.integers(n - size + 1) for n in packed.shape]
        crop = packed[tuple(slice(s, s + size) for s in starts)]
        crop = np.flip(crop, tuple(axis for axis in range(self._ndim) if draw.random.random() < 0.5))
        if draw.random.random() < 0.5:
            crop = np.swapaxes(crop, -1, -2)
        return np.asarray(crop / 65535, np.float32)


def draw_scenes(ndim: int, count: int, seed: int) -> NDArray[np.uint16]:
    """Return scenes (count, *shape), in processes of their own if there are many.

    Examples
    --------
    >>> draw_scenes(2, 1, 0).shape
    (1, 192, 192)
    """
    draw = partial(packed_scene, ndim, SIZES[ndim][0], seed)
    if count < _WORTH_PROCESSES:
        return np.stack([draw(number) for number in range(count)])
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        return np.stack(list(pool.map(draw, range(count), chunksize=8)))


class Draw:
    """The random generators of one batch."""

    def __init__(self, random: np.random.Generator, generator: torch.Generator) -> None:
        self.random, self.generator = random, generator

    @classmethod
    def of(cls, seed: int, number: int) -> Draw:
        """Return those of batch ``number``; -1 is the validation set."""
        random = np.random.default_rng((seed, 3, number + 1))
        return cls(random, torch.Generator().manual_seed(int(random.integers(2**62))))


def standardised(image: Tensor, truth: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Scale by the image's own mean and deviation; most patches as a dim or bright part of a larger one."""
    n, axes = len(image), tuple(range(1, image.ndim))
    mean, deviation = image.mean(axes, keepdim=True), image.std(axes, keepdim=True).clamp(min=_LEAST_DEVIATION)
    part = random.random(n) < 0.6
    contrasts = np.where(part, np.exp(random.uniform(math.log(0.3), math.log(1.4), n)), 1)
    contrast, level = (
        torch.from_numpy(np.asarray(values, np.float32)).reshape(-1, *[1] * (image.ndim - 1)).to(image.device)
        for values in (contrasts, np.where(part, random.normal(0, 0.6, n), 0))
    )
    image, truth = (((x - mean) / deviation) * contrast + level for x in (image, truth))
    return image, truth, contrast


def main() -> None:
    """Draw scenes and write them to a file."""
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.pretraining.problems")
    parser.add_argument("--ndim", type=int, choices=(2, 3), default=2)
    parser.add_argument(
        "--scenes", type=above_zero(int), default=6000, help="the last 24 are for validation (default: 6000)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="an .npy file")
    args = parser.parse_args()
    np.save(args.out, draw_scenes(args.ndim, args.scenes, args.seed), allow_pickle=False)


if __name__ == "__main__":
    main()
