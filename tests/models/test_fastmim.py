import pytest
import torch
from mmpretrain.structures import DataSample

from mim_plugins.errors import InputError
from mim_plugins.registry import MODELS

SWIN = dict(type='SwinTransformer', out_indices=(3, ), drop_path_rate=0.,
            arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2]))


def swin_config(config: dict, size, unit: int = 32) -> dict:
    config.update(input_size=size, backbone=dict(SWIN), target_generator=dict(type='mim_plugins.HOGTarget'))
    config['data_preprocessor']['mask'] = dict(unit=unit, ratio=.5)
    config['neck'].update(in_channels=64, stride=32, num_extra_tokens=0)
    return config


def step(model: torch.nn.Module, height: int, width: int) -> torch.Tensor:
    data = dict(inputs=torch.randint(256, (2, 3, height, width), dtype=torch.uint8),
                data_samples=[DataSample() for _ in range(2)])
    return model(**model.data_preprocessor(data, True), mode='loss')['loss']


def fixed(model: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and masks that do not change from call to call."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, *model.input_size, generator=generator)
    strategy = model.data_preprocessor.mask_strategy
    return images, strategy(2, model.input_size, generator, torch.device('cpu'))


def build(config: dict) -> torch.nn.Module:
    model = MODELS.build(config)
    model.init_weights()
    return model


@pytest.mark.parametrize('size', [(32, 32), (16, 40)])
@pytest.mark.parametrize('unit', [4, 8])
@pytest.mark.parametrize('target', [dict(type='mim_plugins.HOGTarget', cell=4),
                                    dict(type='mim_plugins.PixelTarget', norm_patch=8)])
def test_vit_trains_every_parameter(small_config, size, unit, target):
    small_config.update(input_size=size, target_generator=target)
    small_config['data_preprocessor']['mask']['unit'] = unit
    model = build(small_config)
    loss = step(model, *size)
    assert loss.isfinite() and loss.dtype == torch.float32
    loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize('size, unit, window', [((64, 64), 32, 2), ((64, 128), 32, 2), ((64, 64), 16, 2),
                                                ((128, 128), 64, 4), ((96, 128), 32, 3)])
def test_swin_gets_its_window_from_the_size(small_config, size, unit, window):
    model = build(swin_config(small_config, size, unit))
    assert model.backbone.stages[-1].blocks[0].attn.window_size == window
    step(model, *size).backward()
    assert model.fill.mask_token.grad.any()


def test_vit_gets_its_position_table_from_the_size(small_config):
    small_config['input_size'] = (16, 40)
    assert build(small_config).backbone.pos_embed.shape == (1, 1 + 2 * 5, 16)


def test_released_number_of_heads_is_reachable(small_config):
    small_config['backbone']['arch']['num_heads'] = 4
    assert build(small_config).backbone.layers[0].attn.num_heads == 4


def test_pixels_under_the_mask_never_reach_the_prediction(small_model):
    images, mask = fixed(small_model)
    pixels = mask.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, None]
    changed = torch.where(pixels, torch.randn_like(images), images)
    predictions = [small_model(x, mask=mask, mode='predict')['prediction'] for x in (images, changed)]
    assert torch.equal(*predictions)
    visible = torch.where(pixels, images, images + 1)
    assert not torch.allclose(small_model(visible, mask=mask, mode='predict')['prediction'], predictions[0])


def test_reconstruction_lies_on_the_targets_grid(small_model):
    images, mask = fixed(small_model)
    result = small_model(images, mask=mask, mode='predict')
    assert result['prediction'].shape == result['target'].shape == (2, 27, 8, 8)
    loss = small_model(images, mask=mask, mode='loss')['loss']
    region = mask.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None].expand(2, 27, 8, 8)
    torch.testing.assert_close(((result['prediction'] - result['target'])**2)[region].mean(), loss)


def test_weights_load_into_mmpretrains_vit(small_model):
    plain = MODELS.build(dict(
        type='mmpretrain.VisionTransformer', img_size=32, patch_size=8, out_type='raw',
        arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)))
    plain.load_state_dict(small_model.backbone.state_dict())
    images, _ = fixed(small_model)
    assert torch.equal(plain(images)[0], small_model(images)[0])


def test_bf16_trains(small_model):
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = step(small_model, 32, 32)
    loss.backward()
    assert loss.dtype == torch.float32 and small_model.fill.mask_token.grad.any()


def test_another_size_leaves_the_parameters_and_comes_back(small_model):
    images, mask = fixed(small_model)
    before = small_model(images, mask=mask, mode='loss')['loss']
    shapes = {name: p.shape for name, p in small_model.named_parameters()}
    small_model.set_input_size((16, 40))
    assert step(small_model, 16, 40).isfinite()
    assert {name: p.shape for name, p in small_model.named_parameters()} == shapes
    with pytest.raises(InputError, match='built for images of 16x40, but 32x32 came'):
        small_model(images, mask=mask, mode='loss')
    small_model.set_input_size((32, 32))
    assert torch.equal(small_model(images, mask=mask, mode='loss')['loss'], before)


@pytest.mark.parametrize('change, message', [
    (lambda c: c.update(input_size=36), '36x36 cannot be divided into mask units of 8 px'),
    (lambda c: c.update(input_size=(32, 24)) or c['neck'].update(stride=16), 'cannot be divided into tokens of 16'),
    (lambda c: c['target_generator'].update(cell=16), 'tokens of 8 px cannot predict whole target cells of 16'),
    (lambda c: c['data_preprocessor']['mask'].update(unit=2), 'mask units of 2 px cannot be laid on target cells'),
    (lambda c: c.update(target_generator=dict(type='mim_plugins.PixelTarget', norm_patch=12)),
     '32x32 cannot be divided into normalised patches of 12 px'),
    (lambda c: c['target_generator'].update(layout='tokens', stride=8), "layout must be 'map' here"),
    (lambda c: c.update(input_size='abc'), "or .height, width., but is 'abc'"),
    (lambda c: c.update(input_size=-32), 'but is -32'),
    (lambda c: c['target_generator'].update(cell=0), 'a target cell must be at least 1 px'),
    (lambda c: c['neck'].pop('stride'), "the neck's config must state its stride"),
    (lambda c: c['data_preprocessor'].update(type='SelfSupDataPreprocessor') or c['data_preprocessor'].pop('mask'),
     'needs the data preprocessor mim_plugins.MaskingDataPreprocessor, but got SelfSup'),
])
def test_misfits_are_refused_when_the_model_is_built(small_config, change, message):
    change(small_config)
    with pytest.raises(InputError, match=message):
        MODELS.build(small_config)


def test_window_that_does_not_fit_is_refused(small_config):
    config = swin_config(small_config, (64, 64))
    config['backbone']['window_size'] = 7
    with pytest.raises(InputError, match='windows of 7x7 do not fit the last map of 2x2'):
        MODELS.build(config)


def test_caller_keeps_its_config(small_config):
    import copy
    before = copy.deepcopy(small_config)
    MODELS.build(small_config)
    assert small_config == before


def test_batches_that_do_not_fit_are_refused(small_model):
    images, mask = fixed(small_model)
    with pytest.raises(InputError, match='needs a mask with each batch'):
        small_model(images, mode='loss')
    with pytest.raises(InputError, match='built for images of 32x32, but 16x16 came'):
        small_model(images[..., :16, :16], mask=mask, mode='loss')
    with pytest.raises(InputError, match="but is 'train'"):
        small_model(images, mask=mask, mode='train')
