"""The live preview: the result of the network for the region in view, computed between two steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from napari_selfdeconv.arrays.channels import Channels
from napari_selfdeconv.arrays.tiling import predict_tiled
from napari_selfdeconv.compute.device import Choice
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import Preview, drain
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.views import predictors
from napari_selfdeconv.network.model import Deconvolver, Model
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.stop_token import StopToken

# A tile of a preview, so that it takes little memory and can be cancelled soon; the first preview is one of them.
_TILE_VOXELS = 262_144
# Read around a tile: little, because seams of a preview do not matter.
_CONTEXT = 8
# A preview must not delay training. It predicts as many voxels as take this long, by the time of the last one.
# Where there is a second between previews, training then goes on for this many times as long.
_SECONDS = 3.0
_PATIENCE = 8.0
_MOST_VOXELS = 2**24

Region = tuple[slice, ...]


class Previewer:
    """Predicts the region in view, at most every ``every_s`` seconds.

    A large region is predicted if the computer is fast enough for it; otherwise its centre is.

    Parameters
    ----------
    problem : the image, without far light.
    region : asked for the slices to predict (None: the centre).
    extra : asked whether g(f(x)) and x - g(f(x)) are wanted as well.
    """

    def __init__(
        self,
        problem: Problem,
        choice: Choice,
        config: TrainConfig,
        every_s: float,
        region: Callable[[], Region | None] | None = None,
        extra: Callable[[], bool] | None = None,
    ) -> None:
        self._problem, self._standard, self._scale = problem, problem.standard, problem.scale
        self._choice, self._config, self._psf = choice, config, problem.psf
        self._every_s, self._region, self._extra = every_s, region, extra
        self._blur = Blur(problem.psf, boundary=config.boundary)
        self._ended, self._took = -np.inf, 0.0
        self._most = _TILE_VOXELS
        self._shown: tuple[Any, ...] = ()

    def make_preview(self, step: int, network: Deconvolver, stop: StopToken | None = None) -> Preview | None:
        """Return a preview, or None while it is too early or nothing has changed; the network is in training.

        Raises
        ------
        Cancelled
            If ``stop`` was cancelled meanwhile.
        """
        stop = stop or StopToken()
        started = time.perf_counter()
        patience = 1.0 if stop.paused else max(1.0, _PATIENCE * self._took)
        if started < self._ended + self._every_s * patience:
            return None
        where = limit_region(self._standard.shape, self._region() if self._region else None, self._most)
        extra = self._extra is not None and self._extra()
        # In a pause the network does not change: only another region gives another preview.
        wanted = (step, extra, *((s.start, s.stop) for s in where))
        if wanted == self._shown:
            return None
        preview = self._predict(step, network, where, extra, stop)
        self._ended, self._shown = time.perf_counter(), wanted
        self._took = self._ended - started
        self._most = affordable_voxels(self._most, preview.image.size, self._took)
        return preview

    def _predict(self, step: int, network: Deconvolver, where: Region, extra: bool, stop: StopToken) -> Preview:
        # The blur reaches in from around the region, and so does the network.
        margins = [n // 2 if extra else 0 for n in self._psf.shape]
        spans = zip(where, margins, self._standard.shape, strict=True)
        around = tuple(slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in spans)
        inside = tuple(slice(s.start - a.start, s.stop - a.start) for s, a in zip(where, around, strict=True))
        model = Model(config=self._config, psf=self._psf, network=network)
        network.eval()
        try:
            seen = self._problem.input_of(network)
            part = seen.cut(around) if isinstance(seen, Channels) else seen[around]
            tile = [s.stop - s.start for s in limit_region(part.shape, None, _TILE_VOXELS)]
            work = predict_tiled(
                predictors(model, self._choice, average=False),
                part,
                tile=tile,
                context=(_CONTEXT,) * len(around),
                align=network.unet.multiple,
            )
            f = drain(work, lambda _: stop.raise_if_cancelled())
        finally:
            network.train()
        offset = tuple(s.start for s in where)
        far = self._problem.far
        # The light of a part differs from that of the whole image, so a part is not scaled to it.
        factor = None if far is None else 1 / far.share
        image = self._problem.in_units(self._scale.undo(f[inside]), factor, where)
        if not extra:
            return Preview(step=step, image=image, offset=offset)
        with torch.inference_mode():
            g = self._blur(torch.from_numpy(f)[None, None])[0, 0].numpy()
        reblurred = self._scale.undo(g[inside])
        residual = self._scale.undo(self._standard[where]) - reblurred
        if far is not None:
            reblurred += far.light[where]
        if self._problem.bright is not None:
            reblurred += self._problem.bright.blurred[where]
        return Preview(step=step, image=image, offset=offset, reblurred=reblurred, residual=residual)


def affordable_voxels(most: int, voxels: int, seconds: float) -> int:
    """Return how many voxels the next preview may have, after one of ``voxels`` that took ``seconds``.

    It is a power of two times the least, so that the size of the preview seldom changes.

    Examples
    --------
    >>> affordable_voxels(262_144, 262_144, 0.25), affordable_voxels(2_097_152, 2_097_152, 7.0)
    (2097152, 1048576)
    """
    if seconds > 2 * _SECONDS:
        return max(_TILE_VOXELS, most // 2)
    factor: float = _SECONDS * voxels / max(seconds, 1e-6) / _TILE_VOXELS
    return max(most, min(_MOST_VOXELS, _TILE_VOXELS << int(math.log2(max(1.0, factor)))))


def limit_region(shape: Sequence[int], region: Region | None, most: int) -> Region:
    """Clip ``region`` to the image and shrink it about its centre until it has ``most`` voxels at most."""
    region = region or tuple(slice(0, n) for n in shape)
    spans = []
    for s, n in zip(region, shape, strict=True):
        start = min(max(s.start or 0, 0), n - 1)
        stop = min(max(n if s.stop is None else s.stop, start + 1), n)
        spans.append((start, stop))
    while np.prod([b - a for a, b in spans], dtype=float) > most:
        axis = max(range(len(spans)), key=lambda i: spans[i][1] - spans[i][0])
        a, b = spans[axis]
        size = max(1, int((b - a) * 0.9))
        start = a + (b - a - size) // 2
        spans[axis] = (start, start + size)
    return tuple(slice(a, b) for a, b in spans)
