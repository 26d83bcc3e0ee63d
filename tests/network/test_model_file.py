"""Model files: nothing is built before the settings, the PSF and the sizes in the file have been checked."""

import json
import time

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.network import model_file
from napari_selfdeconv.network.model import Model, build_network
from napari_selfdeconv.network.model_file import load_model, save_model
from selfdeconv_tools.cases import cases

FUZZ = cases(200)
PSF = np.full((3, 3), 1 / 9, np.float32)
CONFIG = preset(
    "quick", 2, pretrained=False, features=2, levels=2, inverse_channels=(), weight_interpolation=False
)

WIDE = CONFIG.replace(features=1024)


@pytest.fixture
def path(tmp_path):
    network = build_network(CONFIG, PSF)
    save_model(
        tmp_path / "m.safetensors",
        Model(config=CONFIG, psf=PSF, network=network.eval(), voxel_um=(0.1, 0.2), provenance={"seed": 1}),
    )
    return tmp_path / "m.safetensors"


def parts_of(path):
    with safetensors.safe_open(path, framework="pt") as file:
        return dict(file.metadata()), {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118


def rewrite(path, header, tensors):
    path.write_bytes(safetensors.torch.save(tensors, header))


def refusal(path):
    """What a file is refused with, "" if it is loaded."""
    try:
        load_model(path)
    except ConfigError as error:
        return str(error)
    return ""


def test_a_good_file_is_loaded_as_it_was_saved(path):
    model = load_model(path)
    assert model.voxel_um == (0.1, 0.2)
    assert model.provenance == {"seed": 1}
    np.testing.assert_array_equal(model.psf, PSF)
    assert model.psf.flags.owndata  # not a view of the file, which may be cut later


def test_a_file_that_is_cut_later_does_not_matter(path):
    model = load_model(path)
    path.write_bytes(b"")
    assert float(model.psf.sum()) == pytest.approx(1)
    assert all(bool(torch.isfinite(value).all()) for value in model.network.state_dict().values())


HEADERS = {
    "1024 features": ("config", json.dumps(WIDE.to_dict()), "its settings ask for"),
    "six levels": ("config", json.dumps(WIDE.replace(levels=6).to_dict()), "its settings ask for"),
    "7 levels": ("config", '{"levels": 7}', "levels must be a whole number from 1 to 6"),
    "many channels": ("config", json.dumps({"inverse_channels": [0.1] * 20_000}), "at most 16 entries, got 20000"),
    "no settings": ("config", "null", "it has no names and values"),
    "deep settings": ("config", '{"a":' * 100_000, "nested too deep"),
    "deep value": ("config", '{"seed":' + "[" * 900 + "]" * 900 + "}", "seed must be a whole number"),
    "settings are text": ("config", '"quick"', "it has no names and values"),
    "unknown setting": ("config", json.dumps({"a" * 100_000: 1}), "unknown setting"),
    "a channel is text": ("config", '{"inverse_channels": ["a"]}', "inverse_channels must be a number"),
    "voxels of 0": ("voxel_um", "[0, 1]", "voxel_um must be a number above 0"),
    "voxels of NaN": ("voxel_um", "[NaN, 1]", "voxel_um must be a number above 0"),
    "three voxel sizes": ("voxel_um", "[1, 1, 1]", "voxel_um must have 2 entries"),
    "voxels in words": ("voxel_um", '"small"', "voxel_um must be a tuple"),
    "no voxel size": ("voxel_um", "", "its voxel size cannot be read"),
    "provenance is a list": ("provenance", "[1]", "its provenance cannot be read"),
    "provenance is broken": ("provenance", "{", "its provenance cannot be read"),
    "another format": ("format", "other", "is not a model file this version reads"),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_no_training_writes(path, case):
    name, value, words = HEADERS[case]
    header, tensors = parts_of(path)
    rewrite(path, {**header, name: value}, tensors)
    started = time.perf_counter()
    found = refusal(path)
    assert words in found
    assert "\n" not in found
    assert len(found) < 600
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("name", ["config", "voxel_um", "provenance", "format"])
def test_a_header_without_one_of_its_parts(path, name):
    header, tensors = parts_of(path)
    del header[name]
    rewrite(path, header, tensors)
    assert refusal(path)


def test_nothing_is_built_for_settings_that_do_not_fit(path, monkeypatch):
    def built(*_args):
        raise AssertionError("a network was built")

    monkeypatch.setattr(model_file, "Deconvolver", built)
    header, tensors = parts_of(path)
    rewrite(path, {**header, "config": HEADERS["six levels"][1]}, tensors)
    assert path.stat().st_size < 17_000
    assert "its settings ask for" in refusal(path)


def changed(psf, where=(1, 1), value=0.0):
    psf = psf.clone()
    psf[where] = value
    return psf


PSFS = {
    "NaN": (lambda p: changed(p, value=float("nan")), "NaN or infinite"),
    "zero": (lambda p: p * 0, "every voxel of the PSF is 0"),
    "negative": (lambda p: changed(p, value=-1.0), "negative"),
    "sum 7": (lambda p: p * 7, "the sum of its PSF is 7, not 1"),
    "tiny sum": (lambda p: p * 1e-30, "not 1"),
    "1D": (lambda p: p.flatten(), "2D or 3D"),
    "float64": (lambda p: p.double(), "float32"),
    "whole": (lambda p: (p * 9).int(), "float32"),
    "empty": (lambda p: p[:0], "no empty one"),
    "3D": (lambda p: p[None].clone(), "its settings ask for"),
}


@pytest.mark.parametrize("case", PSFS)
def test_a_psf_that_is_none(path, case):
    change, words = PSFS[case]
    header, tensors = parts_of(path)
    three = {**header, "voxel_um": "null"}
    rewrite(path, three, {**tensors, "psf": change(tensors["psf"])})
    assert words in refusal(path)


def test_weights_that_are_none(path):
    header, tensors = parts_of(path)
    first = next(name for name in tensors if name.endswith("weight"))
    variance = next(name for name in tensors if name.endswith("running_var"))
    for name, value, words in (
        (first, tensors[first] * float("nan"), "NaN or infinite"),
        (variance, -tensors[variance], "negative variances"),
        (first, tensors[first].double(), "float64"),
        (first, tensors[first][:1], "of shape"),
        ("network.more", torch.zeros(1), "do not ask for"),
    ):
        rewrite(path, header, {**tensors, name: value.contiguous()})
        assert words in refusal(path)
    rewrite(path, header, {name: value for name, value in tensors.items() if name != first})
    assert "does not hold" in refusal(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(sorted({*CONFIG.to_dict(), *CONFIG.to_dict()["network"], "loss", "steps", "tile"}))


@FUZZ
@given(name=NAMES, inner=st.none() | NAMES, value=JSON)
def test_any_value_of_a_setting_is_taken_or_refused_in_one_line(name, inner, value):
    values = CONFIG.to_dict()
    values[name] = value if inner is None else {inner: value}
    try:
        TrainConfig.from_dict(values)
    except ConfigError as error:
        found = str(error)
        assert "\n" not in found
        assert len(found) < 600


@FUZZ
@given(name=st.sampled_from(["config", "voxel_um", "provenance"]), value=JSON | st.text(max_size=20))
def test_any_header_is_loaded_or_refused_in_one_line(path, name, value):
    header, tensors = parts_of(path)
    rewrite(path, {**header, name: json.dumps(value)}, tensors)
    assert "\n" not in refusal(path)
    rewrite(path, header, tensors)


@FUZZ
@given(data=st.data())
def test_any_damaged_bytes_are_loaded_or_refused_in_one_line(path, data):
    good = path.read_bytes()
    broken = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        # The first bytes say how long the header is; most of the rest is the header.
        place = data.draw(st.integers(0, 8) | st.integers(0, len(broken) - 1))
        broken[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.just(len(broken)) | st.integers(0, len(broken)))
    path.write_bytes(bytes(broken[:end]))
    assert "\n" not in refusal(path)
    path.write_bytes(good)
