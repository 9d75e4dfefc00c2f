"""MixMIM: what keeps two mixed images apart, and what is reconstructed of them."""
import copy

import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.models import MixMIMTransformer
from mim_plugins.models.fills import inside
from mim_plugins.ops import map_to_tokens, patchify, random_masks, resize_mask
from mim_plugins.registry import MODELS

SIZE = (64, 96)
STAGES = dict(embed_dims=16, depths=[1, 2, 2, 1], num_heads=[1, 2, 2, 4])
PVT = dict(embed_dims=[16, 16, 32, 32], depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4], mlp_ratios=[2, 2, 2, 2],
           sr_ratios=[8, 4, 2, 1])
VIT = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)
SWIN = dict(type='mim_plugins.ResizableSwin', arch=STAGES, out_indices=(3, ), drop_path_rate=0.)
# Backbone, channels and pixels per token of its last map, tokens that are no places.
ENCODERS = {
    'mixmim': (dict(type='mim_plugins.MixMIMTransformer', arch=STAGES), 128, 32, 0),
    'swin': (dict(SWIN, window_stride=16), 128, 32, 0),
    'swin padded': (dict(SWIN, window_size=5), 128, 32, 0),
    'pvt': (dict(type='mim_plugins.PyramidVisionTransformer', arch=PVT), 32, 32, 0),
    'vit': (dict(type='mim_plugins.SinCosVisionTransformer', arch=VIT, patch_size=16, out_type='raw'), 32, 16, 1),
    'vit without cls': (dict(type='mim_plugins.SinCosVisionTransformer', arch=VIT, patch_size=16, out_type='raw',
                             with_cls_token=False), 32, 16, 0),
    'convmae': (dict(type='mim_plugins.ConvMAEEncoder', arch=dict(embed_dims=[8, 16, 32], depths=[1, 1, 2],
                                                                  num_heads=2)), 32, 16, 0),
    'resnet': (dict(type='mim_plugins.MixedResNet', depth=18, stem_channels=8, base_channels=8), 64, 32, 0),
    'timm': (dict(type='mim_plugins.TIMMEncoder', model_name='vit_tiny_patch16_224', embed_dim=32, depth=2,
                  num_heads=2), 32, 16, 1),
}
# Encoders with what they can be told of the mix.
TOLD = [(encoder, difficulty) for encoder in ENCODERS for difficulty in ('masked_attention', 'mix_embedding', 'none')
        if (encoder, difficulty) != ('convmae', 'mix_embedding')]
HIERARCHICAL = ['mixmim', 'swin', 'swin padded', 'pvt']


def config(encoder='mixmim', size=SIZE, dual=True, difficulty='masked_attention', content='mix', **changes) -> dict:
    backbone, channels, stride, extra = ENCODERS[encoder]
    return {**dict(
        type='mim_plugins.MixMIM', input_size=size, dual=dual,
        data_preprocessor=dict(
            type='mim_plugins.MixedMaskingDataPreprocessor', mean=[120.] * 3, std=[60.] * 3, content=content,
            mask=dict(unit=32, ratio=.5, rounding='floor_masked')),
        fill=dict(type='mim_plugins.MixFill', difficulty=difficulty) if content != 'none' else dict(
            type='mim_plugins.ImageTokenFill'),
        target_generator=dict(type='mim_plugins.PixelTarget', norm_patch=32),
        backbone=copy.deepcopy(backbone),
        neck=dict(type='mim_plugins.MAEDecoder', in_channels=channels, stride=stride, num_extra_tokens=extra,
                  embed_dims=24, depth=1, num_heads=3, channels_last=True),
        head=dict(type='mim_plugins.ReconstructionHead')), **changes}


def build(*args, **changes) -> torch.nn.Module:
    model = MODELS.build(config(*args, **changes))
    model.init_weights()
    with torch.no_grad():
        for parameter in model.parameters():  # norms and biases that do something
            parameter.add_(torch.randn_like(parameter), alpha=.05 if parameter.ndim > 1 else .2)
    return model.eval()


def batch(model, number: int = 3) -> dict:
    images = torch.randint(256, (number, 3, *model.input_size), dtype=torch.uint8)
    return model.data_preprocessor(dict(inputs=images, data_samples=[]), True)


