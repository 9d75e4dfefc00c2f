"""Fused attention in every encoder and decoder that a recipe trains, equal to the stock modules'."""
import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import SVT, BEiTViT, SwinTransformer, SwinTransformerV2
from torch import nn
from torch.overrides import TorchFunctionMode

from mim_plugins.models import (
    CMT,
    ConvMAEEncoder,
    InverseSwinDecoder,
    MAEDecoder,
    MFFVisionTransformer,
    MixMIMTransformer,
    PyramidVisionTransformer,
    ResizableBEiT,
    ResizableSwin,
    ResizableSwinV2,
    SinCosVisionTransformer,
    TIMMEncoder,
    TransformerDecoder,
    TwinsSVT,
)
from mim_plugins.models.backbones import biased_attention
from mim_plugins.models.backbones.biased_attention import aligned_index, attend, gathered_bias, masked_bias
from mim_plugins.models.backbones.window_attention import attend_with_mask
from mim_plugins.ops import relative_position_index

PLAIN = dict(arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32), img_size=64)
SHARED = dict(use_rel_pos_bias=False, use_shared_rel_pos_bias=True)
SHIFTED = dict(embed_dims=8, depths=[2, 2, 2, 2], num_heads=[1, 1, 2, 2])
SWIN = dict(arch=SHIFTED, img_size=64, drop_path_rate=0.)
SWIN_V2 = {**SWIN, 'arch': {**SHIFTED, 'extra_norm_every_n_blocks': 0}}
STAGES = dict(embed_dims=[8, 8, 16, 16], depths=[2, 2, 2, 2], num_heads=[1, 2, 2, 4], mlp_ratios=[2, 2, 2, 2],
              sr_ratios=[8, 4, 2, 1])
TWINS = dict(arch={**STAGES, 'patch_sizes': [4, 2, 2, 2], 'strides': [4, 2, 2, 2], 'window_sizes': [2, 2, 2, 2]},
             qkv_bias=True)
# Ours, and of mmpretrain what it must equal with the same weights.
PAIRS = {
    'swin': (lambda **o: ResizableSwin(**SWIN, window_size=2, **o), lambda: SwinTransformer(**SWIN, window_size=2)),
    'swinv2': (lambda **o: ResizableSwinV2(**SWIN_V2, window_size=2, **o),
               lambda: SwinTransformerV2(**SWIN_V2, window_size=2)),
    'beit, shared table': (lambda **o: ResizableBEiT(**PLAIN, **SHARED, **o), lambda: BEiTViT(**PLAIN, **SHARED)),
    'beit, own tables': (lambda **o: ResizableBEiT(**PLAIN, **o), lambda: BEiTViT(**PLAIN)),
    'beit, no table': (lambda **o: ResizableBEiT(**PLAIN, use_rel_pos_bias=False, bias=True, **o),
                       lambda: BEiTViT(**PLAIN, use_rel_pos_bias=False, bias=True)),
    'twins': (lambda **o: TwinsSVT(**TWINS, **o), lambda: SVT(**TWINS)),
}
FEATURES = dict(in_channels=16, out_channels=3, stride=16, out_stride=16)
# Everything of ours that attends, and what it is called with.
ATTENDING = {
    **{name: ours for name, (ours, _) in PAIRS.items()},
    'vit': lambda: SinCosVisionTransformer(**PLAIN),
    'mff': lambda: MFFVisionTransformer(**PLAIN, fused_layers=[0, 1]),
    'mixmim': lambda: MixMIMTransformer(SHIFTED, 64),
    'convmae': lambda: ConvMAEEncoder(dict(embed_dims=[8, 8, 16], depths=[1, 1, 2], num_heads=2), 64),
    'pvt': lambda: PyramidVisionTransformer(STAGES, 64),
    'cmt': lambda: CMT({**STAGES, 'stem_channels': 8}, 64),
    'timm pvtv2': lambda: TIMMEncoder('pvt_v2_b0', 64, embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1),
                                      num_heads=(1, 2, 3, 4)),
    'decoder': lambda: TransformerDecoder(16, 1, num_extra_tokens=1, **FEATURES),
    'mae decoder': lambda: MAEDecoder(16, 1, num_extra_tokens=1, **FEATURES),
    'inverse swin': lambda: InverseSwinDecoder(SHIFTED, 2, **FEATURES),
}


