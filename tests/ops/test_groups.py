import pytest
import torch
import torch.nn.functional as F

from mim_plugins.ops import same_group, separate_groups


def test_same_group():
    allowed = same_group(torch.tensor([[0, 1, 1]]), torch.tensor([[1, 0]]))
    assert allowed.tolist() == [[[[False, True], [True, False], [True, False]]]]


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_columns_are_a_mask(dtype):
    query, key, value = torch.randn(3, 2, 4, 12, 8, dtype=dtype)
    bias = torch.randn(4, 12, 12, dtype=dtype)
    groups = torch.randint(3, (2, 12))
    query, key = 10 * query, 10 * key  # logits of hundreds
    wide = separate_groups(query, key, groups, .3)
    assert all(part.shape == (2, 4, 12, 16) and part.dtype == dtype for part in wide)
    columned = F.scaled_dot_product_attention(*wide, value, bias, scale=.3)
    mask = torch.where(same_group(groups, groups), bias, float('-inf'))
    expected = F.scaled_dot_product_attention(query, key, value, mask, scale=.3)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-2}[dtype]
    torch.testing.assert_close(columned, expected, atol=tolerance, rtol=0)


def test_logits_within_a_group_are_untouched():
    query, key = torch.randn(2, 1, 1, 6, 4)
    groups = torch.tensor([[0, 1, 2, 0, 1, 2]])
    wide_query, wide_key = separate_groups(query, key, groups, 1.)
    added = wide_query[..., 4:] @ wide_key[..., 4:].transpose(-2, -1)
    assert torch.equal(added == 0, same_group(groups, groups)) and added.max() == 0 and added.sum() < -1e4
