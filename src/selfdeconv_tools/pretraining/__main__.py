"""Train the weights to start from: ``python -m selfdeconv_tools.pretraining --steps 12000 --out FILE``.

Those of widefield stacks: ``--ndim 3 --stacks DIR --begin unet3d.safetensors --learning-rate 1.5e-3``.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from napari_selfdeconv._version import __version__
from napari_selfdeconv.compute import device
from napari_selfdeconv.compute.malloc import retained_memory
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.holdout.masks import fill_with_noise, stratified_mask
from napari_selfdeconv.network.initial_weights import write_weights
from napari_selfdeconv.network.model import autocast, build_network, place
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.wiener import wiener_kernel
from selfdeconv_tools.pretraining.deeper import deepened
from selfdeconv_tools.pretraining.hazy import HazyProblems
from selfdeconv_tools.pretraining.kernels import kernel
from selfdeconv_tools.pretraining.scenes import packed_scene

# For each number of axes: side of a scene, of a patch; groups a batch (one PSF each), patches a group.
_SIZES = {2: (192, 96, 4, 4), 3: (80, 40, 2, 2)}
_MARGIN = 16


class Problems:
    """Draws batches of (image and its filtered copies, truth, contrast), standardised like a user's image."""

    def __init__(self, config: TrainConfig, ndim: int, scenes: int, kernels: int, seed: int) -> None:
        self.config, self.ndim = config, ndim
        self.random = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(seed)
        side, self.patch, self.groups, self.per_group = _SIZES[ndim]
        draw = partial(packed_scene, ndim, side, seed)
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
            self.scenes = list(pool.map(draw, range(scenes), chunksize=8))
        self.operators = []
        for _ in range(kernels):
            psf = kernel(self.random, ndim)
            inverses = [Blur(wiener_kernel(psf, value)) for value in config.network.inverse_channels]
            self.operators.append((Blur(psf), inverses))

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs (batch, channels, *patch), truths and contrasts (batch, 1, ...)."""
        parts = [self._group() for _ in range(self.groups)]
        inputs, truths, contrasts = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return inputs, truths, contrasts

    def _group(self) -> tuple[Tensor, Tensor, Tensor]:
        blur, inverses = self.operators[self.random.integers(len(self.operators))]
        truth = torch.from_numpy(np.stack([self._crop() for _ in range(self.per_group)]))[:, None]
        with torch.inference_mode():
            image = self._noisy(blur(truth))
            image, truth, contrast = self._standardised(image, truth)
            inside: tuple[Any, ...] = (..., *[slice(_MARGIN, -_MARGIN)] * self.ndim)
            image, truth = image[inside], truth[inside]
            mask = stratified_mask(
                len(image), image.shape[2:], self.config.blind_spot.mask_percent, self.generator
            )
            # Half of the patches whole, as at the end; half with holes, as in training.
            mask[: len(image) // 2] = False
            image = fill_with_noise(image, mask, self.config.blind_spot.mask_sigma, self.generator)
            inputs = torch.cat([image, *[inverse(image) for inverse in inverses]], 1)
        return inputs, truth, contrast

    def _crop(self) -> NDArray[np.float32]:
        size = self.patch + 2 * _MARGIN
        packed = self.scenes[self.random.integers(len(self.scenes))]
        starts = [self.random.integers(n - size + 1) for n in packed.shape]
        crop = packed[tuple(slice(s, s + size) for s in starts)]
        crop = np.flip(crop, tuple(axis for axis in range(self.ndim) if self.random.random() < 0.5))
        if self.random.random() < 0.5:
            crop = np.swapaxes(crop, -1, -2)
        return np.asarray(crop / 65535, np.float32)

    def _noisy(self, blurred: Tensor) -> Tensor:
        """Add photon noise, read noise, specks, and clip: each in a part of the images."""
        n = len(blurred)
        sigma = self._column(np.exp(self.random.uniform(math.log(0.008), math.log(0.2), n)))
        photons = np.exp(self.random.uniform(math.log(1e-4), math.log(3e-2), n))
        gain = self._column(photons * (self.random.random(n) < 0.6))
        noise = torch.randn(blurred.shape, generator=self.generator)
        image = blurred + torch.sqrt(gain * blurred.clamp(min=0) + sigma**2) * noise
        share = self._column(self.random.uniform(0, 0.02, n) * (self.random.random(n) < 0.4))
        specks = torch.rand(image.shape, generator=self.generator) < share
        image = torch.where(specks, torch.rand(image.shape, generator=self.generator), image)
        clipped = self._column(self.random.random(n) < 0.4).bool()
        return torch.where(clipped, image.clamp(0, 1), image)

    def _standardised(self, image: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scale by the image's own mean and deviation; most patches as a dim or bright part of a larger one."""
        n, axes = len(image), tuple(range(1, image.ndim))
        mean, deviation = image.mean(axes, keepdim=True), image.std(axes, keepdim=True) + 1e-4
        part = self.random.random(n) < 0.6
        contrast = self._column(np.where(part, np.exp(self.random.uniform(math.log(0.3), math.log(1.4), n)), 1))
        level = self._column(np.where(part, self.random.normal(0, 0.6, n), 0))
        image, truth = (((x - mean) / deviation) * contrast + level for x in (image, truth))
        return image, truth, contrast

    def _column(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).reshape(-1, *[1] * (self.ndim + 1))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.pretraining")
    parser.add_argument("--ndim", type=int, choices=(2, 3), default=2)
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--scenes", type=int, default=6000)
    parser.add_argument("--kernels", type=int, default=500)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--levels", type=int, help="resolutions of the network (default: those of the preset)")
    parser.add_argument("--stacks", type=Path, metavar="DIR", help="learn from these widefield stacks (3D)")
    parser.add_argument("--begin", type=Path, metavar="FILE", help="begin with these weights")
    parser.add_argument("--deepen", type=Path, metavar="FILE", help="begin with weights of one level less")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    config = preset("quick", args.ndim)
    config = config.replace(levels=args.levels or config.network.levels)
    choice = device.choose_device(args.device, config.compute.precision)
    problems: Problems | HazyProblems
    if args.stacks:
        problems = HazyProblems(config, args.stacks, args.seed)
    else:
        problems = Problems(config, args.ndim, args.scenes, args.kernels, args.seed)
    network = build_network(config, np.ones((1,) * args.ndim, np.float32))
    if args.deepen:
        learned = {name.removeprefix("unet."): value for name, value in load_file(args.deepen).items()}
        network.unet.load_state_dict(deepened(network.unet, learned))
    if args.begin:
        learned = load_file(args.begin)
        network.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in learned.items()})
    place(network, choice, args.ndim)
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=args.learning_rate)
    start = said = time.perf_counter()
    mean = math.nan
    with retained_memory():
        for step in range(args.steps):
            share = step / args.steps
            rate = args.learning_rate * min(1, (step + 1) / 200) * (0.5 + 0.5 * math.cos(math.pi * share))
            for group in optimizer.param_groups:
                group["lr"] = rate
            inputs, truths, contrasts = (t.to(choice.device) for t in problems.batch())
            with autocast(choice):
                result = network.unet(inputs).float()
            error = (result - truths) / contrasts
            loss = 2 * F.huber_loss(error, torch.zeros_like(error), delta=1.0)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            now = float(loss.detach())
            mean = now if step == 0 else 0.99 * mean + 0.01 * now
            if time.perf_counter() - said > 60:
                said = time.perf_counter()
                print(f"step {step + 1}, {said - start:.0f} s, loss {mean:.4f}", flush=True)  # noqa: T201
                _save(network, config, args, step + 1)
    _save(network, config, args, args.steps)


def _save(network: torch.nn.Module, config: TrainConfig, args: argparse.Namespace, step: int) -> None:
    about = {"version": __version__, "steps": f"{step} of {args.steps}",
             "scenes": str(args.scenes), "kernels": str(args.kernels), "seed": str(args.seed),
             "began_as": (args.begin or args.deepen or Path("random")).name}  # fmt: skip
    write_weights(args.out, network.state_dict(), config, about)


if __name__ == "__main__":
    main()
