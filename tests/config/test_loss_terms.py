"""The terms against their formulas, their gradients, the cost of a weight of 0, and a term that is added."""

import dataclasses

import numpy as np
import pytest
import torch

from napari_selfdeconv import api
from napari_selfdeconv.cli.parser import main
from napari_selfdeconv.config import loss_terms
from napari_selfdeconv.config.loss_terms import (
    LOSS_TERMS,
    LOSSES,
    LossTerm,
    LossWeights,
    NamedLoss,
    Needs,
    Passes,
    Weight,
)
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.events import Progress, drain
from napari_selfdeconv.training.losses import compute_loss


def make(shape=(2, 1, 8, 9), seed=0, **changes):
    g = torch.Generator().manual_seed(seed)
    x, f, g_x, fm, gm = (torch.randn(shape, generator=g, dtype=torch.float64) for _ in range(5))
    mask = torch.rand(shape, generator=g) < 0.2
    values = dict(
        x=x, mask=mask, f_x=f, g_x=g_x, f_masked=fm, g_masked=gm, low=-1.0, high=2.0, reference=x, simulated=f
    )
    return Passes(**{**values, **changes})


@pytest.mark.parametrize("shape", [(2, 1, 8, 9), (1, 1, 4, 5, 6)])
def test_terms_are_their_formulas(shape):
    p = make(shape)
    j = p.mask
    torch.testing.assert_close(loss_terms.blind_spot(p), ((p.g_masked - p.x)[j] ** 2).mean())
    torch.testing.assert_close(loss_terms.reconstruction(p), ((p.g_x - p.x) ** 2).mean())
    torch.testing.assert_close(loss_terms.invariance(p), ((p.g_x - p.g_masked)[j] ** 2).mean().sqrt())
    torch.testing.assert_close(loss_terms.invariance_deconvolved(p), ((p.f_x - p.f_masked)[j] ** 2).mean().sqrt())
    # In units of the image's range, where min = 0 and max = 1.
    unit = (p.g_x - p.low) / (p.high - p.low)
    torch.testing.assert_close(loss_terms.bound(p), ((0 - unit).abs() + (unit - 1).abs()).mean())
    unit = (p.f_x - p.low) / (p.high - p.low)
    torch.testing.assert_close(loss_terms.bound_deconvolved(p), ((0 - unit).abs() + (unit - 1).abs()).mean())


def test_the_anchor_is_the_distance_from_the_start():
    p = make()
    torch.testing.assert_close(loss_terms.anchor(p), ((p.f_x - p.x) ** 2).mean())
    torch.testing.assert_close(loss_terms.anchor(make(f_x=None)), ((p.f_masked - p.x) ** 2).mean())
    assert loss_terms.anchor(make(reference=p.f_x)) == 0


def test_the_bootstrap_is_the_distance_from_what_was_measured_again():
    p = make()
    assert loss_terms.bootstrap(make(reference=p.x, simulated=p.x)) == 0
    torch.testing.assert_close(
        loss_terms.bootstrap(make(reference=p.x, simulated=p.x + 2)), torch.tensor(4.0, dtype=torch.float64)
    )


def test_bound_is_one_inside_and_grows_with_slope_two_outside():
    flat = torch.full((1, 1, 4, 4), 0.5)
    assert loss_terms.bound(make(g_x=flat, low=0.0, high=1.0)) == pytest.approx(1.0)
    assert loss_terms.bound(make(g_x=flat + 1.0, low=0.0, high=1.0)) == pytest.approx(2.0)


def test_bound_takes_the_masked_pass_of_a_one_pass_run():
    p = make(g_x=None, f_x=None)
    assert loss_terms.bound(p) == loss_terms.bound(make(g_x=p.g_masked))
    assert loss_terms.bound_deconvolved(p) == loss_terms.bound_deconvolved(make(f_x=p.f_masked))


def test_huber_is_the_square_near_zero_and_linear_far_away():
    r = torch.tensor([0.1, -0.5, 10.0])
    torch.testing.assert_close(loss_terms.data_error(r, 1.0), torch.tensor([0.01, 0.25, 2 * 10.0 - 1.0]))


