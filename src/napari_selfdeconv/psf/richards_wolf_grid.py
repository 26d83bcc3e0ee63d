"""Richards & Wolf on the voxel grid: widefield and confocal, integrated over pixels, with the peak at n // 2."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from napari_selfdeconv.compute.allocation import check_allocation
from napari_selfdeconv.config.checks import check_number, check_voxel, shown
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.psf.radial_table import RadialTable, radial_table
from napari_selfdeconv.psf.richards_wolf import Float, focus_range, plane_energy

# Sizes beyond which `suggest_shape` never goes: every voxel of PSF is padding in memory.
MAX_SUGGESTED = {2: 129, 3: 65}
_ENERGY_WANTED = 0.9
# Sizes and pixels beyond which a request is refused: a mistyped number, not a microscope.
_LONGEST = 4096
_MOST_VOXELS = 2**28
_LARGEST_PIXEL = 10  # times wavelength / na


def compute_on_grid(
    shape: Sequence[int], spacing_um: Sequence[float], optics: Optics
) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """Return the PSF, and sentences on what is doubtful: about its sampling and optics, and about its window."""
    sizes, spacing = check_grid(shape, spacing_um)
    check_pixel(spacing[-2:], optics)
    check_cost(sizes, optics, spacing[-2:])
    planes = sizes[0] if len(sizes) == 3 else 1
    dz = spacing[0] if len(sizes) == 3 else 0.0
    start = optics.defocus_um + focus_shift(optics, spacing[-2:])
    z = np.asarray((np.arange(planes) - planes // 2) * dz + start, np.float64)
    grid = _PixelGrid.of(sizes[-2:], spacing[-2:], optics)
    # Without layers the light is symmetric about the focus: each distance once.
    distances, plane_of = np.unique(np.abs(z) if optics.layers is None else z, return_inverse=True)
    table = radial_table(optics, distances, grid.r_max)
    values = grid.put(table)[plane_of]
    sampling = _sampling_warnings(optics, planes, dz, max(spacing[-2:]))
    window = _window_warnings(optics, grid, values, z)
    values /= (values @ grid.counts).sum()
    return values.astype(np.float32)[:, grid.pixel_of].reshape(sizes), sampling, window


def focus_shift(optics: Optics, pixel_um: Sequence[float]) -> float:
    """Return how far in um the brightest plane lies from where the stage relation puts the focus.

    0 without layers. A mismatch of indices spreads the focus along the axis; the plane is searched where rays
    cross the axis, for a pixel of (dy, dx) um on it.
    """
    low, high = focus_range(optics)
    if low == high:
        return 0.0
    grid = _PixelGrid.of((1, 1), pixel_um, optics)

    def centre(z: Any) -> Float:
        return grid.put(radial_table(optics, np.atleast_1d(z), grid.r_max))[:, 0]

    step = _depth_of_focus(optics) / 8
    z = np.arange(low - 8 * step, high + 9 * step, step)
    bright = np.concatenate([centre(z[i : i + 256]) for i in range(0, len(z), 256)])
    best = float(z[bright.argmax()])
    found = minimize_scalar(
        lambda x: -float(centre(x)[0]),
        bounds=(best - step, best + step),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(found.x)


def suggest_shape(
    optics: Optics, spacing_um: Sequence[float], image_shape: Sequence[int], energy: float
) -> tuple[int, ...]:
    """Return the size of `generate.suggest_psf_shape`."""
    check_number("energy", energy, 0.01, 0.999)
    sizes, spacing = check_grid(image_shape, spacing_um, what="image_shape")
    check_pixel(spacing[-2:], optics)
    limits = [min(n - 1 + n % 2, MAX_SUGGESTED[len(sizes)]) for n in sizes]
    reach = limits[0] // 2 if len(sizes) == 3 else 0
    offset = np.arange(-reach, reach + 1) * (spacing[0] if reach else 0.0)
    z = np.asarray(offset + optics.defocus_um + focus_shift(optics, spacing[-2:]), np.float64)
    r_max = max((n // 2 + 0.5) * d for n, d in zip(limits[-2:], spacing[-2:], strict=True))
    table = radial_table(optics, z, r_max)
    inside = table.cumulated()
    total = np.full(len(z), plane_energy(optics)) if optics.excitation_um is None else inside[:, -1]
    near = np.abs(offset) <= _depth_of_focus(optics)
    share = inside[near].sum(axis=0) / total[near].sum()
    edge = int(np.argmax(share >= energy)) if share[-1] >= energy else len(share) - 1
    halves = [max(1, math.ceil(edge * table.step / d - 0.5)) for d in spacing[-2:]]
    if len(sizes) == 3:
        held = inside[:, edge] >= (1 - energy) * inside[:, edge].max()
        halves.insert(0, max(1, int(np.abs(np.arange(-reach, reach + 1))[held].max())))
    return tuple(min(2 * h + 1, n) for h, n in zip(halves, limits, strict=True))


def check_grid(
    shape: Sequence[int], spacing_um: Sequence[float], what: str = "shape"
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return sizes and spacing as plain numbers; ConfigError if they make no grid."""
    try:
        sizes = tuple(operator.index(n) for n in shape)
    except TypeError:
        raise ConfigError(f"{what} must hold whole numbers, got {shown(shape)}") from None
    if len(sizes) not in (2, 3) or min(sizes) < 1:
        raise ConfigError(f"{what} must be (nz, ny, nx) or (ny, nx), all at least 1, got {sizes}")
    spacing = check_voxel("spacing_um", spacing_um, len(sizes))
    return sizes, tuple(float(d) for d in spacing)


