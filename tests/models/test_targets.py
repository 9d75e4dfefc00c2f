"""Pixel, colour and token targets against slow versions of their own."""
import numpy as np
import pytest
import torch

from mim_plugins.datasets.color_clusters import ColorClusters
from mim_plugins.errors import InputError
from mim_plugins.models import HOGTarget, PixelTarget, ReconstructionHead
from mim_plugins.models.targets import ColorBinTarget, ColorClusterTarget, TokenizerTarget
from mim_plugins.ops import colors as color_ops
from mim_plugins.ops import patchify
from mim_plugins.registry import MODELS

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
PALETTE = [[0, 0, 0], [255, 255, 255], [250, 10, 10], [10, 250, 10], [10, 10, 250]]
DALLE = dict(type='mmpretrain.DALL-E', n_hid=8, n_blk_per_group=1, vocab_size=32)
ENCODER = dict(
    arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=32), img_size=16, patch_size=8,
    out_type='featmap', with_cls_token=True, use_abs_pos_emb=True, use_rel_pos_bias=False, layer_scale_init_value=0.)
VQ = dict(type='mmpretrain.VQKD', num_embed=32, embed_dims=8, quantize_kmeans_init=False, encoder_config=ENCODER)


def pixels(batch: int = 2, channels: int = 3, size: tuple[int, int] = (16, 32)) -> np.ndarray:
    """Random 8-bit images [B, C, H, W]."""
    return np.random.default_rng(0).integers(256, size=(batch, channels, *size)).astype(np.float64)


