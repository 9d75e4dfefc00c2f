"""Losses and pictures under fixed masks, and models out of checkpoints."""
import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mim_plugins.analysis import held_out, pictures, resolution, runs
from mim_plugins.errors import InputError
from mim_plugins.registry import MODELS


def model_with(config: dict, target: dict, criterion: str = 'L2') -> torch.nn.Module:
    model = MODELS.build({**config, 'target_generator': target,
                          'head': dict(type='mim_plugins.ReconstructionHead', loss=dict(criterion=criterion))})
    model.init_weights()
    return model


def save_checkpoint(model, config: dict, path, **meta) -> None:
    cfg = Config(dict(model=config, default_scope='mmpretrain', train_dataloader=dict(dataset=dict(
        pipeline=[dict(type='mim_plugins.LoadRGBImage')]))))
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=cfg.pretty_text, **meta)), path)


class TestHeldOutLoss:

    def test_is_the_same_each_time_and_leaves_the_training_alone(self, small_model, paths):
        small_model.train()
        small_model.neck.eval()  # a part that is kept so
        batch = runs.image_batch(paths, (32, 32))
        before = torch.random.get_rng_state()
        losses = [held_out.held_out_loss(small_model, paths) for _ in range(2)]
        assert losses[0] == losses[1] != held_out.held_out_loss(small_model, paths, seed=1)
        assert small_model.backbone.training and not small_model.neck.training
        assert small_model.training and torch.equal(torch.random.get_rng_state(), before)
        inputs = small_model.data_preprocessor(batch)['inputs']
        mask = held_out.fixed_masks(small_model, 5)
        small_model.eval()
        assert losses[0] == pytest.approx(small_model(inputs, mask=mask, mode='loss')['loss'].item())

    def test_by_size(self, small_model, paths):
        found = held_out.loss_by_size(small_model, paths, [(32, 32), (36, 36), (48, 64)])
        assert found[32, 32] == held_out.held_out_loss(small_model, paths)
        assert found[48, 64] > 0 and '36x36 cannot be divided' in found[36, 36]
        assert small_model.input_size == (32, 32)
        line, = held_out.size_figure({'run': found}).axes[0].lines
        assert line.get_ydata().tolist() == [found[32, 32], found[48, 64]]

    def test_is_a_mean_over_images_whatever_the_batches(self, small_model, paths, monkeypatch):
        small_model.data_preprocessor.mask_strategy.shared = True
        mask = held_out.fixed_masks(small_model, 1)
        monkeypatch.setattr(held_out, 'fixed_masks', lambda model, batch, seed=0: mask.expand(batch, -1, -1))
        whole = held_out.held_out_loss(small_model, paths)
        monkeypatch.setattr(held_out, '_BATCH', 2)
        assert held_out.held_out_loss(small_model, paths) == pytest.approx(whole, rel=1e-5)

    def test_what_fails_leaves_the_training_alone(self, small_model, paths):
        small_model.train()
        with pytest.raises(InputError, match='need|cannot read|could not read'):
            held_out.held_out_loss(small_model, [*paths, paths[0].with_name('nowhere.png')])
        assert small_model.training


