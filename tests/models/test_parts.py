"""Targets, decoder, head and loss, each on its own."""
import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.models import HOGTarget, PixelTarget, ReconstructionHead, ReconstructionLoss, TransformerDecoder
from mim_plugins.ops import hog, patchify, tokens_to_map


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
        decoder = TransformerDecoder(
            **{**dict(in_channels=8, out_channels=3, stride=16, out_stride=8, embed_dims=32), **options})
        decoder.init_weights()
        return decoder

    def test_tokens_and_maps_give_the_same(self):
        decoder, tokens = self.make(depth=2), torch.randn(2, 6, 8)
        from_tokens = decoder(tokens, (32, 48))
        assert from_tokens.shape == (2, 3, 4, 6)
        torch.testing.assert_close(decoder((None, tokens_to_map(tokens, (2, 3))), (32, 48)), from_tokens)

    def test_extra_tokens_are_seen_but_not_predicted(self):
        decoder = self.make(num_extra_tokens=1)
        tokens = torch.randn(1, 5, 8)
        changed = tokens.clone()
        changed[:, 0] += 1
        assert decoder(tokens, (32, 32)).shape == (1, 3, 4, 4)
        assert not torch.allclose(decoder(tokens, (32, 32)), decoder(changed, (32, 32)))

    def test_knows_no_positions(self):
        decoder, tokens = self.make(out_stride=16), torch.randn(1, 4, 8)
        turned = decoder(tokens.flip(1), (32, 32)).flatten(2).flip(2)
        torch.testing.assert_close(turned, decoder(tokens, (32, 32)).flatten(2))

    def test_knows_positions_on_request(self):
        decoder, tokens = self.make(num_extra_tokens=1, with_position_embedding=True), torch.ones(1, 7, 8)
        with pytest.raises(InputError, match='not those of images of 32x48: call set_input_size first'):
            decoder(tokens, (32, 48))
        decoder.set_input_size((32, 48))
        values = decoder(tokens, (32, 48)).flatten(2)
        assert len(torch.unique(values[0, 0])) == 24

    @pytest.mark.parametrize('channels_last', [True, False])
    def test_a_token_holds_its_cells_in_order(self, channels_last):
        decoder = self.make(channels_last=channels_last)
        values = torch.randn(2, 6, decoder.values_per_token)
        laid = decoder.lay_out(values, (32, 48))
        assert torch.equal(patchify(laid, 2, channels_last), values)
        if not channels_last:
            assert torch.equal(laid, torch.nn.functional.pixel_shuffle(tokens_to_map(values, (2, 3)), 2))

    def test_refuses_tokens_that_do_not_hold_whole_cells(self):
        with pytest.raises(InputError, match='tokens of 16 px cannot predict whole target cells of 12 px'):
            self.make(out_stride=12)

    def test_one_head_per_32_channels(self):
        assert self.make().blocks[0].attn.num_heads == 1
        assert self.make(embed_dims=256).blocks[0].attn.num_heads == 8

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
        prediction, target = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
        mask = torch.tensor([[[1, 0], [0, 0]], [[1, 1], [1, 0]]]).bool()  # not a mean of samples' means
        error = (prediction - target)**2
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


class TestReconstructionLoss:
    prediction = torch.tensor([[[1., -3.], [0., 2.]]])
    target = torch.tensor([[[0., 0.], [0., 0.5]]])

    @pytest.mark.parametrize('criterion, full, masked', [
        ('L1', 5.5 / 4, 2.), ('L2', 12.25 / 4, 5.), ('SmoothL1', (.5 + 2.5 + 1.) / 4, 1.5)])
    def test_distances(self, criterion, full, masked):
        loss = ReconstructionLoss(criterion)
        assert loss(self.prediction, self.target).item() == pytest.approx(full)
        assert loss(self.prediction, self.target, torch.tensor([[True, False]])).item() == pytest.approx(masked)

    def test_simmims_formula(self):
        """Sum of |x - y| M over (sum M + 1e-5) and 3 channels."""
        prediction, target, mask = torch.randn(2, 5, 3), torch.randn(2, 5, 3), torch.rand(2, 5) < .5
        expected = ((prediction - target).abs() * mask[..., None]).sum() / (mask.sum() + 1e-5) / 3
        torch.testing.assert_close(ReconstructionLoss('L1', eps=1e-5)(prediction, target, mask), expected)
        assert ReconstructionLoss('L1', eps=1e-5)(prediction, target, torch.zeros(2, 5).bool()) == 0

    def test_eps_is_added_to_the_number_of_masked_tokens(self):
        loss = ReconstructionLoss('L1', eps=3.)(self.prediction, self.target, torch.tensor([[True, False]]))
        assert loss.item() == pytest.approx(2 / (1 + 3))
        assert ReconstructionLoss().eps == 0 and ReconstructionLoss().criterion == 'L2'

    def test_cross_entropy_of_groups_of_classes(self):
        logits, classes = torch.randn(2, 4, 3 * 5), torch.randint(5, (2, 4, 3))
        mask = torch.rand(2, 4) < .5
        picked = logits.view(2, 4, 3, 5).log_softmax(-1).gather(-1, classes[..., None])[..., 0]
        torch.testing.assert_close(ReconstructionLoss('CrossEntropy')(logits, classes, mask), -picked[mask].mean())
        assert ReconstructionLoss('CrossEntropy').discrete and not ReconstructionLoss('L1').discrete

    @pytest.mark.parametrize('criterion, prediction', [
        ('L1', (2, 4, 2)), ('L2', (2, 3, 3)), ('CrossEntropy', (2, 4, 7))])
    def test_refuses_shapes_that_would_be_broadcast(self, criterion, prediction):
        target = torch.zeros(2, 4, 3, dtype=torch.int64 if criterion == 'CrossEntropy' else torch.float32)
        with pytest.raises(InputError, match='cannot be compared with a target of'):
            ReconstructionLoss(criterion)(torch.zeros(prediction), target)

    def test_refuses_an_unknown_criterion(self):
        with pytest.raises(InputError, match="L1, L2, SmoothL1, Cosine, CrossEntropy, but is 'Huber'"):
            ReconstructionLoss('Huber')
