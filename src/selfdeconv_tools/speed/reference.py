"""The baselines: the same networks and the same maths, written plainly.

float32 in torch's default layout, one pass through the network for each input, the transfer function computed
again at every convolution, plain Adam. Networks, patches, masks and loss terms are the library's own: they are
not what is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.arrays.symmetry import Symmetry
from napari_selfdeconv.config.loss_terms import Needs, Passes
from napari_selfdeconv.config.training import Boundary
from napari_selfdeconv.network.model import Deconvolver
from napari_selfdeconv.physics.boundary import extend
from napari_selfdeconv.training.losses import compute_loss
from napari_selfdeconv.training.run import TrainingRun

# The rule of the paper's public code: sizes above which it convolves by FFT.
_FFT_ABOVE = {2: 25, 3: 9}


class PlainBlur:
    """Convolution with a PSF, differentiated by autograd, nothing kept from call to call.

    Parameters
    ----------
    psf : 2 or 3 axes, centre at ``n // 2``.
    boundary : as in `napari_selfdeconv.physics.blur.Blur`.
    """

    def __init__(self, psf: NDArray[Any], boundary: Boundary) -> None:
        self._psf = torch.as_tensor(psf, dtype=torch.float32)
        self._boundary = boundary

    def __call__(self, x: Tensor) -> Tensor:
        """Return ``x`` (batch, 1, *space) blurred, same shape."""
        kernel = self._psf.to(x.device)
        ndim, padded = kernel.ndim, x
        for axis, k in enumerate(kernel.shape, -ndim):
            padded = extend(padded, axis, k - 1 - k // 2, k // 2, self._boundary)
        if max(kernel.shape) <= _FFT_ABOVE[ndim]:
            conv = F.conv2d if ndim == 2 else F.conv3d
            return conv(padded, kernel.flip(tuple(range(ndim)))[None, None])
        size, dims = padded.shape[-ndim:], tuple(range(-ndim, 0))
        spectrum = torch.fft.rfftn(padded, dim=dims) * torch.fft.rfftn(kernel, s=size, dim=dims)
        full = torch.fft.irfftn(spectrum, s=size, dim=dims)
        valid: Tensor = full[(..., *(slice(k - 1, n) for k, n in zip(kernel.shape, size, strict=True)))]
        return valid


class PlainStep:
    """A training step as the paper's method reads, on the sampler and the network of a run of the library.

    Parameters
    ----------
    run : made for float32; its network is trained, its own step is not called.
    psf : array of the run.
    """

    def __init__(self, run: TrainingRun, psf: NDArray[Any]) -> None:
        self._run = run
        make_plain(run.network)
        self._reference = run.blind_spot.reference
        if self._reference is not None:
            make_plain(self._reference.network)
        self._blur = replace(run.blur, blur=PlainBlur(psf, run.config.boundary))
        self._optimizer = torch.optim.Adam(run.network.parameters(), lr=run.config.optimiser.learning_rate)

    def __call__(self) -> float:
        """Do one step; return its loss."""
        run, config = self._run, self._run.config
        batch = run.sampler.draw()
        x = batch.x
        mask, masked = run.blind_spot.hide_pixels(batch, 0)
        device = run.choice.device
        loss, _ = compute_loss(self._passes(x.to(device), mask.to(device), masked.to(device)), config.loss.weights)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return float(loss.detach())

    def _passes(self, x: Tensor, mask: Tensor, masked: Tensor) -> Passes:
        run = self._run
        needs = run.config.loss.weights.needs
        f_x = run.network(x) if Needs.UNMASKED in needs else None
        f_masked = run.network(masked) if Needs.MASKED in needs else None
        reference = None
        if self._reference is not None:
            with torch.no_grad():
                reference = self._reference.network(x)
        return Passes(
            x=x,
            mask=mask,
            f_x=f_x,
            g_x=None if f_x is None else self._blur(f_x),
            f_masked=f_masked,
            g_masked=None if f_masked is None else self._blur(f_masked),
            low=run.blind_spot.bounds[0],
            high=run.blind_spot.bounds[1],
            delta=run.config.loss.huber_delta if run.config.loss.data_term == "huber" else None,
            reference=reference,
            simulated=self._simulate(x, reference),
        )

    def _simulate(self, x: Tensor, reference: Tensor | None) -> Tensor | None:
        run, some = self._run, self._run.config.simulated_patches
        if reference is None or not some:
            return None
        simulated: Tensor = run.network(self._blur.record(reference[:some], x[:some], run.blind_spot.generator))
        return simulated


def make_plain(network: Deconvolver) -> None:
    """Let the network filter its input plainly, and lie in memory as torch puts it."""
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    inverses: list[Any] = [PlainBlur(inverse.psf, inverse.boundary) for inverse in network.inverses]
    network.inverses = inverses


def plain_inference(network: Deconvolver, views: Sequence[Symmetry], image: Tensor) -> Callable[[], Tensor]:
    """Return a call that predicts the whole image once a view, and averages."""
    make_plain(network)

    def predict() -> Tensor:
        with torch.no_grad():
            results = [view.undo(network(view.apply(image).contiguous())) for view in views]
            return (sum(results[1:], results[0]) / len(results)).cpu()

    return predict
