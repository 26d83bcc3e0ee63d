"""The six terms against their formulas, their gradients, and the cost of a weight of 0."""

import dataclasses

import pytest
import torch

from napari_selfdeconv.config.loss import LOSSES, LossWeights
from napari_selfdeconv.training import losses
from napari_selfdeconv.training.losses import TERMS, Passes, active_terms, needed_passes, total


def make(shape=(2, 1, 8, 9), seed=0, **changes):
    g = torch.Generator().manual_seed(seed)
    x, f, g_x, fm, gm = (torch.randn(shape, generator=g, dtype=torch.float64) for _ in range(5))
    mask = torch.rand(shape, generator=g) < 0.2
    values = dict(
        x=x, mask=mask, f_x=f, g_x=g_x, f_masked=fm, g_masked=gm, low=-1.0, high=2.0, f_start=x, f_again=f
    )
    return Passes(**{**values, **changes})


@pytest.mark.parametrize("shape", [(2, 1, 8, 9), (1, 1, 4, 5, 6)])
def test_terms_are_their_formulas(shape):
    p = make(shape)
    j = p.mask
    torch.testing.assert_close(losses.blind_spot(p), ((p.g_masked - p.x)[j] ** 2).mean())
    torch.testing.assert_close(losses.reconstruction(p), ((p.g_x - p.x) ** 2).mean())
    torch.testing.assert_close(losses.invariance(p), ((p.g_x - p.g_masked)[j] ** 2).mean().sqrt())
    torch.testing.assert_close(losses.invariance_deconvolved(p), ((p.f_x - p.f_masked)[j] ** 2).mean().sqrt())
    # In units of the image's range, where min = 0 and max = 1.
    unit = (p.g_x - p.low) / (p.high - p.low)
    torch.testing.assert_close(losses.bound(p), ((0 - unit).abs() + (unit - 1).abs()).mean())
    unit = (p.f_x - p.low) / (p.high - p.low)
    torch.testing.assert_close(losses.bound_deconvolved(p), ((0 - unit).abs() + (unit - 1).abs()).mean())


def test_the_anchor_is_the_distance_from_the_start():
    p = make()
    torch.testing.assert_close(losses.anchor(p), ((p.f_x - p.x) ** 2).mean())
    torch.testing.assert_close(losses.anchor(make(f_x=None)), ((p.f_masked - p.x) ** 2).mean())
    assert losses.anchor(make(f_start=p.f_x)) == 0


def test_the_bootstrap_is_the_distance_from_what_was_measured_again():
    p = make()
    assert losses.bootstrap(make(f_start=p.x, f_again=p.x)) == 0
    torch.testing.assert_close(
        losses.bootstrap(make(f_start=p.x, f_again=p.x + 2)), torch.tensor(4.0, dtype=torch.float64)
    )


def test_bound_is_one_inside_and_grows_with_slope_two_outside():
    flat = torch.full((1, 1, 4, 4), 0.5)
    assert losses.bound(make(g_x=flat, low=0.0, high=1.0)) == pytest.approx(1.0)
    assert losses.bound(make(g_x=flat + 1.0, low=0.0, high=1.0)) == pytest.approx(2.0)


def test_bound_takes_the_masked_pass_of_a_one_pass_run():
    p = make(g_x=None, f_x=None)
    assert losses.bound(p) == losses.bound(make(g_x=p.g_masked))
    assert losses.bound_deconvolved(p) == losses.bound_deconvolved(make(f_x=p.f_masked))


def test_huber_is_the_square_near_zero_and_linear_far_away():
    r = torch.tensor([0.1, -0.5, 10.0])
    torch.testing.assert_close(losses.data_error(r, 1.0), torch.tensor([0.01, 0.25, 2 * 10.0 - 1.0]))


def test_total_variation_of_a_ramp():
    ramp = torch.arange(10.0).expand(1, 1, 8, 10)
    expected = 9 / 10  # one step of 1 for each pixel but the last of a row
    assert losses.total_variation(make(f_x=ramp)) == pytest.approx(expected, abs=2e-3)
    assert losses.total_variation(make(f_x=torch.ones(1, 1, 8, 10))) < 2e-3


@pytest.mark.parametrize("name", TERMS)
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
        f_start=still,
        f_again=x,
    )
    (gradient,) = torch.autograd.grad(TERMS[name].function(p), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ["bsp", "inv", "inv_d"])
def test_an_empty_mask_divides_by_nothing(name):
    p = make(mask=torch.zeros(2, 1, 8, 9, dtype=torch.bool))
    assert TERMS[name].function(p) < 1e-5


def test_a_weight_of_zero_is_never_computed(monkeypatch):
    def refuse(_):
        raise AssertionError("computed")

    row = TERMS["inv"]._replace(function=refuse)
    monkeypatch.setattr(losses, "TERMS", {**TERMS, "inv": row})
    value, terms = total(make(), LossWeights(rec=1.0, inv_d=2.0))
    assert set(terms) == {"rec", "inv_d"}
    torch.testing.assert_close(value, terms["rec"] + 2 * terms["inv_d"])
    with pytest.raises(AssertionError, match="computed"):
        total(make(), LossWeights(rec=1.0, inv=1e-6))


def test_passes_needed_by_the_papers_presets():
    assert needed_passes(LOSSES["noise2self"]) == (False, True)
    assert needed_passes(LOSSES["noise2same"]) == (True, True)
    assert needed_passes(LOSSES["noise2same_d"]) == (True, True)
    assert needed_passes(LossWeights(rec=1.0, bound=0.1)) == (True, False)
    assert active_terms(LOSSES["noise2same_d"]) == {"rec": 1.0, "inv_d": 2.0}


def test_the_table_and_the_weights_name_the_same_terms():
    assert {f.name for f in dataclasses.fields(LossWeights)} == set(TERMS)
