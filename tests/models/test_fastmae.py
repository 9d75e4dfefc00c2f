"""FastMAE: all layers matter."""
import copy

import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.models.backbones.blocks import BlockOutputs, transformer_blocks
from mim_plugins.ops import map_to_tokens
from mim_plugins.registry import MODELS

CONVMAE = dict(type='mim_plugins.ConvMAEEncoder', arch=dict(embed_dims=[8, 12, 16], depths=[1, 1, 2], num_heads=2))
TIMM = dict(type='mim_plugins.TIMMEncoder', model_name='vit_tiny_patch16_224', embed_dim=16, depth=2, num_heads=2)


@pytest.fixture
def config(small_config) -> dict:
    small_config = copy.deepcopy(small_config)
    small_config.update(
        type='mim_plugins.FastMAE', fill=dict(type='mim_plugins.TokenDropFill'),
        target_generator=dict(type='mim_plugins.OfflineTarget', channels=12, cell=8, norm='none'))
    small_config['neck'].update(type='mim_plugins.MAEDecoder')
    return small_config


def build(config: dict) -> torch.nn.Module:
    model = MODELS.build(config)
    model.init_weights()
    return model


def batch_of(model: torch.nn.Module) -> dict:
    size, cell = model.input_size[0], model.target_generator.map_stride
    features = torch.randn(3, size // cell, size // cell, 12)
    return model.data_preprocessor(dict(
        inputs=torch.randint(256, (3, 3, size, size), dtype=torch.uint8), data_samples=[],
        target_inputs=dict(features=features)), True)


def by_hand(model: torch.nn.Module, batch: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Both losses, the layers' from the tokens of each image by itself."""
    target = map_to_tokens(model.target(batch['inputs'], batch['target_inputs']))
    masked = batch['mask'].flatten(1)
    with BlockOutputs(transformer_blocks(model.backbone)).kept() as layers:
        prediction = map_to_tokens(model.predict(batch['inputs'], batch['mask']))
    decoder = ((prediction - target)**2)[masked].mean()
    extra = layers[0].shape[1] - (~masked).sum(1)[0]
    if model.fill.drops_tokens:
        seen = [[head(tokens[place, extra:]) for place in range(3)] for head, tokens in zip(
            model.layer_heads, layers, strict=True)]
    else:
        extra = layers[0].shape[1] - masked.shape[1]
        seen = [[head(tokens[place, extra:][~masked[place]]) for place in range(3)] for head, tokens in zip(
            model.layer_heads, layers, strict=True)]
    errors = [((torch.cat(found) - target[~masked])**2).mean() for found in seen]
    return decoder, sum(errors) / len(errors)


@pytest.mark.parametrize('fill', ['TokenDropFill', 'PatchTokenFill'])
@pytest.mark.parametrize('weight', [1., .25])
def test_every_block_is_supervised_at_its_visible_tokens(config, fill, weight):
    config.update(layer_loss_weight=weight, fill=dict(type=f'mim_plugins.{fill}'))
    model = build(config)
    batch = batch_of(model)
    losses = model(**batch, mode='loss')
    decoder, layers = by_hand(model, batch)
    torch.testing.assert_close(losses['loss_decoder'], decoder)
    torch.testing.assert_close(losses['loss_layers'], weight * layers)
    assert len(model.layer_heads) == 2
    torch.testing.assert_close(model.parse_losses(losses)[0], decoder + weight * layers)


@pytest.mark.parametrize('encoder, patch, extra', [(CONVMAE, 16, 0), (TIMM, 16, 1)])
def test_other_encoders(config, encoder, patch, extra):
    config.update(backbone=encoder, input_size=64)
    config['neck'].update(stride=patch, num_extra_tokens=extra)
    config['data_preprocessor']['mask'].update(unit=patch)
    config['target_generator'].update(cell=patch)
    model = build(config)
    batch = batch_of(model)
    losses = model(**batch, mode='loss')
    torch.testing.assert_close(losses['loss_layers'], by_hand(model, batch)[1])


def test_gradients_reach_every_block_from_its_own_head(config):
    model = build(config)
    losses = model(**batch_of(model), mode='loss')
    losses['loss_layers'].backward()
    assert all(head.weight.grad.abs().sum() > 0 for head in model.layer_heads)
    assert all(block.attn.qkv.weight.grad.abs().sum() > 0 for block in model.backbone.layers)
    assert all(weight.grad is None for weight in model.neck.parameters())


def test_without_alm_it_is_mae(config):
    plain = build({**config, 'type': 'mim_plugins.MAE'})
    model = build({**config, 'layer_loss_weight': 0.})
    model.load_state_dict(plain.state_dict())
    batch = batch_of(model)
    losses = model(**batch, mode='loss')
    assert set(losses) == {'loss_decoder'} and not len(model.layer_heads)
    torch.testing.assert_close(losses['loss_decoder'], plain(**batch, mode='loss')['loss'])


def test_the_heads_vanish_at_export(config):
    """The encoder's tensors are those of the plain one, and they load into it with nothing left over."""
    model = build(config)
    encoder = {name.removeprefix('backbone.'): value for name, value in model.state_dict().items()
               if name.startswith('backbone.')}
    plain = MODELS.build({**config['backbone'], 'img_size': 32})
    plain.load_state_dict(encoder)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(plain.eval() or plain(images)[0], model.backbone(images)[0])
    heads = [name for name in model.state_dict() if name.startswith('layer_heads.')]
    assert len(heads) == 4 and not [name for name in model.state_dict() if 'head' in name and name not in heads]


def test_no_hook_stays_on_the_encoder(config):
    model = build(config)
    before = [len(block._forward_hooks) for block in model.backbone.layers]
    model(**batch_of(model), mode='loss')
    assert [len(block._forward_hooks) for block in model.backbone.layers] == before
    with pytest.raises(InputError):
        model.predict = None
        model(torch.zeros(1, 3, 32, 32), mask=torch.zeros(1, 4, 4, dtype=torch.bool), mode='loss')
    assert [len(block._forward_hooks) for block in model.backbone.layers] == before


@pytest.mark.parametrize('criterion', ['L2', 'SmoothL1', 'Cosine'])
def test_losses(config, criterion):
    config['head'] = dict(type='mim_plugins.ReconstructionHead', loss=dict(criterion=criterion))
    model = build(config)
    losses = model(**batch_of(model), mode='loss')
    assert losses['loss_decoder'] > 0 and losses['loss_layers'] > 0
    if criterion == 'Cosine':
        assert max(losses.values()) < 2


def test_in_low_precision_losses_are_float32(config):
    model = build(config)
    batch = batch_of(model)
    with torch.autocast('cpu', torch.bfloat16):
        losses = model(**batch, mode='loss')
    assert {value.dtype for value in losses.values()} == {torch.float32}
    exact = model(**batch, mode='loss')
    for name, value in losses.items():
        torch.testing.assert_close(value, exact[name], rtol=2e-2, atol=0)


def test_follows_another_size(config):
    model = build(config)
    model.set_input_size((32, 48))
    features = torch.randn(2, 4, 6, 12)
    mask = model.data_preprocessor.mask_strategy(2, (32, 48), torch.Generator(), torch.device('cpu'))
    losses = model(torch.randn(2, 3, 32, 48), mask=mask, mode='loss', target_inputs=dict(features=features))
    assert all(value.isfinite() for value in losses.values())


@pytest.mark.parametrize('change, message', [
    (dict(layer_loss_weight=-1.), 'must not be negative, but layer_loss_weight is -1.0'),
    (dict(target_generator=dict(type='mim_plugins.HOGTarget', cell=4)),
     'one vector for each token of 8 px, but HOGTarget has cells of 4 px'),
    (dict(target_generator=dict(type='mim_plugins.ColorBinTarget', bins=4, downsample=8), head=dict(
        type='mim_plugins.ReconstructionHead', loss=dict(criterion='CrossEntropy'))), 'but ColorBinTarget has classes'),
    (dict(input_size=64, fill=dict(type='mim_plugins.ImageTokenFill'),
          backbone=dict(type='mim_plugins.ResizableSwin', patch_size=4, window_size=4, out_indices=(1, ),
                        arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 1])),
          neck=dict(type='mim_plugins.LinearDecoder', in_channels=16, stride=8)),
     'the encoder is a ResizableSwin: take layer_loss_weight=0'),
])
def test_what_alm_cannot_do(config, change, message):
    with pytest.raises(InputError, match=message):
        MODELS.build({**config, **change})


@pytest.mark.gpu
def test_on_a_gpu_in_bfloat16(config):
    model = build(config)
    batch = batch_of(model)
    exact = model(**batch, mode='loss')
    model = model.cuda()
    on_device = {name: value.cuda() for name, value in batch.items() if isinstance(value, torch.Tensor)}
    given = {name: value.cuda() for name, value in batch['target_inputs'].items()}
    with torch.autocast('cuda', torch.bfloat16):
        losses = model(**on_device, target_inputs=given, mode='loss')
    model.parse_losses(losses)[0].backward()
    for name, value in losses.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.cpu(), exact[name], rtol=5e-2, atol=0)
