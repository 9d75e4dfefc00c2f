import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.ops import mask_count, random_masks, resize_mask


@pytest.mark.parametrize('units, ratio, rounding, masked', [
    (64, .75, 'floor_keep', 48), (16, .75, 'floor_keep', 12), (196, .75, 'floor_keep', 147),
    (36, .75, 'floor_keep', 27), (49, .75, 'floor_keep', 37), (25, .8, 'floor_keep', 20), (4, .85, 'floor_keep', 3),
    (16, .6, 'ceil_masked', 10), (36, .6, 'ceil_masked', 22), (49, .6, 'ceil_masked', 30), (10, .3, 'ceil_masked', 3),
    (16, .5, 'floor_masked', 8), (36, .5, 'floor_masked', 18), (49, .5, 'floor_masked', 24),
    (10, .7, 'floor_masked', 7),
])
def test_counts_of_the_papers(units, ratio, rounding, masked):
    assert mask_count(units, ratio, rounding) == masked


@pytest.mark.parametrize('units, ratio, rounding, message', [
    (16, 0., 'floor_keep', 'between 0 and 1'), (16, 1., 'ceil_masked', 'between 0 and 1'),
    (16, .5, 'nearest', "but is 'nearest'"), (4, .2, 'floor_masked', 'masks 0 of 4 units'),
    (4, .9, 'ceil_masked', 'masks 4 of 4 units'),
])
def test_counts_refuse_what_masks_nothing_or_all(units, ratio, rounding, message):
    with pytest.raises(InputError, match=message):
        mask_count(units, ratio, rounding)


def test_random_masks_have_exact_counts_differ_and_repeat():
    def draw(seed):
        return random_masks(32, (6, 4), .75, generator=torch.Generator().manual_seed(seed))

    masks = draw(1)
    assert masks.shape == (32, 6, 4) and masks.dtype == torch.bool
    assert torch.all(masks.sum((1, 2)) == 18)
    assert len(masks.unique(dim=0)) == 32
    assert torch.equal(masks, draw(1)) and not torch.equal(masks, draw(2))


def test_random_masks_reach_every_unit_equally():
    share = random_masks(4000, (4, 4), .5, generator=torch.Generator().manual_seed(0)).float().mean(0)
    assert torch.all((share - .5).abs() < .04)  # five standard deviations


def test_resize_repeats_units():
    mask = torch.tensor([[[True, False]]])
    assert torch.equal(resize_mask(mask, (2, 6)), torch.tensor([[[1, 1, 1, 0, 0, 0]] * 2]).bool())
    with pytest.raises(InputError, match='1x2 units cannot be laid on a grid of 2x5'):
        resize_mask(mask, (2, 5))


@pytest.mark.gpu
def test_masks_are_drawn_on_the_device():
    masks = random_masks(4, (4, 4), .5, generator=torch.Generator('cuda').manual_seed(0), device='cuda')
    assert masks.is_cuda and torch.all(masks.sum((1, 2)) == 8)
