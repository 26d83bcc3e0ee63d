"""Whatever small image and PSF are given: a finite result with the image's light, or one sentence."""

from __future__ import annotations

import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from napari_selfdeconv import api
from napari_selfdeconv.api import METHODS, Classical
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.psf.validate import check_psf
from selfdeconv_tools.cases import cases

FEW = {"iterations": 2, "regularisation": 0.05}
SHAPES = st.sampled_from([(4, 5), (1, 6), (2, 3, 4), (6, 1), (5, 5)])
DTYPES = st.sampled_from([np.uint8, np.int16, np.uint16, np.float32, np.float64, np.int64])
EXTREME = [0.0, 1.0, -1.0, 1e30, -1e30, 1e-30, 1e37, 1e-38, 1e300, 5e-324, np.nan, np.inf, 1e15]


def method_of(name, boundary):
    own = METHODS[name]
    given_ = {key: value for key, value in FEW.items() if getattr(own, key) is not None}
    return Classical(method=name, boundary=boundary, **given_)


def run(image, psf, method):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return api.classical_method(image, psf, method, device_name="cpu").image


@cases(350)
@given(seed=st.integers(0, 2**40), shape=SHAPES, name=st.sampled_from(sorted(METHODS)), dtype=DTYPES)
def test_any_small_image_is_deconvolved_or_refused(seed, shape, name, dtype):
    dice = np.random.default_rng(seed)
    image = dice.choice([0, 1, 7, 200], shape).astype(dtype)
    if np.dtype(dtype).kind == "f":
        odd = dice.random(shape) < dice.choice([0, 0.1, 1], p=[0.4, 0.2, 0.4])
        # Of one size now and then, so that they can be used.
        extreme = dice.choice(EXTREME if dice.random() < 0.5 else dice.choice(EXTREME, 2), shape)
        with np.errstate(all="ignore"):
            image = np.where(odd, extreme, image).astype(dtype)
    size = (1,) * len(shape) if dice.random() < 0.5 else (3,) * len(shape)
    psf = dice.random(size)
    method = method_of(name, dice.choice(METHODS[name].boundaries))
    try:
        result = run(image, psf, method)
    except ConfigError as error:
        message = str(error)
        assert "\n" not in message
        return
    assert result.shape == shape
    assert result.dtype == np.float32
    assert np.isfinite(result).all()


@cases(150)
@given(
    seed=st.integers(0, 999), exponent=st.integers(-95, 90), name=st.sampled_from(sorted(METHODS)),
    dtype=st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
def test_another_unit_is_another_unit_of_the_result(seed, exponent, name, dtype):
    image = np.random.default_rng(seed).integers(1, 200, (6, 7)).astype(dtype)
    psf = np.random.default_rng(seed + 1).random((3, 3))
    method = method_of(name, METHODS[name].boundaries[0])
    plain = run(image, psf, method)
    scaled = run(np.ldexp(image, exponent), psf, method)
    np.testing.assert_allclose(
        np.ldexp(scaled.astype(float), -exponent), plain, rtol=1e-3, atol=1e-3 * np.ptp(plain)
    )


@cases(300)
@given(
    psf=st_numpy.arrays(
        st.sampled_from([np.float32, np.float64, np.uint8, np.int16, np.bool_, np.complex64]),
        st_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements=None,
    ),
    larger=st.booleans(),
)
def test_any_array_is_a_psf_or_one_sentence(psf, larger):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            kernel, notes = check_psf(psf, (3, 3), may_be_larger=larger)
        except ConfigError as error:
            message = str(error)
            assert "\n" not in message
            return
    assert abs(float(kernel.sum(dtype=np.float64)) - 1) < 1e-5
    assert kernel.min() >= 0
    assert all("\n" not in note for note in notes)
