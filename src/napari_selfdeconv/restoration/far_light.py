"""Light from far planes and from outside the image, which a training patch cannot hold.

The PSF of a widefield stack is as large as the stack. It is the sum of a compact part and a far part, and what the
far part adds to the image is smooth: haze. Accelerated Richardson-Lucy with the whole PSF and an open border gives
a first estimate F of the whole scene. What it expects of the image beyond the light of the compact part,
``h * F - near * F_inside``, is subtracted from the image. What is left is an image of the compact part alone. The
network deconvolves it. Light changes slowly far from the image, so blocks of pixels are iterated first
(`block_start`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.config.training import Boundary
from napari_selfdeconv.events import Tick, mapped
from napari_selfdeconv.physics.blur import Blur, convolved
from napari_selfdeconv.physics.camera import Background, estimate_background
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.psf.near import near_part
from napari_selfdeconv.restoration.block_start import start_from_blocks
from napari_selfdeconv.restoration.open_operator import OpenOperator
from napari_selfdeconv.restoration.weighted_richardson_lucy import iterate_weighted_richardson_lucy
from napari_selfdeconv.stop_token import StopToken

#: Iterations of the first estimate: the haze of 30 to 60 is the same within its own error.
ITERATIONS = 40
#: Where far light lies on a grid of blocks, these are iterated first, and few iterations of all voxels follow.
BLOCK_ITERATIONS, AFTER_BLOCKS = 60, 10


@dataclass(frozen=True, kw_only=True, eq=False)
class FarLight:
    """The light that was subtracted from an image, so that a compact PSF explains the rest.

    Attributes
    ----------
    light : float32, as large as the image and in its units: background of the camera and far light.
    share : share of the light of the whole PSF that is in the compact part, 0 to 1.
    background : background of the camera, as it was estimated.
    near : float32, as large: what the estimate expects of the image through the compact PSF.
    estimate : float32, as large: the first estimate inside the image, in the light of the compact PSF.
    scene : the first estimate of the whole scene (`Scene.light`), from which a result is refined. None where it is
        not: for a part of the image, or where the settings forbid it.
    """

    light: NDArray[np.float32]
    share: float
    background: Background
    near: NDArray[np.float32]
    estimate: NDArray[np.float32]
    scene: Tensor | None = None

    def cut(self, where: tuple[slice, ...]) -> Self:
        """Return the light of a part of the image."""
        arrays = {name: getattr(self, name)[where] for name in ("light", "near", "estimate")}
        return replace(self, scene=None, **arrays)

    def subtract(self, image: NDArray[Any], weights: PixelWeights | None) -> NDArray[np.float32]:
        """Return the image of the compact PSF alone.

        Pixels of weight 0 have what the estimate expects there, and so have saturated ones where that is more:
        the network would take their clipped value for the light.
        """
        left: NDArray[np.float32] = (image - self.light).astype(np.float32, copy=False)
        if weights is not None:
            left = np.where(weights.values > 0, left, self.near)
            if weights.at_least is not None:
                left = np.where(weights.at_least, np.maximum(left, self.near), left)
        return left


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A first estimate of all light that reaches an image.

    Attributes
    ----------
    operator : A, from the scene to the image.
    light : light of the scene, inside and outside the image; float32, (1, 1, voxels).
    background : background of the camera.
    """

    operator: OpenOperator
    light: Tensor
    background: Background

    def expected(self, result: NDArray[Any]) -> NDArray[np.float32]:
        """Return A f with ``result`` inside the image and the estimate outside, float32, without background."""
        with torch.inference_mode():
            light = self.light.clone()
            self.operator.crop(light).copy_(torch.from_numpy(np.array(result, np.float32))[None, None])
            image: NDArray[np.float32] = self.operator.forward(light)[0, 0].numpy()
        return image


