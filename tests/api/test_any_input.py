"""Residual and scores of whatever array and voxel size is given: an answer, or one sentence."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from napari_selfdeconv import api
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.images import write_ome_tiff
from napari_selfdeconv.physics.blur import Blur
from selfdeconv_tools.cases import cases

IMAGE = np.random.default_rng(0).random((16, 18))
PSF = np.ones((3, 3))
CALLS = {
    "residual": lambda result, image=IMAGE, psf=PSF: api.residual(image, result, psf),
    "scores": lambda result, image=IMAGE, psf=PSF: api.evaluate_without_truth(result, image, psf),
}
NO_IMAGE = {
    "None": None,
    "text": "x",
    "a dictionary": {},
    "1D": np.ones(5),
    "0D": np.array(3.0),
    "4D": np.ones((2, 2, 2, 2)),
    "empty": np.zeros((0, 18)),
    "empty along x": np.zeros((16, 0)),
    "NaN": IMAGE * np.nan,
    "complex": IMAGE + 1j,
    "ragged": [[1], [2, 3]],
    "beyond float32": IMAGE * 1e300,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("case", NO_IMAGE)
def test_a_result_that_is_none_is_refused(call, case):
    with pytest.raises(ConfigError) as caught:
        CALLS[call](NO_IMAGE[case])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("case", [case for case in NO_IMAGE if case != "beyond float32"])
@pytest.mark.parametrize("what", ["image", "psf"])
def test_an_image_or_a_psf_that_is_none_is_refused(call, case, what):
    with pytest.raises(ConfigError):
        CALLS[call](IMAGE, **{what: NO_IMAGE[case]})


@pytest.mark.parametrize("call", CALLS)
def test_memory_layout_does_not_matter(call):
    result = IMAGE.astype(np.float32)
    layouts = (
        result[::-1, ::-1].copy()[::-1, ::-1],
        np.asfortranarray(result),
        result.astype(">f4"),
        result.tolist(),
        np.broadcast_to(result, result.shape),  # read-only
    )
    for other in layouts:
        for name, value in (("result", other), ("image", other)):
            given_ = {"result": result, "image": IMAGE.astype(np.float32), name: value}
            expected = CALLS[call](result, image=IMAGE.astype(np.float32))
            found = CALLS[call](given_["result"], image=given_["image"])
            if call == "residual":
                np.testing.assert_array_equal(found, expected)
            else:
                assert found == pytest.approx(expected)
    mirrored = CALLS[call](result, psf=np.array([[0.0, 1, 2]])[:, ::-1])
    assert mirrored is not None


@pytest.mark.parametrize(
    "voxel", [(0, 0), (np.nan, 1), (1,), (), ("a", "b"), (-1, -1), 3, (1, 1, 1), (None, None), (1e9, 1)]
)
def test_a_voxel_size_that_is_none_is_refused(voxel):
    with pytest.raises(ConfigError, match="voxel_um"):
        api.evaluate_without_truth(IMAGE, IMAGE, PSF, voxel)


def test_an_image_of_two_pixels_has_scores():
    image = np.array([[1.0, 2.0]])
    found = api.evaluate_without_truth(image, image, np.ones((1, 1)))
    assert found["residual_rms"] == 0
    assert np.isnan(found["frc_resolution"])


@pytest.mark.parametrize("boundary", ["reflect", "replicate", "zero"])
def test_blurring_an_empty_image_ends(boundary):
    """The mirror image of nothing was put beside it again and again."""
    for shape in ((1, 1, 0, 4), (1, 1, 4, 0)):
        for call in (Blur(PSF, boundary=boundary), Blur(PSF, boundary=boundary).adjoint):
            with pytest.raises(ConfigError, match="the image is empty"):
                call(torch.zeros(shape))


@pytest.mark.parametrize("case", ["None", "text", "a dictionary", "complex", "ragged"])
def test_what_is_no_image_is_not_written(tmp_path, case):
    with pytest.raises(ConfigError):
        write_ome_tiff(tmp_path / "a.tif", NO_IMAGE[case])
    assert not list(tmp_path.iterdir())


@cases(250)
@given(
    result=st_numpy.arrays(
        st.sampled_from([np.float32, np.float64, np.uint8, np.int32, np.bool_, np.complex64]),
        st.sampled_from([(5, 4), (4, 5), (2, 3, 4), (0, 4), (4,), (1, 1), (5, 1)]),
    ),
    same=st.booleans(),
    psf=st_numpy.arrays(np.float32, st_numpy.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3)),
)
def test_any_arrays_give_finite_numbers_or_one_sentence(result, same, psf):
    image = np.abs(result) if same else np.arange(20.0).reshape(5, 4)
    for call in CALLS.values():
        try:
            found = call(result, image=image, psf=psf)
        except ConfigError as error:
            message = str(error)
            assert "\n" not in message
            continue
        if isinstance(found, dict):
            del found["frc_resolution"]
            assert np.isfinite(list(found.values())).all()
        else:
            assert np.isfinite(found).all()
