"""Random changes of training images, drawn anew for every image, seed and epoch.

An augmentation maps images (batch, seeds, channels, height, width) and two uniform random numbers
for each, (batch, seeds, 2) in [0, 1), to images of the same shape. It draws nothing itself, so what
it does depends neither on the device nor on how many seeds are trained together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from fusion.registry import Registry

AUGMENTATIONS: Registry[Callable[[Tensor, Tensor], Tensor]] = Registry("augmentation")


def augment(x: Tensor, names: Sequence[str], uniform: Tensor) -> Tensor:
    """Return the images `x` after the augmentations `names`, one after the other.

    Parameters
    ----------
    x : Tensor
        Normalised images (batch, seeds, channels, height, width).
    names : sequence of str
        Of `AUGMENTATIONS`.
    uniform : Tensor
        Random numbers (batch, seeds, names, 2) in [0, 1), float64.
    """
    for i, name in enumerate(names):
        x = AUGMENTATIONS[name](x, uniform[:, :, i])
    return x


def _between(uniform: Tensor, count: int) -> Tensor:
    """Return whole numbers 0 .. count-1, each as likely, of the shape of `uniform`."""
    return (uniform * count).long()


@AUGMENTATIONS.register
def flip(x: Tensor, uniform: Tensor) -> Tensor:
    """Mirror left and right with probability one half."""
    mirrored = uniform[..., 0] < 0.5
    return torch.where(mirrored[:, :, None, None, None], x.flip(-1), x)


@AUGMENTATIONS.register
def crop(x: Tensor, uniform: Tensor) -> Tensor:
    """Pad by an eighth of the shorter side (4 of 32 pixels), at least 1, and cut the size out at random.

    The margin is 0, the mean colour of normalised images.
    """
    batch, seeds, _, height, width = x.shape
    margin = max(1, min(height, width) // 8)
    padded = functional.pad(x, (margin,) * 4)
    top, left = _between(uniform, 2 * margin + 1).unbind(-1)
    rows = (top[..., None] + torch.arange(height, device=x.device))[..., :, None]
    columns = (left[..., None] + torch.arange(width, device=x.device))[..., None, :]
    image = torch.arange(batch, device=x.device)[:, None, None, None]
    seed = torch.arange(seeds, device=x.device)[None, :, None, None]
    # indices on both sides of a slice: torch puts the sliced dimension, the channels, last
    return padded[image, seed, :, rows, columns].movedim(-1, 2)


@AUGMENTATIONS.register
def cutout(x: Tensor, uniform: Tensor) -> Tensor:
    """Set a window of half the sides (16 of 32 pixels) around a random pixel to 0, the mean colour.

    The window may reach over the edge. Source: DeVries and Taylor, arXiv:1708.04552.
    """
    hidden = []
    for i, size in enumerate(x.shape[-2:]):
        centre = _between(uniform[..., i], size)[..., None]
        place = torch.arange(size, device=x.device)
        hidden.append((place >= centre - size // 4) & (place < centre + size // 4))
    window = hidden[0][..., :, None] & hidden[1][..., None, :]
    return x.masked_fill(window[:, :, None], 0.0)
