"""The plane-by-plane gradient of 3D weights is the gradient of the usual convolution."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_selfdeconv.network import planewise

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
    reason="a PyTorch without oneDNN has another convolution",
)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("layout", [torch.channels_last_3d, torch.contiguous_format])
@pytest.mark.parametrize("biased", [True, False])
def test_every_gradient_is_that_of_the_usual_convolution(
    batch: int, layout: torch.memory_format, biased: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, 4, 17, 6, 7, generator=generator).to(memory_format=layout)
    weight, bias = torch.randn(5, 4, 3, 3, 3, generator=generator), torch.randn(5, generator=generator)
    slope = torch.randn(batch, 5, 17, 6, 7, generator=generator)
    found = []
    for convolve in (planewise.convolve, lambda *given: F.conv3d(*given, padding=1)):
        given = [x.clone().requires_grad_(), weight.clone().requires_grad_(), bias.clone().requires_grad_()]
        y = convolve(*given[:2], given[2] if biased else None)
        (y * slope).sum().backward()
        found.append([y, *(one.grad for one in given[: 2 + biased])])
    for ours, usual in zip(*found, strict=True):
        torch.testing.assert_close(ours, usual, rtol=1e-4, atol=1e-3)


def test_only_narrow_trained_3x3x3_weights_on_avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    x, weight = torch.zeros(1, 4, 16, 4, 4), torch.zeros(8, 4, 3, 3, 3, requires_grad=True)
    assert planewise.pays(x, weight)
    with torch.no_grad():
        assert not planewise.pays(x, weight)
    assert not planewise.pays(x, weight.detach())
    assert not planewise.pays(x[:, :, :8], weight)
    assert not planewise.pays(x, torch.zeros(8, 4, 1, 1, 1, requires_grad=True))
    assert not planewise.pays(x, torch.zeros(96, 4, 3, 3, 3, requires_grad=True))
    with monkeypatch.context() as without:
        without.setattr(torch.backends.mkldnn, "is_available", lambda: False)
        assert not planewise.pays(x, weight)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert not planewise.pays(x, weight)
