"""One method on every frame of a file: the same settings for all, whatever the method and however it ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_selfdeconv import api, preset
from napari_selfdeconv.api import every_frame
from napari_selfdeconv.config.template import Template
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Progress, Warned, drain
from napari_selfdeconv.restoration.methods import Classical
from napari_selfdeconv.stop_token import StopToken

PSF = np.outer([1, 3, 2], [1, 2, 1]) / 24.0
MOVIE = np.random.default_rng(0).gamma(2.0, 10.0, (2, 3, 16, 20)).astype(np.float32)
FILE = api.ImageFile(data=MOVIE, axes="CTYX", voxel_um=(0.1, 0.1))


@pytest.fixture
def psf(tmp_path: Path) -> Path:
    api.write_psf(tmp_path / "psf.tif", PSF, (0.1, 0.1))
    return tmp_path / "psf.tif"


def test_a_stop_keeps_all_frames_with_as_many_iterations(psf: Path) -> None:
    """As a stop in the first frame of a series of a network keeps all frames."""
    settings = {"method": {"name": "rl", "iterations": 40, "mask": "none"}, "psf": {"file": str(psf)}}
    stop = StopToken()

    def look(event: Any) -> None:
        if isinstance(event, Progress):
            stop.stop()

    outcome = drain(api.iter_run(FILE, Template.from_dict(settings), stop=stop), look)
    reached = outcome.provenance["iterations"]
    assert reached < 40
    kernel = api.read_psf(psf).data
    for channel, time in np.ndindex(2, 3):
        alone = api.classical_method(MOVIE[channel, time], kernel, Classical(method="rl", iterations=reached))
        np.testing.assert_array_equal(outcome.image[channel, time], alone.image)


def test_models_are_applied_in_the_tiles_and_whatever_the_method_of_the_settings(
    psf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = preset("quick", 2, steps=1, patch=16, features=2, batch_size=1, pretrained=False)
    model = api.deconvolve(MOVIE[0, 0], PSF, config).model
    seen = []
    apply = every_frame.iter_apply_model

    def applied(*arguments: Any, **options: Any) -> Any:
        seen.append(options["tiles"].tile)
        return apply(*arguments, **options)

    monkeypatch.setattr(every_frame, "iter_apply_model", applied)
    told = {"method": {"name": "rl"}, "training": {"tiles": {"tile": 48}}}
    one = api.ImageFile(data=MOVIE[0, 0], axes="YX")
    outcome = drain(api.iter_run(one, Template.from_dict(told), models=[model]))
    assert seen == [48]
    np.testing.assert_allclose(outcome.image, api.apply_model(model, MOVIE[0, 0], weights="auto"), rtol=1e-5)


def test_channels_whose_light_was_not_corrected_are_said_and_recorded(psf: Path) -> None:
    movie = np.repeat(MOVIE, 3, axis=1)
    movie[1] += 100
    movie[1, 3] -= 100
    told = {
        "method": {"name": "wiener", "regularisation": 0.1},
        "psf": {"file": str(psf)},
        "image": {"correct_light": "bleaching"},
    }
    events: list[Any] = []
    work = api.iter_run(replace(FILE, data=movie), Template.from_dict(told))
    record = drain(work, events.append).provenance["corrected_light"]
    heard = [event.message for event in events if isinstance(event, Warned)]
    (said,) = [one for one in heard if one.startswith("The light of channel 1 along time could not be measured")]
    assert record["left"] == [said]
    assert [course["channel"] for course in record["courses"]] == [0]


@pytest.mark.parametrize("name", ["rl", "model"])
def test_frames_that_cannot_be_used_do_not_end_a_series(psf: Path, name: str) -> None:
    """A network does without them, and one dark frame refused a whole movie for the others."""
    movie = MOVIE.copy()
    movie[0, 0], movie[0, 1, 3, 4], movie[1, 2] = 0, np.nan, 7
    file = replace(FILE, data=movie)
    settings: dict[str, Any] = {"method": {"iterations": 3, "mask": "none"}, "psf": {"file": str(psf)}}
    kernel, models = api.read_psf(psf).data, None
    if name == "model":
        config = preset("quick", 2, steps=1, patch=16, features=4, pretrained=False, batch_size=1, refine=False)
        models = [api.deconvolve(MOVIE[0, 0], kernel, config).model] * 2
        expected = api.apply_model(models[0], MOVIE[1, 0])
    else:
        settings["method"]["name"] = name
        expected = api.classical_method(MOVIE[1, 0], kernel, Classical(method=name, iterations=3)).image
    said: list[str] = []
    work = api.iter_run(file, Template.from_dict(settings), models=models)
    outcome = drain(work, lambda event: said.append(event.message) if isinstance(event, Warned) else None)
    np.testing.assert_array_equal(outcome.image[1, 0], expected)
    assert (outcome.image[0, 0] == 0).all()
    assert (outcome.image[1, 2] == 7).all()
    assert np.isnan(outcome.image[0, 1]).all()
    assert np.isfinite(outcome.image[0, 2]).all()
    assert outcome.provenance["nan_frames"] == [[1, 0]]
    assert "Frame 0 of channel 0 is constant and was left as it is." in said
    assert any(line.startswith("Frame 1 of channel 0 is NaN in the result: the image has 1 NaN") for line in said)
    dark = api.iter_run(replace(FILE, data=np.ones_like(MOVIE)), Template.from_dict(settings), models=models)
    with pytest.raises(ConfigError, match="the image is constant"):
        drain(dark)
