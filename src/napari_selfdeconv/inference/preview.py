"""The live preview: what the network makes of the region the user is looking at, between two steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.compute.device import Choice
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import Preview
from napari_selfdeconv.inference.views import predictors
from napari_selfdeconv.network.model import Deconvolver, Model
from napari_selfdeconv.physics.blur import Blur

# A preview must not hold up training: it never predicts more voxels than this.
_PREVIEW_VOXELS = 262_144

Region = tuple[slice, ...]


class Previewer:
    """Predicts the region that the user looks at, at most every ``every_s`` seconds.

    Parameters
    ----------
    standard : the whole image, standardised by ``scale``.
    region : asked for the slices to predict (None: the centre).
    extra : asked whether g(f(x)) and x - g(f(x)) are wanted as well.
    """

    def __init__(
        self,
        standard: NDArray[np.float32],
        scale: Standardizer,
        choice: Choice,
        config: TrainConfig,
        psf: NDArray[np.float32],
        every_s: float,
        region: Callable[[], Region | None] | None = None,
        extra: Callable[[], bool] | None = None,
    ) -> None:
        self._standard, self._scale, self._choice = standard, scale, choice
        self._config, self._psf = config, psf
        self._every_s, self._region, self._extra = every_s, region, extra
        self._blur = Blur(psf, boundary=config.boundary)
        self._last = -np.inf
        self._shown: tuple[Any, ...] = ()

    def make_preview(self, step: int, network: Deconvolver) -> Preview | None:
        """Return a preview, or None while it is too early or nothing has changed; the network is in training."""
        now = time.perf_counter()
        if now - self._last < self._every_s:
            return None
        where = limit_region(self._standard.shape, self._region() if self._region else None)
        extra = self._extra is not None and self._extra()
        # In a pause the network does not change: only another region gives another preview.
        wanted = (step, extra, *((s.start, s.stop) for s in where))
        if wanted == self._shown:
            return None
        preview = self._predict(step, network, where, extra)
        # Counted from the end: a slow preview never takes more than its share.
        self._last, self._shown = time.perf_counter(), wanted
        return preview

    def _predict(self, step: int, network: Deconvolver, where: Region, extra: bool) -> Preview:
        # The blur reaches in from around the region, and so does the network.
        margins = [n // 2 if extra else 0 for n in self._psf.shape]
        spans = zip(where, margins, self._standard.shape, strict=True)
        around = tuple(slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in spans)
        inside = tuple(slice(s.start - a.start, s.stop - a.start) for s, a in zip(where, around, strict=True))
        model = Model(config=self._config, psf=self._psf, network=network)
        network.eval()
        try:
            (predict,) = predictors(model, self._choice, average=False)
            f = predict(np.ascontiguousarray(self._standard[around]))
        finally:
            network.train()
        offset = tuple(s.start for s in where)
        image = self._scale.undo(f[inside])
        if not extra:
            return Preview(step=step, image=image, offset=offset)
        with torch.inference_mode():
            g = self._blur(torch.from_numpy(f)[None, None])[0, 0].numpy()
        reblurred = self._scale.undo(g[inside])
        residual = self._scale.undo(self._standard[where]) - reblurred
        return Preview(step=step, image=image, offset=offset, reblurred=reblurred, residual=residual)


def limit_region(shape: Sequence[int], region: Region | None) -> Region:
    """Clip ``region`` to the image and shrink it about its centre until a preview of it is quick."""
    region = region or tuple(slice(0, n) for n in shape)
    spans = []
    for s, n in zip(region, shape, strict=True):
        start = min(max(s.start or 0, 0), n - 1)
        stop = min(max(n if s.stop is None else s.stop, start + 1), n)
        spans.append((start, stop))
    while np.prod([b - a for a, b in spans], dtype=float) > _PREVIEW_VOXELS:
        axis = max(range(len(spans)), key=lambda i: spans[i][1] - spans[i][0])
        a, b = spans[axis]
        size = max(1, int((b - a) * 0.9))
        start = a + (b - a - size) // 2
        spans[axis] = (start, start + size)
    return tuple(slice(a, b) for a, b in spans)
