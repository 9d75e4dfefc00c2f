"""Fill, targets, decoder and head, each on its own."""
import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.models import HOGTarget, ImageTokenFill, PixelTarget, ReconstructionHead, TransformerDecoder
from mim_plugins.ops import hog, patchify, tokens_to_map


class TestImageTokenFill:

    def test_replaces_masked_pixels_only(self):
        fill, images = ImageTokenFill(), torch.randn(2, 3, 8, 16)
        fill.init_weights()
        mask = torch.tensor([[[True, False]], [[False, True]]])
        filled = fill(images, mask)
        assert torch.equal(filled[0, ..., 8:], images[0, ..., 8:])
        assert torch.equal(filled[1, ..., 8:], fill.mask_token[0].expand(3, 8, 8))

    def test_token_starts_small_and_learns(self):
        fill = ImageTokenFill(channels=4096)
        fill.init_weights()
        assert abs(fill.mask_token.std() - .02) < .002
        fill(torch.zeros(1, 4096, 4, 4), torch.tensor([[[True, False], [False, False]]])).sum().backward()
        assert torch.all(fill.mask_token.grad == 4)


class TestTargets:

    def test_hog_map_and_tokens(self):
        images = torch.randn(2, 3, 32, 16)
        maps = HOGTarget()(images)
        assert torch.equal(maps, hog(images))
        tokens = HOGTarget(layout='tokens', stride=16)(images)
        assert torch.equal(tokens, patchify(maps, 2, channels_last=False)) and tokens.shape == (2, 2, 108)

    def test_pixels_as_they_are_and_normalised(self):
        images = torch.randn(2, 3, 32, 16)
        assert torch.equal(PixelTarget()(images), images)
        assert torch.equal(PixelTarget(layout='tokens', stride=8)(images), patchify(images, 8))
        patches = patchify(PixelTarget(norm_patch=8)(images), 8)
        torch.testing.assert_close(patches.var(-1), torch.ones(2, 8), atol=1e-3, rtol=0)

    @pytest.mark.parametrize('channels', [1, 4, 8])
    def test_other_numbers_of_channels(self, channels):
        images = torch.randn(1, channels, 16, 16)
        for target in (HOGTarget(in_channels=channels), PixelTarget(in_channels=channels)):
            assert target(images).shape[1] == target.channels

    @pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
    def test_autocast_gives_the_float32_target(self, dtype):
        images = torch.randn(1, 3, 16, 16)
        for target in (HOGTarget(), PixelTarget(norm_patch=8)):
            with torch.autocast('cpu', dtype=dtype):
                inside = target(images)
            assert inside.dtype == torch.float32 and torch.equal(inside, target(images))

    @pytest.mark.parametrize('options, message', [
        (dict(layout='grid'), "but is 'grid'"), (dict(layout='tokens', stride=12), 'tokens of 12 px'),
    ])
    def test_refuse_bad_layouts(self, options, message):
        with pytest.raises(InputError, match=message):
            HOGTarget(**options)


class TestTransformerDecoder:

    def make(self, **options) -> TransformerDecoder:
        decoder = TransformerDecoder(in_channels=8, out_channels=12, stride=16, embed_dims=32, **options)
        decoder.init_weights()
        return decoder

    def test_tokens_and_maps_give_the_same(self):
        decoder, tokens = self.make(depth=2), torch.randn(2, 6, 8)
        from_tokens = decoder(tokens, (32, 48))
        assert from_tokens.shape == (2, 12, 2, 3)
        torch.testing.assert_close(decoder((None, tokens_to_map(tokens, (2, 3))), (32, 48)), from_tokens)

    def test_extra_tokens_are_seen_but_not_predicted(self):
        decoder = self.make(num_extra_tokens=1)
        tokens = torch.randn(1, 5, 8)
        changed = tokens.clone()
        changed[:, 0] += 1
        assert decoder(tokens, (32, 32)).shape == (1, 12, 2, 2)
        assert not torch.allclose(decoder(tokens, (32, 32)), decoder(changed, (32, 32)))

    def test_knows_no_positions(self):
        decoder, tokens = self.make(), torch.randn(1, 4, 8)
        turned = decoder(tokens.flip(1), (32, 32)).flatten(2).flip(2)
        torch.testing.assert_close(turned, decoder(tokens, (32, 32)).flatten(2))

    def test_one_head_per_32_channels(self):
        assert self.make().blocks[0].attn.num_heads == 1
        assert TransformerDecoder(8, 12, 16, embed_dims=256).blocks[0].attn.num_heads == 8

    @pytest.mark.parametrize('features, got', [
        (torch.zeros(1, 5, 8), 'the encoder gave 5 tokens with 8 channels'),
        (torch.zeros(1, 8, 3, 2), 'the encoder gave a map of 3x2 with 8 channels'),
        (torch.zeros(1, 4, 9), 'the encoder gave 4 tokens with 9 channels'),
    ])
    def test_refuses_features_of_another_grid(self, features, got):
        with pytest.raises(InputError, match=got):
            self.make()(features, (32, 32))

    def test_refuses_heads_that_do_not_divide(self):
        with pytest.raises(InputError, match='width 32 cannot be divided among 5 heads'):
            self.make(num_heads=5)


class TestReconstructionHead:

    def test_masked_loss_is_the_mean_over_masked_elements_of_the_batch(self):
        prediction, target = torch.randn(2, 12, 2, 2), torch.randn(2, 3, 4, 4)
        mask = torch.tensor([[[1, 0], [0, 0]], [[1, 1], [1, 0]]]).bool()  # not a mean of samples' means
        error = (torch.nn.functional.pixel_shuffle(prediction, 2) - target)**2
        region = mask.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None].expand_as(error)
        torch.testing.assert_close(ReconstructionHead().loss(prediction, target, mask), error[region].mean())

    def test_full_region_ignores_the_mask(self):
        prediction, target = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
        loss = ReconstructionHead(region='full').loss(prediction, target, torch.ones(2, 2, 2).bool())
        torch.testing.assert_close(loss, torch.nn.functional.mse_loss(prediction, target))

    def test_visible_predictions_get_no_gradient(self):
        prediction = torch.randn(1, 3, 4, 4, requires_grad=True)
        mask = torch.tensor([[[True, False]]])
        ReconstructionHead().loss(prediction, torch.randn(1, 3, 4, 4), mask).backward()
        assert not prediction.grad[..., 2:].any() and prediction.grad[..., :2].all()

    @pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
    def test_float32_under_autocast(self, dtype):
        prediction, target, mask = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4), torch.ones(1, 1, 1).bool()
        with torch.autocast('cpu', dtype=dtype):
            inside = ReconstructionHead().loss(prediction, target, mask)
        assert torch.equal(inside, ReconstructionHead().loss(prediction, target, mask))

    def test_refuses_an_unknown_region(self):
        with pytest.raises(InputError, match="but is 'visible'"):
            ReconstructionHead(region='visible')