def randomized(model: nn.Module) -> nn.Module:
    """With biases and tables that differ from their start: zeros would hide mistakes."""
    model.init_weights()
    for parameter in model.parameters():
        parameter.data.add_(.1 * torch.randn_like(parameter))
    return model


def run(model: nn.Module) -> torch.Tensor:
    """Last features of two images, or prediction from random features."""
    generator = torch.Generator().manual_seed(3)
    if isinstance(model, TransformerDecoder | InverseSwinDecoder):
        model.set_input_size((64, 64))
        plain = isinstance(model, TransformerDecoder)
        features = torch.randn(2, 16 + plain, 16, generator=generator)
        mask = torch.rand(2, 4, 4, generator=generator) > .5
        return model(features, (64, 64), mask)
    images = torch.randn(2, 3, 64, 64, generator=generator)
    outputs = model(images.to(next(model.parameters()).dtype))
    return outputs[-1] if isinstance(outputs, tuple) else outputs


@pytest.mark.parametrize('name', PAIRS)
@pytest.mark.parametrize('dtype, tolerance', [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_outputs_gradients_and_names_are_mmpretrains(name, dtype, tolerance):
    ours, theirs = randomized(PAIRS[name][0]()), PAIRS[name][1]()
    left = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert not left.unexpected_keys
    # The tables of SwinV2 are made, not stored.
    assert all(name == 'swinv2' and 'relative_' in key for key in left.missing_keys)
    results = []
    for model in (ours, theirs):
        model.to(dtype).eval()
        output = run(model)
        (output**3).mean().backward()
        results.append([output, *(value.grad for value in model.parameters())])
    for (key, _), one, other in zip([('output', None), *ours.named_parameters()], *results, strict=True):
        largest = other.detach().abs().max().item()
        torch.testing.assert_close(one, other, atol=tolerance * largest, rtol=tolerance, msg=key)


class Recorded(TorchFunctionMode):
    """Names of the attention and softmax functions that are called, the latter over keys only."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func.__name__ == 'scaled_dot_product_attention' or (
                func.__name__ == 'softmax' and -1 in (*args[1:2], kwargs.get('dim'))):
            self.names.add(func.__name__)
        return func(*args, **kwargs)


@pytest.mark.parametrize('name', ATTENDING)
def test_attention_is_fused(name, monkeypatch):
    monkeypatch.setattr(biased_attention, '_attend_on_cpu', F.scaled_dot_product_attention)
    model = ATTENDING[name]()
    with Recorded() as calls:
        run(model)
    assert calls.names == {'scaled_dot_product_attention'}


def test_the_audit_sees_attention_by_hand():
    with Recorded() as calls:
        run(PAIRS['twins'][1]())
        run(ATTENDING['swin']())
    assert calls.names == {'scaled_dot_product_attention', 'softmax'}


@pytest.mark.parametrize('name', ATTENDING)
def test_bf16(name):
    model = randomized(ATTENDING[name]())
    model.eval()
    expected = run(model).detach()
    with torch.autocast('cpu', torch.bfloat16):
        mixed = run(model)
        loss = mixed.float().square().mean()
    loss.backward()
    assert (mixed.float() - expected).norm() < .05 * expected.norm()
    assert all(value.grad is None or value.grad.isfinite().all() for value in model.parameters())
    assert any(value.grad is not None and value.grad.any() for value in model.parameters())


def test_twins_keeps_what_pads_a_window_apart():
    """mmpretrain's own does so where both sides are padded only."""
    ours, theirs = PAIRS['twins'][0]().stages[0][0].attn, SVT(**TWINS).stages[0][0].attn
    theirs.load_state_dict(ours.state_dict())
    tokens = torch.randn(2, 15, 8)
    torch.testing.assert_close(ours(tokens, (3, 5)), theirs(tokens, (3, 5)), atol=1e-5, rtol=1e-5)
    wide = torch.cat([tokens, tokens[:, :3] + 1], dim=1)  # (3, 6): one side is padded
    alone = ours(wide.unflatten(1, (3, 6))[:, 2:].flatten(1, 2), (1, 6))
    torch.testing.assert_close(ours(wide, (3, 6)).unflatten(1, (3, 6))[:, 2], alone)


class TestBiasedAttention:

    @pytest.mark.parametrize('scale', [None, .7])
    @pytest.mark.parametrize('with_bias', [True, False])
    def test_equals_torchs(self, scale, with_bias):
        query, key, value = torch.randn(3, 2, 3, 5, 4, dtype=torch.float64, requires_grad=True).unbind()
        bias = torch.randn(3, 5, 5, requires_grad=True) if with_bias else None
        ours = attend(query, key, value, bias, scale=scale)
        theirs = F.scaled_dot_product_attention(
            query, key, value, bias[None].double() if with_bias else None, scale=scale)
        torch.testing.assert_close(ours, theirs)

    def test_drops_weights(self):
        query, key, bias = torch.randn(2, 3, 40, 4), torch.randn(2, 3, 40, 4), torch.randn(3, 40, 40)
        read = torch.eye(40).expand(2, 3, 40, 40)  # the values show the weights
        weights, dropped = attend(query, key, read, bias), attend(query, key, read, bias, dropout=.25)
        kept = dropped > 0
        assert .7 < kept.float().mean() < .8
        torch.testing.assert_close(dropped[kept], weights[kept] / .75)

    @pytest.mark.parametrize('window', [(7, 7), (4, 4), (2, 3)])
    @pytest.mark.parametrize('mixed', [True, False])
    def test_a_bias_is_laid_out_for_gpu_kernels(self, window, mixed):
        index = relative_position_index(window)
        table = torch.randn((2 * window[0] - 1) * (2 * window[1] - 1), 3, requires_grad=True)
        with torch.autocast('cpu', torch.bfloat16, enabled=mixed):
            bias = gathered_bias(table, aligned_index(index))
        assert bias.dtype == (torch.bfloat16 if mixed else torch.float32)
        assert torch.equal(bias, table[index].permute(2, 0, 1).to(bias.dtype))
        assert bias.stride(2) == 1 and all(stride % 8 == 0 for stride in bias.stride()[:2])
        bias.float().sum().backward()
        assert torch.equal(table.grad[:, 0], torch.bincount(index.flatten()).float())  # columns to spare give nothing


    @pytest.mark.parametrize('tokens', [49, 16, 6])
    @pytest.mark.parametrize('with_bias', [True, False])
    def test_a_masked_bias_is_laid_out_for_gpu_kernels(self, monkeypatch, tokens, with_bias):
        """On a device without numbers, which shows the layout."""
        given = []
        monkeypatch.setattr(F, 'scaled_dot_product_attention', lambda query, key, value, bias, *rest, scale: (
            given.append(bias), value)[1])
        with torch.device('meta'):
            query, mask = torch.randn(8, 3, tokens, 16), torch.randn(4, tokens, tokens)
            bias = torch.randn(3, tokens, tokens)
        attended = attend_with_mask(query, query, query, bias if with_bias else None, mask, 0., 1.)
        assert attended.shape == (8, tokens, 48) and given[0].shape == (1, 12, tokens, tokens)
        assert given[0].stride(3) == 1 and all(stride % 8 == 0 for stride in given[0].stride()[1:3])

    @pytest.mark.parametrize('with_bias', [True, False])
    def test_a_layout_changes_no_sum(self, monkeypatch, with_bias):
        mask, bias = torch.randn(4, 9, 9), torch.randn(3, 9, 9) if with_bias else None
        expected = (mask[:, None] + (bias if with_bias else 0)).expand(-1, 3, -1, -1).flatten(0, 1)
        assert torch.equal(masked_bias(bias, mask, 3), expected)
        monkeypatch.setattr(torch.Tensor, 'is_cpu', False)
        padded = masked_bias(bias, mask, 3)
        assert torch.equal(padded, expected) and padded.stride(1) == 16


def test_the_cosines_factor_has_a_largest_value():
    ours, theirs = randomized(PAIRS['swinv2'][0]()), PAIRS['swinv2'][1]()
    for name, value in ours.named_parameters():
        if 'logit_scale' in name:
            value.data.fill_(6.)  # above the logarithm of 100
    theirs.load_state_dict(ours.state_dict(), strict=False)
    outputs = []
    for model in (ours, theirs):
        model.double().train(False)
        outputs.append(run(model))
    torch.testing.assert_close(*outputs, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize('name', ['swin', 'swinv2', 'beit, shared table', 'twins'])
def test_attention_weights_are_dropped_in_training_only(name):
    model = randomized(PAIRS[name][0]())
    for module in model.modules():
        if isinstance(getattr(module, 'attn_drop', None), nn.Dropout):
            module.attn_drop.p = .5
    assert not torch.equal(run(model), run(model))
    model.eval()
    assert torch.equal(run(model), run(model))
