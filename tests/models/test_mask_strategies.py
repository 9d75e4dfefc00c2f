import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample
from PIL import Image

from mim_plugins.errors import InputError
from mim_plugins.models import MaskingDataPreprocessor
from mim_plugins.ops import block_masks, mask_count, random_masks, square_masks
from mim_plugins.registry import MODELS, TASK_UTILS

DRAWN = [dict(type='mim_plugins.RandomMasks'), dict(type='mim_plugins.BlockMasks'),
         dict(type='mim_plugins.SquareMasks', center='random')]
LEFT = [[1, 1, 0, 0], [1, 1, 0, 0]]


def build(kind: dict, **options):
    return TASK_UTILS.build({**kind, **options})


def draw(strategy, batch: int = 8, size: tuple[int, int] = (128, 192), seed: int = 0) -> torch.Tensor:
    return strategy(batch, size, torch.Generator().manual_seed(seed), torch.device('cpu'))


@pytest.mark.parametrize('kind', DRAWN, ids=lambda kind: kind['type'].split('.')[1])
class TestDrawnMasks:

    # 32 x 48, 8 x 12 and 2 x 3 units: the roundings differ on each, and on the last near either edge.
    @pytest.mark.parametrize('unit, ratio', [(4, .8), (16, .55), (64, .2), (64, .8)])
    @pytest.mark.parametrize('rounding', ['floor_keep', 'ceil_masked', 'floor_masked'])
    def test_exact_counts_on_every_unit(self, kind, unit, ratio, rounding):
        strategy = build(kind, unit=unit, ratio=ratio, rounding=rounding)
        rows, columns = 128 // unit, 192 // unit
        masks = draw(strategy, batch=3)
        assert strategy.grid((128, 192)) == (rows, columns) == masks.shape[1:] and masks.dtype == torch.bool
        assert masks.sum((1, 2)).tolist() == [mask_count(rows * columns, ratio, rounding)] * 3
        assert strategy.visible_units((128, 192)) == (~masks[0]).sum()
        assert build(kind, unit=unit, ratio=ratio, ratio_range=.1).visible_units((128, 192)) is None

    def test_differ_by_sample_and_seed_and_repeat(self, kind):
        strategy = build(kind, unit=8, ratio=.5)
        masks = draw(strategy)
        assert len(masks.unique(dim=0)) > 1
        assert torch.equal(masks, draw(strategy)) and not torch.equal(masks, draw(strategy, seed=1))

    def test_shared_masks_are_one_for_the_batch_and_change_with_it(self, kind):
        strategy = build(kind, unit=8, ratio=.5, shared=True)
        masks = draw(strategy)
        assert len(masks) == 8 and len(masks.unique(dim=0)) == 1
        assert not torch.equal(masks, draw(strategy, seed=1))
        masks[0] = True  # each sample has its own memory
        assert not masks[1].all()

    @pytest.mark.parametrize('options, message', [
        (dict(unit=0, ratio=.5), 'unit must be at least 1 px, but is 0'),
        (dict(unit=8, ratio=1.), 'between 0 and 1, both excluded, but is 1.0'),
        (dict(unit=8, ratio=.5, rounding='up'), "but is 'up'"),
    ])
    def test_bad_options_are_refused_at_once(self, kind, options, message):
        with pytest.raises(InputError, match=message):
            build(kind, **options)

    @pytest.mark.parametrize('ratio_range', [-.1, .5, .7, 'much'])
    def test_ranges_of_ratios_beyond_all_or_below_none_are_refused(self, kind, ratio_range):
        with pytest.raises(InputError, match=f'ratio_range is how far above .* it is {ratio_range}'):
            build(kind, unit=8, ratio=.5, ratio_range=ratio_range)

    def test_a_misspelt_option_is_told_by_the_name_in_the_config(self, kind):
        with pytest.raises(TypeError, match=kind['type'].split('.')[1] + r'.__init__\(\) got an unexpected'):
            build(kind, uint=8, ratio=.5)

    def test_sizes_that_do_not_fit_are_refused(self, kind):
        strategy = build(kind, unit=16, ratio=.2, rounding='floor_masked')
        with pytest.raises(InputError, match='40x32 cannot be divided into mask units of 16 px'):
            strategy.grid((40, 32))
        with pytest.raises(InputError, match='masks 0 of 4 units'):
            draw(strategy, size=(32, 32))

    def test_building_draws_nothing_from_the_global_generator(self, kind):
        before = torch.get_rng_state()
        build(kind, unit=8, ratio=.5)
        assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize('config, function', [
    (dict(type='mim_plugins.RandomMasks'), random_masks),
    (dict(type='mim_plugins.BlockMasks', min_block=4, min_aspect=.5), block_masks),
    (dict(type='mim_plugins.SquareMasks', center=(.2, .9)), square_masks),
    (dict(type='mim_plugins.SquareMasks', center='random'), square_masks), (DRAWN[0], random_masks),
    (dict(type='mim_plugins.BlockMasks'), block_masks), (dict(type='mim_plugins.SquareMasks'), square_masks),
])
def test_strategies_draw_what_their_function_draws(config, function):
    options = {name: value for name, value in config.items() if name != 'type'}
    expected = function(8, (16, 24), .6, 'ceil_masked', torch.Generator().manual_seed(0), **options)
    assert torch.equal(draw(build(config, unit=8, ratio=.6, rounding='ceil_masked')), expected)


@pytest.mark.parametrize('kind, options, message', [
    (DRAWN[1], dict(min_block=0), 'at least 1 unit'), (DRAWN[1], dict(min_aspect=2.), r'in \(0, 1\]'),
    (DRAWN[2], dict(center=(0, 2)), r"but is \(0, 2\)"),
])
def test_own_options_are_refused_at_once(kind, options, message):
    with pytest.raises(InputError, match=message):
        build(kind, unit=8, ratio=.5, **options)


