import operator

import pytest
import torch
from mmengine.logging import MessageHub
from mmpretrain.structures import DataSample

from mim_plugins.errors import InputError
from mim_plugins.models import MaskingDataPreprocessor
from mim_plugins.registry import MODELS


@pytest.fixture
def iteration():
    """Sets seed and iteration as a runner would."""
    hub = MessageHub.get_current_instance()
    before = dict(hub.runtime_info)

    def set_to(number: int, seed: int = 3) -> None:
        hub.update_info('seed', seed)
        hub.update_info('iter', number)

    yield set_to
    hub.runtime_info.clear()
    hub.runtime_info.update(before)


def batch(height: int = 32, width: int = 32) -> dict:
    return dict(inputs=torch.randint(256, (4, 3, height, width), dtype=torch.uint8),
                data_samples=[DataSample() for _ in range(4)])


def make(**options) -> MaskingDataPreprocessor:
    return MaskingDataPreprocessor(mask=dict(unit=8, ratio=.75), **options)


def test_normalises_as_mmpretrain_does():
    options = dict(mean=[10., 20., 30.], std=[2., 3., 4.], to_rgb=True)
    data = batch()
    expected = MODELS.build(dict(type='mmpretrain.SelfSupDataPreprocessor', **options))(data)['inputs']
    assert torch.equal(make(**options)(data)['inputs'], expected)


@pytest.mark.parametrize('size', [(32, 32), (16, 48)])
def test_masks_follow_the_current_size(size):
    mask = make()(batch(*size))['mask']
    units = size[0] * size[1] // 64
    assert mask.shape == (4, size[0] // 8, size[1] // 8) and mask.dtype == torch.bool
    assert torch.all(mask.sum((1, 2)) == units * 3 // 4)


def test_masks_depend_on_seed_rank_iteration_and_nothing_else(iteration, monkeypatch):
    def draw(number, seed=3, rank=0, training=True):
        iteration(number, seed)
        monkeypatch.setattr('mim_plugins.models.preprocessors.masking.get_rank', lambda: rank)
        torch.rand(7)  # the global generator plays no part
        return make()(batch(), training)['mask']

    first = draw(5)
    assert torch.equal(first, draw(5))
    for other in (draw(6), draw(5, seed=4), draw(5, rank=1), draw(5, training=False)):
        assert not torch.equal(first, other)


def test_several_batches_of_one_iteration_differ_and_repeat(iteration):
    def draw_two():
        preprocessor = make()
        iteration(9)
        return [preprocessor(batch())['mask'] for _ in range(2)]

    one, two = draw_two()
    assert not torch.equal(one, two)
    assert all(map(torch.equal, draw_two(), (one, two)))


def test_validation_in_between_changes_nothing(iteration):
    iteration(9)
    undisturbed = make()(batch(), True)['mask']
    preprocessor = make()
    preprocessor(batch(), False)
    assert torch.equal(preprocessor(batch(), True)['mask'], undisturbed)


def test_resumed_preprocessor_draws_what_the_first_would_have(iteration):
    def draw(preprocessor, numbers):
        masks = []
        for number in numbers:
            iteration(number)
            masks.append(preprocessor(batch(), True)['mask'])
        return masks

    assert all(map(torch.equal, draw(make(), range(6))[3:], draw(make(), range(3, 6))))


def test_samples_that_nobody_reads_are_not_copied():
    given = batch()
    assert all(map(operator.is_, make()(given)['data_samples'], given['data_samples']))


def test_sample_masks_on_the_grid_that_mmpretrain_wants():
    hub_masks = make()(batch())['mask']
    result = make(sample_mask_stride=4)(batch())
    assert set(result) == {'inputs', 'data_samples'}
    for sample, mask in zip(result['data_samples'], hub_masks, strict=True):
        assert torch.equal(sample.mask, mask.repeat_interleave(2, 0).repeat_interleave(2, 1))


@pytest.mark.parametrize('mask, message', [
    (dict(unit=8, ratio=1.5), 'between 0 and 1'), (dict(unit=0, ratio=.5), 'at least 1 px'),
    (dict(unit=8, ratio=.5, rounding='up'), "but is 'up'"),
])
def test_refuses_bad_options_at_once(mask, message):
    with pytest.raises(InputError, match=message):
        MaskingDataPreprocessor(mask=mask)


@pytest.mark.parametrize('channels, options, message', [
    (4, dict(to_rgb=True), 'to_rgb=True swaps .* but the images have 4'),
    (1, dict(to_rgb=True), 'to_rgb=True swaps .* but the images have 1'),
    (1, dict(mean=[1.] * 3, std=[1.] * 3), 'mean and std have 3 numbers, but the images have 1 channels'),
])
def test_refuses_images_of_other_channels(channels, options, message):
    with pytest.raises(InputError, match=message):
        make(**options)(dict(inputs=torch.zeros(2, channels, 32, 32, dtype=torch.uint8), data_samples=[]))


def test_refuses_images_that_are_not_stacked():
    with pytest.raises(InputError, match=r"stacked, but are a list of 2: .* collate_fn=dict\(type='default_"):
        make()(dict(inputs=[torch.zeros(3, 32, 32)] * 2, data_samples=[]))


def test_refuses_an_unknown_option():
    with pytest.raises(TypeError, match="unexpected keyword argument 'unitt'"):
        MaskingDataPreprocessor(mask=dict(unitt=8, ratio=.5))
    with pytest.raises(TypeError, match="unexpected keyword argument 'meen'"):
        make(meen=[0., 0., 0.])


def test_refuses_sizes_that_do_not_fit():
    with pytest.raises(InputError, match='36x32 cannot be divided into mask units of 8 px'):
        make()(batch(36, 32))
    with pytest.raises(InputError, match='sample_mask_stride=3'):
        make(sample_mask_stride=3)


@pytest.mark.gpu
def test_masks_are_drawn_on_the_images_device():
    result = make().cuda()(batch())
    assert result['mask'].is_cuda and result['inputs'].is_cuda


@pytest.mark.parametrize('options, expected', [({}, True), (dict(non_blocking=False), False)])
def test_batches_are_copied_to_the_device_without_waiting(monkeypatch, options, expected):
    copies, to = [], torch.Tensor.to

    def noted(tensor, *args, **kwargs):
        if 'non_blocking' in kwargs:
            copies.append((tensor.shape[1], kwargs['non_blocking']))
        return to(tensor, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, 'to', noted)
    make(**options)({**batch(), 'target_inputs': dict(features=torch.zeros(4, 7))})
    assert (3, expected) in copies and (7, expected) in copies and {kind for _, kind in copies} == {expected}


@pytest.mark.parametrize('options', [
    dict(mean=[1.], std=None), dict(mean=None, std=[1.]), dict(mean=[1.] * 3, std=[1.])])
def test_refuses_a_mean_without_as_many_deviations(options):
    with pytest.raises(InputError, match='mean and std need as many numbers each'):
        make(**options)
