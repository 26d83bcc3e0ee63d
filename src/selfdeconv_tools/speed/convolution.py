"""The forward model and its gradient, by FFT and directly, and whether "auto" chooses the faster one."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from napari_selfdeconv.physics.blur import Blur, Method
from selfdeconv_tools.speed.figure import Pair, Setting, Target
from selfdeconv_tools.speed.inputs import gaussian_psf, size_text
from selfdeconv_tools.speed.timing import Call

Shape = tuple[int, ...]
_BATCH: dict[int, Shape] = {2: (8, 1, 128, 128), 3: (1, 1, 64, 64, 64)}
_SMALL_BATCH: dict[int, Shape] = {2: (1, 1, 16, 16), 3: (1, 1, 8, 8, 8)}
_PSFS: tuple[tuple[Shape, float | None], ...] = (
    ((17, 17), None),
    ((17, 17, 17), 2.3),
    ((31, 31, 31), 14.0),
    ((64, 128, 128), None),
)
_SMALL_PSFS: tuple[tuple[Shape, float | None], ...] = (((5, 5), None), ((5, 5, 5), 1.0))
# Beyond about these sizes either may be the faster one.
_CHOICES: tuple[Shape, ...] = ((3, 3), (7, 7), (17, 17), (3, 3, 3), (5, 5, 5), (9, 9, 9), (17, 17, 17))
_SMALL_CHOICES: tuple[Shape, ...] = ((3, 3), (5, 5, 5))
# Equal methods differ by a few percent from one measurement to the next.
_EQUAL = 0.95
_MOST_DIRECT_S = 60.0
_PROBE_SIDE = 9


def figures(setting: Setting) -> list[Pair]:
    """Return FFT against direct for four PSFs, and "auto" against what it did not choose for smaller ones."""
    sizes = _SMALL_PSFS if setting.small else _PSFS
    choices = _SMALL_CHOICES if setting.small else _CHOICES
    found = [_pair(f"forward-{size_text(psf)}", psf, "fft", "direct", setting, limit) for psf, limit in sizes]
    for psf in choices:
        fft = Blur(gaussian_psf(psf)).uses_fft(torch.device(setting.device))
        other: Method = "direct" if fft else "fft"
        found.append(_pair(f"auto-{size_text(psf)}", psf, "auto", other, setting, _EQUAL))
    return found


def _pair(name: str, psf: Shape, method: Method, other: Method, setting: Setting, limit: float | None) -> Pair:
    batch = (_SMALL_BATCH if setting.small else _BATCH)[len(psf)]
    return Pair(
        name=name,
        size=size_text(batch, "PSF", psf),
        compares=f"convolution, forward and backward: {method} against {other}",
        ours=lambda: there_and_back(psf, batch, method, setting.device),
        baseline=lambda: there_and_back(psf, batch, other, setting.device),
        targets=() if limit is None else (Target.ratio(limit),),
        missing=lambda: _too_slow(psf, batch, setting.device) if other == "direct" else "",
    )


def there_and_back(psf: Shape, batch: Shape, method: Method, device: str) -> Call:
    """Return a call that convolves a batch and runs the gradient back through it."""
    blur = Blur(gaussian_psf(psf), method=method)
    x = torch.rand(batch, generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()
    ones = torch.ones(batch, device=device)

    def call() -> torch.Tensor:
        x.grad = None
        y = blur(x)
        y.backward(ones)  # type: ignore[no-untyped-call]
        return y.detach()

    return call


def _too_slow(psf: Shape, batch: Shape, device: str) -> str:
    seconds = estimated_direct_s(psf, batch, device)
    if seconds <= _MOST_DIRECT_S:
        return ""
    return f"direct left out: about {seconds:.0f} s a call, by its time with a small PSF"


def estimated_direct_s(psf: Shape, batch: Shape, device: str) -> float:
    """Return how long the direct convolution would take, from that with a PSF of at most 9 voxels a side."""
    probe = tuple(min(n, _PROBE_SIDE) for n in psf)
    call = there_and_back(probe, batch, "direct", device)
    float(call().sum())  # a graphics card is not done when the call returns
    start = time.perf_counter()
    float(call().sum())
    seconds = time.perf_counter() - start
    return seconds * _voxels(psf) / _voxels(probe)


def _voxels(shape: Sequence[int]) -> int:
    return int(torch.Size(shape).numel())
