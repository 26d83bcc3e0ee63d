"""The light around the focus of a high-NA objective: Richards & Wolf integrals, Gibson-Lanni layers.

A freely rotating dipole seen by a camera is, by reciprocity, as bright as the focus of unpolarised light:
``I = |I0|^2 + 2 |I1|^2 + |I2|^2``, with ``Im`` an integral over the pupil angle of a Bessel function of order m.
Sources: Richards and Wolf 1959, https://doi.org/10.1098/rspa.1959.0200; Gibson and Lanni 1991 (stage relation and
path difference), https://doi.org/10.1364/JOSAA.8.001601; Torok and Varga 1997 (vectorial, layered),
https://doi.org/10.1364/AO.36.002305.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import j0, j1, roots_legendre

from napari_selfdeconv.config.optics import CoverslipLayers, Optics
from napari_selfdeconv.errors import ConfigError

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]

# Beyond this many quadrature nodes the light is smeared over millimetres: a mistyped depth, not a microscope.
_MAX_NODES = 6000
_BLOCK = 250_000  # numbers in a temporary array: few enough for the processor's cache


@dataclass(frozen=True)
class Pupil:
    """Quadrature nodes over the pupil angle, shape (n,); wavenumbers in rad/um.

    ``axial`` is k n (cos - 1): the common phase is left out, it has no effect and costs digits.
    ``amplitude``, shape (3, n), is the integrand of I0, I1, I2 without Bessel function and defocus.
    ``energy`` is the integral of the intensity over a whole plane, in um^2.
    """

    lateral: Float
    axial: Float
    amplitude: Complex
    energy: float


def intensity(z_um: ArrayLike, r_um: ArrayLike, optics: Optics, *, wavelength_um: float | None = None) -> Float:
    """Return the intensity around the focus of light of one wavelength, not normalised.

    Parameters
    ----------
    z_um : scalar or 1D, how much deeper in the sample than the emitter the objective is focused. With layers,
        0 is where the Gibson-Lanni stage relation puts the (paraxial) focus.
    r_um : scalar or 1D, distances from the optical axis, >= 0.
    optics : the microscope. ``defocus_um``, the pinhole and the pixel play no part here.
    wavelength_um : vacuum wavelength; None is the emission wavelength of ``optics``.

    Returns
    -------
    float64 array, shape (len(z_um), len(r_um)); >= 0.

    Raises
    ------
    ConfigError
        If a coordinate is not finite, or the layers aberrate the light beyond what can be integrated.

    Notes
    -----
    Without layers the value at the origin is ``(2/3 (1 - c^1.5) + 2/5 (1 - c^2.5))^2`` and the integral over any
    plane ``8 pi (1 - c) / k^2``, with c the cosine of the aperture angle and k = 2 pi n / wavelength.

    Examples
    --------
    >>> optics = Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515)
    >>> table = intensity([0.0, 0.4], [0.0, 0.1], optics)
    >>> (table / table[0, 0]).round(6)
    array([[1.      , 0.533159],
           [0.145039, 0.114567]])
    """
    z, r = np.atleast_1d(np.asarray(z_um, float)), np.atleast_1d(np.asarray(r_um, float))
    if z.ndim != 1 or r.ndim != 1 or not (np.isfinite(z).all() and np.isfinite(r).all()) or (r < 0).any():
        raise ConfigError(
            "z_um and r_um must be finite numbers or 1D arrays of them, and r_um must not be negative"
        )
    return light(make_pupil(optics, wavelength_um or optics.wavelength_um, z, float(r.max())), z, r)


def plane_energy(optics: Optics) -> float:
    """Return the integral of `intensity` over a whole plane in um^2; it is the same in every plane."""
    return make_pupil(optics, optics.wavelength_um, np.zeros(1), 0.0).energy


def light(pupil: Pupil, z: Float, r: Float) -> Float:
    """Return `intensity` for checked 1D arrays, with a pupil made for their reach."""
    wave = np.exp(-1j * z[:, None] * pupil.axial)
    fields = [wave * a for a in pupil.amplitude]
    # Real and imaginary rows side by side: the Bessel functions are real and need no complex product.
    rows = [np.concatenate([f.real, f.imag]) for f in fields]
    out = np.empty((len(z), len(r)))
    block = max(1, _BLOCK // len(pupil.lateral))
    for start in range(0, len(r), block):
        x = np.outer(pupil.lateral, r[start : start + block])
        bessel0, bessel1 = j0(x), j1(x)
        bessel2 = np.divide(2 * bessel1, x, out=np.ones_like(x), where=x > 0) - bessel0
        total = np.zeros((len(z), x.shape[1]))
        for share, row, bessel in zip((1.0, 2.0, 1.0), rows, (bessel0, bessel1, bessel2), strict=True):
            both = (row @ bessel) ** 2
            total += share * (both[: len(z)] + both[len(z) :])
        out[:, start : start + block] = total
    return out


def make_pupil(optics: Optics, wavelength_um: float, z_um: Float, r_max_um: float) -> Pupil:
    """Return quadrature nodes that resolve the integrals at all of ``z_um`` and up to ``r_max_um``."""
    n, k0 = optics.refractive_index, 2 * math.pi / wavelength_um
    edges = [0.0, *_critical_angles(optics), math.asin(optics.na / n)]
    parts = [
        _nodes(optics, a, b, k0, (float(z_um.min()), float(z_um.max())), r_max_um, stretch=len(edges) > 2)
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]
    theta = np.concatenate([p[0] for p in parts])
    weight = np.concatenate([p[1] for p in parts])
    sin, cos = np.sin(theta), np.cos(theta)
    modes = _modes(optics, sin, cos)
    phase = np.zeros(()) if optics.layers is None else k0 * _path_difference(optics, optics.layers, sin)
    apodised = modes * np.exp(1j * phase)
    power = np.abs(apodised[0]) ** 2 + 2 * np.abs(apodised[1]) ** 2 + np.abs(apodised[2]) ** 2
    return Pupil(
        lateral=k0 * n * sin,
        axial=-k0 * n * sin**2 / (1 + cos),
        amplitude=apodised * (np.sqrt(cos) * sin * weight),
        energy=float(2 * math.pi / (k0 * n) ** 2 * np.sum(weight * sin * power)),
    )


def _critical_angles(optics: Optics) -> list[float]:
    """Angles inside the aperture at which the light becomes evanescent in the coverslip or the sample."""
    if optics.layers is None:
        return []
    indices = {optics.layers.sample_index, optics.layers.coverslip_index}
    return sorted(math.asin(i / optics.refractive_index) for i in indices if i < optics.na)


def _nodes(
    optics: Optics, a: float, b: float, k0: float, z_ends: tuple[float, float], r_max: float, *, stretch: bool
) -> tuple[Float, Float]:
    """Gauss-Legendre nodes and weights between two angles, as many as the fastest phase asks for.

    With ``stretch`` the angle is a + (b - a) sin^2(pi u / 2): the square root that the transmission has at a
    critical angle becomes smooth in u.
    """

    def angle(u: Float) -> tuple[Float, Float]:
        if not stretch:
            return a + (b - a) * u, np.full_like(u, b - a)
        return a + (b - a) * np.sin(math.pi / 2 * u) ** 2, (b - a) * math.pi / 2 * np.sin(math.pi * u)

    sin = np.sin(angle(np.linspace(0, 1, 513))[0])
    n = optics.refractive_index
    path = np.zeros(()) if optics.layers is None else _path_difference(optics, optics.layers, sin)
    cos = np.sqrt(1 - sin**2)
    slopes = [np.abs(np.diff(path - z * n * cos)) + n * r_max * np.diff(sin) for z in z_ends]
    fastest = k0 * 512 * max(float(s.max()) for s in slopes)
    count = 32 + math.ceil(0.3 * fastest)
    if count > _MAX_NODES:
        raise ConfigError(
            f"the light runs out of step by about {fastest / (2 * math.pi):.0f} wavelengths across the aperture: "
            "no PSF to speak of; check the depth, thicknesses and indices of the layers, the defocus and the size"
        )
    x, w = _legendre(count)
    theta, slope = angle((x + 1) / 2)
    return theta, slope * w / 2


@lru_cache(maxsize=16)
def _legendre(count: int) -> tuple[Float, Float]:
    x, w = roots_legendre(count)
    return x, w


def _modes(optics: Optics, sin: Float, cos: Float) -> Complex:
    """What the pupil sends into I0, I1, I2 for each angle, apodisation left out; shape (3, n)."""
    layers, n = optics.layers, optics.refractive_index
    if layers is None:
        return np.stack([1 + cos, sin, 1 - cos]).astype(complex)
    indices = (n, layers.coverslip_index, layers.sample_index)
    cosines = [np.sqrt(1 - (n / i * sin) ** 2 + 0j) for i in indices]
    ts, tp = np.ones_like(cosines[0]), np.ones_like(cosines[0])
    for n1, n2, c1, c2 in zip(indices[:-1], indices[1:], cosines[:-1], cosines[1:], strict=True):
        ts = ts * 2 * n1 * c1 / (n1 * c1 + n2 * c2)
        tp = tp * 2 * n1 * c1 / (n2 * c1 + n1 * c2)
    along = tp * cosines[-1]
    return np.stack([ts + along, tp * (n / layers.sample_index * sin), ts - along])


def _stack(optics: Optics, layers: CoverslipLayers) -> list[tuple[float, float]]:
    """(index, thickness) of every layer at z = 0, those of the design negative.

    The immersion is as thick as the stage relation asks: the sum of thickness / index stays that of the design.
    """
    n = optics.refractive_index
    design = layers.immersion_design_index or n
    if min(design, layers.coverslip_design_index) <= optics.na:
        raise ConfigError(
            f"na must be below the indices the objective was designed for (immersion {design:g}, "
            f"coverslip {layers.coverslip_design_index:g}), got {optics.na:g}"
        )
    fixed = [
        (layers.sample_index, layers.sample_depth_um),
        (layers.coverslip_index, layers.coverslip_um),
        (layers.coverslip_design_index, -layers.coverslip_design_um),
        (design, -layers.immersion_design_um),
    ]
    return [*fixed, (n, -n * sum(thick / index for index, thick in fixed))]


def _path_difference(optics: Optics, layers: CoverslipLayers, sin: Float) -> Complex:
    """Optical path in um against the axis, focused by the stage relation (z = 0); imaginary where evanescent."""
    path = np.zeros(sin.shape, complex)
    for index, thick in _stack(optics, layers):
        s = optics.refractive_index / index * sin
        path -= index * thick * s**2 / (1 + np.sqrt(1 - s**2 + 0j))
    return path


def focus_range(optics: Optics) -> tuple[float, float]:
    """Return the smallest and largest z in um at which rays from the emitter cross the axis (0, 0 without layers).

    Rays near the critical angle are left out: they run off to infinity and carry no light.
    """
    if optics.layers is None:
        return 0.0, 0.0
    n = optics.refractive_index
    low = min(optics.na, 0.95 * optics.layers.sample_index, 0.95 * optics.layers.coverslip_index)
    p = np.linspace(0, low, 257)
    slope = sum(thick / np.sqrt(index**2 - p**2) for index, thick in _stack(optics, optics.layers))
    z = np.sqrt(n**2 - p**2) * slope
    return float(z.min()), float(z.max())