def groups_of(model, number: int = 3) -> torch.Tensor:
    grid = [side // 32 for side in model.input_size]
    return random_masks(number, grid, .5, 'floor_masked')


def pixels(mask: torch.Tensor, size=SIZE) -> torch.Tensor:
    return resize_mask(mask, size)[:, None].expand(-1, 3, -1, -1)


def blocks(encoder) -> list[torch.nn.Module]:
    stages = encoder.layers if isinstance(encoder, MixMIMTransformer) else encoder.stages
    return [block for stage in stages for block in getattr(stage, 'blocks', stage)]


def recorded(encoder, images, groups) -> list[torch.Tensor]:
    """What each block gives, [B, N, C], and the last map."""
    found = []
    handles = [block.register_forward_hook(lambda *args: found.append(args[2])) for block in blocks(encoder)]
    last = encoder(images, groups)[-1]
    for handle in handles:
        handle.remove()
    return [*found, map_to_tokens(last)]


def places(groups, tokens, size=SIZE) -> torch.Tensor:
    stride = (size[0] * size[1] // tokens.shape[1])**.5
    return resize_mask(groups, (int(size[0] / stride), int(size[1] / stride))).flatten(1)


@pytest.mark.parametrize('encoder', HIERARCHICAL)
def test_the_partner_never_changes_own_features_in_any_block(encoder):
    model = build(encoder)
    groups, images = groups_of(model), torch.randn(3, 3, *SIZE)
    before = recorded(model.backbone, images, groups)
    for side in (groups, ~groups):
        changed = torch.where(pixels(side), torch.randn_like(images), images)
        for old, new in zip(before, recorded(model.backbone, changed, groups), strict=True):
            other = places(side, old)
            assert torch.equal(old[~other], new[~other]) and not torch.equal(old[other], new[other])
    joined = recorded(model.backbone, images, None)
    assert not torch.allclose(joined[-1], before[-1], atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize('encoder', ['mixmim', 'swin', 'pvt'])
def test_one_image_alone_is_encoded_as_ever(encoder):
    """With the shift mask of Swin in particular."""
    model = build(encoder, size=(128, 128))
    images, none = torch.randn(2, 3, 128, 128), torch.zeros(2, 4, 4, dtype=torch.bool)
    expected = recorded(model.backbone, images, None)
    for groups in (none, ~none):
        for one, other in zip(recorded(model.backbone, images, groups), expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('encoder', HIERARCHICAL)
def test_the_partner_never_changes_own_gradients(encoder):
    model = build(encoder)
    groups, images = groups_of(model), torch.randn(3, 3, *SIZE)
    gradients = []
    for content in (images, torch.where(pixels(groups), torch.randn_like(images), images)):
        content = content.clone().requires_grad_()
        model.zero_grad()
        features = map_to_tokens(model.backbone(content, groups)[-1])
        features[~places(groups, features)].square().sum().backward()
        assert torch.all(content.grad[pixels(groups)] == 0) and content.grad.any()
        gradients.append([p.grad.clone() for p in model.backbone.parameters() if p.grad is not None])
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize('encoder', ENCODERS)
def test_predictions_of_an_image_depend_on_its_own_units_alone(encoder):
    model = build(encoder)
    groups, images = groups_of(model), torch.randn(3, 3, *SIZE, requires_grad=True)
    own, partner = model.predict_both(images, groups).split(3)
    for part, unseen in ((own, groups), (partner, ~groups)):
        gradient, = torch.autograd.grad(part.square().sum(), images, retain_graph=True)
        assert torch.all(gradient[pixels(unseen)] == 0) and gradient.any()
    torch.testing.assert_close(model.predict(images, groups), own)


def test_a_vit_reads_each_image_as_mae_does():
    model = build('vit')
    data = batch(model)
    mae = config('vit', fill=dict(type='mim_plugins.TokenDropFill'), type='mim_plugins.MAE', data_preprocessor=dict(
        type='mim_plugins.MaskingDataPreprocessor', mask=dict(unit=32, ratio=.5)))
    del mae['dual']
    mae = MODELS.build(mae).eval()
    mae.load_state_dict(model.state_dict())
    own, partner = model.predict_both(data['inputs'], data['mask']).split(3)
    torch.testing.assert_close(mae.predict(data['clean'], data['mask']), own)
    torch.testing.assert_close(mae.predict(data['clean'][data['partner']], ~data['mask']), partner)


@pytest.mark.parametrize('encoder', ['vit', 'convmae'])
def test_the_fill_knows_how_many_tokens_of_each_image_come(encoder, monkeypatch):
    model = build(encoder).train()
    model.data_preprocessor.mask_strategy.ratio = .25
    model.set_input_size(SIZE)
    data = batch(model)
    expected = model(**data, mode='loss')['loss']
    monkeypatch.setattr(inside, '_on_host', lambda mask: False)
    monkeypatch.setattr(inside, 'visible_count', lambda *args: pytest.fail('waits for the device'))
    assert torch.equal(model(**data, mode='loss')['loss'], expected)


@torch.no_grad()
@pytest.mark.parametrize('device', ['cpu', pytest.param('cuda', marks=pytest.mark.gpu)])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('encoder', HIERARCHICAL)
def test_half_precision_leaks_nothing(encoder, dtype, device):
    model = build(encoder).to(device)
    groups, images = groups_of(model).to(device), torch.randn(3, 3, *SIZE, device=device)
    changed = torch.where(pixels(groups), torch.randn_like(images), images)
    with torch.autocast(device, dtype):
        before, after = (map_to_tokens(model.backbone(part, groups)[-1]) for part in (images, changed))
    own = ~places(groups, before)
    torch.testing.assert_close(before[own], after[own], atol=1e-6, rtol=0)
    assert before.isfinite().all() and not torch.equal(before[~own], after[~own])


@pytest.mark.parametrize('encoder', ENCODERS)
def test_swapped_images_have_the_same_loss(encoder):
    model = build(encoder)
    data = batch(model, 4)
    swapped = dict(data, mask=~data['mask'], clean=data['clean'].flip(0))
    assert torch.equal(data['partner'], torch.tensor([3, 2, 1, 0]))
    torch.testing.assert_close(model(**data, mode='loss')['loss'], model(**swapped, mode='loss')['loss'])


@torch.no_grad()
@pytest.mark.parametrize('encoder', ['mixmim', 'vit'])
def test_each_patch_counts_once(encoder):
    model = build(encoder)
    data = batch(model)
    target = patchify(model.target_generator(data['clean']), 32)
    own, partner = (patchify(part, 32) for part in model.predict_both(data['inputs'], data['mask']).split(3))
    mask = data['mask'].flatten(1)[..., None].float()
    expected = mask * (own - target)**2 + (1 - mask) * (partner - target[data['partner']])**2
    torch.testing.assert_close(model(**data, mode='loss')['loss'], expected.mean())
    single = build(encoder, dual=False)
    single.load_state_dict(model.state_dict())
    expected = (mask * (own - target)**2).sum() / mask.expand_as(own).sum()
    torch.testing.assert_close(single(**data, mode='loss')['loss'], expected)


TARGETS = {
    'hog': dict(type='mim_plugins.HOGTarget'),
    'low-pass': dict(type='mim_plugins.LowPassTarget', radius=10, target=dict(norm_patch=32)),
    'colour bins': dict(type='mim_plugins.ColorBinTarget', downsample=4, bins=8),
}


@pytest.mark.parametrize(('encoder', 'difficulty'), TOLD)
@pytest.mark.parametrize('dual', [True, False])
def test_every_parameter_gets_a_gradient(encoder, difficulty, dual):
    model = build(encoder, difficulty=difficulty, dual=dual).train()
    loss = model(**batch(model), mode='loss')['loss']
    loss.backward()
    assert loss.isfinite()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize('target', TARGETS)
def test_any_target_goes_with_it(target):
    head = dict(type='mim_plugins.ReconstructionHead')
    if target == 'colour bins':
        head['loss'] = dict(criterion='CrossEntropy')
    model = build(target_generator=TARGETS[target], head=head)
    assert model(**batch(model), mode='loss')['loss'].isfinite()


@pytest.mark.parametrize('encoder', ['mixmim', 'swin', 'pvt', 'resnet', 'vit', 'timm'])
def test_mix_embeddings_tell_the_images_apart(encoder):
    model = build(encoder, difficulty='mix_embedding')
    embeddings = model.fill.aid.mix_embeddings
    assert len(embeddings) == (1 if encoder in ('vit', 'timm') else 4)
    data = batch(model)
    loss = model(**data, mode='loss')['loss']
    with torch.no_grad():
        for embedding in embeddings:  # equal for both images: nothing of the mask enters but the decoder's tokens
            embedding.copy_(embedding[:1].expand(2, -1))
    told_nothing = model.backbone(data['inputs'])[-1]
    assert not torch.isclose(loss, model(**data, mode='loss')['loss'], atol=1e-6)
    with torch.no_grad():
        for embedding in embeddings:
            embedding.zero_()
    features, = model.fill.encode_both(model.backbone, data['inputs'], data['mask'])
    torch.testing.assert_close(features[-1], told_nothing)


class OneStage(torch.nn.Module):
    """An encoder whose only stage gives the images themselves, as a map or as tokens."""

    def __init__(self, tokens: bool) -> None:
        super().__init__()
        self.stage = torch.nn.Identity()
        self.tokens = tokens

    def stage_entries(self) -> list[tuple[torch.nn.Module, int]]:
        return [(self.stage, 3)]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.stage(map_to_tokens(images) if self.tokens else images)


@pytest.mark.parametrize('tokens', [False, True])
def test_mix_embeddings_are_added_where_the_mask_says(tokens):
    encoder, fill = OneStage(tokens), MODELS.build(dict(type='mim_plugins.MixFill', difficulty='mix_embedding'))
    fill.attach(encoder)
    visible, masked = fill.aid.mix_embeddings[0].detach()
    images, mask = torch.randn(2, 3, 4, 4), torch.tensor([[[1, 0], [0, 0]], [[0, 1], [1, 1]]]).bool()
    sides = resize_mask(mask, (4, 4))[:, None]
    expected = images + torch.where(sides, masked.view(3, 1, 1), visible.view(3, 1, 1))
    found = fill.encode(encoder, images, mask)
    torch.testing.assert_close(found, map_to_tokens(expected) if tokens else expected)


@torch.no_grad()
@pytest.mark.parametrize(('encoder', 'difficulty'), TOLD)
def test_a_copy_of_the_model_has_groups_of_its_own(encoder, difficulty):
    """As an exponential moving average makes one."""
    model = build(encoder, difficulty=difficulty)
    data = batch(model)
    loss = model(**data, mode='loss')['loss']
    twin = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.fill_(float('nan'))
    model.backbone(data['clean'])
    assert torch.equal(twin(**data, mode='loss')['loss'], loss)


@pytest.mark.parametrize('content', ['shuffle', 'zoom', 'none'])
def test_other_content_is_reconstructed_once(content):
    model = build(content=content, dual=False, difficulty='none')
    data = batch(model)
    assert 'partner' not in data and torch.equal(data['inputs'], data['clean']) == (content == 'none')
    assert model(**data, mode='loss')['loss'].isfinite()
    hidden = dict(data, inputs=torch.where(pixels(data['mask']), 0., data['inputs']))
    assert torch.isclose(*(model(**part, mode='loss')['loss'] for part in (data, hidden))) == (content == 'none')


def test_clean_images_are_mixed_for_pictures_and_held_out_losses():
    model = build()
    data = batch(model)
    torch.testing.assert_close(model(data['clean'], mask=data['mask'], mode='loss'),
                               model(**data, mode='loss'))
    result = model(data['clean'], mask=data['mask'], mode='predict')
    assert torch.equal(result['corrupted'], data['inputs'])
    assert torch.equal(result['target'], model.target_generator(data['clean']))
    alone = model(data['clean'][:1], mask=data['mask'][:1], mode='predict')
    mirrored = torch.where(pixels(data['mask'][:1]), data['clean'][:1].flip(-1), data['clean'][:1])
    assert torch.equal(alone['corrupted'], mirrored) and alone['prediction'].shape[0] == 1
    torch.testing.assert_close(alone['prediction'], result['prediction'][:1])


@pytest.mark.parametrize('encoder', ['mixmim', 'swin'])
def test_activation_checkpointing_keeps_the_groups(encoder):
    option = dict(use_checkpoint=True) if encoder == 'mixmim' else dict(with_cp=True)
    plain = build(encoder).train()
    backbone = {**ENCODERS[encoder][0], **option}
    checkpointed = build(encoder, backbone=backbone).train()
    checkpointed.load_state_dict(plain.state_dict())
    data = batch(plain)
    for model in (plain, checkpointed):
        model(**data, mode='loss')['loss'].backward()
    for (name, one), other in zip(plain.named_parameters(), checkpointed.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)


@pytest.mark.parametrize('encoder', ['mixmim', 'swin', 'pvt', 'vit'])
@torch.no_grad()
def test_other_sizes(encoder):
    model = build(encoder, size=(64, 64))
    before = {name: value.shape for name, value in model.named_parameters()}
    data = batch(model)
    loss = model(**data, mode='loss')['loss']
    for size in ((128, 96), (64, 64)):
        model.set_input_size(size)
        assert model(**batch(model), mode='loss')['loss'].isfinite()
    assert torch.equal(model(**data, mode='loss')['loss'], loss)
    assert before == {name: value.shape for name, value in model.named_parameters()}


def test_refusals():
    cases = {
        'MixMIM needs the data preprocessor mim_plugins.MixedMasking': dict(data_preprocessor=dict(
            type='mim_plugins.MaskingDataPreprocessor', mask=dict(unit=32, ratio=.5))),
        "content='none' of the preprocessor leaves": dict(fill=dict(type='mim_plugins.ImageTokenFill')),
        "dual=True reconstructs two mixed images.*'zoom'": dict(content='zoom', difficulty='none'),
        'dual=True reconstructs two mixed images.*LinearDecoder': dict(difficulty='none', neck=dict(
            type='mim_plugins.LinearDecoder', in_channels=128, stride=32)),
        'masked attention keeps all of an image from its masked places.*LinearDecoder': dict(dual=False, neck=dict(
            type='mim_plugins.LinearDecoder', in_channels=128, stride=32)),
        'the difficulty must be one of masked_attention, mix_embedding, none': dict(difficulty='hard'),
        'mixed units of 16 px cannot be kept apart by an encoder that merges squares of 32 px': dict(
            data_preprocessor=dict(type='mim_plugins.MixedMaskingDataPreprocessor', mask=dict(unit=16, ratio=.5))),
        'images of 64x96 cannot be divided into mask units of 48 px': dict(
            data_preprocessor=dict(type='mim_plugins.MixedMaskingDataPreprocessor', mask=dict(unit=48, ratio=.5))),
        "content='zoom' would make no difference, because masked attention": dict(content='zoom', dual=False),
        'mask units of 16 px do not cover whole tokens of 32 px': dict(
            difficulty='none',
            data_preprocessor=dict(type='mim_plugins.MixedMaskingDataPreprocessor', mask=dict(unit=16, ratio=.5))),
        'CMT as it is configured would leak from one to the other': dict(backbone=dict(type='mim_plugins.CMT')),
        'patch_embed.projection looks at squares of 7x7 in steps of 4x4': dict(backbone=dict(
            SWIN, window_stride=16, patch_cfg=dict(kernel_size=7, padding=3))),
        'the encoder gives 1 extra tokens before the visible ones, but the neck was told num_extra_tokens=0': dict(
            encoder='vit', neck=dict(type='mim_plugins.MAEDecoder', in_channels=32, stride=16)),
        "'mix_embedding' needs an encoder whose stages are known": dict(
            difficulty='mix_embedding', backbone=dict(type='mim_plugins.CMT')),
    }
    for message, changes in cases.items():
        with pytest.raises(InputError, match=message):
            build(**changes)


def test_refusals_of_batches():
    model = build()
    data = batch(model)
    for changes, message in (
            (dict(clean=None), 'need the clean ones and their partners, but only'),
            (dict(partner=None), 'need the clean ones and their partners, but only'),
            (dict(mask=None), "type 'mim_plugins.MixedMaskingDataPreprocessor'"),
            (dict(mask=data['mask'].float()), r'mask must be bool \[3, h, w\] for 3 images, but is torch.float32'),
            (dict(mask=data['mask'][:2]), r'for 3 images, but is torch.bool \[2, 2, 3\]')):
        with pytest.raises(InputError, match=message):
            model(**{**data, **changes}, mode='loss')


@pytest.mark.parametrize('encoder', [*HIERARCHICAL, 'resnet'])
def test_refusals_of_groups(encoder):
    model = build(encoder)
    groups, images = groups_of(model), torch.randn(3, 3, *SIZE)
    for other, message in ((groups.float(), r'must be bool \[3, h, w\] .* but are torch.float32'),
                           (groups[:2], r'torch.bool \[2, 2, 3\]'), (groups[:, None], r'torch.bool \[3, 1, 2, 3\]'),
                           (torch.ones(3, 4, 6, dtype=torch.bool), '4x6 units in images of 64x96 px are no .* 32 px')):
        with pytest.raises(InputError, match=message):
            model.backbone(images, other)


def test_refusals_of_encoders():
    encoder = MODELS.build(dict(type='mim_plugins.PyramidVisionTransformer', arch=PVT, img_size=64,
                                with_cls_token=True))
    with pytest.raises(InputError, match='a cls token would join the groups'):
        encoder(torch.randn(1, 3, 64, 64), torch.ones(1, 2, 2, dtype=torch.bool))
    with pytest.raises(InputError, match='set for images of 64x64, but 32x32 came'):
        MixMIMTransformer(STAGES, img_size=64)(torch.randn(1, 3, 32, 32))
    with pytest.raises(InputError, match='windows of 5x5 tokens do not tile a map of 16x16'):
        MixMIMTransformer(STAGES, img_size=64, window_size=5)
    with pytest.raises(InputError, match='images of 72x64 cannot be divided into cells'):
        MixMIMTransformer(STAGES, img_size=(72, 64))
    with pytest.raises(InputError, match='SimMIM needs the data preprocessor mim_plugins.MaskingData'):
        options = config(type='mim_plugins.SimMIM')
        del options['dual']
        MODELS.build(options)
