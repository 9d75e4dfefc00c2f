import pytest
import torch
from mmpretrain.models.utils import build_2d_sincos_position_embedding

from mim_plugins.ops.positions import sin_cos_position_embedding


def test_square_equals_mmpretrain():
    assert torch.equal(
        sin_cos_position_embedding((5, 5), 16, num_extra_tokens=1),
        build_2d_sincos_position_embedding(5, 16, cls_token=True))


@pytest.mark.parametrize('grid', [(2, 4), (4, 3)])
def test_rectangle_is_a_corner_of_the_square(grid):
    square = sin_cos_position_embedding((4, 4), 8).view(4, 4, 8)
    rectangle = sin_cos_position_embedding(grid, 8).view(*grid, 8)
    assert torch.equal(rectangle, square[:grid[0], :grid[1]])
