"""The training steps that are compared, by name: ours, mmpretrain's, timm's, and SimMIM's ViT as released."""
import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from machine import ROOT
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.model import BaseModel
from mmpretrain.datasets import BEiTMaskGenerator, SimMIMMaskGenerator
from mmpretrain.models import SwinTransformer
from mmpretrain.structures import DataSample
from stepping import Batch, Step
from torch import Tensor, nn

from mim_plugins.models import ResizableSwin
from mim_plugins.registry import MODELS

OURS, MMPRETRAIN, TIMM = 'ours', 'mmpretrain', 'timm'
PEERS = {
    'SimMIM Swin-B': 'simmim/simmim_swin-base-w6_8xb256-amp-coslr-100e_in1k-192px',
    'MAE ViT-B': 'mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k',
    'MixMIM-B': 'mixmim/mixmim_mixmim-base_16xb128-coslr-300e_in1k',
    'MaskFeat ViT-B': 'maskfeat/maskfeat_vit-base-p16_8xb256-amp-coslr-300e_in1k',
}
NORMALIZATION = dict(
    type='mmpretrain.SelfSupDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)


class PlainEncoder(BaseModel):
    """An encoder on whole images with a loss that costs next to nothing: what a step cannot be cheaper than."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__(data_preprocessor=NORMALIZATION)
        self.encoder = encoder

    def forward(self, inputs: Tensor, data_samples: list, mode: str) -> dict[str, Tensor]:
        features = self.encoder(inputs)
        return dict(loss=(features if isinstance(features, Tensor) else features[-1]).float().square().mean())


def our_model(name: str, **changes: Any) -> nn.Module:
    """The model of configs/_base_/models/``name``.py with changes merged into its config."""
    config = Config.fromfile(ROOT / f'configs/_base_/models/{name}.py')
    config.merge_from_dict(dict(model=copy.deepcopy(changes)))  # which mmengine changes
    return MODELS.build(config.model)


def with_timm(name: str, size: int) -> nn.Module:
    """One of our models for ViT-B with timm's ViT-B as encoder."""
    config = Config.fromfile(ROOT / f'configs/_base_/models/{name}.py').model
    config.backbone = dict(type='mim_plugins.TIMMEncoder', model_name='vit_base_patch16_224')
    config.input_size = size
    return MODELS.build(config)


def released_simmim(**changes: Any) -> nn.Module:
    """A stand-in for SimMIM's ViT-B as its authors released it (arXiv 2111.09886, code): what it costs, not its text.

    mmpretrain's BEiT-style ViT computes the same: logits, one relative-position bias that all layers share, softmax and
    weighted sum one after another, each in memory as a whole. Masking behind the patch embedding, the linear decoder
    and the L1 loss are those of our SimMIM. Changes are merged into its config.
    """
    return our_model('simmim_vit-base', **{**changes, 'backbone': {
        **changes.get('backbone', {}), 'type': 'mmpretrain.BEiTViT'}})


def peer_model(name: str, size: int) -> nn.Module:
    """A model of mmpretrain's own config, at its own size or another."""
    config = get_config(f'mmpretrain::{PEERS[name]}.py')
    if name == 'SimMIM Swin-B':
        config.model.backbone.update(img_size=size, stage_cfgs=dict(block_cfgs=dict(window_size=size // 32)))
    return MODELS.build(dict(config.model, type=f'mmpretrain.{config.model.type}',
                             data_preprocessor=config.data_preprocessor))


def peer_samples(name: str, size: int, batch: int) -> list[DataSample]:
    """Samples with the mask that mmpretrain's loader would have drawn for each, where there is one."""
    generators = {
        'SimMIM Swin-B': lambda: SimMIMMaskGenerator(size, mask_patch_size=32, model_patch_size=4, mask_ratio=0.6),
        'MaskFeat ViT-B': lambda: BEiTMaskGenerator(size // 16, num_masking_patches=78, min_num_patches=15),
    }
    if name not in generators:
        return [DataSample() for _ in range(batch)]
    draw = generators[name]()
    return [DataSample().set_mask(draw.transform({})['mask']) for _ in range(batch)]


def stored_features(batch: int, device: torch.device, width: int = 768) -> dict[str, Tensor]:
    """Int8 features of a teacher on 14 x 14 cells, as a store gives them; random."""
    return dict(
        features=torch.randint(-127, 128, (batch, 14, 14, width), dtype=torch.int8, device=device),
        scales=torch.rand(batch, 14, 14, device=device), calibration=torch.rand(batch, 2, width, device=device))


class Candidate(NamedTuple):
    """A training step to be built.

    Attributes:
        source: Whose model it is.
        size: Height and width of the images in pixels.
        model: Builds the model.
        samples: Gives the data samples for a number of images; none by default.
        target_inputs: Gives what a loader hands on for the target, for a number of images and a device.
        trained: Whether the optimizer is part of the step.
    """
    source: str
    size: int
    model: Callable[[], nn.Module]
    samples: Callable[[int], list] = lambda batch: []
    target_inputs: Callable[[int, torch.device], dict[str, Tensor]] | None = None
    trained: bool = True

    def batch(self, images: int, device: torch.device) -> Batch:
        """Random images [B, 3, H, W] as uint8 with what belongs to them."""
        shape = images, 3, self.size, self.size
        data = dict(inputs=torch.randint(256, shape, dtype=torch.uint8, device=device),
                    data_samples=self.samples(images))
        if self.target_inputs is not None:
            data['target_inputs'] = self.target_inputs(images, device)
        return data

    def step(self, images: int, device: torch.device, compiled: str | None = None) -> Step:
        """The step with the initial weights of its model."""
        torch.manual_seed(0)
        np.random.seed(0)
        model = self.model()
        model.init_weights()
        return Step(model, self.batch(images, device), device, self.trained, compiled)


def _ours(name: str, size: int, **changes: Any) -> Candidate:
    return Candidate(OURS, size, lambda: our_model(name, input_size=size, **changes))


def _peer(name: str, size: int) -> Candidate:
    return Candidate(MMPRETRAIN, size, lambda: peer_model(name, size), lambda batch: peer_samples(name, size, batch))


def _encoder(source: str, size: int, build: Callable[[], nn.Module]) -> Candidate:
    return Candidate(source, size, lambda: PlainEncoder(build()), trained=False)


def _timm_vit(size: int) -> nn.Module:
    return timm.create_model('vit_base_patch16_224', img_size=size, num_classes=0, global_pool='')


CANDIDATES: dict[str, Candidate] = {
    'FastMIM ViT-B 128': _ours('fastmim_vit-base', 128),
    'FastMIM Swin-B 128': _ours('fastmim_swin-base', 128),
    'FastMIM Swin-B 192': _ours('fastmim_swin-base', 192),
    'SimMIM ViT-B 224': _ours('simmim_vit-base', 224),
    'SimMIM Swin-B 192': _ours('simmim_swin-base', 192),
    'MAE ViT-B 224': _ours('mae_vit-base', 224),
    'PixMIM ViT-B 224': _ours('pixmim_vit-base', 224),
    'MixMIM-B 224': _ours('mixmim_base', 224),
    'FastMAE ViT-B 224': Candidate(OURS, 224, lambda: our_model('fastmae_vit-base'), target_inputs=stored_features),
    'released SimMIM ViT-B 224': Candidate('released', 224, released_simmim),
    'mmpretrain SimMIM Swin-B 192': _peer('SimMIM Swin-B', 192),
    'mmpretrain SimMIM Swin-B 128': _peer('SimMIM Swin-B', 128),
    'mmpretrain MAE ViT-B 224': _peer('MAE ViT-B', 224),
    'mmpretrain MixMIM-B 224': _peer('MixMIM-B', 224),
    'mmpretrain MaskFeat ViT-B 224': _peer('MaskFeat ViT-B', 224),
    'timm ViT-B in FastMIM 128': Candidate(TIMM, 128, lambda: with_timm('fastmim_vit-base', 128)),
    'timm ViT-B in FastMIM 224': Candidate(TIMM, 224, lambda: with_timm('fastmim_vit-base', 224)),
    'timm ViT-B in SimMIM 224': Candidate(TIMM, 224, lambda: with_timm('simmim_vit-base', 224)),
    'timm ViT-B alone 128': _encoder(TIMM, 128, lambda: _timm_vit(128)),
    'timm ViT-B alone 224': _encoder(TIMM, 224, lambda: _timm_vit(224)),
    'Swin-B alone 224': _encoder(OURS, 224, lambda: ResizableSwin('base', 224, window_size=7, drop_path_rate=0.)),
    'mmpretrain Swin-B alone 224': _encoder(
        MMPRETRAIN, 224, lambda: SwinTransformer('base', 224, drop_path_rate=0.)),
}


def target(name: str, images: int, device: torch.device) -> Callable[[], Tensor]:
    """What computes ``HOG target SIZE`` or ``low-pass target SIZE`` of normalised random images."""
    kind, _, size = name.partition(' target ')
    model = our_model({'HOG': 'fastmim_vit-base', 'low-pass': 'pixmim_vit-base'}[kind])
    inputs = torch.randn(images, 3, int(size), int(size), device=device)
    generator = model.target_generator.to(device)
    return lambda: generator(inputs)
