"""Attention that keeps groups of tokens apart (MixMIM, arXiv 2205.13137, section 3.2)."""
import torch
from torch import Tensor

# Logit between tokens of different groups: its exponential is 0 in every floating format, and float16 holds it.
_APART = -16384.
# Columns that queries and keys get: room for as many groups, and a width that fused kernels take.
_COLUMNS = 8


def same_group(queries: Tensor, keys: Tensor) -> Tensor:
    """Which keys each query may see, as a mask for ``scaled_dot_product_attention``.

    Args:
        queries: Group of each query, [B, N].
        keys: Group of each key, [B, M].

    Returns:
        Bool [B, 1, N, M], True = may see.
    """
    return (queries[:, :, None] == keys[:, None])[:, None]


def separate_groups(query: Tensor, key: Tensor, groups: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Columns for queries and keys that add 0 to a logit within a group and a huge negative number between two.

    A mask that differs between samples would make one bias [B, heads, N, N] out of a relative-position bias that they
    share; with these columns the shared one stays as it is. Within a group every added product is exactly 0.

    Args:
        query: [B, heads, N, C].
        key: [B, heads, N, C].
        groups: Group of each token, integers from 0 to 7, [B, N].
        scale: What the attention multiplies its logits by.

    Returns:
        Queries and keys [B, heads, N, C + 8]; values stay as they are.
    """
    own = groups[..., None] == torch.arange(_COLUMNS, device=groups.device)
    own = own.to(query.dtype)[:, None].expand(*query.shape[:3], -1)
    root = (-_APART / scale)**0.5
    return torch.cat([query, own * root], dim=-1), torch.cat([key, (own - 1) * root], dim=-1)
