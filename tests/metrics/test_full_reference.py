"""The metrics against values that can be worked out by hand, and against plain restatements."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.fft import dct
from skimage.metrics import structural_similarity

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.metrics.full_reference import (
    mutual_information,
    psnr,
    rmse,
    spectral_mutual_information,
    ssim,
)
from napari_selfdeconv.metrics.scores import evaluate

METRICS = [psnr, ssim, rmse, mutual_information, spectral_mutual_information]


@pytest.fixture
def pair():
    random = np.random.default_rng(3)
    truth = random.random((48, 40)).astype(np.float32)
    noisy = np.clip(truth + 0.1 * random.standard_normal(truth.shape), 0, 1).astype(np.float32)
    return noisy, truth


def information_by_loops(a, b, bins=256):
    """I(a; b) / H(a, b) from the definition, with the joint histogram counted one pixel at a time."""

    def bin_of(values):
        values = values.ravel().astype(float)
        scaled = (values - values.min()) / (values.max() - values.min()) * bins
        return np.minimum(scaled.astype(int), bins - 1)

    joint: dict[tuple[int, int], int] = {}
    for i, j in zip(bin_of(a), bin_of(b), strict=True):
        joint[i, j] = joint.get((i, j), 0) + 1
    n = sum(joint.values())
    left: dict[int, int] = {}
    right: dict[int, int] = {}
    for (i, j), count in joint.items():
        left[i] = left.get(i, 0) + count
        right[j] = right.get(j, 0) + count
    mutual = sum(c / n * math.log2(c * n / (left[i] * right[j])) for (i, j), c in joint.items())
    entropy = -sum(c / n * math.log2(c / n) for c in joint.values())
    return mutual / entropy


@pytest.mark.parametrize("shape", [(16, 16), (8, 9, 10)])
def test_a_constant_error_of_a_tenth(shape):
    truth = np.linspace(0, 0.9, math.prod(shape)).reshape(shape)
    assert psnr(truth + 0.1, truth) == pytest.approx(20.0, abs=1e-9)
    assert rmse(truth + 0.1, truth) == pytest.approx(0.1, abs=1e-12)


def test_equal_images(pair):
    _, truth = pair
    assert psnr(truth, truth) == math.inf
    assert rmse(truth, truth) == 0
    assert ssim(truth, truth) == 1
    assert mutual_information(truth, truth) == pytest.approx(1, abs=1e-12)
    assert spectral_mutual_information(truth, truth) == pytest.approx(1, abs=1e-12)


def test_ssim_of_two_constant_images_is_its_luminance_term():
    # With no variance only (2 a b + c1) / (a^2 + b^2 + c1) is left, c1 = 0.01^2.
    a, b = 0.5, 0.25
    expected = (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4)
    assert ssim(np.full((9, 9, 9), a), np.full((9, 9, 9), b)) == pytest.approx(expected, abs=1e-9)


def test_ssim_is_scikit_image_on_the_whole_volume():
    random = np.random.default_rng(0)
    a, b = random.random((2, 9, 12, 11)).astype(np.float32)
    assert ssim(a, b) == pytest.approx(structural_similarity(b, a, data_range=1.0), abs=1e-12)


@pytest.mark.parametrize(("depth", "window"), [(3, 3), (5, 5), (6, 5), (7, 7), (20, 7)])
def test_ssim_window_shrinks_for_a_thin_stack(depth, window):
    a, b = np.random.default_rng(1).random((2, depth, 20, 20))
    assert ssim(a, b) == pytest.approx(structural_similarity(b, a, data_range=1.0, win_size=window))


def test_ssim_of_two_planes_is_refused():
    with pytest.raises(ConfigError, match="at least 3 voxels along every axis"):
        ssim(np.zeros((2, 20, 20)), np.ones((2, 20, 20)))


def test_mutual_information_of_four_pixels():
    # Joint histogram: (0, 0) twice, (1, 0) and (1, 1) once each: H = 1.5 bit, H(a) = 1, H(b) = 0.811278.
    a = np.array([[0.0, 0.0], [1.0, 1.0]])
    b = np.array([[0.0, 0.0], [0.0, 1.0]])
    h_b = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert mutual_information(a, b) == pytest.approx((1 + h_b - 1.5) / 1.5, abs=1e-12)


def test_mutual_information_equals_the_definition(pair):
    noisy, truth = pair
    assert mutual_information(noisy, truth) == pytest.approx(information_by_loops(noisy, truth), abs=1e-12)


def test_mutual_information_ignores_scale_and_offset(pair):
    noisy, truth = pair
    same = mutual_information(4 * noisy.astype(float) - 2, truth)
    assert same == pytest.approx(mutual_information(noisy.astype(float), truth), abs=1e-12)


def test_mutual_information_with_a_constant_is_zero(pair):
    _, truth = pair
    assert mutual_information(np.full_like(truth, 0.5), truth) == pytest.approx(0, abs=1e-12)
    assert mutual_information(np.zeros((4, 4)), np.ones((4, 4))) == 0


@pytest.mark.parametrize("shape", [(24, 20), (6, 8, 10)])
def test_spectral_information_is_that_of_the_cosine_transforms(shape):
    a, b = np.random.default_rng(5).random((2, *shape))
    b = a + 0.01 * b
    spectra = []
    for image in (a, b):
        spectrum = image / math.sqrt((image**2).sum())
        for axis in range(image.ndim):
            spectrum = dct(spectrum, axis=axis)
        spectra.append(spectrum)
    expected = information_by_loops(*spectra)
    assert spectral_mutual_information(a, b) == pytest.approx(expected, abs=1e-12)


def test_evaluate_clips_the_result_and_not_the_truth():
    truth = np.linspace(0, 1, 400).reshape(20, 20)
    result = truth.copy()
    result[0, 0], result[-1, -1] = -5, 7
    assert evaluate(result, truth)["rmse"] == 0
    assert rmse(result, truth) > 0


def test_evaluate_gives_every_metric_of_the_clipped_result(pair):
    noisy, truth = pair
    wild = noisy * 1.5 - 0.2
    clipped = np.clip(wild, 0, 1)
    assert evaluate(wild, truth) == {
        "psnr": psnr(clipped, truth),
        "ssim": ssim(clipped, truth),
        "mi": mutual_information(clipped, truth),
        "smi": spectral_mutual_information(clipped, truth),
        "rmse": rmse(clipped, truth),
    }


def test_evaluate_leaves_a_truth_inside_zero_to_one_alone(pair):
    noisy, truth = pair
    crop = 0.2 + 0.5 * truth
    assert evaluate(noisy, crop)["psnr"] == psnr(noisy, crop)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_evaluate_rescales_a_truth_of_whole_numbers_as_the_benchmark_does(pair, dtype):
    noisy, truth = pair
    stored = (truth * 200 + 10).astype(dtype)
    as_float = stored.astype(np.float32)
    scaled = (as_float - as_float.min()) / (as_float.max() - as_float.min())
    assert evaluate(noisy, stored)["psnr"] == psnr(noisy, scaled)
    assert evaluate(stored, stored)["psnr"] == math.inf


def test_evaluate_scores_a_black_result(pair):
    _, truth = pair
    scores = evaluate(np.zeros_like(truth), truth)
    assert scores["mi"] == 0
    assert scores["smi"] == 0
    assert all(math.isfinite(value) for value in scores.values())


@pytest.mark.parametrize("metric", [*METRICS, evaluate])
def test_shapes_must_match(metric):
    with pytest.raises(ConfigError, match=r"same shape, got \(8, 8\) and \(8, 9\)"):
        metric(np.zeros((8, 8)), np.ones((8, 9)))


@pytest.mark.parametrize(
    ("result", "truth", "message"),
    [
        (np.zeros(9), np.ones(9), "2D or 3D"),
        (np.zeros((2, 2, 9, 9)), np.ones((2, 2, 9, 9)), "2D or 3D"),
        (np.zeros((0, 9)), np.zeros((0, 9)), "2D or 3D"),
        (np.full((9, 9), np.nan), np.ones((9, 9)), "81 values that are NaN or infinite"),
        (np.zeros((9, 9), complex), np.ones((9, 9)), "real numbers"),
    ],
)
def test_what_is_no_image_is_refused(result, truth, message):
    with pytest.raises(ConfigError, match=message):
        psnr(result, truth)


def test_evaluate_refuses_what_it_cannot_scale():
    ramp = np.arange(81).reshape(9, 9)
    with pytest.raises(ConfigError, match="the result has whole numbers"):
        evaluate(ramp, ramp / 80)
    with pytest.raises(ConfigError, match="the truth is constant"):
        evaluate(ramp / 80, np.full((9, 9), 3))


@pytest.mark.parametrize(("low", "high"), [(0, 255), (100, 4095), (0, 65535)])
def test_a_result_in_counts_scores_the_same_by_every_way(low, high):
    from napari_selfdeconv._gui.runs.compare import against_truth

    random = np.random.default_rng(0)
    unit = random.random((40, 40))
    truth = np.round(low + (high - low) * unit).astype(np.uint16)
    result = (truth + random.normal(0, 0.05 * (high - low), truth.shape)).astype(np.float32)
    scores = evaluate(result, truth)
    assert scores["psnr"] == pytest.approx(26, abs=1)
    assert scores == evaluate(result, truth, units="truth") == against_truth(result, ("truth", truth))
    lowest, highest = float(truth.min()), float(truth.max())
    on_unit_scale = ((result - lowest) / (highest - lowest)).astype(np.float32)
    assert evaluate(on_unit_scale, truth)["psnr"] == pytest.approx(scores["psnr"], abs=0.01)
