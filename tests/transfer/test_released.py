"""Made-up weights in the layouts of released checkpoints."""
from pathlib import Path

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from mmpretrain.models import MAEPretrainDecoder
from mmpretrain.models.selfsup import MAEViT, MFFViT
from timm.models.vision_transformer import Block
from torch import nn

from mim_plugins.errors import InputError
from mim_plugins.ops import sin_cos_position_embedding
from mim_plugins.registry import HOOKS, MODELS
from mim_plugins.transfer import from_released

ARCH = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=128)
CONV = dict(embed_dims=[8, 16, 32], depths=[1, 1, 2], num_heads=2)


def model(backbone: dict, stride: int = 8, extra: int = 1, size: int = 32) -> nn.Module:
    return MODELS.build(dict(
        type='mim_plugins.MAE', input_size=size, backbone=backbone,
        data_preprocessor=dict(type='mim_plugins.MaskingDataPreprocessor', mask=dict(unit=16, ratio=.5)),
        fill=dict(type='mim_plugins.TokenDropFill'),
        target_generator=dict(type='mim_plugins.PixelTarget', norm_patch=8),
        neck=dict(type='mim_plugins.MAEDecoder', in_channels=32, stride=stride, num_extra_tokens=extra, embed_dims=16,
                  depth=1, num_heads=2, channels_last=True),
        head=dict(type='mim_plugins.ReconstructionHead')))


def vit(size: int = 32) -> nn.Module:
    return model(dict(type='mim_plugins.SinCosVisionTransformer', out_type='raw', patch_size=8, arch=ARCH), size=size)


def convmae() -> nn.Module:
    return model(dict(type='mim_plugins.ConvMAEEncoder', arch=CONV), stride=16, extra=0, size=64)


def decoder(cls: int, values: int, grid: tuple[int, int] = (4, 4)) -> dict[str, torch.Tensor]:
    """A decoder's state dict as MAE and ConvMAE released theirs."""
    parts = nn.ModuleDict(dict(
        decoder_embed=nn.Linear(32, 16), decoder_blocks=nn.ModuleList([Block(16, 2, qkv_bias=True)]),
        decoder_norm=nn.LayerNorm(16), decoder_pred=nn.Linear(16, values)))
    return {**parts.state_dict(), 'mask_token': torch.randn(1, 1, 16),
            'decoder_pos_embed': sin_cos_position_embedding(grid, 16, cls, columns_first=True)}


def mae(with_decoder: bool = True) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """timm's ViT, which the released encoder is, with MAE's positions, and the whole state dict."""
    encoder = timm.create_model('vit_tiny_patch16_224', img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2,
                                num_classes=0, global_pool='').eval()
    encoder.pos_embed.data = sin_cos_position_embedding((4, 4), 32, 1, columns_first=True)
    nn.init.normal_(encoder.cls_token)
    return encoder, {**encoder.state_dict(), **(decoder(1, 192) if with_decoder else {})}


def load(ours: nn.Module, weights: dict[str, torch.Tensor]) -> str:
    renamed, layout = from_released(weights)
    result = ours.load_state_dict(renamed, strict=False)
    assert not result.unexpected_keys
    assert all(name.startswith('neck.') for name in result.missing_keys)
    for name, value in ours.state_dict().items():
        if name in renamed and 'pos' not in name:
            assert torch.equal(value, renamed[name]), name
    ours.eval()
    return layout


@pytest.mark.parametrize('with_decoder', [True, False])
def test_mae_gives_the_same_features(with_decoder):
    encoder, weights = mae(with_decoder)
    ours = vit()
    assert load(ours, weights) == 'MAE' and len(from_released(weights)[0]) == len(weights)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours(images, mode='tensor')[0], encoder(images), atol=1e-5, rtol=1e-5)


def test_mae_at_another_size_keeps_its_order_of_positions():
    encoder, weights = mae()
    ours = vit(size=48)
    load(ours, weights)
    encoder.pos_embed.data = sin_cos_position_embedding((6, 6), 32, 1, columns_first=True)
    encoder.patch_embed.set_input_size(img_size=48)
    images = torch.randn(1, 3, 48, 48)
    torch.testing.assert_close(ours(images, mode='tensor')[0], encoder(images), atol=1e-5, rtol=1e-5)
    ours.set_input_size((32, 64))
    assert torch.equal(ours.backbone.pos_embed, sin_cos_position_embedding((4, 8), 32, 1, columns_first=True))
    assert torch.equal(ours.neck.position_embedding, sin_cos_position_embedding((4, 8), 16, 1, columns_first=True))
    again = vit(size=48)
    again.load_state_dict(ours.state_dict())  # as a resumed run does
    assert torch.equal(again.backbone.pos_embed, sin_cos_position_embedding((6, 6), 32, 1, columns_first=True))


@pytest.mark.parametrize('layout, mark', [
    ('MAE', 'blocks.0.attn.qkv.weight'), ('ConvMAE', 'patch_embed4.weight')])
