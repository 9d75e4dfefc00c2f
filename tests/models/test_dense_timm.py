"""Maps of several stages from timm's encoders, their layers, and activation checkpointing."""
import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.models import TIMMEncoder

STAGES = dict(depths=(1, 1, 2, 1))
MODELS = {
    'pvtv2': dict(model_name='pvt_v2_b0', embed_dims=(8, 16, 24, 32), num_heads=(1, 2, 3, 4), **STAGES),
    'convnext': dict(model_name='convnext_atto', dims=(8, 16, 24, 32), **STAGES),
    'swin': dict(model_name='swin_tiny_patch4_window7_224', embed_dim=8, num_heads=(1, 1, 1, 1), window_size=2,
                 strict_img_size=False, **STAGES),
    'twins': dict(model_name='twins_svt_small', embed_dims=(8, 16, 24, 32), num_heads=(1, 2, 3, 4), wss=(2, 2, 2, 2),
                  **STAGES),
    'vit': dict(model_name='vit_tiny_patch16_224', embed_dim=24, depth=4, num_heads=2),
}
ALL = (0, 1, 2, 3)


def build(name: str, **options) -> TIMMEncoder:
    model = TIMMEncoder(**{**MODELS[name], 'img_size': 64, **options})
    model.eval()
    return model


@pytest.mark.parametrize('name', MODELS)
class TestStages:

    @pytest.mark.parametrize('size', [(64, 64), (64, 96), (128, 32)])
    def test_maps_of_any_size_train_everything(self, name, size):
        model = build(name, out_indices=ALL)
        maps = model(torch.randn(2, 3, *size))
        if name == 'vit':
            expected = [(2, 24, size[0] // 16, size[1] // 16)] * 4
        else:
            widths = (8, 16, 32, 64) if name == 'swin' else (8, 16, 24, 32)
            expected = [(2, width, size[0] // stride, size[1] // stride)
                        for width, stride in zip(widths, (4, 8, 16, 32), strict=True)]
        assert [part.shape for part in maps] == expected and model.num_extra_tokens == 0
        sum((part**3).sum() for part in maps).backward()
        assert [key for key, value in model.named_parameters() if value.grad is None] == []

    @torch.no_grad()
    def test_the_last_map_is_the_pre_training_encoders(self, name):
        stored, model = build(name), build(name, out_indices=ALL)
        left = model.load_state_dict(stored.state_dict(), strict=False)
        assert left.missing_keys == []
        assert left.unexpected_keys == (
            ['timm_model.head.norm.weight', 'timm_model.head.norm.bias'] if name == 'convnext' else [])
        images = torch.randn(2, 3, 64, 96)
        expected = stored.timm_model.forward_features(images)
        if name == 'vit':
            expected = expected[:, 1:].transpose(1, 2).unflatten(2, (4, 6))
        elif name == 'twins':
            expected = expected.transpose(1, 2).unflatten(2, (2, 3))
        elif name == 'swin':
            expected = expected.permute(0, 3, 1, 2)
        torch.testing.assert_close(model(images)[-1], expected, atol=1e-5, rtol=1e-5)

    def test_what_the_maps_do_not_need_is_left_out(self, name):
        whole, part = build(name, out_indices=ALL), build(name, out_indices=(0, 2), final_norm=False)
        part.load_state_dict(whole.state_dict(), strict=False)
        images = torch.randn(2, 3, 64, 64)
        maps = part(images)
        if name != 'vit':  # whose maps would all have the norm
            torch.testing.assert_close(maps[1], whole(images)[2])
        assert len(maps) == 2 and set(part.state_dict()) < set(whole.state_dict())
        maps[1].square().sum().backward()
        assert [key for key, value in part.named_parameters() if value.grad is None] == []

    def test_layers_rise_with_depth(self, name):
        model = build(name, out_indices=ALL)
        depths = [model.get_layer_depth(f'backbone.{key}', 'backbone.') for key, _ in model.named_parameters()]
        layers = 6 if name == 'vit' else 7
        assert {total for _, total in depths} == {layers}
        assert {layer for layer, _ in depths} == set(range(layers - (name == 'convnext')))  # its final norm is left out
        assert model.get_layer_depth('backbone.timm_model.patch_embed.proj.weight', 'backbone.')[0] == (
            layers - 1 if name in ('convnext', 'twins') else 0)  # they have none of that name
        assert model.get_layer_depth('head.weight', 'backbone.') == (layers - 1, layers)


@pytest.mark.parametrize('out_indices', [None, (0, 1, 2, 3)])
@pytest.mark.parametrize('name', [name for name in MODELS if name != 'twins'])
def test_recomputation_changes_neither_outputs_nor_gradients(name, out_indices):
    options = dict(out_indices=out_indices, drop_path_rate=.5)
    plain, frugal = build(name, **options), build(name, **options, with_cp=True)
    frugal.load_state_dict(plain.state_dict())
    images, results = torch.randn(4, 3, 64, 96), []
    for model in (plain, frugal):
        model.train()
        torch.manual_seed(1)
        features = model(images)[-1]
        (features**3).sum().backward()
        results.append([features, *(value.grad for value in model.parameters() if value.grad is not None)])
    assert len(results[0]) > 20
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_refuses():
    with pytest.raises(InputError, match="twins_svt_small does not take with_cp=True: .* not supported"):
        build('twins', with_cp=True)
    with pytest.raises(InputError, match=r'pvt_v2_b0 does not take out_indices=\[4\]: AssertionError feature index 4'):
        build('pvtv2', out_indices=[4])
    model = TIMMEncoder('pit_ti_224', img_size=224, depth=(1, 1, 1))
    with pytest.raises(InputError, match="need to know the layers, but timm's pit_ti_224 states none"):
        model.get_layer_depth('x')
