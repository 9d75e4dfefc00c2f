import math
from functools import partial

import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.ops import block_masks, mask_count, random_masks, resize_mask, square_masks

ROUNDINGS = ['floor_keep', 'ceil_masked', 'floor_masked']


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


def test_random_masks_differ():
    assert len(random_masks(32, (6, 4), .75).unique(dim=0)) == 32


@pytest.mark.parametrize('draw', [random_masks, block_masks, partial(square_masks, center='random')])
class TestDrawnMasks:

    @pytest.mark.parametrize('grid', [(1, 2), (5, 1), (2, 2), (3, 11), (6, 6), (14, 7), (12, 12)])
    @pytest.mark.parametrize('ratio', [.05, .25, .6, .75, .95])
    @pytest.mark.parametrize('rounding', ROUNDINGS)
    def test_counts_are_exact(self, draw, grid, ratio, rounding):
        try:
            masked = mask_count(grid[0] * grid[1], ratio, rounding)
        except InputError as error:
            with pytest.raises(InputError, match=str(error)):
                draw(3, grid, ratio, rounding)
            return
        masks = draw(5, grid, ratio, rounding)
        assert masks.shape == (5, *grid) and masks.dtype == torch.bool and masks.is_contiguous()
        assert masks.sum((1, 2)).tolist() == [masked] * 5

    def test_samples_differ_and_a_seed_repeats(self, draw):
        def seeded(seed):
            return draw(32, (8, 12), .5, generator=torch.Generator().manual_seed(seed))

        masks = seeded(1)
        assert len(masks.unique(dim=0)) > 2
        assert torch.equal(masks, seeded(1)) and not torch.equal(masks, seeded(2))

    def test_the_global_generator_is_left_alone(self, draw):
        before = torch.get_rng_state()
        draw(2, (6, 6), .5, generator=torch.Generator().manual_seed(0))
        assert torch.equal(before, torch.get_rng_state())

    @pytest.mark.gpu
    def test_masks_are_drawn_on_the_device_without_waiting_for_it(self, draw):
        generator = torch.Generator('cuda').manual_seed(0)
        torch.cuda.set_sync_debug_mode('error')
        try:
            masks = draw(4, (4, 4), .5, generator=generator, device='cuda')
        finally:
            torch.cuda.set_sync_debug_mode('default')
        assert masks.is_cuda and torch.all(masks.sum((1, 2)) == 8)


def test_random_masks_reach_every_unit_equally():
    share = random_masks(4000, (4, 4), .5, generator=torch.Generator().manual_seed(0)).float().mean(0)
    assert torch.all((share - .5).abs() < .04)  # five standard deviations


def test_resize_repeats_units():
    mask = torch.tensor([[[True, False]]])
    assert torch.equal(resize_mask(mask, (2, 6)), torch.tensor([[[1, 1, 1, 0, 0, 0]] * 2]).bool())
    with pytest.raises(InputError, match='1x2 units cannot be laid on a grid of 2x5'):
        resize_mask(mask, (2, 5))


def changes(masks: torch.Tensor) -> float:
    """Mean number of neighbouring pairs of which one unit is masked."""
    flips = [(masks.diff(dim=dim) != 0).sum() for dim in (1, 2)]
    return sum(flips).item() / len(masks)


class TestBlockMasks:

    @pytest.mark.parametrize('ratio', [.3, .6, .75])
    def test_have_short_outlines(self, ratio):
        blocks, units = (changes(draw(64, (14, 14), ratio).int()) for draw in (block_masks, random_masks))
        assert blocks < units / 3

    def test_one_block_suffices_for_the_smallest_area(self):
        for mask in block_masks(16, (8, 8), .25, min_block=16, min_aspect=1.):
            rows, columns = mask.nonzero().T
            assert (rows.max() - rows.min()).item() == (columns.max() - columns.min()).item() == 3

    def test_the_aspect_is_bounded_and_reaches_both_sides(self):
        height = block_masks(500, (40, 40), .01, min_block=16, min_aspect=.25).any(2).sum(1)
        assert height.min() == 2 and height.max() == 8

    def test_lie_anywhere_but_seldom_in_the_corners(self):
        share = block_masks(2000, (6, 6), .3).float().mean(0)
        assert share.min() > .02 and share[2:4, 2:4].mean() > 2 * share[0, 0]
        assert torch.all((share - share.flip(0, 1)).abs() < .08)  # five standard deviations

    @pytest.mark.parametrize('options, message', [
        (dict(min_block=0), 'at least 1 unit, but has 0'), (dict(min_aspect=0.), r'in \(0, 1\], but is 0.0'),
        (dict(min_aspect=3.), r'in \(0, 1\], but is 3.0'),
    ])
    def test_refuse_bad_options(self, options, message):
        with pytest.raises(InputError, match=message):
            block_masks(1, (6, 6), .5, **options)


def corners(masks: torch.Tensor) -> list[tuple[int, int]]:
    """First masked row and column of each mask."""
    return [tuple(mask.nonzero().amin(0).tolist()) for mask in masks]


class TestSquareMasks:

    def test_square_in_the_middle(self):
        mask = torch.zeros(8, 6).bool()
        mask[2:6, 1:5] = True
        assert torch.equal(square_masks(2, (8, 6), 1 / 3, 'floor_masked'), torch.stack([mask] * 2))

    def test_last_row_is_shorter_where_the_count_is_no_square(self):
        mask = square_masks(1, (6, 6), .6, 'ceil_masked')[0].int()
        assert mask.tolist() == [[1, 1, 1, 1, 1, 0]] * 4 + [[1, 1, 0, 0, 0, 0], [0] * 6]

    @pytest.mark.parametrize('grid', [(2, 10), (10, 2)])
    def test_fills_a_narrow_grid(self, grid):
        box = square_masks(1, grid, .5)[0].nonzero()
        assert (box.amax(0) - box.amin(0) + 1).tolist() == [min(side, 5) for side in grid]

    @pytest.mark.parametrize('grid', [(7, 7), (5, 9), (12, 12)])
    def test_sides_differ_by_at_most_one(self, grid):
        for masked in range(1, min(grid)**2):
            mask = square_masks(1, grid, masked / math.prod(grid), 'floor_masked')[0]
            rows, columns = mask.any(1).sum().item(), mask.any(0).sum().item()
            assert 0 <= columns - rows <= 1 and rows * columns - masked < columns

    @pytest.mark.parametrize('center, corner', [
        ((0, 0), (0, 0)), ((1, 1), (6, 4)), ((0, 1), (0, 4)), ((.5, .25), (3, 0)), ((.3, .5), (1, 2)),
    ])
    def test_moves_to_its_centre_and_stays_inside(self, center, corner):
        masks = square_masks(2, (10, 8), 16 / 80, 'floor_masked', center=center)
        assert corners(masks) == [corner] * 2 and torch.all(masks.sum((1, 2)) == 16)

    def test_random_centres_reach_every_place_equally(self):
        places = corners(square_masks(3000, (5, 4), 9 / 20, 'floor_masked', center='random'))
        counts = {place: places.count(place) for place in places}
        assert set(counts) == {(row, column) for row in range(3) for column in range(2)}
        assert all(abs(count - 500) < 105 for count in counts.values())  # five standard deviations

    @pytest.mark.parametrize('center', ['middle', (.5, 1.1), (-.1, .5), (.5,)])
    def test_refuse_other_centres(self, center):
        with pytest.raises(InputError, match="'random' or two shares .* but is"):
            square_masks(1, (6, 6), .5, center=center)
