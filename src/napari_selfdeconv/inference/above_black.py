"""A result without values below black, for an image that shows which level is black.

A network makes dark rings beside bright edges. There its result may lie below black, which light cannot. If such
values were only raised to black, light would be added. The missing light is therefore taken from its surroundings,
as g spreads it, so that g(f(x)) changes little. What is still too much is subtracted from all values above black.

After a background was subtracted and negative values were set to 0, the true background may lie below black. Light
is then counted from the median of g(f(x)), which has no rings: otherwise nothing would be left.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.arrays.chunks import chunks, rewrite
from napari_selfdeconv.config.training import Boundary
from napari_selfdeconv.events import Tick
from napari_selfdeconv.inference.calibrate import blurred_samples
from napari_selfdeconv.inference.light import to_light
from napari_selfdeconv.physics.blur import Blur

Array = NDArray[np.float32]
# The median of a large g(f(x)) is that of about as many samples.
_SAMPLES = 1_000_000


def raise_to_black(
    result: Array,
    black: float,
    psf: NDArray[Any],
    boundary: Boundary,
    device: torch.device,
    deviation: float,
    excess: float | None = None,
) -> Generator[Tick, None, float]:
    """Change a result in place so that no value lies below black; yield a `Tick` a chunk.

    Parameters
    ----------
    result : f(x) in units of the image. Without values below ``black`` and without ``excess`` it is unchanged to
        the last digit.
    black : level of a pixel without light.
    psf, boundary : PSF and border of g.
    device : where to compute.
    deviation : standard deviation of the image, as in `to_light`.
    excess : what is subtracted from every value above black, for a tile of a result. None keeps the light of
        ``result``: above ``black``, or above the median of g(f(x)) if that is lower. No value is raised for it.

    Returns
    -------
    What was subtracted; 0 where nothing was changed.

    Examples
    --------
    >>> result = np.array([[0, 0, -1, 9, -1, 0, 0]], np.float32)
    >>> for _ in raise_to_black(result, 0.0, np.ones((1, 3)) / 3, "reflect", torch.device("cpu"), 1.0):
    ...     pass
    >>> result.round(2).tolist()
    [[0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0]]
    """
    if not excess and float(result.min()) >= black:
        return 0.0
    blur = Blur(psf, boundary=boundary)
    margin = blur.psf.shape[0]
    if excess is None:
        samples = blurred_samples(result, blur, max(1, result.size // _SAMPLES))
        mean = light_above(result, black, float(np.median(samples)))
    done, total = 0, len(list(chunks(result.shape, margin)))

    def spread(wide: slice) -> Generator[Tick, None, Array]:
        nonlocal done
        with torch.inference_mode():
            above = torch.tensor(result[wide] - np.float32(black), device=device)[None, None]
            missing = above.clamp(max=0)
            above += blur.adjoint(blur(missing)) - missing
            made: Array = above.clamp_(min=0)[0, 0].cpu().numpy()
        done += 1
        yield Tick(done, total)
        return made

    yield from rewrite(result, margin, spread)
    if excess is None:
        excess = excess_of(result, mean)
    result += np.float32(black - excess)
    to_light(result, 1.0, deviation, black)
    return excess


def light_above(result: Array, black: float, background: float) -> float:
    """Return the mean light of ``result`` above ``black``, or above its ``background`` if that is lower.

    It is at most that of the values above black.

    Examples
    --------
    >>> light_above(np.array([0, -1, 9, 0], np.float32), black=0.0, background=0.5)
    2.0
    >>> light_above(np.array([-3, -3, 4, -3], np.float32), black=0.0, background=-3.0)
    1.0
    """
    seen = result > black
    most = float(np.sum(result, where=seen, dtype=np.float64)) - black * int(np.count_nonzero(seen))
    return min(most / result.size, float(result.mean(dtype=np.float64)) - min(black, background))


def excess_of(light: Array, mean: float) -> float:
    """Return what to subtract from ``light`` so that its values above 0 have the ``mean``, the others being 0.

    Parameters
    ----------
    light : float32.
    mean : its mean afterwards; at 0 or below nothing is left.

    Examples
    --------
    >>> excess_of(np.array([1, 2, 9], np.float32), 3.0)
    1.0
    """
    excess, lit = -np.inf, 0
    while True:
        # Each time fewer values are above it, until the same are.
        above = light > excess
        count = int(np.count_nonzero(above))
        if count in (0, lit):
            return float(excess)
        excess, lit = (float(np.sum(light, where=above, dtype=np.float64)) - mean * light.size) / count, count
