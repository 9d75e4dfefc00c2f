"""Between maps [B, C, H, W] and tokens [B, N, D], for any rectangle that the patch divides.

A token's vector is ordered (channel, row, column) with ``channels_last=False`` (HOG, PixelShuffle) or
(row, column, channel) with ``channels_last=True`` (the pixels of MAE and FastMIM).
"""
from torch import Tensor

from ..errors import InputError


def divide(size: tuple[int, int], side: int, what: str) -> tuple[int, int]:
    """Rows and columns of squares in an image.

    Args:
        size: The image's (H, W) in pixels.
        side: Side of a square in pixels.
        what: What the squares are, in the plural, for the message.

    Raises:
        InputError: The side does not divide the image.
    """
    if size[0] % side or size[1] % side:
        raise InputError(f'images of {size[0]}x{size[1]} cannot be divided into {what} of {side} px')
    return size[0] // side, size[1] // side


def patchify(maps: Tensor, patch: int, channels_last: bool = True) -> Tensor:
    """Cut maps into patches.

    Args:
        maps: [B, C, H, W].
        patch: Side of a patch; divides H and W.
        channels_last: Order within a token, see the module's head.

    Returns:
        [B, (H / patch) * (W / patch), C * patch ** 2], row by row.

    Raises:
        InputError: The patch does not divide the map.
    """
    batch, channels, height, width = maps.shape
    if height % patch or width % patch:
        raise InputError(f'a map of {height}x{width} cannot be cut into patches of {patch}x{patch}')
    rows, columns = height // patch, width // patch
    patches = maps.reshape(batch, channels, rows, patch, columns, patch)
    order = (0, 2, 4, 3, 5, 1) if channels_last else (0, 2, 4, 1, 3, 5)
    return patches.permute(order).reshape(batch, rows * columns, channels * patch**2)


def unpatchify(tokens: Tensor, grid: tuple[int, int], patch: int, channels_last: bool = True) -> Tensor:
    """Lay patches out as maps: the inverse of :func:`patchify`.

    Args:
        tokens: [B, N, C * patch ** 2] with N = grid height * grid width.
        grid: Patches in height and width.
        patch: Side of a patch.
        channels_last: Order within a token, see the module's head.

    Returns:
        [B, C, grid height * patch, grid width * patch].

    Raises:
        InputError: The tokens are not as many as the grid, or not of patch ** 2 pixels.
    """
    batch, number, length = tokens.shape
    if number != grid[0] * grid[1] or length % patch**2:
        raise InputError(f'{number} tokens of length {length} do not make a grid of {grid[0]}x{grid[1]} '
                         f'patches of {patch}x{patch}')
    channels = length // patch**2
    inner = (patch, patch, channels) if channels_last else (channels, patch, patch)
    order = (0, 5, 1, 3, 2, 4) if channels_last else (0, 3, 1, 4, 2, 5)
    patches = tokens.reshape(batch, *grid, *inner).permute(order)
    return patches.reshape(batch, channels, grid[0] * patch, grid[1] * patch)


def map_to_tokens(maps: Tensor) -> Tensor:
    """Flatten [B, C, h, w] to [B, h * w, C]."""
    return maps.flatten(2).transpose(1, 2)


def tokens_to_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Lay [B, h * w, C] out as [B, C, h, w] for the grid (h, w)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *grid)


def normalize_patches(images: Tensor, patch: int, eps: float = 1e-6) -> Tensor:
    """Per-patch normalisation: (x - mean) / sqrt(var + eps) over all values of a patch.

    The variance is unbiased, as in MAE (arXiv 2111.06377, section 3) and FastMIM.

    Args:
        images: [B, C, H, W].
        patch: Side of a patch; divides H and W.
        eps: Added to the variance, in squared units of the images.

    Returns:
        [B, C, H, W].
    """
    height, width = images.shape[-2:]
    tokens = patchify(images, patch)
    variance, mean = tokens.var(-1, keepdim=True), tokens.mean(-1, keepdim=True)
    tokens = (tokens - mean) * (variance + eps).rsqrt()
    return unpatchify(tokens, (height // patch, width // patch), patch)
