"""U-Net, masks, symmetries and scaling."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile

from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.arrays.symmetry import psf_symmetries
from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.holdout.masks import box_side, fill_with_noise, stratified_mask
from napari_selfdeconv.network.model import build_network, place
from napari_selfdeconv.network.unet import ResidualBlock, UNet


@pytest.mark.parametrize(("ndim", "count"), [(2, 5_757_216), (3, 3_667_152)])
def test_the_papers_parameter_counts(ndim, count):
    network = build_network(preset("paper", ndim), np.ones((3,) * ndim) / 3**ndim)
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize("skip", ["concat", "add"])
@pytest.mark.parametrize("levels", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(13, 18), (5, 9, 11)])
def test_any_size_depth_and_channels(shape, levels, skip):
    network = UNet(len(shape), in_channels=3, features=2, levels=levels, skip=skip)
    assert network(torch.randn(2, 3, *shape)).shape == (2, 1, *shape)


def test_every_weight_gets_a_gradient():
    network = UNet(2, features=4)
    network(torch.randn(2, 1, 16, 16)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("ndim", [2, 3])
def test_without_momentum_training_uses_the_statistics_that_are_there(ndim):
    x = torch.randn(2, 1, *(8,) * ndim)
    for momentum, kept in ((0.0, True), (0.05, False)):
        network = UNet(ndim, features=4, levels=2, bn_momentum=momentum)
        before = {name: value.clone() for name, value in network.named_buffers()}
        applied = network.eval()(x)
        trained = network.train()(x)
        assert network.training
        assert torch.equal(trained, applied) == kept
        assert all(torch.equal(value, before[name]) for name, value in network.named_buffers()) == kept
        trained.square().mean().backward()
        assert all(float(p.grad.abs().max()) > 0 for n, p in network.named_parameters() if "norm1.weight" in n)


@pytest.mark.parametrize("ndim", [2, 3])
def test_kept_statistics_go_into_the_convolution(ndim):
    """What a block computes, and its gradients, are those of its layers one after the other."""
    torch.manual_seed(0)
    block = ResidualBlock(ndim, 3, 4, 0.0).double()
    for norm in (block.norm1, block.norm2):
        for values in (norm.weight.data, norm.bias.data, norm.running_mean):
            values.normal_()
        norm.running_var.uniform_(0.2, 3.0)
    block.eval()
    x = torch.randn(2, 3, *(6,) * ndim, dtype=torch.float64)
    y = block.conv1(block.norm1(x).relu())
    plain = block.conv2(block.norm2(y).relu()) + block.shortcut(x)
    torch.testing.assert_close(block(x), plain)
    gradients = [torch.autograd.grad(made.pow(3).sum(), list(block.parameters())) for made in (block(x), plain)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_gradients_of_thin_stacks_in_bfloat16_are_those_in_float32(depth):
    """A gradient that was never written is what lay in that memory before: here values that are not finite."""
    torch.manual_seed(0)
    block = ResidualBlock(3, 16, 16, 0.1).to(memory_format=torch.channels_last_3d)
    x = torch.randn(2, 16, depth, 4, 4)
    found = []
    for enabled in (False, True):
        block.zero_grad()
        litter = [np.full(2**n, np.nan, np.float32) for n in range(4, 18) for _ in range(8)]
        del litter
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = block(x.to(memory_format=torch.channels_last_3d))
        y.float().square().mean().backward()
        found.append([p.grad.clone() for p in block.parameters()])
    for exact, rough in zip(*found, strict=True):
        torch.testing.assert_close(rough, exact, rtol=0, atol=0.1 * float(exact.abs().max()))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="there is no other kernel")
def test_a_small_volume_in_float32_never_takes_the_kernel_that_writes_out_neighbourhoods():
    torch.manual_seed(0)
    network = UNet(3, in_channels=2, features=4, levels=3).to(memory_format=torch.channels_last_3d)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        network(torch.randn(1, 2, 8, 16, 16)).sum().backward()
    names = {event.key for event in profiled.key_averages()}
    assert "aten::mkldnn_convolution" in names
    assert not {name for name in names if "slow_conv3d_forward" in name}


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (2, 2, 0), (1, 1, 0)])
@pytest.mark.parametrize("depth", [2, 5])
def test_a_small_volume_in_float32_is_convolved_as_in_float64(kernel, stride, padding, depth):
    torch.manual_seed(0)
    conv = type(UNet(3, features=4, levels=2).stem)(3, 4, kernel, stride=stride, padding=padding)
    x = torch.randn(1, 3, depth, 9, 11)
    found = []
    for dtype in (torch.float32, torch.float64):
        y = conv.to(dtype)(inside := x.to(dtype).requires_grad_())
        gradients = torch.autograd.grad(y.pow(2).sum(), [inside, *conv.parameters()])
        found.append([t.double() for t in (y, *gradients)])
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-4)


def test_weights_come_from_the_seed_alone_and_leave_the_global_state():
    psf = np.ones((3, 3)) / 9
    before = torch.get_rng_state()
    one, two, other = (
        build_network(preset("quick", 2, features=4, pretrained=False, seed=s), psf) for s in (1, 1, 2)
    )
    assert torch.equal(before, torch.get_rng_state())
    first = [next(n.parameters()) for n in (one, two, other)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=3),
    st.sampled_from([0.5, 2.0, 5.0, 20.0]),
    st.integers(0, 5),
)
def test_one_masked_pixel_a_box(size, percent, seed):
    mask = stratified_mask(3, size, percent, torch.Generator().manual_seed(seed))
    assert mask.shape == (3, 1, *size)
    side = box_side(percent, len(size))
    # However the grid is shifted, a patch of n voxels meets at most ceil(n / side) + 1 boxes an axis.
    assert mask.flatten(1).sum(1).max() <= np.prod([-(-n // side) + 1 for n in size])


def test_masks_hit_every_pixel_equally_and_at_the_rate_asked_for():
    mask = stratified_mask(20_000, (9, 9), 5.0, torch.Generator().manual_seed(0)).float().mean(0)[0]
    rate = 1 / box_side(5.0, 2) ** 2
    assert abs(mask.mean() - rate) < 0.02 * rate
    assert (mask - rate).abs().max() < 6 * (rate / 20_000) ** 0.5


def test_noise_goes_only_where_the_mask_is():
    g = torch.Generator().manual_seed(0)
    x = torch.ones(4, 1, 32, 32)
    mask = stratified_mask(4, (32, 32), 5.0, g)
    y = fill_with_noise(x, mask, 0.2, g)
    assert torch.equal(y[~mask], x[~mask])
    assert 0.1 < y[mask].std() < 0.3
    assert y[mask].mean().abs() < 0.1


def gaussian(shape, sigma, shift=0.0):
    grids = list(np.meshgrid(*[np.arange(n) - n // 2 for n in shape], indexing="ij"))
    grids[0] = grids[0] - shift
    return np.exp(-sum((g / s) ** 2 for g, s in zip(grids, sigma, strict=True)) / 2)


@pytest.mark.parametrize(
    ("psf", "count"),
    [
        (gaussian((9, 9), (2, 2)), 8),
        (gaussian((8, 8), (1, 1)), 8),  # even sizes: the centre n // 2 must stay in place
        (gaussian((9, 9), (2, 1)), 4),
        (gaussian((7, 9), (1, 1)), 8),  # a rectangular window around a round PSF
        (gaussian((9, 9, 9), (3, 2, 2)), 16),
        (gaussian((9, 9, 9), (3, 2, 2), shift=0.5), 8),  # no z flip
        (np.random.default_rng(0).random((5, 5)), 1),
    ],
)
def test_symmetries_come_from_the_psf(psf, count):
    found = psf_symmetries(psf)
    assert len(found) == count
    x = torch.randn(2, 4, 6, 6)
    for symmetry in found:
        assert torch.equal(symmetry.undo(symmetry.apply(x)), x)
    assert torch.equal(found[0].apply(x), x)


def test_standardizer_is_exact_and_keeps_units():
    image = np.random.default_rng(0).integers(100, 60_000, (20, 30)).astype(np.uint16)
    scale = Standardizer.of(image)
    standard = scale.apply(image)
    assert standard.dtype == np.float32
    assert abs(standard.mean()) < 1e-5
    assert abs(standard.std() - 1) < 1e-5
    np.testing.assert_allclose(scale.undo(standard), image, rtol=1e-5)
    assert scale.bounds == pytest.approx((standard.min(), standard.max()), rel=1e-5)


@pytest.mark.parametrize(("value", "words"), [(np.nan, "1 NaN and 0 infinite"), (np.inf, "0 NaN and 1 infinite")])
def test_bad_pixels_are_counted(value, words):
    image = np.zeros((4, 4))
    image[1, 2] = value
    with pytest.raises(ConfigError, match=words):
        Standardizer.of(image)


def test_a_constant_image_is_refused():
    with pytest.raises(ConfigError, match="constant"):
        Standardizer.of(np.full((4, 4), 7))


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_result_in_bfloat16_has_no_steps(ndim: int) -> None:
    """Equal neighbours are plates: what comes out of the network is not rounded to 8 bits."""
    torch.manual_seed(0)
    unet = UNet(ndim, features=8, levels=2).eval()
    x = torch.randn(1, 1, *[16] * ndim)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        smooth = unet(x)
    assert smooth.dtype == torch.float32
    rounded = smooth.bfloat16().float()
    assert (smooth != rounded).float().mean() > 0.9
    assert (smooth - rounded).abs().max() < 0.01 * smooth.abs().max()


@pytest.mark.parametrize(
    ("ndim", "features", "capability", "last"),
    [(2, 96, "AVX2", False), (2, 24, "AVX2", True), (3, 96, "AVX2", True), (2, 96, "AVX512", True)],
)
def test_the_layout_is_the_one_in_which_weights_learn_faster(
    ndim: int, features: int, capability: str, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    config = preset("paper", ndim, features=features, levels=1)
    network = build_network(config, np.ones((3,) * ndim) / 3**ndim)
    place(network, choose_device("cpu", "float32"), ndim)
    layout = torch.channels_last if ndim == 2 else torch.channels_last_3d
    assert network.unet.encoder[0].conv1.weight.is_contiguous(memory_format=layout) == last
