"""Made-up checkpoints in the layouts of released ones, each with the model whose features they give."""
import timm
import torch
from torch import Tensor, nn

from mim_plugins.ops import sin_cos_position_embedding
from mim_plugins.registry import MODELS
from mim_plugins.transfer import layouts
from mim_plugins.transfer.layouts import from_unfolded

ARCH = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)
SWIN = dict(embed_dim=8, depths=(2, 2, 1, 1), num_heads=(1, 1, 2, 2), img_size=64, window_size=2, num_classes=0)
STAGES = dict(embed_dims=8, depths=[2, 2, 1, 1], num_heads=[1, 1, 2, 2])
BEIT = dict(embed_dim=32, depth=2, num_heads=2, img_size=32, patch_size=8, num_classes=0, init_values=.1,
            use_shared_rel_pos_bias=True, use_rel_pos_bias=False, global_pool='token')


def varied(model: nn.Module) -> nn.Module:
    """Every parameter at random, so that two that were swapped give other features."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(.1 * torch.randn_like(parameter))
    model.train(False)
    return model


def decoder(values: int = 12) -> dict[str, Tensor]:
    return {'decoder_embed.weight': torch.randn(16, 32), 'decoder_norm.bias': torch.randn(16),
            'decoder_blocks.0.mlp.fc1.weight': torch.randn(64, 16), 'decoder_pred.weight': torch.randn(values, 16)}


def early_merging(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's Swin as its authors have it: patches are merged at the end of a stage."""
    return {name.replace(f'layers.{stage}.downsample', f'layers.{stage - 1}.downsample') if (
        stage := next((n for n in (1, 2, 3) if f'layers.{n}.downsample' in name), None)) else name: tensor
            for name, tensor in weights.items()}


def swin(name: str = 'swin_tiny_patch4_window7_224', **options) -> tuple[nn.Module, dict[str, Tensor]]:
    model = varied(timm.create_model(name, **{**SWIN, **options}))
    weights = early_merging(model.state_dict())
    weights['layers.0.blocks.1.attn_mask'] = torch.zeros(64, 4, 4)
    return model, weights


def simmim(weights: dict[str, Tensor], width: int) -> dict[str, Tensor]:
    return {**{f'encoder.{name}': tensor for name, tensor in weights.items()},
            'encoder.mask_token': torch.randn(1, 1, width), 'decoder.0.weight': torch.randn(3072, 64, 1, 1),
            'decoder.0.bias': torch.randn(3072)}


def simmim_swin() -> tuple[nn.Module, dict, str]:
    model, weights = swin()
    return model, simmim(weights, 8), 'SimMIM'


def simmim_vit() -> tuple[nn.Module, dict, str]:
    model = varied(timm.create_model('beit_base_patch16_224', **BEIT))
    return model, simmim(model.state_dict(), 32), 'SimMIM'


def swin_classifier() -> tuple[nn.Module, dict, str]:
    model, weights = swin()
    return model, {**weights, 'head.weight': torch.randn(5, 64), 'head.bias': torch.randn(5)}, 'Swin'


def timm_swin() -> tuple[nn.Module, dict, str]:
    model = varied(timm.create_model('swin_tiny_patch4_window7_224', **SWIN))
    return model, model.state_dict(), "timm's Swin"


def fastmim_swin() -> tuple[nn.Module, dict, str]:
    model, weights = swin()
    return model, {**{f'encoder.{name}': tensor for name, tensor in weights.items()}, **decoder(432),
                   'mask_token': torch.randn(1, 3, 1, 1)}, 'FastMIM'


def vit(layout: str, **others: Tensor) -> tuple[nn.Module, dict, str]:
    model = varied(timm.create_model('vit_tiny_patch16_224', img_size=32, patch_size=8, embed_dim=32, depth=2,
                                     num_heads=2, num_classes=0, global_pool='token'))
    model.pos_embed.data = sin_cos_position_embedding((4, 4), 32, 1, columns_first=True)
    return model, {**model.state_dict(), **decoder(), **others}, layout


def fastmim_vit() -> tuple[nn.Module, dict, str]:
    return vit('FastMIM', mask_token=torch.randn(1, 3, 1, 1))


def mae() -> tuple[nn.Module, dict, str]:
    return vit('MAE', mask_token=torch.randn(1, 1, 16), decoder_pos_embed=torch.randn(1, 17, 16))


def own(config: dict, names: layouts.Names, prefix: str = '', merged: bool = False) -> tuple[nn.Module, dict]:
    """An encoder of this package and its weights under others' names."""
    model = varied(MODELS.build(config))
    weights = {prefix + names.theirs(name): from_unfolded(tensor) if merged and 'downsample' in name else tensor
               for name, tensor in model.state_dict().items()}
    return model, weights


def mixmim() -> tuple[nn.Module, dict, str]:
    model, weights = own(dict(type='mim_plugins.MixMIMTransformer', arch=STAGES, img_size=64), layouts.MIXMIM,
                         merged=True)
    return model, {**weights, **decoder(), 'mask_token': torch.randn(1, 1, 16),
                   'decoder_pos_embed': torch.randn(1, 4, 16)}, 'MixMIM'


def fastmim_cmt() -> tuple[nn.Module, dict, str]:
    arch = dict(embed_dims=[8, 8, 16, 16], depths=[1, 2, 1, 1], num_heads=[1, 1, 2, 2], mlp_ratios=[4, 4, 2, 2],
                sr_ratios=[8, 4, 2, 1], stem_channels=4)
    model, weights = own(dict(type='mim_plugins.CMT', arch=arch, img_size=64, final_norm=True), layouts.CMT, 'encoder.')
    assert {'encoder.stem_norm3.running_var', 'encoder.relative_pos_d', 'encoder.blocks_b.1.mlp.proj_bn.weight',
            'encoder.patch_embed_a.proj.weight', 'encoder.blocks_a.0.attn.sr.1.bias'} <= set(weights)
    return model, {**weights, **decoder(), 'mask_token': torch.randn(1, 3, 1, 1)}, 'FastMIM'


def fastmim_pvtv2() -> tuple[nn.Module, dict, str]:
    model, weights = own(dict(type='mim_plugins.TIMMEncoder', model_name='pvt_v2_b0'), layouts.PVTV2, 'encoder.')
    assert {'encoder.patch_embed4.norm.bias', 'encoder.block2.1.mlp.dwconv.dwconv.weight', 'encoder.norm1.weight',
            'encoder.block1.0.attn.sr.weight', 'encoder.patch_embed1.proj.weight'} <= set(weights)
    return model, {**weights, **decoder(), 'mask_token': torch.randn(1, 3, 1, 1)}, 'FastMIM'
