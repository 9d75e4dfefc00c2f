"""Attention with a bias for each pair of tokens that all samples share, in the form that is fastest where it runs."""
import torch
import torch.nn.functional as F
from torch import Tensor

# Of which CUDA's memory-efficient attention wants the strides of a bias to be multiples: it copies what is not.
_ALIGNMENT = 8


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None, dropout: float = 0.,
           scale: float | None = None) -> Tensor:
    """``scaled_dot_product_attention`` that is not slower on a CPU where there is a bias.

    Args:
        query: [B, heads, N, C].
        key: [B, heads, M, C].
        value: [B, heads, M, D].
        bias: Added to the logits, [heads, N, M].
        dropout: Probability with which a weight is dropped now.
        scale: Of the logits; None is the root of C's inverse.

    Returns:
        [B, heads, N, D].
    """
    if bias is None:
        return F.scaled_dot_product_attention(query, key, value, None, dropout, scale=scale)
    bias = bias[None].to(query.dtype)
    attention = _attend_on_cpu if query.is_cpu else F.scaled_dot_product_attention
    return attention(query, key, value, bias, dropout, scale=scale)


def _attend_on_cpu(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, dropout: float,
                   scale: float | None) -> Tensor:
    # No fused CPU kernel gives a bias its gradient, and torch's general one goes over the logits three times more, to
    # find queries that see no key; the fused one is slow on windows of a few tokens.
    scale = query.shape[-1]**-.5 if scale is None else scale
    logits = (query * scale) @ key.transpose(-2, -1)
    weights = logits.add_(bias).softmax(-1)
    return (F.dropout(weights, dropout) if dropout else weights) @ value


def masked_bias(bias: Tensor | None, mask: Tensor, heads: int) -> Tensor:
    """Bias and mask in one, on a GPU with strides that no kernel needs to copy.

    Args:
        bias: [heads, N, N], or None.
        mask: [W, N, N], of the same type.
        heads: Attention heads.

    Returns:
        [W * heads, N, N].
    """
    tokens = mask.shape[-1]
    spare = 0 if mask.is_cpu else -tokens % _ALIGNMENT
    if spare:  # columns come off behind the sum, which would be laid out without them
        mask, bias = F.pad(mask, (0, spare)), None if bias is None else F.pad(bias, (0, spare))
    whole = mask[:, None] if bias is None else bias + mask[:, None]
    return whole.expand(-1, heads, -1, -1).flatten(0, 1)[..., :tokens]


def aligned_index(index: Tensor) -> Tensor:
    """Rows of a table for each pair of tokens [N, N], with columns up to the next multiple of eight: [N, M]."""
    return F.pad(index, (0, -index.shape[1] % _ALIGNMENT))


def gathered_bias(table: Tensor, index: Tensor) -> Tensor:
    """Bias of each pair of tokens, in autocast's precision and with strides that no kernel needs to copy.

    Args:
        table: [R, heads].
        index: Of :func:`aligned_index`, [N, M].

    Returns:
        [heads, N, N].
    """
    device = table.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else table.dtype
    bias = table.t().index_select(1, index.flatten()).to(dtype)
    return bias.unflatten(1, index.shape)[..., :len(index)]
