"""The mini-batch: images from CIFAR folders, .npz, image folders, scikit-learn's digits, noise."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from fusion.callable_folder import callable_folder
from fusion.images.base import Batch, ImageSet

__all__ = ["Batch", "ImageSet", "load_images"]


def noise(channels: int, height: int, width: int, *, n: int = 1024, num_classes: int = 10) -> ImageSet:
    """Return Gaussian noise with random labels, always the same for the same arguments."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, height, width, channels)).astype(np.float32)
    return ImageSet("noise", x, rng.integers(num_classes, size=n), None, None, num_classes)


def load_images(source: str | Path) -> ImageSet:
    """Return the images that `source` names.

    Parameters
    ----------
    source : str or Path
        `digits`, `noise:CHANNELSxHEIGHTxWIDTH`, or a path: an .npz with `x_train` and `y_train` (or
        MedMNIST's names), a CIFAR folder as downloaded (or the folder around it), ImageNet16-120 as
        NATS-Bench shares it, or one folder per class. `resize:SIZE:PATH` and `resize:HEIGHTxWIDTH:PATH`
        resize each image of what lies there.

    Raises
    ------
    FusionError
        When there is nothing readable at the path.

    Examples
    --------
    >>> import fusion
    >>> fusion.images("digits").batch(64).x.shape
    torch.Size([64, 1, 8, 8])
    """
    return replace(_read(source), source=str(source))


def _read(source: str | Path) -> ImageSet:
    if source == "digits":
        from fusion.images.digits import digits

        return digits()
    if match := re.fullmatch(r"noise:(\d+)x(\d+)x(\d+)", str(source)):
        return noise(*(int(size) for size in match.groups()))
    from fusion.images.files import read_images, resized

    if match := re.fullmatch(r"resize:(\d+)(?:x(\d+))?:(.+)", str(source)):
        height = int(match[1])
        size = height, int(match[2] or height)
        return resized(read_images(Path(match[3]).expanduser(), size), size)
    return read_images(Path(source).expanduser())


callable_folder(__name__, load_images)
