"""Equality with mmpretrain's MixMIM under a shared mask; see tests/data/README.md for the origin of the numbers."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain.models.heads import MixMIMPretrainHead

from mim_plugins.ops import patchify
from mim_plugins.registry import MODELS
from mim_plugins.transfer import from_released

DATA = Path(__file__).parents[1] / 'data'


def build() -> torch.nn.Module:
    return MODELS.build(dict(
        type='mim_plugins.MixMIM', input_size=224,
        data_preprocessor=dict(type='mim_plugins.MixedMaskingDataPreprocessor',
                               mask=dict(unit=32, ratio=.5, rounding='floor_masked')),
        fill=dict(type='mim_plugins.MixFill'),
        target_generator=dict(type='mim_plugins.PixelTarget', norm_patch=32),
        backbone=dict(type='mim_plugins.MixMIMTransformer',
                      arch=dict(embed_dims=16, depths=[1, 1, 2, 1], num_heads=[1, 2, 4, 8])),
        neck=dict(type='mim_plugins.MAEDecoder', in_channels=128, stride=32, embed_dims=32, depth=2, num_heads=4,
                  channels_last=True),
        head=dict(type='mim_plugins.ReconstructionHead'))).eval()


@pytest.fixture(scope='module')
def released() -> dict[str, torch.Tensor]:
    with np.load(DATA / 'mixmim_released.npz') as data, np.load(DATA / 'pixmim_released.npz') as first:
        stored = {name: torch.from_numpy(data[name]) for name in data}
        return dict(stored, images=torch.stack([torch.from_numpy(first['images'][0]), stored['second_image']]))


@pytest.fixture
def model(released) -> torch.nn.Module:
    model = build()
    weights = {name.removeprefix('weights/'): value for name, value in released.items() if name.startswith('weights/')}
    result = model.load_state_dict(from_released(weights)[0], strict=False)
    fixed = ('absolute_pos_embed', 'position_embedding', 'relative_position_index')
    assert not result.unexpected_keys and all(name.endswith(fixed) for name in result.missing_keys)
    return model


@torch.no_grad()
def test_features_reconstructions_and_loss(model, released):
    mask = released['mask_units'].expand(2, -1, -1)
    batch = model.data_preprocessor.corrupt(released['images'], mask, torch.Generator())
    latent, = model.backbone(batch['inputs'], mask)
    torch.testing.assert_close(latent.flatten(2).transpose(1, 2), released['latent'], atol=1e-4, rtol=0)
    tokens = patchify(model.predict_both(batch['inputs'], mask), 32)
    torch.testing.assert_close(tokens[:, ::7], released['reconstruction_every_7'], atol=1e-4, rtol=0)
    loss = model(**batch, mode='loss')['loss'].double()
    torch.testing.assert_close(loss, released['loss'], atol=1e-5, rtol=0)
    other = model(**{**batch, 'inputs': released['images']}, mode='loss')['loss'].double()
    assert (other - released['loss']).abs() > 1e-4  # images that are not mixed differ, or this would show nothing


@torch.no_grad()
def test_loss_of_a_shared_mask_is_the_released_formula(model, released):
    """And with a mask for each sample it is not: there, the released one compares with places that were seen."""
    head = MixMIMPretrainHead(dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2'), norm_pix=True,
                              patch_size=32)
    shared = released['mask_units'].expand(2, -1, -1)
    for mask, equal in ((shared, True), (torch.stack([shared[0], shared[0].flip(0)]), False)):
        batch = model.data_preprocessor.corrupt(released['images'], mask, torch.Generator())
        tokens = patchify(model.predict_both(batch['inputs'], mask), 32)
        formula = head.loss(tokens, released['images'], mask.flatten(1)[..., None].float())
        own = model(**batch, mode='loss')['loss']
        assert torch.isclose(own, formula, atol=1e-5) == equal
