"""The forward model: a convolution, its exact adjoint, and FFT equal to direct."""

import threading

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from napari_selfdeconv.physics import blur as blur_module
from napari_selfdeconv.physics import fft
from napari_selfdeconv.physics.blur import Blur, smooth_size
from napari_selfdeconv.physics.wiener import wiener_kernel

# (image shape, PSF shape): odd, even, non-cubic, and a PSF wider than the image.
CASES = [((20, 31), (5, 8)), ((9, 12), (7, 3)), ((6, 9, 11), (13, 4, 3)), ((5, 8, 7), (3, 5, 2)), ((6, 7), (1, 1))]
METHODS = ["fft", "direct"]
BOUNDARIES = ["reflect", "replicate", "zero"]


def lopsided(shape, seed=0):
    return np.random.default_rng(seed).random(shape)


def tensor(shape, seed=1, dtype=torch.float64):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))[None, None].to(dtype)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("shape", "size"), CASES)
def test_is_scipys_convolution(shape, size, boundary, method):
    x, psf = tensor(shape), lopsided(size)
    mode = {"reflect": "reflect", "replicate": "nearest", "zero": "constant"}[boundary]
    expected = convolve(x[0, 0].numpy(), psf, mode=mode)
    result = Blur(psf, boundary=boundary, method=method)(x)[0, 0].numpy()
    np.testing.assert_allclose(result, expected, atol=1e-12 * psf.sum() * 10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("shape", "size"), CASES)
def test_adjoint_by_the_dot_test(shape, size, boundary, method):
    blur = Blur(lopsided(size), boundary=boundary, method=method)
    x, y = tensor(shape, 1), tensor(shape, 2)
    left, right = (blur(x) * y).sum(), (x * blur.adjoint(y)).sum()
    assert abs(left - right) <= 1e-10 * blur(x).norm() * y.norm()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(12, 9), (6, 9, 5)])
def test_gradient_is_the_adjoint_and_passes_gradcheck(shape, method):
    blur = Blur(lopsided([3, 4, 2][: len(shape)]), method=method)
    x = tensor(shape).requires_grad_()
    assert torch.autograd.gradcheck(blur, (x,))
    assert torch.autograd.gradgradcheck(blur, (x,))


@pytest.mark.parametrize("shape", [(40, 33), (12, 20, 17)])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_fft_equals_direct_in_float32(shape, boundary):
    psf = lopsided([9, 6, 5][-len(shape) :])
    psf /= psf.sum()
    x = tensor(shape, dtype=torch.float32)
    results = [Blur(psf, boundary=boundary, method=m)(x) for m in METHODS]
    assert (results[0] - results[1]).abs().max() < 1e-5


def test_direction_and_centre_with_a_lopsided_psf():
    psf = np.zeros((3, 5))
    psf[1, 4] = 1.0  # two voxels right of the centre 5 // 2
    x = torch.zeros(1, 1, 7, 9)
    x[..., 3, 3] = 1
    for method in METHODS:
        y = Blur(psf, method=method)(x)[0, 0]
        assert np.unravel_index(int(y.argmax()), y.shape) == (3, 5)


@pytest.mark.parametrize("size", [(5, 5), (4, 6), (3, 4)])
def test_flipped_is_the_correlation(size):
    psf = lopsided(size)
    x = torch.zeros(1, 1, 15, 15, dtype=torch.float64)
    x[..., 7, 7] = 1
    there = Blur(psf)(x)[0, 0].numpy()
    back = Blur(psf).flipped()(x)[0, 0].numpy()
    np.testing.assert_allclose(back, there[::-1, ::-1], atol=1e-14)


@pytest.mark.parametrize("boundary", ["reflect", "replicate"])
def test_a_unit_sum_psf_keeps_a_constant(boundary):
    psf = lopsided((5, 4, 7))
    x = torch.full((1, 1, 6, 7, 8), 3.0)
    y = Blur(psf / psf.sum(), boundary=boundary)(x)
    assert (y - 3).abs().max() < 1e-5


