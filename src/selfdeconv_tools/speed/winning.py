"""How soon the network's result is better than the best Richardson-Lucy, and how soon there is one to look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api import iter_deconvolve, iter_richardson_lucy
from napari_selfdeconv.benchmark.truths import blurring, degraded, files
from napari_selfdeconv.compute import device
from napari_selfdeconv.events import Event, Preview, drain
from napari_selfdeconv.metrics.full_reference import psnr
from napari_selfdeconv.simulate import sample_2d
from napari_selfdeconv.stop_token import StopToken
from selfdeconv_tools.speed.figure import Result, Setting, Target
from selfdeconv_tools.speed.inputs import precision_name, size_text
from selfdeconv_tools.speed.steps import step_config
from selfdeconv_tools.speed.timing import Timing

_COUNTS = tuple(range(1, 21))
_MOST_WIN_S, _MOST_PREVIEW_S = 30.0, 5.0
# As the dock asks for them.
_PREVIEW_EVERY_S = 1.0
_SMALL_SIDE, _SMALL_STEPS = 64, 4

Array = NDArray[np.float32]
#: Truth, degraded image and PSF.
Scene = tuple[Array, Array, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Winning:
    """One image with its truth: made by ``load``, cut to its middle where only the code is tested."""

    name: str
    size: str
    load: Callable[[], Scene]

    def measure(self, setting: Setting) -> Iterator[Result]:
        truth, noisy, psf = self.load()
        work = iter_richardson_lucy(noisy, psf, _COUNTS, boundary="reflect", device_name=setting.device)
        found = {n: psnr(image, truth) for n, image in drain(work).items()}
        count = max(found, key=lambda n: found[n])
        first_s, won_s, how = _race(truth, noisy, psf, found[count], setting)
        precision = precision_name(device.choose_device(setting.device, "auto").dtype)
        won = Result(
            name=self.name,
            size=size_text(truth.shape),
            compares="from the start to a better PSNR than the best Richardson-Lucy's",
            timing=None if won_s is None else Timing((won_s,)),
            note=f"best Richardson-Lucy: {count} iterations, {found[count]:.2f} dB; {how}",
            targets=(Target.seconds(_MOST_WIN_S),),
            precision=precision,
        )
        yield won
        yield replace(
            won,
            name=f"{self.name}/first-preview",
            compares="from the start to the first preview",
            timing=None if first_s is None else Timing((first_s,)),
            targets=(Target.seconds(_MOST_PREVIEW_S),),
            note="",
        )


def figures(setting: Setting, images: Path | None, psf_path: Path | None) -> list[Winning]:
    """Return the generated 2D sample, and the truth images of a folder."""
    crop = _SMALL_SIDE if setting.small else None

    def sample() -> Scene:
        scene = sample_2d()
        return _middle(scene.truth, crop), _middle(scene.image, crop), scene.psf

    found = [Winning(name="win-sample", size=size_text((crop or 512,) * 2), load=sample)]
    if images is None:
        return found
    psf_for = blurring(psf_path)
    for name, load in files(images, psf_path):

        def scene(load: Callable[[], NDArray[Any]] = load) -> Scene:
            data = load()
            psf = psf_for(data.ndim)
            return (*degraded(data, psf, crop), psf)

        found.append(Winning(name=f"win-{name}", size=str(crop or "whole"), load=scene))
    return found


def _race(
    truth: Array, noisy: Array, psf: NDArray[Any], rival: float, setting: Setting
) -> tuple[float | None, float | None, str]:
    """Train until a preview wins; return the seconds to the first preview, to the win, and how it went."""
    config = step_config("quick", noisy.ndim, setting, **({"steps": _SMALL_STEPS} if setting.small else {}))
    stop, first_s, won_s, how = StopToken(), None, None, ""
    start = time.perf_counter()

    def compare(event: Event) -> None:
        nonlocal first_s, won_s, how
        if not isinstance(event, Preview):
            return
        seconds = time.perf_counter() - start
        first_s = seconds if first_s is None else first_s
        # The preview of a large image shows a part of it, and Richardson-Lucy's score is of the whole.
        if won_s is None and event.image.shape == truth.shape and (score := psnr(event.image, truth)) > rival:
            won_s, how = seconds, f"the preview at step {event.step} has {score:.2f} dB"

    work = iter_deconvolve(noisy, psf, config, stop=stop, preview_every_s=_PREVIEW_EVERY_S)
    result = drain(work, compare)
    seconds, score = time.perf_counter() - start, psnr(result.image, truth)
    if won_s is None and score > rival:
        won_s = seconds
    end_text = f"the end, after {seconds:.1f} s, {score:.2f} dB"
    return first_s, won_s, "; ".join(text for text in (how, end_text) if text)


def _middle(image: Array, side: int | None) -> Array:
    if side is None:
        return image
    return image[tuple(slice((n - side) // 2, (n - side) // 2 + side) for n in image.shape)]