def fixed(masks, unit: int = 8):
    return build(dict(type='mim_plugins.FixedMasks'), masks=masks, unit=unit)


class TestFixedMasks:

    def test_one_mask_serves_all_images_and_repeats_onto_finer_grids(self):
        strategy = fixed(LEFT)
        assert strategy.ratio is None and strategy.unit == 8 and strategy.grid((32, 32)) == (4, 4)
        expected = torch.tensor([[[1, 1, 0, 0]] * 4] * 3).bool()
        assert torch.equal(draw(strategy, batch=3, size=(32, 32)), expected)
        assert torch.equal(draw(strategy, batch=3, size=(32, 32), seed=1), expected)

    def test_masks_in_pixels_become_units(self):
        pixels = torch.tensor(LEFT).repeat_interleave(4, 0).repeat_interleave(8, 1)
        expected = torch.tensor([[[1, 1, 0, 0]]]).bool()
        assert torch.equal(draw(fixed(pixels.tolist()), batch=1, size=(8, 32)), expected)

    def test_one_for_each_position(self):
        masks = [[[1, 0]], [[0, 1]], [[2, 0]]]
        strategy = fixed(masks)
        assert torch.equal(draw(strategy, batch=3, size=(8, 16)), torch.tensor(masks) > 0)
        assert torch.equal(draw(strategy, batch=2, size=(8, 16)), torch.tensor(masks[:2]) > 0)
        with pytest.raises(InputError, match='3 fixed masks cannot serve a batch of 4'):
            draw(strategy, batch=4, size=(8, 16))

    @pytest.mark.parametrize('order', ['C', 'F'])
    def test_npy_file(self, tmp_path, order):
        masks = np.random.default_rng(0).random((2, 2, 4)) < .5
        np.save(tmp_path / 'masks.npy', np.asarray(masks, order=order))
        drawn = draw(fixed(str(tmp_path / 'masks.npy')), batch=2, size=(16, 32))
        assert torch.equal(drawn, torch.from_numpy(masks))

    @pytest.mark.parametrize('mode', ['L', '1', 'P', 'I;16', 'RGB', 'RGBA', 'LA'])
    def test_png_file_of_any_kind(self, tmp_path, mode):
        values = np.array(LEFT, dtype=np.uint8)
        blue = np.stack([0 * values, 0 * values, values, 255 + 0 * values], -1)  # opaque, hardly lit
        pixels = {'1': values.astype(bool), 'I;16': values.astype(np.uint16), 'RGB': blue[..., :3], 'RGBA': blue,
                  'LA': blue[..., 2:]}.get(mode, values)
        image = Image.fromarray(np.ascontiguousarray(pixels))
        if mode == 'P':
            image.putpalette([0, 0, 0] * 256)  # what counts is the index, not its colour
        assert image.mode == mode
        image.save(tmp_path / 'mask.png')
        assert torch.equal(draw(fixed(tmp_path / 'mask.png'), batch=1, size=(16, 32))[0], torch.tensor(LEFT) > 0)

    @pytest.mark.parametrize('masks, message', [
        ([1, 0], r'but are of type int64 and shape \[2\]'), ([[]], r'shape \[1, 0\]'),
        ([['a', 'b']], 'but are of type <U1'), ([[1, 0], [1]], 'must be rectangular'),
        ([[0, 0]], 'number 0 masks nothing'), ([[[1, 0]], [[1, 1]]], 'number 1 masks all'),
        ('masks.txt', 'a .npy or .png file, but came as masks.txt'), ('none.npy', 'cannot be read from none.npy'),
    ])
    def test_what_is_no_mask_is_refused(self, masks, message):
        with pytest.raises(InputError, match=message):
            fixed(masks)

    @pytest.mark.parametrize('name', ['damaged.npy', 'damaged.png'])
    @pytest.mark.parametrize('content', [b'', b'nothing of the kind'])
    def test_damaged_files_are_refused(self, tmp_path, name, content):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f'cannot be read from .*{name}'):
            fixed(tmp_path / name)

    @pytest.mark.parametrize('size, message', [
        ((20, 32), 'cannot be divided into mask units of 8 px'),
        ((24, 32), '2x4 units cannot be laid on a grid of 3x4'),
        ((16, 8), '2x4 must mask each of 2x1 units wholly or not at all'),
    ])
    def test_sizes_that_do_not_fit_are_refused(self, size, message):
        with pytest.raises(InputError, match=message):
            fixed(LEFT).grid(size)
        with pytest.raises(InputError, match=message):
            draw(fixed(LEFT), size=size)

    def test_a_unit_below_one_pixel_is_refused(self):
        with pytest.raises(InputError, match='at least 1 px, but is -8'):
            fixed(LEFT, unit=-8)


@pytest.mark.parametrize('mask', [
    dict(type='mim_plugins.BlockMasks', unit=8, ratio=.5), dict(type='mim_plugins.SquareMasks', unit=8, ratio=.5),
    dict(type='mim_plugins.FixedMasks', unit=8, masks=[[1, 0], [0, 1]]),
], ids=lambda mask: mask['type'].split('.')[1])
def test_serve_preprocessor_and_model(mask, small_config):
    data = dict(inputs=torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8),
                data_samples=[DataSample(), DataSample()])
    assert MaskingDataPreprocessor(mask=mask)(data)['mask'].sum((1, 2)).tolist() == [8, 8]
    small_config['data_preprocessor']['mask'] = mask
    model = MODELS.build(small_config)
    assert model(**model.data_preprocessor(data, True), mode='loss')['loss'].isfinite()