class TestDrawnMasks:

    def test_units_that_are_mostly_covered(self, tmp_path):
        pixels = np.zeros((40, 60), np.uint8)
        pixels[:20, :30] = 255  # one of four units
        pixels[20:, 30:42] = 9  # 40 % of another
        Image.fromarray(pixels).save(tmp_path / 'mask.png')
        np.save(tmp_path / 'mask.npy', pixels)
        for name in ('mask.png', 'mask.npy'):
            assert held_out.drawn_mask(tmp_path / name, (2, 2)).tolist() == [[True, False], [False, False]]
            assert held_out.drawn_mask(tmp_path / name, (2, 2), share=.3).tolist() == [[True, False], [False, True]]

    def test_refuses_what_is_no_mask(self, tmp_path):
        np.save(tmp_path / 'empty.npy', np.zeros((4, 4)))
        np.save(tmp_path / 'full.npy', np.ones((4, 4)))
        np.save(tmp_path / 'deep.npy', np.tile(np.eye(4), (4, 1, 1)))
        np.save(tmp_path / 'faint.npy', np.eye(40)[[0] * 40])
        for name, message in (('empty', 'masks nothing'), ('full', 'masks all'), ('deep', 'holds 4 masks')):
            with pytest.raises(InputError, match=message):
                held_out.drawn_mask(tmp_path / f'{name}.npy', (2, 2))
        with pytest.raises(InputError, match='masks cannot be read'):
            held_out.drawn_mask(tmp_path / 'nowhere.png', (2, 2))
        with pytest.raises(InputError, match='covers none of 2x2 units by more than a share of 0.5'):
            held_out.drawn_mask(tmp_path / 'faint.npy', (2, 2))
        with pytest.raises(InputError, match=r'must lie in \[0, 1\), but is 1'):
            held_out.drawn_mask(tmp_path / 'faint.npy', (2, 2), share=1)

    def test_shares_are_exact_where_pixels_lie_across_units(self, tmp_path):
        pixels = np.zeros((10, 10), np.uint8)
        pixels[:, :2] = 1  # of 7 units of 10 / 7 px: the first wholly, of the second 40 %
        Image.fromarray(pixels).save(tmp_path / 'mask.png')
        mask = held_out.drawn_mask(tmp_path / 'mask.png', (1, 7), share=.39)
        assert mask.tolist() == [[True, True] + [False] * 5]
        assert held_out.drawn_mask(tmp_path / 'mask.png', (1, 7), share=.41).sum() == 1
        colour = np.zeros((4, 4, 3), np.uint8)
        colour[:2, :, 2] = 1  # nearly black
        Image.fromarray(colour).save(tmp_path / 'colour.png')
        assert held_out.drawn_mask(tmp_path / 'colour.png', (2, 1)).tolist() == [[True], [False]]