def check_pixel(pixel_um: Sequence[float], optics: Optics) -> None:
    """Refuse pixels in which the whole PSF would lie: a mistyped unit, and sampling them would take minutes."""
    largest = _LARGEST_PIXEL * optics.wavelength_um / optics.na
    if max(pixel_um) > largest:
        raise ConfigError(
            f"a pixel of {max(pixel_um):g} um is more than {_LARGEST_PIXEL} times as large as the detail that the "
            f"objective resolves: give at most {largest:.3g} um (nanometres? then {max(pixel_um) / 1000:g})"
        )


def check_cost(sizes: Sequence[int], optics: Optics, pixel_um: Sequence[float]) -> None:
    """Refuse a PSF of more voxels or sampling points than can be computed in seconds, or that memory can hold."""
    planes, (ny, nx) = (sizes[0] if len(sizes) == 3 else 1), sizes[-2:]
    remedy = f"give a smaller shape, a PSF seldom needs more than {MAX_SUGGESTED[2]} voxels an axis"
    if max(sizes) > _LONGEST or planes * ny * nx > _MOST_VOXELS:
        raise ConfigError(
            f"a PSF of {' x '.join(map(str, sizes))} voxels is too large (at most {_LONGEST} an axis and "
            f"{_MOST_VOXELS / 1e6:.0f} million in all): {remedy}"
        )
    distinct = (ny // 2 + 1) * (nx // 2 + 1)
    points = math.prod(len(_pixel_points(d, optics)[0]) for d in pixel_um)
    # The int64 index of each pixel, the radii of its points with their interpolation, and the planes.
    needed = 40.0 * ny * nx + 32.0 * distinct * points + 8.0 * planes * (distinct + 1.5 * ny * nx)
    check_allocation(f"a PSF of {' x '.join(map(str, sizes))} voxels", needed, remedy)


@dataclass(frozen=True)
class _PixelGrid:
    """The pixels of a plane, each distinct one (by symmetry) once, and the points at which they are sampled.

    ``radii``, shape (pixels, points), and ``weights``, shape (points,); ``pixel_of``, shape (ny, nx), is the index
    of the distinct pixel and ``counts``, shape (pixels,), how often it occurs.
    """

    radii: Float
    weights: Float
    pixel_of: NDArray[np.intp]
    counts: Float
    shape: tuple[int, int]
    spacing: tuple[float, float]

    @classmethod
    def of(cls, shape: Sequence[int], spacing: Sequence[float], optics: Optics) -> _PixelGrid:
        (ny, nx), (dy, dx) = shape, spacing
        iy, ix = np.broadcast_arrays(abs(np.arange(ny) - ny // 2)[:, None], abs(np.arange(nx) - nx // 2))
        if dy == dx:
            iy, ix = np.minimum(iy, ix), np.maximum(iy, ix)
        key, pixel_of, counts = np.unique(iy * (nx + ny) + ix, return_inverse=True, return_counts=True)
        y, x = np.divmod(key, nx + ny)
        (ty, wy), (tx, wx) = _pixel_points(dy, optics), _pixel_points(dx, optics)
        radii = np.hypot((y[:, None] * dy + ty)[:, :, None], (x[:, None] * dx + tx)[:, None, :])
        return cls(
            radii.reshape(len(key), -1), np.outer(wy, wx).ravel(), pixel_of.reshape(ny, nx), counts.astype(float),
            (ny, nx), (dy, dx),
        )  # fmt: skip

    @property
    def r_max(self) -> float:
        return float(self.radii.max())

    def put(self, table: RadialTable) -> Float:
        """Return the mean intensity of each distinct pixel in each plane of the table; shape (planes, pixels)."""
        matrix = table.at(self.radii, np.broadcast_to(self.weights, self.radii.shape))
        return np.ascontiguousarray((matrix @ table.values.T).T)


def _pixel_points(d: float, optics: Optics) -> tuple[Float, Float]:
    """Gauss-Legendre points in um and weights (sum 1) across a pixel; its centre if not integrated."""
    if not optics.pixel_integration:
        return np.zeros(1), np.ones(1)
    # Twice the highest frequency of the light: a confocal multiplies two intensities, and theirs add up.
    waves = 1 / optics.wavelength_um + (1 / optics.excitation_um if optics.excitation_um else 0.0)
    t, w = np.polynomial.legendre.leggauss(2 + math.ceil(2 * math.pi * optics.na * d * waves))
    return t * d / 2, w / 2


def _depth_of_focus(optics: Optics) -> float:
    """Distance in um along the axis over which the focus of the shortest wavelength fades to its first zero."""
    n = optics.refractive_index
    shortest = min(optics.wavelength_um, optics.excitation_um or math.inf)
    return shortest / (n - math.sqrt(n**2 - optics.na**2))


def _below(limit: float, size: float) -> str:
    """Return the limit with two digits, or with as many as show that it is below the size."""
    digits = next(number for number in range(2, 18) if float(f"{limit:.{number}g}") < size or number == 17)
    return f"{limit:.{digits}g}"


def _sampling_warnings(optics: Optics, planes: int, dz: float, dxy: float) -> list[str]:
    n, na, wavelength = optics.refractive_index, optics.na, optics.wavelength_um
    out = []
    lateral, axial = wavelength / (4 * na), wavelength / (2 * (n - math.sqrt(n**2 - na**2)))
    if dxy > lateral:
        out.append(
            f"Pixels of {dxy:g} um are larger than the {_below(lateral, dxy)} um that this objective asks for: "
            f"details finer than about {2 * dxy:.2g} um cannot be recovered. More magnification or less binning "
            "helps"
        )
    if planes > 1 and dz > axial:
        out.append(
            f"Planes {dz:g} um apart are further apart than the {_below(axial, dz)} um that this objective asks "
            f"for: what is closer than about {2 * dz:.2g} um along z cannot be separated. A smaller step records "
            "it"
        )
    if optics.layers is not None and na > optics.layers.sample_index:
        out.append(
            f"The numerical aperture of {na:g} is above the refractive index of the sample, "
            f"{optics.layers.sample_index:g}: only what lies at the coverslip is seen with all of it, and deeper "
            "structures stay blurred. A water or silicone objective, or a PSF measured at that depth, suits them"
        )
    return out


def _window_warnings(optics: Optics, grid: _PixelGrid, values: Float, z: Float) -> list[str]:
    """Compare the light in the window with that of the whole plane (confocal: of its brightest plane only)."""
    held = values @ grid.counts * math.prod(grid.spacing)
    if optics.excitation_um is None:
        share = held / plane_energy(optics)
        worst = int(share.argmin())
    else:
        worst = int(held.argmax())
        reach = max(grid.r_max, 5 * optics.wavelength_um / optics.na)
        share = held / float(radial_table(optics, z[worst : worst + 1], reach).cumulated()[0, -1])
    if share[worst] >= _ENERGY_WANTED:
        return []
    ny, nx = grid.shape
    return [
        f"A PSF of {ny} x {nx} pixels holds only {share[worst]:.0%} of the light of its plane {worst}: the rest "
        "stays in the result as haze. A larger PSF holds more"
    ]
