"""The held-out blind-spot error: how well g(f(x)) predicts pixels that training never saw.

Apart from the noise of those pixels, which is the same at every step, it is an unbiased estimate of the error of
g(f(x)); it needs no truth. It ends a run, and selects the weights that are returned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.compute.device import Choice, repeatable
from napari_selfdeconv.config.loss_terms import data_error
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.network.model import Deconvolver, autocast
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.clipping import ClippedBlur
from napari_selfdeconv.physics.noise import noise_of
from napari_selfdeconv.training.sampler import cut

# Voxels predicted per measurement: enough held-out ones for a steady figure, few enough to cost little.
_MOST_VOXELS = 262_144


class Validator:
    """Measures the held-out error on fixed patches, spread evenly over the frames.

    Parameters
    ----------
    frames : inputs of the network (channels, *space), of one shape; held-out pixels are replaced by their
        neighbours' median.
    truths : the standardised images with the pixels as recorded.
    held_out : boolean, True where a pixel is held out.
    """

    def __init__(
        self,
        frames: Sequence[Tensor],
        truths: Sequence[Tensor],
        held_out: Sequence[Tensor],
        config: TrainConfig,
        choice: Choice,
    ) -> None:
        patch = [min(n, config.optimiser.patch) for n in truths[0].shape]
        most = max(1, _MOST_VOXELS // int(np.prod(patch)))
        places = _spread(len(frames), truths[0].shape, patch, most)
        chosen = [(k, tuple(slice(s, s + p) for s, p in zip(start, patch, strict=True))) for k, start in places]
        x = torch.stack([cut(frames[k], where) for k, where in chosen])
        truth, held = (
            torch.stack([arrays[k][where] for k, where in chosen])[:, None] for arrays in (truths, held_out)
        )
        self._batches = [
            tuple(t[i : i + config.optimiser.batch_size].to(choice.device) for t in (x, truth, held))
            for i in range(0, len(chosen), config.optimiser.batch_size)
        ]
        self._choice = choice
        self._delta = config.loss.delta
        self.count = int(held.sum())

    def measure_errors(self, network: Deconvolver, blur: ClippedBlur) -> NDArray[np.float32]:
        """Return the data term (square or Huber) at every held-out pixel, standardised units."""
        with torch.inference_mode():
            parts = [
                data_error(blur(f) - truth, self._delta)[held] for f, truth, held in self._predictions(network)
            ]
        errors: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        return errors

    def estimate_clipping(self, network: Deconvolver, blur: Blur) -> ClippedBlur:
        """Return the blur with the clipping of the image, estimated from the residual of ``network``."""
        with torch.inference_mode():
            pairs = [(truth, blur(f)) for f, truth, _ in self._predictions(network)]
        recorded, expected = (torch.cat(parts).flatten().cpu().numpy() for parts in zip(*pairs, strict=True))
        return ClippedBlur(blur, float(recorded.min()), noise_of(recorded, expected).sigma)

    def _predictions(self, network: Deconvolver) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield f(x), the recorded values and where pixels are held out, batch by batch."""
        training = network.training
        network.eval()
        for x, truth, held in self._batches:
            with repeatable(self._choice.device), autocast(self._choice):
                f = network(x).float()
            yield f, truth, held
        network.train(training)

    def measure_error(self, network: Deconvolver, blur: ClippedBlur) -> float:
        """Return the mean of `measure_errors`; 0 where no pixel is held out."""
        errors = self.measure_errors(network, blur)
        return float(errors.mean(dtype=np.float64)) if len(errors) else 0.0


def _spread(
    frames: int, shape: Sequence[int], patch: Sequence[int], most: int
) -> list[tuple[int, tuple[int, ...]]]:
    """Return at most ``most`` (frame, start) of patches on an even grid that covers the frames."""
    axes = [np.linspace(0, n - p, -(-n // p)).round().astype(int) for n, p in zip(shape, patch, strict=True)]
    places = [(k, tuple(int(s) for s in start)) for k in range(frames) for start in product(*axes)]
    index = np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int)
    return [places[i] for i in index]
