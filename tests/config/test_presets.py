"""The presets are written out, and an override that does not fit one is refused."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from napari_selfdeconv.cli import parser
from napari_selfdeconv.config import presets
from napari_selfdeconv.config.loss_terms import LOSSES, LossWeights
from napari_selfdeconv.config.presets import COST, RANDOM_START, preset, preset_names
from napari_selfdeconv.config.training import ARCHITECTURE
from napari_selfdeconv.errors import ConfigError

FILES = sorted(Path(presets.__file__).parent.glob("*.toml"))


def test_there_is_one_file_for_each_preset_and_number_of_axes() -> None:
    assert preset_names() == ("instant", "quick", "standard", "paper", "ssi")
    assert {f.stem for f in FILES} == {f"{name}_{ndim}d" for name in preset_names() for ndim in (2, 3)}


def test_a_new_preset_is_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line and the dock read the names from the files; both had a list of their own."""
    for file in FILES:
        shutil.copy(file, tmp_path)
    for ndim in (2, 3):
        text = (tmp_path / f"standard_{ndim}d.toml").read_text("utf-8").replace("steps = 300", "steps = 7777")
        (tmp_path / f"dummy_{ndim}d.toml").write_text(text, "utf-8")
    monkeypatch.setattr(presets, "_FOLDER", tmp_path)
    presets._read.cache_clear()
    assert preset("dummy", 3).optimiser.steps == 7777
    assert preset("dummy", 3).name == "dummy"
    from napari_selfdeconv._gui.forms.train import offered

    assert "dummy" in offered()
    args = parser.make_parser().parse_args(["deconvolve", "a.tif", "--preset", "dummy", "--out", "b.tif"])
    assert vars(args)["training.preset"] == "dummy"


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", ["paper", "ssi"])
def test_learned_weights_that_do_not_fit_are_refused_at_once(name: str, ndim: int) -> None:
    features = preset("quick", ndim).network.features
    with pytest.raises(
        ConfigError, match=rf"for features={features}, .*use the preset instant, quick or standard"
    ):
        preset(name, ndim, pretrained=True)
    quick = preset("quick", ndim).network
    fits = {key: getattr(quick, key) for key in ARCHITECTURE}
    assert preset(name, ndim, pretrained=True, **fits).start.pretrained


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_says_every_setting_once(path: Path) -> None:
    written = tomllib.loads(path.read_text("utf-8"))
    random = written.pop(RANDOM_START, None)
    written.pop(COST, None)
    name, ndim = path.stem.split("_")
    config = preset(name, int(ndim[0]))
    told = config.to_dict()
    assert told.pop("name") == name
    # TOML has no None, and terms of weight 0 are left out.
    assert told["blind_spot"]["mask_percent_start"] == written["blind_spot"].setdefault("mask_percent_start")
    assert {k: v for k, v in told["loss"]["weights"].items() if v} == written["loss"]["weights"]
    told["loss"]["weights"] = written["loss"]["weights"]
    assert told == written
    assert (random is not None) == (config.start.pretrained and config.optimiser.steps > 0)
    for part, inner in (random or {}).items():
        assert all(written[part][key] != value for key, value in inner.items()), part


def test_the_papers_settings() -> None:
    two, three = preset("paper", 2), preset("paper", 3)

    def common(config: Any) -> tuple[Any, ...]:
        o, n = config.optimiser, config.network
        return (o.patch, o.batch_size, o.steps, o.learning_rate, o.halve_every, n.features, n.skip)

    assert common(two) == (128, 16, 3000, 4e-4, 500, 96, "concat")
    assert common(three) == (64, 4, 15_000, 4e-4, 2000, 48, "add")
    for config in (two, three):
        assert (config.blind_spot.mask_percent, config.blind_spot.mask_sigma) == (0.5, 0.2)
        assert not config.network.inverse_channels
        assert config.optimiser.schedule == "halving"
    assert two.loss.weights == LossWeights(rec=1.0, inv_d=2.0)
    assert three.loss.weights == LossWeights(rec=1.0, inv=2.0)
    assert preset("paper", 2, loss="noise2self").loss.weights == LossWeights(bsp=1.0)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", ["quick", "standard"])
@pytest.mark.parametrize(
    "wrong", [{"features": 32}, {"levels": 2}, {"inverse_channels": ()}, {"features": 32, "pretrained": True}]
)
def test_a_network_that_does_not_fit_the_learned_weights_is_refused(
    name: str, ndim: int, wrong: dict[str, Any]
) -> None:
    key, value = next(iter(wrong.items()))
    fits = getattr(preset(name, ndim).network, key)
    with pytest.raises(ConfigError) as caught:
        preset(name, ndim, **wrong)
    for words in (f"{key}={value!r}", f"{key}={fits!r}", "add pretrained=False"):
        assert words in str(caught.value)
    random = preset(name, ndim, **{**wrong, "pretrained": False})
    assert random == preset(name, ndim, pretrained=False).replace(**{key: value})


@pytest.mark.parametrize("ndim", [2, 3])
def test_instant_is_quick_without_steps(ndim: int) -> None:
    quick = preset("quick", ndim)
    assert preset("instant", ndim) == quick.replace(name="instant", steps=0)
    assert preset("instant", ndim, steps=quick.optimiser.steps).replace(name="quick") == quick


@pytest.mark.parametrize(
    ("asked", "words"),
    [({"pretrained": False}, "random initial weights"), ({"loss": "noise2self"}, "another loss")],
)
def test_instant_does_not_train(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=f"the preset instant does not train: for {words} use the preset quick"):
        preset("instant", 2, **asked)


def test_a_network_that_fits_may_be_named() -> None:
    assert preset("quick", 2, features=24, levels=4, inverse_channels=[0.01, 0.1, 1]) == preset("quick", 2)


def test_another_loss_asks_which_weights_to_start_from() -> None:
    with pytest.raises(ConfigError, match="pretrained=False to start from random weights, or pretrained=True"):
        preset("quick", 2, loss="noise2self")
    kept = preset("quick", 2, loss="noise2self", pretrained=True)
    assert kept == preset("quick", 2).replace(loss="noise2self")
    random = preset("quick", 2, loss="noise2self", pretrained=False)
    assert random == preset("quick", 2, pretrained=False).replace(loss=LOSSES["noise2self"].weights)
    assert not preset("paper", 3, loss="noise2self").start.pretrained


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: preset("fast", 2), "preset must be one of instant, quick, standard, paper, ssi, got 'fast'"),
        (lambda: preset("quick", 4), "ndim must be 2 or 3.*got 4"),
        (lambda: preset("quick", 2, stepz=1), "unknown setting for TrainConfig: stepz"),
        (lambda: preset("paper", 2, loss="l2"), "loss must be one of noise2self"),
        (lambda: preset("quick", 2, pretrained=0), "pretrained must be True or False, got 0"),
        (lambda: preset("quick", 2, even_border="no"), "even_border must be True or False, got 'no'"),
    ],
)
def test_a_bad_override_names_itself(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
