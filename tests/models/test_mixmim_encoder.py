"""MixMIM's own encoder against mmpretrain's: names, sizes, windows. That it keeps images apart is in test_mixmim.py."""
import pytest
import torch

from mim_plugins.models import MixMIMTransformer
from mim_plugins.registry import MODELS

SMALL = dict(embed_dims=16, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4])


@pytest.mark.parametrize(('arch', 'number', 'tables'), [
    ('base', 87_319_352, 238_264), ('large', 195_859_668, 357_396), ('huge', 656_445_658, 655_226)])
def test_names_and_parameters_of_the_published_sizes(arch, number, tables, monkeypatch):
    """mmpretrain counts the fixed position embedding; the 654.7M of -H leave it and the bias tables out."""
    linspace = torch.linspace  # mmpretrain reads its numbers while building
    monkeypatch.setattr(torch, 'linspace', lambda *args, **options: linspace(*args, **{**options, 'device': 'cpu'}))
    with torch.device('meta'):
        encoder, stock = MixMIMTransformer(arch), MODELS.build(dict(type='mmpretrain.MixMIMTransformer', arch=arch))
    assert {name: value.shape for name, value in encoder.state_dict().items()} == {
        name: value.shape for name, value in stock.state_dict().items()}
    counts = {name: parameter.numel() for name, parameter in encoder.named_parameters()}
    assert sum(counts.values()) + encoder.absolute_pos_embed.numel() == number
    assert sum(count for name, count in counts.items() if name.endswith('bias_table')) == tables


def test_windows_of_the_papers():
    encoder = MixMIMTransformer(SMALL)
    windows = {}
    for size in ((224, 224), (128, 128), (192, 160)):
        encoder.set_input_size(size)
        windows[size] = [layer.blocks[0].attn.current_window for layer in encoder.layers]
    assert windows[224, 224] == [(14, 14)] * 3 + [(7, 7)] and windows[128, 128] == [(8, 8)] * 3 + [(4, 4)]
    assert windows[192, 160] == [(12, 10)] * 3 + [(6, 5)]


@torch.no_grad()
def test_features_are_mmpretrains_with_the_same_weights():
    encoder = MixMIMTransformer(SMALL, img_size=64)
    encoder.init_weights()
    encoder.eval()
    stock = MODELS.build(dict(type='mmpretrain.MixMIMTransformer', arch=SMALL, img_size=64, window_size=[4, 4, 4, 2]))
    stock.load_state_dict(encoder.state_dict())
    stock.eval()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(encoder(images)[0].mean((2, 3)), stock(images)[0])
