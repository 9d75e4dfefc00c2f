"""Pyramids of a plain encoder's maps."""
import pytest
import torch
from mmpretrain.models.utils.norm import LayerNorm2d
from torch import nn

from mim_plugins.errors import InputError
from mim_plugins.models import RescaledLevels, SimpleFeaturePyramid
from mim_plugins.registry import MODELS


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_published_counts():
    with torch.device('meta'):
        assert count(SimpleFeaturePyramid()) == 5_560_000
        assert count(RescaledLevels()) == 7_087_872


class TestSimpleFeaturePyramid:

    @pytest.mark.parametrize('num_outs', [4, 5, 6])
    def test_levels(self, num_outs):
        levels = SimpleFeaturePyramid(16, 8, num_outs)((torch.randn(2, 16, 4, 8), ))
        assert all(level.is_contiguous() for level in levels)
        assert [tuple(level.shape) for level in levels] == [
            (2, 8, 16, 32), (2, 8, 8, 16), (2, 8, 4, 8), (2, 8, 2, 4), (2, 8, 1, 2), (2, 8, 1, 1)][:num_outs]

    def test_each_level_is_normed_last_and_p6_is_every_second_place(self):
        *_, p5, p6 = SimpleFeaturePyramid(16, 8)((torch.randn(2, 16, 8, 8), ))
        torch.testing.assert_close(p5.mean(1), torch.zeros(2, 4, 4), atol=1e-5, rtol=0)
        torch.testing.assert_close(p5.var(1, unbiased=False), torch.ones(2, 4, 4), atol=1e-2, rtol=0)
        assert torch.equal(p6, p5[..., ::2, ::2])

    def test_the_finest_level_is_what_the_paper_draws(self):
        pyramid = SimpleFeaturePyramid(16, 8)
        for parameter in pyramid.parameters():
            nn.init.normal_(parameter)

        def doubled(layer, maps):
            """Each place becomes four, which share nothing with their neighbours."""
            batch, _, height, width = maps.shape
            places = torch.einsum('bcij,cdyx->bdiyjx', maps, layer.weight)
            return places.reshape(batch, -1, 2 * height, 2 * width) + layer.bias[:, None, None]

        def normed(layer, maps):
            centred = maps - maps.mean(1, keepdim=True)
            scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
            return scaled * layer.weight[:, None, None] + layer.bias[:, None, None]

        first, norm, _, second = pyramid.rescale[0]
        narrow, narrow_norm, smooth, smooth_norm = pyramid.project[0]
        image = torch.randn(2, 16, 3, 4)
        hidden = normed(norm, doubled(first, image))
        hidden = doubled(second, hidden * (1 + torch.erf(hidden / 2**.5)) / 2)  # GELU
        hidden = normed(narrow_norm, torch.einsum('bchw,dc->bdhw', hidden, narrow.weight[..., 0, 0]))
        patches = nn.functional.unfold(hidden, 3, padding=1)
        expected = normed(smooth_norm, (smooth.weight.flatten(1) @ patches).unflatten(-1, (12, 16)))
        torch.testing.assert_close(pyramid((image, ))[0], expected, atol=1e-3, rtol=1e-3)

    def test_trains_everything(self):
        pyramid = SimpleFeaturePyramid(16, 8)
        sum((level**3).sum() for level in pyramid((torch.randn(2, 16, 4, 4), ))).backward()
        assert [name for name, value in pyramid.named_parameters() if not value.grad.any()] == []

    def test_refuses(self):
        with pytest.raises(InputError, match='at least 4, but is 3'):
            SimpleFeaturePyramid(16, 8, 3)
        with pytest.raises(InputError, match='one map, but 2 came'):
            SimpleFeaturePyramid(16, 8)((torch.randn(1, 16, 4, 4), ) * 2)


class TestRescaledLevels:

    def test_levels(self):
        maps = torch.randn(4, 2, 32, 4, 8).unbind()
        levels = RescaledLevels(32)(maps)
        assert all(level.is_contiguous() for level in levels)
        assert [tuple(level.shape) for level in levels] == [
            (2, 32, 16, 32), (2, 32, 8, 16), (2, 32, 4, 8), (2, 32, 2, 4)]
        normed = LayerNorm2d(32, eps=1e-6)(maps[2])
        torch.testing.assert_close(levels[2], normed)
        torch.testing.assert_close(levels[3], nn.functional.max_pool2d(LayerNorm2d(32, eps=1e-6)(maps[3]), 2))

    def test_trains_everything(self):
        rescaled = RescaledLevels(16, norm_cfg=dict(type='SyncBN'))
        rescaled.rescale[0][1] = nn.BatchNorm2d(16)  # SyncBN runs on GPUs only
        sum((level**3).sum() for level in rescaled(torch.randn(4, 2, 16, 4, 4).unbind())).backward()
        assert [name for name, value in rescaled.named_parameters() if not value.grad.any()] == []

    def test_refuses_other_numbers_of_maps(self):
        with pytest.raises(InputError, match='four maps are rescaled, but 1 came'):
            RescaledLevels(32)((torch.randn(1, 32, 4, 4), ))


def test_the_pooled_level_holds_the_largest_of_each_four():
    fine, coarse = torch.randn(1, 2, 8, 8), torch.arange(16.).view(1, 1, 4, 4)
    out = MODELS.build(dict(type='mim_plugins.PooledLevel'))((fine, coarse))
    assert out[0] is fine and out[1] is coarse and len(out) == 3
    assert out[2].tolist() == [[[[5, 7], [13, 15]]]]
