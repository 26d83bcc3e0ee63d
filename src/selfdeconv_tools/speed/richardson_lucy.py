"""Our Richardson-Lucy against that of other packages."""

from __future__ import annotations

import importlib.util
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from napari_selfdeconv.api import richardson_lucy
from selfdeconv_tools.speed.figure import Pair, Setting, Target
from selfdeconv_tools.speed.inputs import gaussian_psf, random_image, size_text
from selfdeconv_tools.speed.timing import Call

_ITERATIONS = 5
_MOST_VOLUMES = 8


def figures(setting: Setting) -> list[Pair]:
    """Return Richardson-Lucy against scikit-image's and RedLionfish's, on the processor's side of each."""
    return [
        _pair("rl-scikit-image", "skimage", _scikit_image, setting),
        _pair("rl-redlionfish", "RedLionfishDeconv", _redlionfish, setting),
    ]


def _pair(name: str, package: str, theirs: Any, setting: Setting) -> Pair:
    shape = (16, 24, 32) if setting.small else (128, 256, 512)
    sides = (5 if setting.small else 17,) * 3

    def missing() -> str:
        return "" if importlib.util.find_spec(package) else f"{package} is not installed"

    def ours() -> Call:
        image, psf = _image(shape), gaussian_psf(sides)
        return lambda: richardson_lucy(image, psf, _ITERATIONS, boundary="reflect", device_name=setting.device)

    def baseline() -> Call:
        image, psf = _image(shape), gaussian_psf(sides).astype(np.float32)
        return lambda: theirs(image, psf)

    volume_bytes = 4 * prod(shape)
    return Pair(
        name=name,
        size=f"{size_text(shape, 'PSF', sides)}, {_ITERATIONS} iterations",
        compares=f"Richardson-Lucy, against {package}'s on the processor",
        ours=ours,
        baseline=baseline,
        missing=missing,
        work=_ITERATIONS * prod(shape),
        unit="voxel-iterations/s",
        targets=(
            Target.ratio(2.0),
            Target(of="peak_bytes", limit=_MOST_VOLUMES * volume_bytes, text=f"peak <= {_MOST_VOLUMES} volumes"),
        ),
        check=lambda mine, other: _difference(mine, other, sides),
    )


def _image(shape: tuple[int, ...]) -> NDArray[np.float32]:
    # Smooth, as an image that a microscope has blurred: of pure noise every start keeps its own for long.
    image: NDArray[np.float32] = uniform_filter(random_image(shape), 7)
    return image


def _scikit_image(image: NDArray[Any], psf: NDArray[Any]) -> NDArray[Any]:
    from skimage.restoration import richardson_lucy as theirs

    result: NDArray[Any] = theirs(image, psf, num_iter=_ITERATIONS, clip=False)  # type: ignore[no-untyped-call]
    return result


def _redlionfish(image: NDArray[Any], psf: NDArray[Any]) -> NDArray[Any]:
    from RedLionfishDeconv import doRLDeconvolutionFromNpArrays

    result: NDArray[Any] = doRLDeconvolutionFromNpArrays(image, psf, niter=_ITERATIONS, method="cpu")
    return result


def _difference(mine: NDArray[Any], other: NDArray[Any], psf: tuple[int, ...]) -> str:
    """Compare two results away from the border, where each has its own rule, and each from its own start."""
    inside = tuple(slice(k, n - k) for k, n in zip(psf, mine.shape, strict=True))
    if mine[inside].size == 0:
        inside = (slice(None),) * mine.ndim
    difference = float(np.abs(mine[inside] - other[inside]).mean() / np.abs(mine[inside]).mean())
    return f"results differ by {difference:.1%} away from the border (other borders, other starts)"
