"""LowPassTarget: any target of the low frequencies."""
import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.models import HOGTarget, LowPassTarget, PixelTarget
from mim_plugins.ops import filter_frequencies, low_pass, patchify, radial_frequencies
from mim_plugins.registry import MODELS

MEAN, STD = [120., 110., 100.], [60., 50., 40.]


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 16, 24)


@pytest.mark.parametrize('config, plain', [
    ({}, PixelTarget()),
    (dict(norm_patch=8), PixelTarget(norm_patch=8)),
    (dict(type='mim_plugins.HOGTarget', cell=4), HOGTarget(cell=4)),
])
@pytest.mark.parametrize('high_pass', [False, True])
def test_is_the_other_target_of_the_filtered_images(images, config, plain, high_pass):
    target = MODELS.build(dict(type='mim_plugins.LowPassTarget', radius=3, target=config, high_pass=high_pass))
    expected = plain(low_pass(images, 3, high_pass=high_pass))
    assert torch.equal(target(images), expected)
    for name in ('channels', 'map_stride', 'channels_last', 'discrete'):
        assert getattr(target, name) == getattr(plain, name)
    tokens = LowPassTarget(3, config, high_pass=high_pass, layout='tokens', stride=8)(images)
    assert torch.equal(tokens, patchify(expected, 8 // plain.map_stride, plain.channels_last))


def test_filters_classes_too(images):
    """Mean and std reach a target that looks at intensities."""
    options = dict(mean=MEAN, std=STD)
    target = LowPassTarget(2, dict(type='mim_plugins.ColorBinTarget', bins=8), **options)
    plain = MODELS.build(dict(type='mim_plugins.ColorBinTarget', bins=8, **options))
    assert torch.equal(target(images), plain(low_pass(images, 2))) and target.discrete


def test_filtering_goes_with_any_normalisation(images):
    """The paper's filter is linear and keeps the mean: mean and std play no part in it."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    intensities = low_pass(images * std + mean, 3)
    torch.testing.assert_close(LowPassTarget(3)(images), (intensities - mean) / std, atol=1e-5, rtol=0)


def test_the_reference_works_on_intensities(images):
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    target = LowPassTarget(3, mode='reference', mean=MEAN, std=STD)
    expected = (low_pass(images * std + mean, 3, 'reference') - mean) / std
    torch.testing.assert_close(target(images), expected)
    assert not target.state_dict()


def test_a_radius_stated_for_a_size_keeps_the_same_detail():
    target = LowPassTarget(40, reference_size=224)
    small = torch.randn(1, 3, 56, 56)
    torch.testing.assert_close(target(small), low_pass(small, 10))
    target.check_input_size((32, 48))
    with pytest.raises(InputError, match='between 0 and 28.8, half the diagonal of 32x48, but is 40'):
        LowPassTarget(40).check_input_size((32, 48))


@pytest.mark.parametrize('channels', [1, 4, 8])
def test_any_number_of_channels(channels):
    images = torch.randn(1, channels, 8, 8)
    assert torch.equal(LowPassTarget(2, dict(in_channels=channels))(images), low_pass(images, 2))


class TestPictures:

    def test_are_the_other_targets(self, images):
        target = LowPassTarget(3, dict(norm_patch=8))
        torch.testing.assert_close(target.to_images(target(images), images), low_pass(images, 3), atol=1e-4, rtol=0)
        assert LowPassTarget(3, dict(type='mim_plugins.HOGTarget')).to_images(None, images) is None


class TestTrainableRadius:

    def test_starts_in_the_middle_and_stays_in_range(self):
        target = LowPassTarget((20, 60), reference_size=224)
        assert target.radius.tolist() == [40] and target.watched()['radius'] == 40
        for logit, end in ((-30., 20), (30., 60)):
            torch.nn.init.constant_(target.radius_logit, logit)
            assert target.radius.item() == pytest.approx(end)

    def test_a_sharp_edge_is_the_ideal_filter(self, images):
        target = LowPassTarget((2, 5.4), edge=1e-4)  # no coefficient at 3.7
        torch.testing.assert_close(target(images), low_pass(images, 3.7), atol=1e-5, rtol=0)
        opposite = LowPassTarget((2, 5.4), edge=1e-4, high_pass=True)
        torch.testing.assert_close(opposite(images), low_pass(images, 3.7, high_pass=True), atol=1e-5, rtol=0)

    @pytest.mark.parametrize('high_pass', [False, True])
    @pytest.mark.parametrize('config', [{}, dict(norm_patch=8)])
    def test_gradient_is_the_numeric_one(self, images, config, high_pass):
        target = LowPassTarget((2, 6), config, high_pass=high_pass).double()
        images, weights = images.double(), torch.randn(2, 3, 16, 24, dtype=torch.float64)

        def loss(logit: torch.Tensor) -> torch.Tensor:
            made = torch.func.functional_call(_Made(target), {'target.radius_logit': logit}, images)
            return (made * weights).sum()

        logit = torch.tensor([.3], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(loss, logit, atol=1e-4)

    def test_a_band_of_two_filters(self, images):
        inner = dict(type='mim_plugins.LowPassTarget', radius=(2, 6), high_pass=True)
        target = LowPassTarget(7, inner)
        target(images).square().mean().backward()
        assert target.target.radius_logit.grad.abs() > 0 and target.watched() == dict(radius=4)
        outer = LowPassTarget((6, 8), dict(type='mim_plugins.LowPassTarget', radius=3, high_pass=True))
        outer(images).square().mean().backward()
        assert outer.radius_logit.grad.abs() > 0

    def test_gradient_reaches_it_through_forward(self, images):
        target = LowPassTarget((2, 6))
        target(images).square().mean().backward()
        assert target.radius_logit.grad.abs() > 0
        with torch.no_grad():
            assert not target(images).requires_grad

    @pytest.mark.parametrize('options', [
        dict(radius=(5, 2)), dict(radius=(2, 3, 4)), dict(radius=(2, 5), edge=0), dict(radius=(-2, 5)),
        dict(radius=(2, 5), edge=float('nan'))])
    def test_bad_ranges_are_refused(self, options):
        with pytest.raises(InputError, match='wants its lowest and highest value and a soft edge above 0'):
            LowPassTarget(**options)

    @pytest.mark.parametrize('options', [
        dict(mode='reference', mean=MEAN, std=STD), dict(target=dict(type='mim_plugins.HOGTarget'))])
    def test_needs_a_way_for_gradients(self, options):
        with pytest.raises(InputError, match="mode 'paper' and a target that lets gradients through, but came with"):
            LowPassTarget((2, 5), **options)


class _Made(torch.nn.Module):

    def __init__(self, target: LowPassTarget) -> None:
        super().__init__()
        self.target = target

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.target.make(images)


@pytest.mark.parametrize('options, message', [
    (dict(mode='refrence'), 'must be one of paper, reference'),
    (dict(radius=-4), 'must be a number of at least 0, but is -4'),
    (dict(radius=None), 'must be a number of at least 0, but is None'),
    (dict(radius='abc'), "must be a number of at least 0, but is 'abc'"),
    (dict(target=dict(layout='tokens')), "is LowPassTarget's own, but its target says 'tokens'"),
    (dict(mode='reference'), "needs the preprocessor's mean and std, but they are None and None"),
    (dict(mean=MEAN), "needs the preprocessor's mean and std"),
    (dict(mode='reference', mean=MEAN, std=STD, high_pass=True), "in mode 'paper' only"),
])
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        LowPassTarget(**{'radius': 3, **options})


def test_a_radius_of_zero_leaves_the_mean(images):
    expected = images.mean((2, 3), keepdim=True).expand_as(images)
    torch.testing.assert_close(LowPassTarget(0)(images), expected, atol=1e-6, rtol=0)


def test_the_soft_edge_is_one_unit_wide_unless_said(images):
    target = LowPassTarget((0, 4))  # starts at 2
    gain = torch.sigmoid(2 - radial_frequencies((16, 24)).float())
    torch.testing.assert_close(target.filter(images), filter_frequencies(images, gain))