def estimate_scene(
    image: NDArray[Any],
    psf: NDArray[np.float32],
    device: torch.device,
    stop: StopToken,
    *,
    weights: PixelWeights | None = None,
    iterations: int | None = None,
) -> Generator[Tick, None, Scene]:
    """Estimate the scene by accelerated Richardson-Lucy with an open border; see `estimate_far_light`."""
    background = estimate_background(image, None if weights is None else weights.values)
    operator = OpenOperator(psf, image.shape)
    common: dict[str, Any] = {"device": device, "stop": stop, "weights": weights, "background": background}
    first = BLOCK_ITERATIONS if operator.has_two_grids else 0
    # Light under saturated pixels is the more concentrated, the longer it is iterated.
    saturated = weights is not None and weights.at_least is not None
    count = iterations or (AFTER_BLOCKS if first and not saturated else ITERATIONS)
    start = None
    if first:
        work = start_from_blocks(image, operator, first, **common)
        start = yield from mapped(work, lambda tick: Tick(tick.done, first + count))
    run = iterate_weighted_richardson_lucy(image, operator, (count,), start=start, **common)
    estimates = yield from mapped(run, lambda tick: Tick(first + tick.done, first + count))
    (light,) = estimates.values()
    return Scene(operator=operator, light=light, background=background)


def estimate_far_light(
    image: NDArray[Any],
    psf: NDArray[np.float32],
    near_shape: Sequence[int],
    boundary: Boundary,
    device: torch.device,
    stop: StopToken,
    *,
    weights: PixelWeights | None = None,
    iterations: int | None = None,
    keep_scene: bool = False,
) -> Generator[Tick, None, FarLight]:
    """Estimate the background and the far light of a stack; yield a `Tick` an iteration.

    Parameters
    ----------
    image : 3D, finite; x.
    psf : 3D, sum 1, of any size.
    near_shape : shape of its compact part (`psf.near.near_shape`).
    boundary : border of the compact part, "reflect" or "zero".
    device, stop : as elsewhere; a stop ends the iterations early.
    weights : how much each pixel counts; None is 1 everywhere.
    iterations : number of accelerated iterations on all voxels, >= 1; None chooses it by the grid.
    keep_scene : whether the answer holds the light of the whole scene.

    Examples
    --------
    >>> import torch
    >>> from napari_selfdeconv import StopToken
    >>> z, y, x = np.mgrid[-7:8, -10:11, -10:11]
    >>> psf = np.exp(-(y**2 + x**2) / (2 + 2 * z**2)) / (2 + 2 * z**2)
    >>> image = 100 + np.random.default_rng(0).poisson(50, (8, 20, 20))
    >>> work = estimate_far_light(image, (psf / psf.sum()).astype(np.float32), (5, 5, 5), "reflect",
    ...                           torch.device("cpu"), StopToken(), iterations=2)
    >>> from napari_selfdeconv.events import drain
    >>> ticks = []
    >>> far = drain(work, ticks.append)
    >>> ticks[-1], far.light.shape, 0 < far.share < 1
    (Tick(done=2, total=2), (8, 20, 20), True)
    """
    near, share = near_part(psf, near_shape)
    scene = yield from estimate_scene(image, psf, device, stop, weights=weights, iterations=iterations)
    with torch.inference_mode():
        light: NDArray[np.float32] = scene.operator.forward(scene.light)[0, 0].numpy()
        inside = scene.operator.crop(scene.light)[0, 0].numpy()
    light += np.float32(scene.background.constant)
    expected = np.float32(share) * convolved(Blur(near, boundary=boundary), inside)
    light -= expected
    estimate = np.float32(share) * inside
    return FarLight(
        light=light,
        share=share,
        background=scene.background,
        near=expected,
        estimate=estimate,
        scene=scene.light if keep_scene else None,
    )


def estimate_inside(
    image: NDArray[Any],
    psf: NDArray[np.float32],
    share: float,
    device: torch.device,
    stop: StopToken,
    *,
    weights: PixelWeights | None = None,
) -> Generator[Tick, None, NDArray[np.float32]]:
    """Estimate the light inside an image alone, as `FarLight.estimate`; yield a `Tick` an iteration.

    Parameters
    ----------
    image, psf, device, stop, weights : as in `estimate_far_light`.
    share : of the light of the PSF that is in its compact part.
    """
    scene = yield from estimate_scene(image, psf, device, stop, weights=weights)
    with torch.inference_mode():
        inside: NDArray[np.float32] = scene.operator.crop(scene.light)[0, 0].numpy() * np.float32(share)
    return inside