@pytest.mark.parametrize("method", METHODS)
def test_float32_whatever_the_autocast(method):
    blur = Blur(lopsided((5, 5)), method=method)
    x = tensor((16, 16), dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, half = blur(x), blur(x.bfloat16())
    assert inside.dtype == half.dtype == torch.float32
    assert torch.equal(inside, blur(x))


def test_batch_and_channels_are_independent():
    blur = Blur(lopsided((5, 5)))
    x = torch.randn(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(blur(x)[1, 2], blur(x[1:, 2:])[0, 0])


def test_the_transfer_function_is_computed_once_per_shape(monkeypatch):
    blur, calls = Blur(lopsided((9, 9)), method="fft"), []
    monkeypatch.setattr(blur_module, "transfer_function", lambda *a: calls.append(1) or fft.transfer_function(*a))
    for shape in [(16, 16), (16, 16), (20, 16), (16, 16)]:
        blur(tensor(shape))
        blur.adjoint(tensor(shape))
    assert len(calls) == 2


def test_smooth_sizes():
    for n in range(1, 400):
        m = smooth_size(n)
        rest = m
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        assert rest == 1
        assert m >= n
    assert smooth_size(348 + 16) == 375  # not 512


def test_wiener_kernel_is_the_wiener_filter():
    y, x = np.mgrid[-6:7, -6:7]
    psf = np.exp(-(x**2 + (y - 0.7) ** 2) / 4)
    psf /= psf.sum()
    kernel = wiener_kernel(psf, 0.1, energy=0.99999)
    assert all(n % 2 for n in kernel.shape)
    image = np.random.default_rng(0).standard_normal((96, 96))
    circular = torch.from_numpy(np.pad(image, 48, mode="wrap"))[None, None]
    got = Blur(kernel)(circular)[0, 0, 48:-48, 48:-48].numpy()
    otf = np.fft.fft2(np.roll(np.pad(psf, ((0, 83), (0, 83))), (-6, -6), (0, 1)))
    expected = np.fft.ifft2(np.fft.fft2(image) * otf.conj() / (abs(otf) ** 2 + 0.1)).real
    assert np.abs(got - expected).max() < 0.01 * np.abs(expected).max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("shape", "size"), CASES[:4])
def test_in_place_both_ways(shape, size, boundary, method):
    blur, x = Blur(lopsided(size), boundary=boundary, method=method), tensor(shape)
    for mirrored, expected in ((False, blur(x)), (True, blur.flipped()(x))):
        there = x.clone()
        blur.into(there, there, mirrored=mirrored)
        torch.testing.assert_close(there, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize(("shape", "size"), CASES[:4])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_large_volume_goes_axis_by_axis_to_the_same_numbers(shape, size, boundary, monkeypatch):
    blur, x = Blur(lopsided(size), method="fft", boundary=boundary), tensor(shape)[:1, :1]
    there, back = blur(x), blur.into(x, torch.empty_like(x), mirrored=True)
    monkeypatch.setattr(blur_module, "_LARGE", 0)
    monkeypatch.setattr(fft, "_CHUNK_SIZE", 100)
    monkeypatch.setattr(fft, "_COLUMNS", 100)
    again = Blur(lopsided(size), method="fft", boundary=boundary)
    torch.testing.assert_close(again(x), there, atol=1e-10, rtol=0)
    torch.testing.assert_close(again.into(x, torch.empty_like(x), mirrored=True), back, atol=1e-10, rtol=0)
    inside = x.clone()
    again.into(inside, inside)
    torch.testing.assert_close(inside, there, atol=1e-10, rtol=0)
    # The gradient goes through the other way.
    x = x.clone().requires_grad_()
    again(x).sum().backward()
    torch.testing.assert_close(x.grad, again.adjoint(torch.ones_like(x)), atol=1e-10, rtol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("large", "threads"), [(0, 1), (0, 3), (10**9, 1)])
def test_what_is_done_to_each_part_is_done_to_all(method, large, threads, monkeypatch):
    monkeypatch.setattr(blur_module, "_LARGE", large)
    monkeypatch.setattr(fft, "_CHUNK_SIZE", 100)
    monkeypatch.setattr(fft, "_SMALL", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    blur, x = Blur(lopsided((3, 4, 5)), method=method), tensor((9, 8, 11))[:1, :1]
    expected, seen = blur(x) * x + 1, []

    def then(part, where):
        part *= blur_module.bare(x)[where]
        part += 1
        seen.extend(range(9)[where])
        here.add(threading.current_thread() is threading.main_thread())

    here = set()
    there = x.clone()
    blur.into(there, there, then=then)
    torch.testing.assert_close(there, expected, atol=1e-10, rtol=0)
    assert sorted(seen) == list(range(9))
    assert here == {method != "fft" or threads == 1}


def test_the_transfer_function_is_the_fourier_transform():
    psf = lopsided((3, 4, 5))
    found = fft.transfer_function(psf, (6, 7, 8), np.complex128)
    np.testing.assert_allclose(found, np.fft.rfftn(psf, (6, 7, 8), axes=(0, 1, 2)), atol=1e-12)


@pytest.mark.parametrize("error", [MemoryError(), OSError("can't start new thread"), SystemExit(1)])
def test_what_ends_a_thread_of_a_transform_reaches_the_caller_and_the_next_one_works(error, monkeypatch):
    monkeypatch.setattr(blur_module, "_LARGE", 0)
    blur, x = Blur(lopsided((9, 9)), method="fft"), tensor((40, 50))[:1, :1]
    expected = blur(x)
    threads = threading.active_count()

    def broken(*_args, **_settings):
        raise error

    with monkeypatch.context() as only_now:
        only_now.setattr(fft.scipy.fft, "rfft", broken)
        with pytest.raises(type(error)):
            blur(x)
    assert threading.active_count() == threads
    assert torch.equal(blur(x), expected)
