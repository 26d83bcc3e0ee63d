"""The classical methods, from arrays to arrays."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv import classical, device
from napari_selfdeconv.api._common import translated
from napari_selfdeconv.config import check_whole
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Finished, StopToken, Warned, drain
from napari_selfdeconv.io import check_image
from napari_selfdeconv.psf_check import check_psf


def iter_richardson_lucy(
    image: NDArray[Any],
    psf: NDArray[Any],
    iterations: Sequence[int] = (2, 5, 10, 20),
    *,
    stop: StopToken | None = None,
    device_name: str = "auto",
) -> Generator[Event, None, dict[int, NDArray[np.float32]]]:
    """Run Richardson-Lucy once and keep the estimate at each count.

    The image continues by reflection at its border, negative values count as 0, the start is its mean.

    Returns
    -------
    dict from count to float32 array in the image's own units; after ``stop.stop()`` only the counts reached.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`.
    """
    started = time.perf_counter()
    image = check_image(image)
    psf, notes = check_psf(psf, image.shape)
    counts = sorted(set(iterations))
    if not counts:
        raise ConfigError("iterations must name at least one count, got none")
    for count in counts:
        check_whole("iterations", count, 1, 100_000)
    if image.max() <= 0:
        raise ConfigError("Richardson-Lucy needs positive intensities, and the image has none")
    choice = device.choose(device_name, "float32")
    stop = stop or StopToken()
    for note in notes:
        yield Warned(note)
    with translated():
        results = yield from classical.iter_lucy(image, psf, counts, device=choice.device, stop=stop)
    yield Finished(
        seconds=time.perf_counter() - started, steps_done=max(results), stopped=max(results) < counts[-1]
    )
    return results


def richardson_lucy(
    image: NDArray[Any], psf: NDArray[Any], iterations: int = 10, *, device_name: str = "auto"
) -> NDArray[np.float32]:
    """Return the Richardson-Lucy estimate after ``iterations``; see `iter_richardson_lucy`.

    Examples
    --------
    >>> import numpy as np
    >>> float(richardson_lucy(np.eye(16), np.ones((1, 1)), 3).max())
    1.0
    """
    return drain(iter_richardson_lucy(image, psf, (iterations,), device_name=device_name), None)[iterations]
