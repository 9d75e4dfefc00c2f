import pytest
import torch
from mmpretrain.models.backbones.beit import RelativePositionBias
from mmpretrain.models.utils import WindowMSA, build_2d_sincos_position_embedding, resize_pos_embed

from mim_plugins.errors import InputError
from mim_plugins.ops.positions import (
    relative_position_index,
    resize_position_embedding,
    resize_position_table,
    sin_cos_position_embedding,
    square_grid,
    token_grid,
)


def test_square_equals_mmpretrain():
    torch.testing.assert_close(
        sin_cos_position_embedding((5, 5), 16, num_extra_tokens=1),
        build_2d_sincos_position_embedding(5, 16, cls_token=True), atol=1e-6, rtol=0)


@pytest.mark.parametrize('grid', [(2, 4), (4, 3)])
def test_rectangle_is_a_corner_of_the_square(grid):
    square = sin_cos_position_embedding((4, 4), 8).view(4, 4, 8)
    rectangle = sin_cos_position_embedding(grid, 8).view(*grid, 8)
    assert torch.equal(rectangle, square[:grid[0], :grid[1]])


@pytest.mark.parametrize('size, grid', [((32, 48), (4, 3)), ((33, 47), (5, 3)), ((1, 1), (1, 1))])
def test_tokens_of_an_image(size, grid):
    assert token_grid(size, (8, 16)) == grid


@pytest.mark.parametrize('window', [(1, 1), (3, 3), (2, 5)])
def test_relative_index_is_mmpretrains(window):
    assert torch.equal(relative_position_index(window), WindowMSA(4, window, 1).relative_position_index)


class TestTables:

    def test_the_same_window_is_the_identity(self):
        table = torch.randn(15, 2)
        assert resize_position_table(table, (2, 3), (2, 3)) is table

    @pytest.mark.parametrize('window', [(2, 2), (7, 5)])
    def test_a_constant_stays_constant_and_extra_rows_stay(self, window):
        table = torch.cat([torch.full((15, 2), .5), torch.randn(3, 2)])
        resized = resize_position_table(table, (2, 3), window, num_extra=3)
        assert resized.shape == ((2 * window[0] - 1) * (2 * window[1] - 1) + 3, 2)
        torch.testing.assert_close(resized[:-3], torch.full_like(resized[:-3], .5))
        assert torch.equal(resized[-3:], table[-3:])

    def test_no_offset_stays_in_the_middle(self):
        """A bump at distance zero is at distance zero in the new table, and falls off evenly."""
        table = torch.zeros(5, 7, 1)
        table[2, 3] = 1
        resized = resize_position_table(table.view(-1, 1), (3, 4), (5, 6)).view(9, 11)
        assert resized.argmax() == 4 * 11 + 5
        torch.testing.assert_close(resized, resized.flip(0, 1))

    def test_gradients_reach_the_table(self):
        table = torch.randn(9, 1, requires_grad=True)
        resize_position_table(table, (2, 2), (4, 4)).sum().backward()
        torch.testing.assert_close(table.grad.sum(), torch.tensor(49.))

    def test_refuses_a_table_of_another_window(self):
        with pytest.raises(InputError, match='10 rows is not one of a window of 2x2 with 0 extra rows'):
            resize_position_table(torch.zeros(10, 1), (2, 2), (3, 3))


class TestEmbeddings:

    def test_equals_mmpretrains_resize(self):
        embedding = torch.randn(1, 1 + 6, 8)
        resized = resize_position_embedding(embedding, (2, 3), (4, 5), 1)
        torch.testing.assert_close(resized, resize_pos_embed(embedding, (2, 3), (4, 5), 'bicubic', 1))
        assert resize_position_embedding(embedding, (2, 3), (2, 3), 1) is embedding

    def test_refuses_an_embedding_of_another_grid(self):
        with pytest.raises(InputError, match='7 tokens is not one of a grid of 3x3 with 1 extra tokens'):
            resize_position_embedding(torch.zeros(1, 7, 8), (3, 3), (4, 4), 1)


def test_a_number_of_places_may_be_a_square():
    assert square_grid(1) == (1, 1) and square_grid(49) == (7, 7)
    with pytest.raises(InputError, match='a position table of 48 places is not one of a square grid'):
        square_grid(48)


@pytest.mark.parametrize('window', [(2, 2), (3, 4)])
def test_relative_index_with_cls_is_beits(window):
    assert torch.equal(relative_position_index(window, with_cls=True),
                       RelativePositionBias(window, 1).relative_position_index)
