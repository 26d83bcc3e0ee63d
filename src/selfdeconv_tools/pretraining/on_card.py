"""Batches of generated images that are made on a graphics card: there the processor is too slow to keep up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.holdout.masks import fill_with_noise, stratified_mask
from selfdeconv_tools.pretraining.problems import MARGIN, Draw, Problems, standardised
from selfdeconv_tools.pretraining.recording import NoiseRange, recorded


class CardProblems(Problems):
    """`Problems` whose batches are made on ``device``: any number of patches, each with a PSF of its own.

    A batch depends on the seed, its number and the kind of device.
    """

    def __init__(
        self, config: TrainConfig, ndim: int, scenes: int, kernels: int, seed: int, drawn: Path | None,
        device: torch.device, patches: int,
    ) -> None:  # fmt: skip
        super().__init__(config, ndim, scenes, kernels, seed, drawn)
        self._device, self._patches = device, patches
        self._size = self._patch + 2 * MARGIN
        stacked = np.stack(self._scenes).astype(np.float32) / 65535
        self._all_scenes = torch.from_numpy(stacked.astype(np.float16)).to(device)
        blurs = [blur.psf for blur, _ in self._operators]
        filters = [[inverse.psf for inverse in inverses] for _, inverses in self._operators]
        self._blurs = torch.stack([transfer(psf, (self._size,) * ndim, device) for psf in blurs])
        # Twice the patch: the image and its mirror image, whose cyclic convolution is a reflecting border.
        twice = (2 * self._patch,) * ndim
        self._filters = torch.stack([torch.stack([transfer(f, twice, device) for f in each]) for each in filters])

    def batch(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs (batch, channels, *patch), truths and contrasts (batch, 1, ...), on the device."""
        random = Draw.of(self._seed, number).random
        generator = torch.Generator(self._device).manual_seed(int(random.integers(2**62)))
        spot, n = self._config.blind_spot, self._patches
        chosen = torch.from_numpy(random.integers(len(self._operators), size=n)).to(self._device)
        with torch.no_grad():
            truth = self._crops(random)
            # What the border adds ends within the margin, since no PSF is wider than that.
            blurred = cyclic(truth, self._blurs[chosen][:, None])
            image = recorded(blurred, NoiseRange(), random, generator)
            image, truth, contrast = standardised(image, truth, random)
            image, truth = image[self._inside], truth[self._inside]
            mask = stratified_mask(n, image.shape[2:], spot.mask_percent, generator)
            mask[: n // 2] = False
            image = fill_with_noise(image, mask, spot.mask_sigma, generator)
            inputs = torch.cat([image, reflecting(image, self._filters[chosen])], 1)
        return inputs, truth, contrast

    def _crops(self, random: np.random.Generator) -> Tensor:
        """Return parts of scenes, turned at random, (batch, 1, *size)."""
        n, scenes = self._patches, self._all_scenes
        index: list[NDArray[np.int64]] = [random.integers(len(scenes), size=(n, *[1] * self._ndim))]
        for axis in range(self._ndim):
            start = random.integers(scenes.shape[axis + 1] - self._size + 1, size=(n, 1))
            steps = np.arange(self._size)[None] + start
            mirrored = random.random((n, 1)) < 0.5
            steps = np.where(mirrored, steps[:, ::-1], steps)
            index.append(steps.reshape(n, *[self._size if a == axis else 1 for a in range(self._ndim)]))
        where = tuple(torch.from_numpy(np.ascontiguousarray(i)).to(self._device) for i in index)
        crops = scenes[where].float()[:, None]
        turned = torch.from_numpy(random.random((n, *[1] * (self._ndim + 1))) < 0.5).to(self._device)
        return torch.where(turned, crops.transpose(-1, -2), crops)


def transfer(kernel: NDArray[np.float64], shape: Sequence[int], device: torch.device) -> Tensor:
    """Return the real Fourier transform of a kernel with its centre at the origin of a cyclic ``shape``."""
    grid = np.zeros(shape)
    where = np.ix_(*[(np.arange(k) - k // 2) % n for k, n in zip(kernel.shape, shape, strict=True)])
    np.add.at(grid, where, kernel)
    return torch.fft.rfftn(torch.from_numpy(grid.astype(np.float32)).to(device))


def cyclic(x: Tensor, transfers: Tensor) -> Tensor:
    """Return (batch, channels, *space): ``x`` convolved with each channel of (batch, channels, ...)."""
    axes = tuple(range(2, x.ndim))
    result: Tensor = torch.fft.irfftn(torch.fft.rfftn(x, dim=axes) * transfers, s=x.shape[2:], dim=axes)
    return result


def reflecting(x: Tensor, transfers: Tensor) -> Tensor:
    """Return (batch, channels, *space): ``x`` convolved with each, continued by reflection at its border.

    Parameters
    ----------
    x : (batch, 1, *space).
    transfers : (batch, channels, ...), of kernels on a cyclic shape twice as large (`transfer`).

    Examples
    --------
    >>> from napari_selfdeconv.physics.blur import Blur
    >>> kernel = np.outer(np.arange(5.0), np.arange(1.0, 8.0))
    >>> x = torch.rand(1, 1, 12, 16)
    >>> transfers = transfer(kernel, (24, 32), x.device)[None, None]
    >>> torch.allclose(reflecting(x, transfers), Blur(kernel)(x), atol=1e-4)
    True
    """
    whole = x
    for axis in range(2, x.ndim):
        whole = torch.cat([whole, whole.flip(axis)], axis)
    return cyclic(whole, transfers)[(..., *[slice(n) for n in x.shape[2:]])]
