"""The flat names of settings: each has one place, those of version 0.1 among them."""

from __future__ import annotations

from typing import Any

import pytest

from napari_selfdeconv.config.flat_names import PARTS, PLACES
from napari_selfdeconv.config.loss_terms import LOSSES, LossWeights
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError

QUICK = preset("quick", 2)
#: Another value for each flat name.
CHANGES: dict[str, Any] = {
    "features": 8, "levels": 2, "skip": "add", "bn_momentum": 0.5, "inverse_channels": (0.5,),
    "mask_percent": 1.0, "mask_percent_start": 20.0, "mask_sigma": 0.1, "held_out_percent": 1.0,
    "loss": LossWeights(rec=2.0), "data_term": "square", "huber_delta": 2.0,
    "steps": 7, "batch_size": 3, "patch": 24, "learning_rate": 0.5, "schedule": "halving", "halve_every": 9,
    "augment": False, "auto_stop": False,
    "pretrained": False, "weight_interpolation": False, "trial": 0.5, "model_clipping": False,
    "far_light_training": True,
    "average_symmetries": False, "views": 2, "calibrate": False, "refine": False, "refine_border": "network",
    "even_border": False,
    "device": "cpu", "precision": "bfloat16",
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_each_flat_name_changes_its_place_and_nothing_else(name: str) -> None:
    part, inner = PLACES[name]
    changed = QUICK.replace(**{name: CHANGES[name]})
    before, after = QUICK.to_dict(), changed.to_dict()
    assert getattr(getattr(changed, part), inner) == CHANGES[name]
    before[part].pop(inner), after[part].pop(inner)
    assert before == after
    # The same as a flat dictionary, and beside nested ones.
    assert TrainConfig.from_dict({name: CHANGES[name]} | dict(held_out_percent=1.0)) == TrainConfig().replace(
        **{"held_out_percent": 1.0, name: CHANGES[name]}
    )


def test_all_names_have_a_change_to_try() -> None:
    assert set(CHANGES) == set(PLACES)
    assert {part for part, _ in PLACES.values()} == PARTS


def test_names_at_the_top_and_old_names() -> None:
    assert QUICK.replace(seed=3, boundary="replicate", name="mine").to_dict()["seed"] == 3
    new = QUICK.replace(weight_interpolation=False, model_clipping=False)
    assert QUICK.replace(blend_start=False, model_cut_off=False) == new
    assert preset("quick", 2, blend_start=False, model_cut_off=False) == new


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: QUICK.replace(stepz=1), r"unknown setting for TrainConfig: stepz \(did you mean steps\?\)"),
        (lambda: QUICK.replace(blend_start=True, weight_interpolation=True), "old name of weight_interpolation"),
        (lambda: TrainConfig.from_dict({"steps": 1, "optimiser": {"steps": 2}}), "steps is given twice"),
        (lambda: TrainConfig.from_dict({"optimiser": {"features": 2}}), "OptimiserSettings: features"),
        (lambda: TrainConfig.from_dict({"optimiser": 3}), "unknown setting for TrainConfig: optimiser"),
        (lambda: TrainConfig.from_dict({"loss": "l2"}), "loss must be one of noise2self.*got 'l2'"),
        (lambda: TrainConfig.from_dict({"loss": 3}), "weights must be LossWeights, got 3"),
        (lambda: TrainConfig.from_dict({"loss": {}}), "no other term uses the data"),
        (lambda: QUICK.replace(loss={"l2": 1}), "unknown setting for LossWeights: l2"),
        (lambda: QUICK.replace(held_out_percent=0), "held_out_percent must be above 0, got 0"),
    ],
)
def test_what_does_not_exist_or_does_not_go_together_is_refused(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


@pytest.mark.parametrize("name", LOSSES)
def test_the_name_of_a_loss_is_that_loss_at_once(name: str) -> None:
    assert TrainConfig.from_dict({"loss": name}).loss.weights == LOSSES[name].weights
    assert TrainConfig.from_dict({"loss": {"weights": name}}).loss.weights == LOSSES[name].weights
    assert QUICK.replace(loss=name).loss.weights == LOSSES[name].weights
