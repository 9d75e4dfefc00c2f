"""Parts, normalisation and eight bits of feature maps."""
import numpy as np
import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.ops import calibrate, crop_maps, dequantize, normalize_features, quantize


def test_parts_are_slices():
    maps = torch.randn(3, 5, 6, 7)
    boxes = torch.tensor([[0, 0, 4, 3], [2, 4, 6, 7], [1, 2, 5, 5]])
    parts = crop_maps(maps, boxes, (4, 3))
    expected = [one[:, top:bottom, left:right] for one, (top, left, bottom, right) in zip(
        maps, boxes.tolist(), strict=True)]
    assert torch.equal(parts, torch.stack(expected))


@pytest.mark.parametrize('norm, axes', [('patch', (2, 3)), ('channel', 1)])
def test_normalisation_by_numpy(norm, axes):
    maps = 3 * torch.randn(2, 5, 4, 3) + torch.arange(5.)[:, None, None]
    values = maps.double().numpy()
    expected = (values - values.mean(axes, keepdims=True)) / np.sqrt(values.var(axes, keepdims=True) + 1e-6)
    np.testing.assert_allclose(normalize_features(maps, norm).numpy(), expected, atol=1e-5)


def test_normalisation_of_constants_and_none():
    maps = torch.full((1, 3, 2, 2), 7.)
    assert torch.equal(normalize_features(maps, 'patch'), torch.zeros_like(maps))
    assert torch.equal(normalize_features(maps, 'channel'), torch.zeros_like(maps))
    assert normalize_features(maps, 'none') is maps


@pytest.mark.parametrize('shape, norm', [((1, 1, 1, 2), 'patch'), ((1, 2, 1, 1), 'channel')])
def test_two_values_are_enough_to_normalise(shape, norm):
    found = normalize_features(torch.tensor([3., 7.]).view(shape), norm).flatten()
    torch.testing.assert_close(found, torch.tensor([-1., 1.]), atol=1e-5, rtol=0)


@pytest.mark.parametrize('shape, norm, message', [
    ((1, 3, 1, 1), 'patch', "norm='patch' needs more than one value to normalise over, .* 3 channels and 1 cells"),
    ((1, 1, 2, 2), 'channel', "norm='channel' needs more than one value"),
    ((1, 3, 2, 2), 'layer', 'one of patch, channel, none, but by .layer. was asked for'),
])
def test_what_cannot_be_normalised(shape, norm, message):
    with pytest.raises(InputError, match=message):
        normalize_features(torch.zeros(shape), norm)


class TestQuantization:

    def test_is_within_half_a_step(self):
        features = torch.randn(4, 6, 16) * torch.logspace(-2, 3, 6)[:, None]
        values, scales = quantize(features)
        assert values.dtype == torch.int8 and values.shape == features.shape and scales.shape == (4, 6)
        assert (values.abs().amax(-1) == 127).all()
        error = (dequantize(values, scales) - features).abs()
        assert (error <= scales[..., None] / 2 * (1 + 1e-5)).all()

    def test_zeros_stay_zeros(self):
        values, scales = quantize(torch.zeros(2, 3))
        assert not values.any() and not scales.any() and not dequantize(values, scales).any()

    def test_calibration_saves_small_channels_from_a_large_one(self):
        features = torch.randn(500, 8)
        features[:, 3] = 1000 + 200 * torch.randn(500)  # as in trained ViTs
        calibration = calibrate(features.mean(0), features.var(0))
        plain = dequantize(*quantize(features))
        better = dequantize(*quantize(features, calibration), calibration)
        others = [0, 1, 2, 4, 5, 6, 7]
        assert (plain - features)[:, others].abs().max() > 1
        assert (better - features)[:, others].abs().max() < .05

    def test_calibration_of_each_sample(self):
        features = torch.randn(2, 3, 4, 5)
        calibration = calibrate(torch.randn(5), torch.rand(5))
        values, scales = quantize(features, calibration)
        expected = dequantize(values, scales, calibration)
        alone = type(calibration)(*(part.expand(2, 1, 1, 5) for part in calibration))
        assert torch.equal(dequantize(values, scales, alone), expected)
        torch.testing.assert_close(expected, features, atol=.05, rtol=0)

    def test_constant_channels_are_only_shifted(self):
        calibration = calibrate(torch.tensor([3., 1.]), torch.tensor([0., 4.]))
        assert calibration.scale.tolist() == [1, 2] and calibration.shift.tolist() == [3, 1]