def test_total_variation_of_a_ramp():
    ramp = torch.arange(10.0).expand(1, 1, 8, 10)
    expected = 9 / 10  # one step of 1 for each pixel but the last of a row
    assert loss_terms.total_variation(make(f_x=ramp)) == pytest.approx(expected, abs=2e-3)
    assert loss_terms.total_variation(make(f_x=torch.ones(1, 1, 8, 10))) < 2e-3


@pytest.mark.parametrize("name", LOSS_TERMS)
def test_gradients_are_finite_where_the_terms_vanish(name):
    x = torch.zeros(1, 1, 6, 6, requires_grad=True)
    still = x.detach()
    p = make(
        x=still,
        mask=torch.ones_like(x, dtype=torch.bool),
        f_x=x,
        g_x=x,
        f_masked=x,
        g_masked=x,
        reference=still,
        simulated=x,
    )
    (gradient,) = torch.autograd.grad(LOSS_TERMS[name].formula(p), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ["bsp", "inv", "inv_d"])
def test_an_empty_mask_divides_by_nothing(name):
    p = make(mask=torch.zeros(2, 1, 8, 9, dtype=torch.bool))
    assert LOSS_TERMS[name].formula(p) < 1e-5


def test_a_weight_of_zero_is_never_computed(monkeypatch):
    def refuse(_):
        raise AssertionError("computed")

    monkeypatch.setitem(LOSS_TERMS, "inv", LOSS_TERMS["inv"]._replace(formula=refuse))
    value, terms = compute_loss(make(), LossWeights(rec=1.0, inv_d=2.0))
    assert set(terms) == {"rec", "inv_d"}
    torch.testing.assert_close(value, terms["rec"] + 2 * terms["inv_d"])
    with pytest.raises(AssertionError, match="computed"):
        compute_loss(make(), LossWeights(rec=1.0, inv=1e-6))


def test_passes_needed_by_the_papers_losses():
    both = Needs.UNMASKED | Needs.MASKED
    assert LOSSES["noise2self"].weights.needs == Needs.MASKED
    assert LOSSES["noise2same"].weights.needs == LOSSES["noise2same_d"].weights.needs == both
    assert LossWeights(rec=1.0, bound=0.1).needs == Needs.UNMASKED
    assert LossWeights(bsp=1.0, anchor=0.1).needs == Needs.MASKED | Needs.REFERENCE
    assert LOSSES["noise2same_d"].weights.active == {"rec": 1.0, "inv_d": 2.0}
    assert LossWeights(bsp=1.0, bootstrap=0.1).term_with_reference == "bootstrap"


def test_the_table_and_the_weights_name_the_same_terms():
    assert {f.name for f in dataclasses.fields(LossWeights)} == set(LOSS_TERMS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithDummy(LossWeights):
    """The weights with one more field, as a developer adds it to `LossWeights`."""

    dummy: Weight = 0.0


def test_a_term_that_is_added_is_found_everywhere(monkeypatch, capsys):
    monkeypatch.setitem(LOSS_TERMS, "dummy", LossTerm("dummy term", lambda p: p.any_f.abs().mean(), Needs.MASKED))
    dummy = WithDummy(rec=1.0, dummy=0.5)
    monkeypatch.setitem(LOSSES, "dummy_loss", NamedLoss("dummy loss", dummy))
    assert dummy.needs == Needs.UNMASKED | Needs.MASKED

    # In training: the loss is named like any other, and the term has a history.
    config = preset(
        "quick", 2, pretrained=False, loss="dummy_loss", steps=2, patch=16, features=4, batch_size=1, refine=False
    )
    reported = []
    image = np.random.default_rng(0).random((24, 24))
    result = drain(api.iter_deconvolve(image, np.ones((3, 3)), config), reported.append)
    assert set(result.losses) == {"total", "rec", "dummy"}
    assert all("dummy" in event.losses for event in reported if isinstance(event, Progress) and event.losses)
    assert result.provenance["config"]["loss"]["weights"]["dummy"] == 0.5

    # On the command line.
    with pytest.raises(SystemExit):
        main(["deconvolve", "--help"])
    assert "dummy_loss" in capsys.readouterr().out
