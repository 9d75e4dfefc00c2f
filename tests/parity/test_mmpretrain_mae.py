"""MAE and MFF of our parts equal mmpretrain's, with the same weights and masks."""
import pytest
import torch
from mmpretrain.models import MAEPretrainDecoder, MAEPretrainHead
from mmpretrain.models.selfsup import MAEViT, MFFViT

from mim_plugins.registry import MODELS

ARCH = dict(embed_dims=32, num_layers=3, num_heads=2, feedforward_channels=64)
SIZE = 32


def theirs(fused: bool) -> dict[str, torch.nn.Module]:
    options = dict(arch=ARCH, img_size=SIZE, patch_size=8)
    parts = dict(
        backbone=MFFViT(out_indices=[0, 2], **options) if fused else MAEViT(**options),
        neck=MAEPretrainDecoder(num_patches=16, patch_size=8, embed_dim=32, decoder_embed_dim=24, decoder_depth=2,
                                decoder_num_heads=3),
        head=MAEPretrainHead(norm_pix=True, patch_size=8, loss=dict(type='PixelReconstructionLoss', criterion='L2')))
    for part in parts.values():
        part.init_weights()
    if fused:
        torch.nn.init.normal_(parts['backbone'].proj_weights)
    return parts


def ours(fused: bool) -> torch.nn.Module:
    backbone = dict(type='mim_plugins.MFFVisionTransformer', fused_layers=[0, 2]) if fused else dict(
        type='mim_plugins.SinCosVisionTransformer', out_type='raw')
    return MODELS.build(dict(
        type='mim_plugins.MAE', input_size=SIZE,
        data_preprocessor=dict(type='mim_plugins.MaskingDataPreprocessor', mask=dict(unit=8, ratio=.75)),
        fill=dict(type='mim_plugins.TokenDropFill'),
        target_generator=dict(type='mim_plugins.PixelTarget', norm_patch=8),
        backbone=dict(arch=ARCH, patch_size=8, **backbone),
        neck=dict(type='mim_plugins.MAEDecoder', in_channels=32, stride=8, num_extra_tokens=1, embed_dims=24, depth=2,
                  num_heads=3, channels_last=True),
        head=dict(type='mim_plugins.ReconstructionHead')))


DECODER = {'decoder_embed': 'embed', 'decoder_blocks': 'blocks', 'ln1': 'norm', 'decoder_pred': 'predict',
           'decoder_pos_embed': 'position_embedding', 'mask_token': 'mask_token'}


def decoder_name(name: str) -> str:
    first, *rest = name.split('.')
    return '.'.join([DECODER[first], *rest])


@pytest.mark.parametrize('fused', [False, True])
def test_same_weights_give_the_same_features_and_loss(fused, monkeypatch):
    reference, model, images = theirs(fused), ours(fused), torch.randn(2, 3, SIZE, SIZE)
    model.backbone.load_state_dict(reference['backbone'].state_dict())
    model.neck.load_state_dict({
        decoder_name(name): value for name, value in reference['neck'].state_dict().items()})
    noise = torch.rand(2, 16)
    monkeypatch.setattr('torch.rand', lambda *shape, device=None: noise.clone())
    latent, mask, restore, *_ = reference['backbone'](images)
    monkeypatch.undo()
    expected = reference['head'].loss(reference['neck'](latent, restore), images, mask)
    loss = model(images, mask=mask.bool().view(2, 4, 4), mode='loss')['loss']
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    features = model.fill.encode(model.backbone, images, mask.bool().view(2, 4, 4))[0]
    rank = noise.argsort(1)[:, :4].argsort(1).argsort(1)[..., None]  # theirs come in the order of the noise
    torch.testing.assert_close(features[:, 1:].gather(1, rank.expand(-1, -1, 32)), latent[:, 1:], atol=1e-5, rtol=1e-4)
