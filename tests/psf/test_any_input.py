"""Whatever array, voxel size or grid is given: an answer at once, or one sentence that says what to do."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from napari_selfdeconv.compute import allocation
from napari_selfdeconv.compute.allocation import check_allocation
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.psf.diagnose import Context, examine_psf
from napari_selfdeconv.psf.generate import psf_for_image, richards_wolf_psf, suggest_psf_shape
from napari_selfdeconv.psf.parameters import load_parameters
from napari_selfdeconv.psf.repair import repair_psf
from selfdeconv_tools.cases import cases

OPTICS = Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33)
NO_PSF = {
    "None": None,
    "text": "x",
    "1D": np.ones(5),
    "0D": np.array(3.0),
    "4D": np.ones((2, 2, 2, 2)),
    "empty": np.zeros((0, 3)),
    "flat": np.ones((5, 5)),
    "flat but NaN": np.where(np.eye(9) > 0, np.nan, 1.0),
    "zero": np.zeros((5, 5)),
    "negative": -np.ones((5, 5)),
    "NaN": np.full((5, 5), np.nan),
    "infinite": np.full((5, 5), np.inf),
    "complex": np.ones((5, 5), complex),
    "ragged": [[1], [2, 3]],
    "objects": np.array([[None, 1]]),
    "beyond float64": np.full((5, 5), 1e308),
}


@pytest.mark.parametrize("case", NO_PSF)
def test_what_is_no_psf_is_refused(case):
    with pytest.raises(ConfigError) as caught:
        examine_psf(NO_PSF[case])
    assert "\n" not in str(caught.value)
    if "flat" not in case:
        with pytest.raises(ConfigError):
            repair_psf(NO_PSF[case], ["sum"])


@pytest.mark.parametrize(
    "context",
    [
        {"voxel_um": (0, 0)},
        {"voxel_um": (np.nan, 1)},
        {"voxel_um": "ab"},
        {"voxel_um": (130_000, 1)},
        {"image_voxel_um": (None, 1)},
        {"image_shape": (0, 0)},
        {"image_shape": (3.5, 2)},
    ],
)
def test_a_context_is_checked_when_it_is_made(context):
    with pytest.raises(ConfigError, match=next(iter(context))):
        Context(**context)


def test_a_voxel_size_for_another_number_of_axes_is_refused():
    for call in (examine_psf, lambda psf, context: repair_psf(psf, ["sum"], context)):
        with pytest.raises(ConfigError, match="voxel_um must have 2 entries"):
            call(np.eye(5), Context(voxel_um=(0.1, 0.1, 0.1)))


@pytest.mark.parametrize("keys", ["sum", [["sum"]], [None], ["nothing"]])
def test_keys_that_name_no_finding_are_refused(keys):
    with pytest.raises(ConfigError):
        repair_psf(np.eye(5), keys)


def test_a_mirrored_or_read_only_psf_is_a_psf():
    y, x = np.mgrid[-7:8, -7:8]
    psf = np.exp(-(x**2 + y**2) / 8.0).astype(np.float32)
    assert examine_psf(psf[::-1, ::-1]) == examine_psf(psf)
    psf.flags.writeable = False
    assert [finding.key for finding in examine_psf(psf)] == ["sum"]


def rounds_until_repaired(psf, context):
    """Repair what can be repaired again and again; how often that was, at most eight times."""
    for number in range(8):
        keys = [finding.key for finding in examine_psf(psf, context) if finding.fix]
        if not keys:
            return number
        psf, voxel, _ = repair_psf(psf, keys, context)
        context = Context(voxel_um=voxel, image_shape=context.image_shape, image_voxel_um=context.image_voxel_um)
    return 8


SPOTS = st.fixed_dictionaries(
    {
        "ndim": st.sampled_from([2, 3]),
        "size": st.integers(11, 24),
        "uneven": st.lists(st.integers(-2, 3), min_size=3, max_size=3),
        "off": st.lists(st.floats(-2, 2), min_size=3, max_size=3),
        "width": st.lists(st.floats(0.4, 5), min_size=3, max_size=3),
        "background": st.sampled_from([0.0, 0.01, 0.3, -0.05]),
        "noise": st.sampled_from([0.0, 0.001, 0.02]),
        "factor": st.sampled_from([1.0, 7.0, 1e-6, 1e6]),
        "nans": st.integers(0, 2),
        "seed": st.integers(0, 99),
    }
)


def spot(case):
    ndim = case["ndim"]
    sizes = [max(3, case["size"] + more) for more in case["uneven"][:ndim]]
    grid = np.meshgrid(*[np.arange(n) - n // 2 for n in sizes], indexing="ij")
    distance = sum(
        ((g - off) / width) ** 2 for g, off, width in zip(grid, case["off"], case["width"], strict=False)
    )
    random = np.random.default_rng(case["seed"])
    psf = np.exp(-distance / 2) + case["background"] + case["noise"] * random.normal(size=sizes)
    psf.flat[random.integers(0, psf.size, case["nans"])] = np.nan
    return case["factor"] * psf


@cases(250)
@given(case=SPOTS, fine=st.sampled_from([None, 0.5, 1.0, 2.5]), small=st.booleans())
def test_repair_until_nothing_is_left_takes_at_most_three_rounds(case, fine, small):
    psf = spot(case)
    voxel = (0.1,) * psf.ndim
    context = Context(
        voxel_um=None if fine is None else voxel,
        image_voxel_um=None if fine is None else tuple(fine * v for v in voxel),
        image_shape=(9,) * psf.ndim if small else None,
    )
    try:
        rounds = rounds_until_repaired(psf, context)
    except ConfigError as error:
        message = str(error)
        assert "\n" not in message
        return
    assert rounds <= 3


@cases(60)
@given(
    na=st.floats(0.3, 1.25), shape=st.tuples(st.integers(1, 13), st.integers(5, 25), st.integers(5, 25)),
    pixel=st.floats(0.05, 0.2),
)  # fmt: skip
def test_a_computed_psf_has_little_to_repair(na, shape, pixel):
    optics = Optics(na=na, wavelength_um=0.52, refractive_index=1.33)
    psf, _ = psf_for_image(optics, (2 * pixel, pixel, pixel), tuple(4 * n for n in shape))
    assert rounds_until_repaired(psf, Context()) <= 3


@cases(300)
@given(
    st_numpy.arrays(
        st.sampled_from([np.float32, np.float64, np.uint8, np.int16, np.bool_]),
        st_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6),
    )
)
def test_any_array_is_examined_and_repaired_or_refused_in_one_line(psf):
    try:
        rounds = rounds_until_repaired(psf, Context())
    except ConfigError as error:
        message = str(error)
        assert "\n" not in message
        return
    assert rounds < 8


GRIDS = {
    "a billion voxels": ((10**9, 9), (0.1, 0.1), "too large"),
    "a billion along x": ((9, 10**9), (0.1, 0.1), "too large"),
    "a billion billion": ((10**9, 10**9), (0.1, 0.1), "too large"),
    "beyond 64 bits": ((2**70, 9), (0.1, 0.1), "too large"),
    "large along each axis": ((4000, 4000, 4000), (0.1, 0.1, 0.1), "too large"),
    "130 um": ((9, 9), (130, 130), "more than 10 times .* then 0.13"),
    "130 um along y": ((9, 9), (130, 0.1), "more than 10 times"),
    "no spacing": ((9, 9), None, "spacing_um must have 2 entries"),
    "one number": ((9, 9), 3, "spacing_um must have 2 entries"),
    "text": ((9, 9), ("a", "b"), r"spacing_um \(dy\)"),
    "no shape": (None, (0.1, 0.1), "shape must hold whole numbers"),
}


@pytest.mark.parametrize("case", GRIDS)
def test_a_grid_that_is_too_large_is_refused_at_once(case):
    shape, spacing, words = GRIDS[case]
    started = time.perf_counter()
    with pytest.raises(ConfigError, match=words):
        richards_wolf_psf(shape, spacing, OPTICS)
    assert time.perf_counter() - started < 5
    if "130" in case:
        with pytest.raises(ConfigError, match=words):
            suggest_psf_shape(OPTICS, spacing, shape)


def test_what_memory_cannot_hold_is_refused_before_it_is_allocated(monkeypatch):
    monkeypatch.setattr(allocation, "free_bytes", lambda: 1_000_000)
    with pytest.raises(ConfigError, match=r"513 x 513 voxels needs about \d+ MB of memory"):
        richards_wolf_psf((513, 513), (0.1, 0.1), OPTICS)
    check_allocation("a small thing", 1000, "")
    with pytest.raises(ConfigError, match="do without"):
        check_allocation("a thing of unknown size", float("nan"), "do without")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"na": 1e-9}, "na must be a number from 0.01 to 4"),
        ({"na": None}, "na must be"),
        ({"wavelength_um": 5000}, "from 0.1 to 2, got 5000"),
        ({"wavelength_um": 520}, "then give 0.52"),
        ({"wavelength_um": 5.0}, "from 0.1 to 2"),
        ({"wavelength_um": float("nan")}, "wavelength_um"),
        ({"layers": {}}, "layers must be CoverslipLayers"),
    ],
)
def test_optics_of_no_microscope_are_refused(values, words):
    with pytest.raises(ConfigError, match=words):
        Optics(**{"na": 1.2, "wavelength_um": 0.52, "refractive_index": 1.33, **values})


@cases(150)
@given(
    na=st.floats(0.01, 1.33, exclude_max=True), wavelength=st.floats(0.1, 2.0),
    pixel=st.floats(1e-4, 1000), plane=st.floats(1e-3, 10),
    shape=st.lists(st.integers(1, 40), min_size=2, max_size=3),
)  # fmt: skip
def test_any_optics_and_grid_give_a_psf_or_one_sentence_soon(na, wavelength, pixel, plane, shape):
    optics = Optics(na=na, wavelength_um=wavelength, refractive_index=1.33)
    spacing = (plane, pixel, pixel)[-len(shape) :]
    started = time.perf_counter()
    try:
        psf, _ = psf_for_image(optics, spacing, shape)
    except ConfigError as error:
        message = str(error)
        assert "\n" not in message
    else:
        assert psf.min() >= 0
        assert psf.sum() == pytest.approx(1, abs=1e-3)
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "[" * 100_000, '{"format": 1}', "null", '{"format": "napari-selfdeconv PSF 1"}']
)
def test_a_file_of_psf_parameters_that_is_none(tmp_path, text):
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"p\.json does not hold PSF parameters"):
        load_parameters(path)
