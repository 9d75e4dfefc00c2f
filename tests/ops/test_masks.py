import math
from functools import partial

import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.ops import (
    block_masks,
    mask_count,
    random_masks,
    resize_mask,
    square_masks,
    visible_count,
    visible_places,
)


@pytest.mark.parametrize('units, ratio, rounding, masked', [
    (64, .75, 'floor_keep', 48), (16, .75, 'floor_keep', 12), (196, .75, 'floor_keep', 147),
    (36, .75, 'floor_keep', 27), (49, .75, 'floor_keep', 37), (25, .8, 'floor_keep', 20), (4, .85, 'floor_keep', 3),
    (16, .6, 'ceil_masked', 10), (36, .6, 'ceil_masked', 22), (49, .6, 'ceil_masked', 30), (10, .3, 'ceil_masked', 3),
    (16, .5, 'floor_masked', 8), (36, .5, 'floor_masked', 18), (49, .5, 'floor_masked', 24),
    (10, .7, 'floor_masked', 7), (2, .6, 'floor_keep', 1), (5, .9, 'floor_keep', 4), (4, .05, 'ceil_masked', 1),
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

    # The narrowest grids, one unit masked or visible, both orientations, and each rounding where it matters.
    @pytest.mark.parametrize('grid, ratio, rounding, masked', [
        ((1, 2), .6, 'floor_keep', 1), ((5, 1), .75, 'floor_keep', 4), ((2, 2), .05, 'ceil_masked', 1),
        ((3, 11), .95, 'floor_masked', 31), ((11, 3), .05, 'ceil_masked', 2), ((14, 7), .6, 'ceil_masked', 59),
        ((14, 7), .6, 'floor_masked', 58), ((6, 6), .95, 'ceil_masked', 35), ((12, 12), .75, 'floor_keep', 108),
    ])
    def test_counts_are_exact(self, draw, grid, ratio, rounding, masked):
        masks = draw(5, grid, ratio, rounding)
        assert masks.shape == (5, *grid) and masks.dtype == torch.bool and masks.is_contiguous()
        assert masks.sum((1, 2)).tolist() == [masked] * 5

    def test_impossible_counts_are_refused(self, draw):
        with pytest.raises(InputError, match='masks 0 of 5 units'):
            draw(3, (5, 1), .05, 'floor_masked')

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


class TestResizing:

    def test_batches_and_other_types_are_kept(self):
        mask = torch.tensor([[[0, 5], [7, 0]], [[1, 2], [3, 4]]])
        resized = resize_mask(mask, (4, 2))
        assert resized.tolist() == [[[0, 5], [0, 5], [7, 0], [7, 0]], [[1, 2], [1, 2], [3, 4], [3, 4]]]
        assert resized.dtype == torch.int64 and torch.equal(resize_mask(mask, (2, 2)), mask)

    def test_rows_that_are_no_multiple_are_refused(self):
        with pytest.raises(InputError, match='2x2 units cannot be laid on a grid of 3x4'):
            resize_mask(torch.zeros(1, 2, 2), (3, 4))


class TestVisibleTokens:

    # Two samples of two units each, which see different ones.
    MASK = torch.tensor([[[1, 0, 1], [1, 1, 0]], [[0, 1, 1], [0, 1, 1]]]).bool()

    def test_are_the_units_that_are_not_masked(self):
        assert visible_count(self.MASK, (2, 3)) == 2
        places = visible_places(self.MASK, (2, 3))
        assert places.tolist() == [[1, 5], [0, 3]] and places.dtype == torch.int64

    def test_are_counted_on_the_finer_grid_and_read_row_by_row(self):
        assert visible_count(self.MASK, (4, 3)) == 4 and visible_count(self.MASK, (2, 6)) == 4
        assert visible_places(self.MASK, (4, 3)).tolist() == [[1, 4, 8, 11], [0, 3, 6, 9]]
        assert visible_places(self.MASK, (2, 6)).tolist() == [[2, 3, 10, 11], [0, 1, 6, 7]]

    def test_stay_in_order_on_a_large_grid(self):
        mask = random_masks(3, (24, 32), .6)
        expected = [(~sample).flatten().nonzero().flatten().tolist() for sample in mask]
        assert visible_places(mask, (24, 32)).tolist() == expected

    def test_may_be_all_or_a_single_one(self):
        assert visible_places(torch.zeros(1, 1, 2).bool(), (1, 2)).tolist() == [[0, 1]]
        one = torch.tensor([[[1, 1], [1, 0]]]).bool()
        assert visible_count(one, (2, 2)) == 1 and visible_places(one, (2, 2)).tolist() == [[3]]

    def test_a_known_number_is_not_counted_again(self, monkeypatch):
        monkeypatch.setattr('mim_plugins.ops.masks.visible_count', lambda *_: pytest.fail('waits for the device'))
        assert visible_places(self.MASK, (2, 3), 2).tolist() == [[1, 5], [0, 3]]
        assert visible_places(self.MASK, (2, 3), 1).tolist() == [[1], [0]]

    @pytest.mark.parametrize('function', [visible_count, visible_places])
    @pytest.mark.parametrize('mask, message', [
        ([[[1, 0]], [[0, 0]]], 'between 1 and 2 of 2 tokens'), ([[[0, 0]], [[1, 0]]], 'between 1 and 2 of 2 tokens'),
        ([[[1, 1]], [[1, 1]]], 'between 0 and 0 of 2 tokens'), ([[[1, 0]], [[1, 1]]], 'between 0 and 1 of 2 tokens'),
    ])
    def test_unequal_numbers_and_none_are_refused(self, function, mask, message):
        with pytest.raises(InputError, match=message):
            function(torch.tensor(mask).bool(), (1, 2))

    @pytest.mark.gpu
    def test_places_lie_on_the_masks_device(self):
        assert visible_places(self.MASK.cuda(), (2, 3)).is_cuda


def changes(masks: torch.Tensor) -> float:
    """Mean number of neighbouring pairs of which one unit is masked."""
    flips = [(masks.diff(dim=dim) != 0).sum() for dim in (1, 2)]
    return sum(flips).item() / len(masks)


def slow_order(batch: int, grid: tuple[int, int], masked: int, seed: int, min_block: int,
               min_aspect: float) -> torch.Tensor:
    """In which order block masks take their units, rectangle by rectangle, each from its centre: float [B, *grid]."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(4, 32, batch, generator=generator)
    order = 32 + torch.rand(batch, *grid, generator=generator)
    smallest = min(min_block, masked)
    for sample in range(batch):
        for block in reversed(range(32)):
            size, shape, down, right = draws[:, block, sample].tolist()
            largest = max(masked * .9**block, smallest)
            area = math.floor(smallest + size * (largest - smallest))
            rows = round(math.sqrt(area * min_aspect**(2 * shape - 1)))
            rows = min(max(rows, math.ceil(area / grid[1])), area, grid[0])
            columns = math.ceil(area / rows)
            top = math.floor((grid[0] - rows + 1) * down)
            left = math.floor((grid[1] - columns + 1) * right)
            for y in range(rows):
                for x in range(columns):
                    from_centre = max(abs(y - (rows - 1) / 2) / rows, abs(x - (columns - 1) / 2) / columns)
                    order[sample, top + y, left + x] = block + from_centre
    return order


class TestBlockMasks:

    # Some need more than the blocks, and the narrowest grids bend the aspect.
    @pytest.mark.parametrize('grid, ratio, options', [
        ((8, 12), .4, dict(min_block=16, min_aspect=.3)), ((14, 14), .6, dict(min_block=16, min_aspect=.3)),
        ((12, 7), .5, dict(min_block=1, min_aspect=.3)), ((3, 20), .6, dict(min_block=4, min_aspect=.1)),
        ((6, 6), .9, dict(min_block=1, min_aspect=1.)), ((40, 40), .95, dict(min_block=1, min_aspect=.3)),
    ])
    def test_take_units_in_the_order_of_a_slow_version(self, grid, ratio, options):
        masks = block_masks(4, grid, ratio, generator=torch.Generator().manual_seed(3), **options)
        order = slow_order(4, grid, mask_count(grid[0] * grid[1], ratio), 3, **options)
        for mask, places in zip(masks, order):
            # Units at the same distance from a centre may come in any order.
            assert places[mask].max() < places[~mask].min() + 1e-5

    def test_smallest_block_and_aspect_are_beits_unless_said(self):
        drawn = [block_masks(4, (14, 14), .6, generator=torch.Generator().manual_seed(0), **options)
                 for options in ({}, dict(min_block=16, min_aspect=.3))]
        assert torch.equal(*drawn)

    def test_a_block_may_be_a_single_unit(self):
        masks = block_masks(64, (8, 8), 1 / 64, 'ceil_masked', min_block=1)
        assert masks.sum((1, 2)).tolist() == [1] * 64 and len(masks.unique(dim=0)) > 16
        masks = block_masks(500, (8, 8), .1, 'ceil_masked', min_block=1)
        assert torch.all(masks.sum((1, 2)) == 7)
        parts = changes(masks.int()), changes(block_masks(500, (8, 8), .1, 'ceil_masked', min_block=7).int())
        assert parts[0] > 1.1 * parts[1]  # smaller blocks have longer outlines

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