def normalized(images: np.ndarray, mean: list = MEAN, std: list = STD) -> torch.Tensor:
    """What the data preprocessor makes of 8-bit images."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
    return (torch.from_numpy(images).float() - mean) / std


def averaged(images: np.ndarray, factor: int) -> np.ndarray:
    batch, channels, height, width = images.shape
    return images.reshape(batch, channels, height // factor, factor, width // factor, factor).mean((3, 5))


def every_target(**options) -> list:
    scale = dict(mean=MEAN, std=STD)
    return [
        PixelTarget(norm_patch=16, downsample=2, **options), ColorBinTarget(8, downsample=2, **scale, **options),
        ColorClusterTarget(PALETTE, downsample=2, **scale, **options),
        TokenizerTarget(DALLE, random_weights=True, **scale, **options),
        TokenizerTarget(VQ, random_weights=True, **scale, **options)]


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_gives_the_float32_target(dtype):
    images = normalized(pixels())
    for target in every_target():
        with torch.autocast('cpu', dtype=dtype):
            inside = target(images)
        assert torch.equal(inside, target(images))
        assert inside.dtype == (torch.int64 if target.discrete else torch.float32)


def test_tokens_hold_the_cells_of_the_map():
    images = normalized(pixels())
    for target, as_tokens in zip(every_target(), every_target(layout='tokens', stride=16)):
        cells = patchify(target(images), 16 // target.map_stride, target.channels_last)
        assert torch.equal(as_tokens(images), cells) and cells.shape[:2] == (2, 2)


def test_sizes_without_whole_cells_are_refused():
    for target in every_target():
        with pytest.raises(InputError, match=r'images of 16x23 cannot be divided into target cells of \d px'):
            target(torch.zeros(1, 3, 16, 23))


def test_a_target_without_colours_gives_no_images():
    images = normalized(pixels())
    for target in (HOGTarget(), every_target()[-1]):
        assert target.to_images(target(images), images) is None


class TestPixelTarget:

    @pytest.mark.parametrize('channels', [1, 4, 8])
    @pytest.mark.parametrize('downsample', [1, 2, 8])
    def test_averages_squares(self, channels, downsample):
        images = pixels(channels=channels)
        target = PixelTarget(in_channels=channels, downsample=downsample)
        made = target(torch.from_numpy(images))
        np.testing.assert_allclose(made, averaged(images, downsample), rtol=1e-6)
        assert target.map_stride == downsample and made.shape[1] == target.channels
        assert torch.equal(target.to_images(made, torch.from_numpy(images)), made)

    def test_patches_are_normalised_after_the_averaging(self):
        images = normalized(pixels())
        made = PixelTarget(norm_patch=8, downsample=4)(images)
        cells = averaged(images.double().numpy(), 4)
        for row in range(0, 4, 2):
            for column in range(0, 8, 2):
                patch = cells[1, :, row:row + 2, column:column + 2]
                expected = (patch - patch.mean()) / np.sqrt(patch.var(ddof=1) + 1e-6)
                np.testing.assert_allclose(made[1, :, row:row + 2, column:column + 2], expected, atol=1e-5)

    @pytest.mark.parametrize('downsample', [1, 4])
    def test_to_images_undoes_the_patches_with_the_images_statistics(self, downsample):
        images = normalized(pixels())
        target = PixelTarget(norm_patch=8, downsample=downsample)
        plain = PixelTarget(downsample=downsample)(images)
        torch.testing.assert_close(target.to_images(target(images), images), plain, atol=1e-5, rtol=0)
        flat = patchify(target.to_images(torch.zeros_like(plain), images), 8 // downsample)
        expected = patchify(plain, 8 // downsample).mean(-1, keepdim=True).expand_as(flat)
        torch.testing.assert_close(flat, expected, atol=1e-6, rtol=0)

    def test_a_patch_may_be_one_pixel_of_several_channels(self):
        made = PixelTarget(norm_patch=4, downsample=4)(normalized(pixels()))
        torch.testing.assert_close(made.mean(1), torch.zeros(2, 4, 8), atol=1e-6, rtol=0)

    @pytest.mark.parametrize('options, message', [
        (dict(norm_patch=6, downsample=4), 'a multiple of downsample=4 px, but norm_patch is 6'),
        (dict(norm_patch=0), 'but norm_patch is 0'),
        (dict(norm_patch=4, downsample=4, in_channels=1), 'more than one value, but one of 4 px has a single one'),
        (dict(downsample=0), 'a target cell must be at least 1 px, but is 0'),
    ])
    def test_refuses(self, options, message):
        with pytest.raises(InputError, match=message):
            PixelTarget(**options)

    def test_refuses_sizes_without_whole_patches(self):
        with pytest.raises(InputError, match='16x24 cannot be divided into normalised patches of 16 px'):
            PixelTarget(norm_patch=16)(torch.zeros(1, 3, 16, 24))


class TestColorBinTarget:

    @pytest.mark.parametrize('bins', [2, 8, 256])
    @pytest.mark.parametrize('downsample', [1, 4, 16])
    def test_is_the_bin_of_the_averaged_intensity(self, bins, downsample):
        images = pixels()
        target = ColorBinTarget(bins, MEAN, STD, downsample=downsample)
        made = target(normalized(images))
        np.testing.assert_array_equal(made, np.floor(averaged(images, downsample) / 256 * bins))
        assert target.channels == 3 * bins and target.map_stride == downsample

    def test_every_8_bit_intensity_survives_the_normalisation(self):
        images = np.arange(256.).repeat(3).reshape(1, 256, 1, 3).transpose(0, 3, 1, 2)
        made = ColorBinTarget(256, MEAN, STD)(normalized(images))
        np.testing.assert_array_equal(made, images)

    @pytest.mark.parametrize('channels', [1, 4, 8])
    def test_other_channels_and_ranges(self, channels):
        images = 100 * pixels(channels=channels) - 5000
        target = ColorBinTarget(10, [3000.], [7000.], (0., 16384.), in_channels=channels)
        made = target(normalized(images, [3000.], [7000.]))
        np.testing.assert_array_equal(made, np.clip(np.floor(images / 16384 * 10), 0, 9))
        assert made.amin() == 0 and made.amax() == 9

    def test_to_images_are_the_middles_of_the_bins(self):
        images = pixels()
        target = ColorBinTarget(8, MEAN, STD)
        classes = target(normalized(images))
        colors = target.to_images(classes, None)
        torch.testing.assert_close(colors, normalized(classes.double().numpy() * 32 + 16))
        assert torch.equal(target(colors), classes)
        logits = torch.nn.functional.one_hot(classes, 8).permute(0, 1, 4, 2, 3).flatten(1, 2).float()
        assert torch.equal(target.to_images(logits, None), colors)

    @pytest.mark.parametrize('options, message', [
        (dict(bins=1), 'at least 2 bins per channel, but got 1'),
        (dict(value_range=(5, 5)), r'a lower and a higher intensity, but is \(5, 5\)'),
        (dict(mean=[1, 2]), r'mean must hold 1 or 3 numbers, but is \[1, 2\]'),
        (dict(std=[1] * 4), r'std must hold 1 or 3 numbers, but is \[1, 1, 1, 1\]'),
    ])
    def test_refuses(self, options, message):
        with pytest.raises(InputError, match=message):
            ColorBinTarget(**{**dict(bins=8, mean=MEAN, std=STD), **options})


class TestColorClusterTarget:

    @pytest.mark.parametrize('channels', [1, 3, 4, 8])
    @pytest.mark.parametrize('downsample', [1, 4])
    def test_is_the_nearest_centre(self, channels, downsample):
        images = pixels(channels=channels)
        palette = np.random.default_rng(1).uniform(0, 255, size=(7, channels))
        target = ColorClusterTarget(palette, [120.], [60.], channels, downsample=downsample)
        made = target(normalized(images, [120.], [60.]))
        small = averaged(images, downsample)[:, None]
        distances = ((small - palette[:, :, None, None])**2).sum(2)  # [B, K, h, w]
        np.testing.assert_array_equal(made, distances.argmin(1)[:, None])
        assert target.channels == 7 and target.map_stride == downsample

    def test_no_more_memory_at_once_than_allowed_and_the_same_classes(self, monkeypatch):
        target, images = ColorClusterTarget(PALETTE, MEAN, STD), normalized(pixels())
        whole = target(images)
        pieces, argmin = [], torch.Tensor.argmin

        def recorded(distances: torch.Tensor, dim: int) -> torch.Tensor:
            pieces.append(distances.numel())
            return argmin(distances, dim)

        monkeypatch.setattr(color_ops, '_CPU_PIECE', 100)
        monkeypatch.setattr(torch.Tensor, 'argmin', recorded)
        assert torch.equal(target(images), whole)
        assert max(pieces) <= 100 and sum(pieces) == whole.numel() * 5

    def test_to_images_are_the_centres(self):
        target = ColorClusterTarget(PALETTE, MEAN, STD)
        classes = torch.arange(5)[[0, 2, 4, 1, 3, 3]].view(1, 1, 2, 3)
        colors = target.to_images(classes, None)
        assert torch.equal(target(colors), classes)
        expected = np.array(PALETTE, float)[classes[0, 0]].transpose(2, 0, 1)[None]
        torch.testing.assert_close(colors, normalized(expected))
        logits = torch.nn.functional.one_hot(classes[:, 0], 5).movedim(-1, 1).float()
        assert torch.equal(target.to_images(logits, None), colors)

    def test_centres_from_files(self, tmp_path):
        np.save(tmp_path / 'a.npy', np.array(PALETTE))
        ColorClusters(np.float32(PALETTE), 1., images=2, pixels=9, size=4, seed=0).save(tmp_path / 'b.npz')
        for path in (str(tmp_path / 'a.npy'), tmp_path / 'b.npz'):
            assert ColorClusterTarget(path, MEAN, STD).centers.tolist() == PALETTE

    def test_a_checkpoint_alone_restores_them(self):
        images = normalized(pixels())
        trained, fresh = ColorClusterTarget(PALETTE, MEAN, STD), ColorClusterTarget(5, MEAN, STD)
        assert list(trained.state_dict()) == ['centers']
        with pytest.raises(InputError, match=r'centers=5\) waits for a checkpoint .* none was loaded'):
            fresh(images)
        model = torch.nn.ModuleDict(dict(target_generator=fresh))
        weights = torch.nn.ModuleDict(dict(target_generator=trained)).state_dict()
        model.load_state_dict(weights)
        assert torch.equal(fresh(images), trained(images))
        model['target_generator'] = changed = ColorClusterTarget(PALETTE[::-1], MEAN, STD)
        model.load_state_dict(weights)
        assert changed.centers.tolist() == PALETTE

    @pytest.mark.parametrize('centers, message', [
        ('no.npz', 'no colour clusters at no.npz: make them with tools/fit_color_clusters.py'),
        ([[1, 2, 3]], r'at least 2 rows of 3 intensities, but have the shape \(1, 3\)'),
        ([[1, 2], [3, 4]], r'the shape \(2, 2\)'),
        (1, r'the shape \(1, 3\)'),
        ([[1, 2, 3], [4]], 'cannot read the rows given'),
        ([[1, 2, 3], [4, 5, float('nan')]], 'must be finite numbers'),
    ])
    def test_refuses(self, centers, message):
        with pytest.raises(InputError, match=message):
            ColorClusterTarget(centers, MEAN, STD)

    @pytest.mark.parametrize('write', [
        lambda path: path.write_bytes(b'no palette'), lambda path: path.write_bytes(b''),
        lambda path: np.savez(path, colors=PALETTE), lambda path: path.mkdir()])
    def test_refuses_files_without_centres(self, write, tmp_path):
        write(tmp_path / 'a.npz')
        with pytest.raises(InputError, match='expected colour clusters as rows .* but cannot read .*a.npz'):
            ColorClusterTarget(tmp_path / 'a.npz', MEAN, STD)


class TestTokenizerTarget:

    @staticmethod
    def make(tokenizer: dict, **options) -> TokenizerTarget:
        return TokenizerTarget(tokenizer, **{**dict(mean=MEAN, std=STD, random_weights=True), **options})

    def test_dalle_sees_mapped_averaged_intensities(self):
        images = pixels()
        target = self.make(DALLE, downsample=2)
        made = target(normalized(images))
        mapped = 0.8 * averaged(images, 2) / 255 + 0.1  # BEiT's map_pixels
        expected = target.network(torch.from_numpy(mapped).float()).argmax(1)
        assert torch.equal(made, expected[:, None]) and made.shape == (2, 1, 1, 2)
        assert (target.channels, target.map_stride) == (32, 16)

    def test_vqkd_gives_its_own_tokens_on_squares(self):
        images = pixels(batch=8, size=(32, 32))
        target = self.make(VQ)
        expected = target.network.get_tokens(torch.from_numpy(images / 127.5 - 1).float())['token']
        made = target(normalized(images))
        assert torch.equal(made.flatten(1), expected) and len(made.unique()) > 1
        assert (target.channels, target.map_stride) == (32, 8)

    def test_vqkd_on_rectangles(self):
        target = self.make(VQ)
        assert target(normalized(pixels(size=(16, 24)))).shape == (2, 1, 2, 3)

    def test_another_number_of_channels(self):
        target = self.make({**DALLE, 'input_channels': 4}, mean=[120.], std=[60.])
        assert target(torch.randn(1, 4, 16, 8)).shape == (1, 1, 2, 1)

    @pytest.mark.parametrize('tokenizer', [DALLE, VQ])
    def test_frozen_and_no_part_of_the_model(self, tokenizer):
        target = self.make(tokenizer).train()
        before = {name: value.clone() for name, value in target.network.state_dict().items()}
        images = normalized(pixels()).requires_grad_()
        assert not target(images).requires_grad and not target.network.training
        assert not list(target.parameters()) and not target.state_dict()
        assert not any(weight.requires_grad for weight in target.network.parameters())
        assert all(torch.equal(value, before[name]) for name, value in target.network.state_dict().items())

    def test_follows_the_target_from_device_to_device(self):
        target = self.make(DALLE).to('meta')
        assert {weight.device.type for weight in target.network.parameters()} == {'meta'}

    def test_random_weights_are_the_same_in_every_run_and_disturb_no_other_random_numbers(self):
        images, state = normalized(pixels()), torch.get_rng_state()
        first = self.make(DALLE)
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(7)
        assert torch.equal(first(images), self.make(DALLE)(images))

    @pytest.mark.parametrize('tokenizer', [DALLE, VQ])
    @pytest.mark.parametrize('wrap', [lambda weights: weights, lambda weights: dict(state_dict=weights)])
    def test_weights_from_a_file(self, tokenizer, wrap, tmp_path):
        trained = MODELS.build(tokenizer)
        weights = {**trained.state_dict(), 'decoder.weight': torch.ones(1)}
        weights.pop('quantize.cluster_size', None)
        torch.save(wrap(weights), tmp_path / 'a.pth')
        target = self.make(tokenizer, checkpoint=tmp_path / 'a.pth', random_weights=False)
        for name, weight in trained.named_parameters():
            assert torch.equal(target.network.get_parameter(name), weight)

    def test_refuses_weights_that_do_not_fit(self, tmp_path):
        weights = MODELS.build(DALLE).state_dict()
        weights.pop('blocks.output.conv.b')
        torch.save(weights, tmp_path / 'a.pth')
        options = dict(checkpoint=tmp_path / 'a.pth', random_weights=False)
        with pytest.raises(InputError, match=r'a.pth does not match the model: .* 1 missing \(first: blocks.output'):
            self.make(DALLE, **options)
        with pytest.raises(InputError, match='a.pth does not match the model: .* of another shape'):
            self.make({**DALLE, 'vocab_size': 16}, **options)

    @pytest.mark.parametrize('tokenizer, options, message', [
        (DALLE, dict(random_weights=False), 'needs either a checkpoint, a local file .* got checkpoint=None'),
        (DALLE, dict(checkpoint='a.pth'), 'got checkpoint=a.pth and random_weights=True'),
        (DALLE, dict(checkpoint='no.pth', random_weights=False), 'no checkpoint at no.pth'),
        (dict(type='mmpretrain.HOGGenerator'), {}, 'must be mmpretrain.DALL-E or mmpretrain.VQKD, but is HOGGenerator'),
        ({**VQ, 'encoder_config': {**ENCODER, 'use_rel_pos_bias': True}}, {}, 'must have absolute positions only'),
        ({**VQ, 'encoder_config': {**ENCODER, 'use_abs_pos_emb': False}}, {}, 'must have absolute positions only'),
        ({**VQ, 'encoder_config': {**ENCODER, 'out_type': 'raw'}}, {}, "out_type='featmap', but gives 'raw'"),
        (DALLE, dict(downsample=0), 'a target cell must be at least 1 px, but is 0'),
    ])
    def test_refuses(self, tokenizer, options, message):
        with pytest.raises(InputError, match=message):
            self.make(tokenizer, **options)


class TestCrossEntropy:

    @pytest.mark.parametrize('channels', [1, 3, 4])
    def test_falls_with_confidence_in_the_right_classes(self, channels):
        head = ReconstructionHead(loss=dict(criterion='CrossEntropy'))
        mask = torch.tensor([[[True, False]]])
        target = ColorBinTarget(4, [120.], [60.], in_channels=channels)
        classes = target(normalized(pixels(1, channels, (4, 8)), [120.], [60.]))
        right = torch.nn.functional.one_hot(classes, 4).permute(0, 1, 4, 2, 3).flatten(1, 2).float()
        losses = [head.loss(confidence * right, classes, mask).item() for confidence in (0, 1, 4, 40)]
        assert losses[0] == pytest.approx(np.log(4)) and losses == sorted(losses, reverse=True)
        assert losses[-1] == pytest.approx(0, abs=1e-6)
        wrong = head.loss(40 * right.roll(1, dims=1), classes, mask)
        assert wrong > losses[0]

    @pytest.mark.parametrize('generator', [
        dict(type='mim_plugins.ColorBinTarget', bins=8, downsample=2),
        dict(type='mim_plugins.ColorClusterTarget', centers=PALETTE, downsample=4),
        dict(type='mim_plugins.TokenizerTarget', tokenizer=DALLE, random_weights=True)])
    def test_a_model_learns_classes(self, generator, small_config):
        scale = {name: small_config['data_preprocessor'][name] for name in ('mean', 'std')}
        small_config['target_generator'] = {**generator, **scale}
        small_config['head']['loss'] = dict(criterion='CrossEntropy')
        model = MODELS.build(small_config)
        model.init_weights()
        assert not [name for name, _ in model.named_parameters() if name.startswith('target_generator')]
        inputs = torch.randn(2, 3, *model.input_size)
        mask = torch.tensor([[[True, False], [False, True]]]).expand(2, -1, -1)
        mask = mask.repeat(1, model.input_size[0] // 16, model.input_size[1] // 16)
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        losses = []
        for _ in range(8):
            loss = model(inputs, mask=mask, mode='loss')['loss']
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize('tokenizer, black, white', [(DALLE, .1, .9), (VQ, -1., 1.)])
def test_tokenizers_read_intensities_on_their_own_scale(tokenizer, black, white):
    seen = []
    target = TokenizerTarget(tokenizer, MEAN, STD, random_weights=True)
    target._reader.tokens = lambda images: seen.append(images) or torch.zeros(len(images), 2, 2, dtype=torch.int64)
    target(normalized(np.stack([np.zeros((3, 16, 16)), np.full((3, 16, 16), 255.)])))
    expected = torch.tensor([black, white]).view(-1, 1, 1, 1).expand(2, 3, 16, 16)
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=1e-5)


def test_bins_divide_the_range_that_was_given():
    target = ColorBinTarget(4, mean=[0.], std=[1.], value_range=(64., 192.), in_channels=1)
    values = torch.tensor([10., 64., 95., 96., 159., 160., 191., 250.])
    assert target(values.view(1, 1, 1, 8)).flatten().tolist() == [0, 0, 0, 1, 2, 3, 3, 3]


def test_class_targets_are_discrete():
    assert [target.discrete for target in every_target()] == [False, True, True, True, True]