def test_heads_are_left_out(layout, mark):
    weights = dict.fromkeys([mark, 'head.weight', 'fc_norm.bias'], torch.zeros(1))
    renamed, found = from_released(weights)
    assert found == layout and renamed == from_released({mark: weights[mark]})[0] and len(renamed) == 1


def test_learned_positions_are_refused():
    _, weights = mae(with_decoder=False)
    with pytest.raises(InputError, match='sine-cosine position embedding was expected, but this one is learned'):
        vit().load_state_dict(from_released({**weights, 'pos_embed': torch.randn(1, 17, 32)})[0], strict=False)


def test_convmae_arrives_whole():
    ours = convmae()
    encoder = MODELS.build(dict(type='mim_plugins.ConvMAEEncoder', arch=CONV, img_size=64)).state_dict()
    weights = {name: torch.randn_like(value) for name, value in encoder.items()}
    weights['pos_embed'] = sin_cos_position_embedding((4, 4), 32, 0, columns_first=True)
    assert {'patch_embed1.proj.weight', 'patch_embed4.bias', 'blocks1.0.conv1.weight', 'blocks2.0.attn.bias',
            'blocks1.0.mlp.fc1.weight', 'blocks3.1.attn.qkv.weight', 'blocks3.0.mlp.fc2.bias', 'norm.weight',
            'stage1_output_decode.weight', 'stage2_output_decode.bias'} <= set(weights)
    weights |= decoder(0, 768)
    assert load(ours, weights) == 'ConvMAE'
    assert set(from_released(weights)[0]) == set(ours.state_dict())
    assert torch.equal(ours.backbone.pos_embed, weights['pos_embed'])


@pytest.mark.parametrize('fused', [False, True])
def test_mmpretrain_arrives_whole(fused):
    options = dict(arch=ARCH, img_size=32, patch_size=8)
    theirs = nn.ModuleDict(dict(
        backbone=MFFViT(out_indices=[0, 1], **options) if fused else MAEViT(**options),
        neck=MAEPretrainDecoder(num_patches=16, patch_size=8, embed_dim=32, decoder_embed_dim=16, decoder_depth=1,
                                decoder_num_heads=2)))
    for part in theirs.values():
        part.init_weights()
    ours = vit() if not fused else model(dict(
        type='mim_plugins.MFFVisionTransformer', fused_layers=[0, 1], patch_size=8, arch=ARCH))
    assert load(ours, theirs.state_dict()) == "mmpretrain's MAE"
    assert set(from_released(theirs.state_dict())[0]) == set(ours.state_dict())
    torch.testing.assert_close(ours.neck.position_embedding, theirs['neck'].decoder_pos_embed.data)


def test_other_layouts_are_left_alone():
    assert from_released(vit().state_dict()) is None
    with torch.device('meta'):
        deit = timm.create_model('deit3_small_patch16_224').state_dict()  # MAE's names and further ones
    assert from_released(deit) is None


class _Runner:
    _resume, _load_from = False, 'mae.pth'

    def __init__(self, model: nn.Module) -> None:
        self.model = model


@pytest.mark.parametrize('key', ['model', 'state_dict', None])
def test_a_run_gets_what_it_was_told_of_own_names(key):
    source, target = vit(), vit()
    nn.init.normal_(source.backbone.cls_token)
    checkpoint = {key: source.state_dict()} if key else source.state_dict()
    HOOKS.build(dict(type='mim_plugins.StrictLoadHook', coverage=1.)).after_load_checkpoint(_Runner(target), checkpoint)
    _load_checkpoint_to_model(target, checkpoint, strict=True)
    assert torch.equal(target.backbone.cls_token, source.backbone.cls_token)


@pytest.mark.parametrize('key', ['model', 'state_dict', None])
def test_a_run_loads_them_as_they_are(key):
    _, weights = mae()
    checkpoint = {key: weights, 'epoch': 1} if key else dict(weights)
    hook, ours = HOOKS.build(dict(type='mim_plugins.StrictLoadHook', coverage=1.)), vit()
    hook.after_load_checkpoint(_Runner(ours), checkpoint)
    assert set(checkpoint['state_dict']) == set(ours.state_dict())


def test_a_run_says_what_it_recognised(monkeypatch):
    said = []
    monkeypatch.setattr('mim_plugins.engine.hooks.strict_load.print_log', lambda text, *args: said.append(text))
    hook = HOOKS.build(dict(type='mim_plugins.StrictLoadHook'))
    hook.after_load_checkpoint(_Runner(vit()), dict(model=mae()[1]))
    assert said[0] == 'mae.pth has the layout of MAE: its tensors are renamed'
    assert said[1].endswith('found in mae.pth (backbone 30 of 30, neck 20 of 20)')