class TestReconstructions:

    @pytest.mark.parametrize('target, criterion, columns', [
        (dict(type='mim_plugins.HOGTarget', cell=4), 'L2', 4),
        (dict(type='mim_plugins.PixelTarget', norm_patch=8), 'L2', 5),
        (dict(type='mim_plugins.LowPassTarget', radius=8, target=dict(norm_patch=8)), 'L2', 5),
        (dict(type='mim_plugins.TeacherTarget', channels=8, cell=8, random_weights=True, teacher=dict(
            type='mmpretrain.VisionTransformer', img_size=32, patch_size=8, out_type='raw', arch=dict(
                embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8))), 'L2', 4),
        (dict(type='mim_plugins.PixelTarget', downsample=4), 'L1', 5),
        (dict(type='mim_plugins.ColorBinTarget', bins=8, downsample=4), 'CrossEntropy', 5),
        (dict(type='mim_plugins.ColorClusterTarget', downsample=4, centers=[[0] * 3, [255] * 3]), 'CrossEntropy', 5),
        (dict(type='mim_plugins.TokenizerTarget', random_weights=True, tokenizer=dict(
            type='mmpretrain.DALL-E', n_hid=8, n_blk_per_group=1, vocab_size=16)), 'CrossEntropy', 4),
    ])
    def test_of_every_target(self, small_config, paths, target, criterion, columns):
        model = model_with(small_config, target, criterion)
        inputs = model.data_preprocessor(runs.image_batch(paths, (32, 32)))['inputs']
        mask = held_out.fixed_masks(model, 5)
        figure = pictures.reconstruction_figure(model, inputs, mask)
        assert len(figure.axes) == 5 * columns
        assert all(axis.images[0].get_array().min() >= 0 and axis.images[0].get_array().max() <= 1
                   for axis in figure.axes)
        scores = held_out.reconstruction_scores(model, inputs, mask)
        assert all(set(score) == ({'loss', 'psnr', 'ssim'} if columns == 5 else {'loss'}) for score in scores)
        assert np.mean([score['loss'] for score in scores]) == pytest.approx(
            held_out.held_out_loss(model, paths), rel=1e-4)

    def test_a_low_passed_hog_is_drawn_as_strokes(self, small_config):
        model = model_with(small_config, dict(
            type='mim_plugins.LowPassTarget', radius=8, target=dict(type='mim_plugins.HOGTarget', cell=4)))
        images = torch.randn(1, 3, 32, 32)
        values = model.target_generator(images)
        assert np.array_equal(pictures.draw_target(model, values, images)[0], pictures.draw_hog(values[0]))

    def test_a_perfect_prediction_is_the_picture_itself(self, small_config, paths):
        model = model_with(small_config, dict(type='mim_plugins.PixelTarget', norm_patch=8))
        inputs = model.data_preprocessor(runs.image_batch(paths, (32, 32)))['inputs']
        model.predict = lambda images, mask: model.target_generator(images)
        result = pictures.reconstruct(model, inputs, held_out.fixed_masks(model, 5))
        torch.testing.assert_close(result['pasted'], inputs, atol=1e-4, rtol=1e-4)

    def test_masks_of_different_sizes_for_an_encoder_that_drops_tokens(self, small_config, paths):
        model = MODELS.build({**small_config, 'fill': dict(type='mim_plugins.TokenDropFill'),
                              'neck': {**small_config['neck'], 'type': 'mim_plugins.MAEDecoder'}})
        inputs = runs.normalized(model, runs.image_batch(paths[:2], (32, 32)))
        mask = held_out.fixed_masks(model, 2)
        mask[1, 0] = True
        assert mask[0].sum() != mask[1].sum()
        both = pictures.reconstruct(model, inputs, mask)['prediction']
        torch.testing.assert_close(both[1:], pictures.reconstruct(model, inputs[1:], mask[1:])['prediction'])

    def test_scores_are_of_the_masked_region_only(self, small_config, paths):
        head = dict(type='mim_plugins.ReconstructionHead', region='full')
        model = MODELS.build({**small_config, 'target_generator': dict(type='mim_plugins.PixelTarget'), 'head': head})
        inputs = runs.normalized(model, runs.image_batch(paths[:1], (32, 32)))
        mask = held_out.fixed_masks(model, 1)
        result = pictures.reconstruct(model, inputs, mask)
        masked = mask.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, None].expand_as(inputs)
        expected = (result['prediction'] - inputs)[masked].square().mean().item()
        assert held_out.reconstruction_scores(model, inputs, mask)[0]['loss'] == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize('channels', [1, 4, 8])
    def test_other_numbers_of_channels(self, small_config, channels):
        config = copy.deepcopy(small_config)
        config['data_preprocessor'].update(mean=[120.] * channels, std=[60.] * channels, to_rgb=False)
        config['fill']['channels'] = config['backbone']['in_channels'] = channels
        model = model_with(config, dict(type='mim_plugins.PixelTarget', in_channels=channels))
        figure = pictures.reconstruction_figure(
            model, torch.randn(1, channels, 32, 32), held_out.fixed_masks(model, 1))
        assert figure.axes[0].images[0].get_array().shape == (32, 32, 3)


class TestSimilarity:

    def test_values(self):
        picture = np.random.default_rng(0).random((16, 16, 3))
        assert held_out.similarity(picture, picture) == dict(psnr=float('inf'), ssim=pytest.approx(1))
        other = np.clip(picture + .1, 0, None)
        assert held_out.similarity(picture, other)['psnr'] == pytest.approx(20)  # 10 log10(1 / .01)
        with pytest.raises(InputError, match='at least 3x3, but one has 2x9'):
            held_out.similarity(np.zeros((2, 9, 3)), np.zeros((2, 9, 3)))

    def test_equal_pictures_do_not_hide_the_others(self):
        images = torch.rand(2, 3, 64, 64)
        images[1] = 0  # black is the same at every size
        with_flat, alone = (resolution.target_stability(part, [32])[0] for part in (images, images[:1]))
        assert with_flat['psnr'] == pytest.approx(alone['psnr'])

    def test_targets_at_other_resolutions(self):
        images = torch.rand(2, 3, 64, 64)
        own = resolution.at_resolution(images, 64)
        assert torch.equal(own['pixels'], images) and own['hog'].shape == (2, 27, 8, 8)
        rows = resolution.target_stability(images, [64, 48, 32])
        assert [(row['target'], row['size']) for row in rows] == [
            (target, size) for size in (64, 48, 32) for target in ('pixels', 'hog')]
        assert rows[0]['psnr'] == rows[1]['psnr'] == float('inf')
        assert rows[2]['psnr'] > rows[4]['psnr']  # of pixels at 48 and at 32 px
        assert len(resolution.stability_figure(images[0], [48, 32]).axes) == 6


