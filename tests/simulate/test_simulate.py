"""The benchmark's degradation, bit for bit, and the phantoms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import center_of_mass
from scipy.signal import fftconvolve

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.metrics.full_reference import psnr
from napari_selfdeconv.simulate import cells_2d, degrade, microtubules_3d, paper_psf, sample_2d, sample_3d


def blur_by_shifts(image, psf):
    """Convolution with zeros outside, one shifted copy of the image per PSF value, in float64."""
    image = image.astype(np.float64)
    blurred = np.zeros(image.shape)
    middle = [n // 2 for n in psf.shape]
    for index, weight in np.ndenumerate(psf):
        target, source = [], []
        for i, m, n in zip(index, middle, image.shape, strict=True):
            shift = i - m
            target.append(slice(max(0, shift), min(n, n + shift)))
            source.append(slice(max(0, -shift), min(n, n - shift)))
        blurred[tuple(target)] += weight * image[tuple(source)]
    return blurred.astype(np.float32)


def protocol(truth, psf, seed, salt):
    """The benchmark's steps 1, 3 and 4, restated with NumPy's global legacy generator."""
    truth = truth.astype(np.float32)
    truth = (truth - truth.min()) / (truth.max() - truth.min())
    blurred = blur_by_shifts(truth, psf)
    np.random.seed(seed)  # noqa: NPY002
    y = blurred + np.sqrt(0.001 * blurred + 0.1**2) * np.random.normal(size=blurred.shape)  # noqa: NPY002
    if salt:
        where = np.random.uniform(size=blurred.shape) < 0.01  # noqa: NPY002
        y = np.where(where, np.random.uniform(size=blurred.shape), y)  # noqa: NPY002
    return np.clip(np.round(y * 1024) / 1024, 0, 1).astype(np.float32)


def lopsided_psf(shape, seed=0):
    psf = np.random.default_rng(seed).random(shape) ** 3
    return psf / psf.sum()


@pytest.fixture(autouse=True)
def _keep_global_random_state():
    state = np.random.get_state()  # noqa: NPY002
    yield
    np.random.set_state(state)  # noqa: NPY002


@pytest.mark.parametrize("salt", [True, False])
@pytest.mark.parametrize(
    ("shape", "psf_shape"),
    [
        ((64, 80), (7, 7)),
        ((33, 40), (5, 8)),
        ((40, 31), (1, 6)),
        ((12, 20, 24), (5, 5, 5)),
        ((9, 16, 17), (3, 4, 7)),
        ((16, 16, 16), (16, 1, 2)),
    ],
)
def test_degrade_is_the_protocol_bit_for_bit(shape, psf_shape, salt):
    truth = np.random.default_rng(7).integers(3, 250, shape).astype(np.uint8)
    psf = lopsided_psf(psf_shape)
    result = degrade(truth, psf, seed=0, salt=salt)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, protocol(truth, psf, 0, salt))


def test_degrade_leaves_the_global_generator_alone():
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.uniform()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    degrade(cells_2d((32, 32)), lopsided_psf((3, 3)))
    assert np.random.uniform() == expected  # noqa: NPY002


def test_degrade_follows_its_seed():
    truth, psf = cells_2d((48, 48)), lopsided_psf((5, 5))
    np.testing.assert_array_equal(degrade(truth, psf, seed=3), degrade(truth, psf, seed=3))
    assert not np.array_equal(degrade(truth, psf, seed=3), degrade(truth, psf, seed=4))


def test_degrade_does_not_change_its_inputs():
    truth, psf = cells_2d((32, 32)), lopsided_psf((3, 3))
    copies = truth.copy(), psf.copy()
    degrade(truth, psf)
    np.testing.assert_array_equal(truth, copies[0])
    np.testing.assert_array_equal(psf, copies[1])


def test_noise_has_the_strength_of_the_protocol():
    # A step: blurred by a single pixel it stays 0 and 1, so that both ends of the variance are seen.
    truth = np.zeros((200, 200))
    truth[:, 100:] = 1
    noisy = degrade(truth, np.ones((1, 1)), salt=False)
    dark, bright = noisy[:, :100], noisy[:, 100:]
    assert np.quantile(dark, 0.8413) == pytest.approx(0.1, abs=0.003)
    assert 1 - np.quantile(bright, 0.1587) == pytest.approx(np.sqrt(0.011), abs=0.003)
    assert np.all(noisy * 1024 == np.round(noisy * 1024))


def test_salt_hits_one_pixel_in_a_hundred():
    truth = np.zeros((300, 300))
    truth[0, 0] = 1
    with_salt, without = (degrade(truth, np.ones((1, 1)), salt=salt) for salt in (True, False))
    assert np.mean(with_salt != without) == pytest.approx(0.01, abs=0.002)


def test_a_psf_that_sums_to_something_else_is_normalised():
    truth, psf = cells_2d((32, 32)), np.outer([1, 2, 1], [1, 2, 1])
    np.testing.assert_array_equal(degrade(truth, psf), degrade(truth, psf / 16))


@pytest.mark.parametrize(
    ("truth", "psf", "message"),
    [
        (np.ones((8, 8)), np.ones((3, 3)), "the truth is constant"),
        (np.arange(8.0), np.ones(3), "2D or 3D"),
        (np.eye(8), np.ones((3, 3, 3)), "a 2D image needs a 2D PSF"),
        (np.eye(8), np.ones((9, 3)), "larger than the image"),
        (np.eye(8), np.zeros((3, 3)), "positive sum"),
        (np.eye(8), -np.ones((3, 3)), "positive sum"),
        (np.where(np.eye(8), np.nan, 0), np.ones((3, 3)), "the truth has 8 values"),
        (np.eye(8), np.full((3, 3), np.inf), "the PSF has 9 values"),
        (np.eye(8) * 1j, np.ones((3, 3)), "real numbers"),
    ],
)
def test_degrade_refuses(truth, psf, message):
    with pytest.raises(ConfigError, match=message):
        degrade(truth, psf)


@pytest.mark.parametrize("seed", [-1, 1.5, 2**32])
def test_degrade_refuses_a_bad_seed(seed):
    with pytest.raises(ConfigError, match="seed"):
        degrade(np.eye(8), np.ones((3, 3)), seed=seed)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (cells_2d, (512, 512)),
        (cells_2d, (33, 200)),
        (cells_2d, (4, 4)),
        (microtubules_3d, (64, 128, 128)),
        (microtubules_3d, (32, 32, 32)),
        (microtubules_3d, (5, 70, 40)),
        (microtubules_3d, (4, 4, 4)),
    ],
)
def test_phantoms_fill_zero_to_one_and_follow_their_seed(make, shape):
    image = make(shape, seed=2)
    assert image.shape == shape
    assert image.dtype == np.float32
    assert image.min() == 0
    assert image.max() == 1
    np.testing.assert_array_equal(image, make(shape, seed=2))
    assert not np.array_equal(image, make(shape, seed=3))


def test_microtubules_are_sparse_and_thin():
    volume = microtubules_3d((32, 96, 96), seed=0, count=1)
    assert np.mean(volume > 0.01) < 0.02
    # Across the tube, the bright part is about 2.355 sigma wide: about 7 voxels in the plane it is cut by.
    z, y, x = np.unravel_index(np.argmax(volume), volume.shape)
    widths = [
        np.sum(volume[z, y, :] > 0.5),
        np.sum(volume[z, :, x] > 0.5),
        np.sum(volume[:, y, x] > 0.5),
    ]
    assert 2 <= min(widths) <= 5


def test_a_tube_is_anti_aliased():
    # Wherever between the voxels its axis runs, the brightest voxel of a section is as bright: drawn voxel by
    # voxel, it would be 0 or 1 and jagged.
    volume = microtubules_3d((48, 48, 48), seed=0, count=1, sigma=1.5)
    sections = max((np.moveaxis(volume, axis, 0) for axis in range(3)), key=lambda v: np.sum(v.max((1, 2)) > 0.5))
    tops = sections.max((1, 2))
    tops = tops[tops > 0.5][4:-4]
    assert len(tops) > 10
    assert np.ptp(tops) < 0.15


def test_more_curves_are_more_light():
    few, many = (microtubules_3d((16, 48, 48), seed=0, count=n).mean() for n in (3, 30))
    assert many > 3 * few


def test_default_microtubules_score_near_21_db_once_degraded():
    # A broad kernel, 17 voxels a side, in the place of the benchmark's: elongated along z, blunt.
    z, y, x = np.indices((17, 17, 17)) - 8
    width = 0.6 + 0.55 * np.abs(z)
    psf = np.exp(-((y / width) ** 2) - (x / width) ** 2) / width**2
    truth = microtubules_3d((64, 128, 128), seed=0)
    assert psnr(degrade(truth, psf / psf.sum(), salt=False), truth) == pytest.approx(21, abs=0.7)


def test_the_papers_kernel_is_the_one_it_used():
    # Read off the array that the paper used, whose integrals are good to a few thousandths.
    axis = [0.0459, 0.0213, 0.0013, 0.0497, 0.2187, 0.4990, 0.8020, 1, 1, 0.8020, 0.4990]
    volume = paper_psf(3)
    assert volume[:11, 8, 8] / volume.max() == pytest.approx(np.array(axis), abs=2e-3)
    plane = paper_psf(2)
    assert plane[8, 8:11] / plane[8, 8] == pytest.approx(np.array([1, 0.1980, 0.5135]), abs=2e-3)
    for kernel in (volume, plane):
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        assert np.allclose(kernel, np.swapaxes(kernel, -1, -2))
        assert np.allclose(kernel, kernel[..., ::-1])
    assert volume[0] / volume[0].sum() == pytest.approx(plane, abs=1e-7)
    with pytest.raises(ConfigError, match="2 or 3 axes, got 1"):
        paper_psf(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cells_2d((3, 64)), "shape"),
        (lambda: cells_2d((64, 64, 64)), "2 numbers"),
        (lambda: microtubules_3d((64, 64)), "3 numbers"),
        (lambda: microtubules_3d((8, 8, 8), count=0), "count"),
        (lambda: microtubules_3d((8, 8, 8), sigma=0.0), "sigma"),
        (lambda: microtubules_3d((8, 8, 8), seed=-1), "seed"),
    ],
)
def test_phantoms_refuse(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


@pytest.mark.parametrize(
    ("make", "shape", "salt"), [(sample_2d, (512, 512), True), (sample_3d, (64, 128, 128), False)]
)
def test_samples_are_complete_and_hang_together(make, shape, salt):
    sample = make(seed=1)
    assert sample.image.shape == sample.truth.shape == shape
    assert len(sample.voxel_um) == sample.psf.ndim == sample.image.ndim
    assert sample.image.dtype == sample.psf.dtype == sample.truth.dtype == np.float32
    assert sample.psf.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(center_of_mass(sample.psf), [n // 2 for n in sample.psf.shape], atol=1e-3)
    assert psnr(sample.image, sample.truth) < 22
    reach = [n // 2 for n in sample.psf.shape]
    inside = tuple(slice(r, -r) for r in reach)
    # Noise is clipped at 0, which brightens dark pixels, so bright ones are compared.
    blurred = fftconvolve(sample.truth, sample.psf, mode="same")
    bright = blurred > (0.4 if salt else 0.3)
    away = np.zeros(shape, bool)
    away[inside] = True
    assert np.mean((sample.image - blurred)[bright & away]) == pytest.approx(0, abs=0.01)
    # At the border the image holds light from beyond the field, which the blurred truth lacks.
    assert np.mean((sample.image - blurred)[~away]) > 0.02