class TestFullSize:
    """Names and shapes of the released ViT-B and ConvMAE-B files against the recipes' models."""

    def ours(self, name: str) -> dict[str, torch.Size]:
        config = Config.fromfile(Path(__file__).parents[2] / 'configs' / '_base_' / 'models' / f'{name}.py')
        return {name: value.shape for name, value in MODELS.build(config.model).state_dict().items()}

    def decoder(self, cls: int) -> dict[str, torch.Tensor]:
        with torch.device('meta'):
            blocks = nn.ModuleList([Block(512, 16, qkv_bias=True) for _ in range(8)]).state_dict()
        shapes = dict(
            mask_token=(1, 1, 512), decoder_pos_embed=(1, 196 + cls, 512), **{
                'decoder_embed.weight': (512, 768), 'decoder_embed.bias': (512, ), 'decoder_norm.weight': (512, ),
                'decoder_norm.bias': (512, ), 'decoder_pred.weight': (768, 512), 'decoder_pred.bias': (768, )})
        return {**{f'decoder_blocks.{name}': value for name, value in blocks.items()},
                **{name: torch.empty(shape, device='meta') for name, shape in shapes.items()}}

    def test_mae(self):
        with torch.device('meta'):
            weights = timm.create_model('vit_base_patch16_224', num_classes=0).state_dict()
        renamed, layout = from_released({**weights, **self.decoder(1)})
        assert layout == 'MAE' and {name: value.shape for name, value in renamed.items()} == self.ours('mae_vit-base')

    def test_convmae(self):
        with torch.device('meta'):
            blocks = nn.ModuleDict({'blocks3': nn.ModuleList([Block(768, 12, qkv_bias=True) for _ in range(11)]),
                                    'norm': nn.LayerNorm(768), 'patch_embed4': nn.Linear(768, 768)}).state_dict()
        shapes = {'pos_embed': (1, 196, 768), 'stage1_output_decode.weight': (768, 256, 4, 4),
                  'stage2_output_decode.weight': (768, 384, 2, 2), 'stage1_output_decode.bias': (768, ),
                  'stage2_output_decode.bias': (768, )}
        for stage, (channels, width, patch) in enumerate(((3, 256, 4), (256, 384, 2), (384, 768, 2)), 1):
            shapes |= {f'patch_embed{stage}.proj.weight': (width, channels, patch, patch)} | {
                f'patch_embed{stage}.{name}': (width, ) for name in ('proj.bias', 'norm.weight', 'norm.bias')}
            for block in range(2 if stage < 3 else 0):
                inner = {'conv1': (width, width, 1, 1), 'conv2': (width, width, 1, 1), 'attn': (width, 1, 5, 5),
                         'mlp.fc1': (4 * width, width, 1, 1), 'mlp.fc2': (width, 4 * width, 1, 1),
                         'norm1': (width, ), 'norm2': (width, )}
                for name, shape in inner.items():
                    shapes[f'blocks{stage}.{block}.{name}.weight'] = shape
                    shapes[f'blocks{stage}.{block}.{name}.bias'] = shape[:1]
        weights = {name: torch.empty(shape, device='meta') for name, shape in shapes.items()}
        renamed, layout = from_released({**weights, **blocks, **self.decoder(0)})
        assert layout == 'ConvMAE'
        assert {name: value.shape for name, value in renamed.items()} == self.ours('convmae_base')


def test_a_run_warns_of_an_incomplete_encoder_and_tells_shapes(monkeypatch):
    said = []
    monkeypatch.setattr('mim_plugins.engine.hooks.strict_load.print_log', lambda text, *args: said.append((text, args)))
    hook, weights = HOOKS.build(dict(type='mim_plugins.StrictLoadHook')), mae(with_decoder=False)[1]
    partial = {name: value for name, value in weights.items() if not name.startswith('blocks.1.')}
    partial['blocks.0.mlp.fc1.bias'] = torch.zeros(7)
    hook.coverage = 0
    hook.after_load_checkpoint(_Runner(vit()), dict(model=partial))
    text, (_, level) = said[1]
    assert level == 30 and '17 of 50 tensors' in text and '(backbone 17 of 30, neck 0 of 20); 1 more have' in text
    assert text.endswith('the first backbone.layers.0.ffn.layers.0.0.bias with (7,) instead of (128,)')
    hook.coverage = .5
    with pytest.raises(InputError, match='17 of 50 .*; at least 50 % are asked for'):
        hook.after_load_checkpoint(_Runner(vit()), dict(model=partial))


def test_a_resumed_run_is_told_what_changed(monkeypatch):
    said = []
    monkeypatch.setattr('mim_plugins.engine.hooks.strict_load.print_log', lambda text, *args: said.append(text))
    hook, model = HOOKS.build(dict(type='mim_plugins.StrictLoadHook')), vit()
    runner = _Runner(model)
    runner._resume, runner.param_schedulers = True, []
    runner.cfg = Config(dict(model=dict(type='PixMIM', target_generator=dict(radius=20, bounds=(1, 2)))))
    stored = Config(dict(model=dict(type='PixMIM', target_generator=dict(radius=40, bounds=(1, 2)))))
    for cfg in (runner.cfg, stored):
        hook.after_load_checkpoint(runner, dict(state_dict=model.state_dict(), meta=dict(cfg=cfg.pretty_text)))
    assert said == ['the checkpoint was trained with other settings of the model: model.target_generator.radius was 40 '
                    'and is 20']
