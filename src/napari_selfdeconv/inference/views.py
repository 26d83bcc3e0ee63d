"""The views of an image whose predictions are averaged: symmetries of the PSF, and phases of the grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.arrays.symmetry import IDENTITY, Symmetry, psf_symmetries
from napari_selfdeconv.compute.device import Choice, repeatable
from napari_selfdeconv.network.model import Model, autocast
from napari_selfdeconv.physics.boundary import extend


def predictors(
    model: Model, choice: Choice, *, average: bool, most: int = 0
) -> list[Callable[[NDArray[np.float32]], NDArray[np.float32]]]:
    """Return functions from a standardised tile to its prediction, to be averaged.

    With ``average`` there is one for each symmetry of the PSF, and at least one for each phase of the network's
    down-sampling grid. The strided convolutions of the network can leave a pattern of that period. g removes this
    pattern, so no loss acts on it, but the mean over the phases removes it. With ``most`` above 0 there are at
    most so many functions, spread evenly (`spread`). Without ``average`` there is one. The network must be on the
    device.
    """
    ndim = model.psf.ndim
    if not average or most == 1:
        return [_view(model, choice, IDENTITY, (0,) * ndim)]
    symmetries = psf_symmetries(model.psf)
    count = max(len(symmetries), 2**ndim if model.config.network.levels > 1 else 1)
    cells = list(product((0, 1), repeat=ndim))
    if 0 < most < count:
        count = most
        chosen = spread([_bits(symmetry, ndim) for symmetry in symmetries], count)
        corners = [cells[i] for i in spread(cells, count)]
    else:
        # Every cell comes with each swap, which turns a pattern.
        chosen, corners = list(range(len(symmetries))), [cell[::-1] for cell in cells]
    views = [symmetries[chosen[i % len(chosen)]] for i in range(count)]
    offsets = [_offset(corners[i % len(corners)], view, ndim) for i, view in enumerate(views)]
    # The second half is moved by 2 as well, which evens out a period of 4. Eight views of a volume that were not
    # moved lost 0.14 dB on pollen against four that were.
    moved = [tuple(n + 2 * (2 * i >= count > 2) for n in offset) for i, offset in enumerate(offsets)]
    return [_view(model, choice, view, offset) for view, offset in zip(views, moved, strict=True)]


def spread(codes: Sequence[tuple[int, ...]], count: int) -> list[int]:
    """Return which ``count`` of some binary codes lie far from each other, beginning with the first.

    Each is as far from its nearest one before it as there is, then as far from all of them. So half of 2, 4 or 8
    views are flipped along each axis, if the PSF allows it.

    Examples
    --------
    >>> spread([(0, 0), (0, 1), (1, 0), (1, 1)], 3)
    [0, 3, 1]
    """
    chosen = [0]
    while len(chosen) < min(count, len(codes)):
        far = [[sum(a != b for a, b in zip(code, codes[i], strict=True)) for i in chosen] for code in codes]
        chosen.append(max(range(len(codes)), key=lambda i: (min(far[i]), sum(far[i]), -i)))
    return chosen


def _bits(symmetry: Symmetry, ndim: int) -> tuple[int, ...]:
    return (int(symmetry.swap), *(int(axis in symmetry.flips) for axis in range(-ndim, 0)))


def _offset(cell: tuple[int, ...], symmetry: Symmetry, ndim: int) -> tuple[int, ...]:
    """Return the offset with which a view has its grid at ``cell`` of the image: a flip moves it by 1 as well."""
    flipped = {axis % ndim for axis in symmetry.flips}
    if symmetry.swap:  # the flips act after the swap
        other = {ndim - 1: ndim - 2, ndim - 2: ndim - 1}
        flipped = {other.get(axis, axis) for axis in flipped}
    return tuple(cell[axis] ^ (axis in flipped) for axis in range(ndim))


def _view(
    model: Model, choice: Choice, symmetry: Symmetry, phase: tuple[int, ...]
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    multiple = model.network.unet.multiple

    def predict(tile: NDArray[np.float32]) -> NDArray[np.float32]:
        space = tile.shape[-model.psf.ndim :]
        x = torch.from_numpy(tile).reshape(1, -1, *space).to(choice.device)
        starts = []
        for axis, (n, offset) in enumerate(zip(space, phase, strict=True), -len(space)):
            # Mirrored voxels put the grid at its phase and fill its last cell. No more of them: the network
            # learned that an image ends in the zeros of its own padding. On stacks of 40 planes, 4 more cost 0.1
            # to 0.3 dB.
            start = offset % multiple
            # A whole number of grid cells: then a flip does not change the phase of the grid.
            size = start + n + -(start + n) % multiple
            x = extend(x, axis, start, size - n - start, "reflect")
            starts.append(start)
        with torch.inference_mode(), repeatable(choice.device), autocast(choice):
            y = symmetry.undo(model.network(symmetry.apply(x).contiguous()).float())
        for axis, (n, start) in enumerate(zip(space, starts, strict=True), -len(space)):
            y = y.narrow(axis, start, n)
        result: NDArray[np.float32] = y[0, 0].cpu().numpy()
        return result

    return predict
