import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.ops import map_to_tokens, normalize_patches, patchify, tokens_to_map, unpatchify


@pytest.mark.parametrize('channels_last', [True, False])
def test_unpatchify_inverts_patchify_on_rectangles(channels_last):
    maps = torch.randn(2, 3, 8, 12)
    tokens = patchify(maps, 4, channels_last)
    assert tokens.shape == (2, 6, 48)
    assert torch.equal(unpatchify(tokens, (2, 3), 4, channels_last), maps)


def test_token_orders():
    maps = torch.arange(2 * 2 * 4).view(1, 2, 2, 4)  # value = 8 c + 4 y + x
    assert patchify(maps, 2, channels_last=True)[0, 1].tolist() == [2, 10, 3, 11, 6, 14, 7, 15]
    assert patchify(maps, 2, channels_last=False)[0, 1].tolist() == [2, 3, 6, 7, 10, 11, 14, 15]


def test_channels_first_is_pixel_shuffle():
    predictions = torch.randn(2, 12, 3, 5)
    expected = torch.nn.functional.pixel_shuffle(predictions, 2)
    assert torch.equal(unpatchify(map_to_tokens(predictions), (3, 5), 2, channels_last=False), expected)


def test_tokens_and_maps_are_inverse():
    tokens = torch.randn(2, 6, 5)
    maps = tokens_to_map(tokens, (2, 3))
    assert maps.shape == (2, 5, 2, 3) and torch.equal(maps[0, :, 1, 0], tokens[0, 3])
    assert torch.equal(map_to_tokens(maps), tokens)


def test_normalised_patches_have_zero_mean_and_unit_unbiased_variance():
    images = torch.randn(2, 3, 8, 16) * 5 + 2
    tokens = patchify(normalize_patches(images, 4), 4)
    torch.testing.assert_close(tokens.mean(-1), torch.zeros(2, 8), atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens.var(-1, unbiased=True), torch.ones(2, 8), atol=1e-4, rtol=0)
    assert not normalize_patches(torch.full((1, 3, 4, 4), .5), 4).any()


@pytest.mark.parametrize('call, message', [
    (lambda: patchify(torch.zeros(1, 3, 6, 8), 4), '6x8 cannot be cut into patches of 4x4'),
    (lambda: unpatchify(torch.zeros(1, 5, 12), (2, 3), 2), '5 tokens of length 12 do not make a grid of 2x3'),
])
def test_refuses_what_does_not_divide(call, message):
    with pytest.raises(InputError, match=message):
        call()