class TestRuns:

    @pytest.mark.parametrize('channels', [1, 4, 8])
    @pytest.mark.parametrize('kind', [np.uint8, np.uint16, np.float32])
    def test_resizes_any_image(self, channels, kind):
        image = np.full((9, 14, channels), 200, kind)
        resized = runs._Resize((6, 20))(dict(img=image))['img']
        assert resized.shape == (6, 20, channels)
        np.testing.assert_allclose(resized, 200, rtol=1e-5)

    def test_looking_draws_no_mask(self, small_model, paths):
        """The preprocessor's own count of batches stays, and masks for fewer images are no obstacle."""
        before = copy.deepcopy((small_model.data_preprocessor._calls, small_model.data_preprocessor._last_iteration))
        small_model.data_preprocessor.mask_strategy = None
        inputs = runs.normalized(small_model, runs.image_batch(paths, (32, 32)))
        assert inputs.shape == (5, 3, 32, 32)
        after = (small_model.data_preprocessor._calls, small_model.data_preprocessor._last_iteration)
        assert before == after

    def test_a_model_comes_back_at_its_size(self, small_model, small_config, tmp_path):
        small_model.set_input_size((48, 32))
        save_checkpoint(small_model, small_config, tmp_path / 'a.pth', input_size=(48, 32))
        model, cfg = runs.load_run(tmp_path / 'a.pth')
        assert model.input_size == (48, 32) and not model.training and cfg.model.input_size == 32
        state = small_model.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())

    def test_refuses_other_models(self, small_config, tmp_path):
        plain = MODELS.build(dict(type='mmpretrain.ImageClassifier', backbone=small_config['backbone']))
        config = dict(type='mmpretrain.ImageClassifier', backbone=small_config['backbone'])
        save_checkpoint(plain, config, tmp_path / 'b.pth')
        with pytest.raises(InputError, match='of a ImageClassifier, not of a masked image model'):
            runs.load_run(tmp_path / 'b.pth')
        torch.save(dict(state_dict={}, meta={}), tmp_path / 'c.pth')
        with pytest.raises(InputError, match='c.pth does not tell the config'):
            runs.load_run(tmp_path / 'c.pth')
        with pytest.raises(InputError, match='no run with a checkpoint'):
            runs.load_run(tmp_path)

    def test_images_from_files_and_folders(self, paths, tmp_path):
        assert [path.name for path in paths] == [f'{index}.png' for index in range(5)]
        assert runs.image_paths([paths[2]]) == [paths[2]]
        assert runs.spread(paths, 2) == [paths[0], paths[3]] and runs.spread(paths, 9) == paths
        assert runs.image_batch(paths[:2], (16, 24))['inputs'].shape == (2, 3, 16, 24)
        grey = Config(dict(train_dataloader=dict(dataset=dict(type='mim_plugins.KeyedDataset', dataset=dict(
            pipeline=[dict(type='LoadImageFromFile', color_type='grayscale')])))))
        assert runs.image_batch(paths, (16, 24), grey)['inputs'].shape == (5, 1, 16, 24)
        with pytest.raises(InputError, match='no image or folder at'):
            runs.image_paths([tmp_path / 'nowhere'])
        with pytest.raises(InputError, match='5 were found and 0 asked for'):
            runs.spread(paths, 0)
