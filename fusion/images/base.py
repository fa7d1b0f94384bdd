"""A data set of images in memory, and the fixed mini-batch drawn from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusion.errors import FusionError


@dataclass(frozen=True)
class Batch:
    """A mini-batch and the digest that names it.

    Attributes
    ----------
    x : Tensor
        Images, float32, (batch, channels, height, width), normalised per channel.
    y : Tensor
        Labels, int64, (batch,).
    num_classes : int
        Classes of the whole data set.
    """

    x: Tensor
    y: Tensor
    num_classes: int

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape, pixels and labels: equal digests mean equal batches."""
        sha = hashlib.sha256(repr((tuple(self.x.shape), self.num_classes)).encode())
        sha.update(self.x.contiguous().numpy().tobytes())
        sha.update(self.y.contiguous().numpy().tobytes())
        return sha.hexdigest()

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch on `device`."""
        return Batch(self.x.to(device), self.y.to(device), self.num_classes)


@dataclass(frozen=True)
class ImageSet:
    """Labelled images.

    Attributes
    ----------
    name : str
        What the images are, for metadata and messages.
    x_train, y_train : ndarray
        Images (n, height, width, channels), uint8 or floating point; labels (n,), 0 .. classes-1.
    x_test, y_test : ndarray or None
        The test part, where the data set has one.
    num_classes : int
        Number of classes.
    """

    name: str
    x_train: NDArray[np.generic]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.generic] | None
    y_test: NDArray[np.int64] | None
    num_classes: int

    def __post_init__(self) -> None:
        if self.x_train.ndim != 4 or self.x_train.shape[-1] not in (1, 3):
            raise FusionError(
                f"images {self.name!r} have shape {self.x_train.shape}; "
                "expected (n, height, width, channels) with 1 or 3 channels"
            )
        if len(self.x_train) != len(self.y_train):
            raise FusionError(
                f"images {self.name!r}: {len(self.x_train)} images but {len(self.y_train)} labels"
            )
        if len(self.y_train) == 0:
            raise FusionError(f"images {self.name!r} hold no image")
        if self.y_train.min() < 0 or self.y_train.max() >= self.num_classes:
            raise FusionError(
                f"images {self.name!r}: labels span {self.y_train.min()} .. {self.y_train.max()}, "
                f"expected 0 .. {self.num_classes - 1}"
            )

    @property
    def channels(self) -> int:
        """Number of image channels."""
        return int(self.x_train.shape[-1])

    @cached_property
    def _scale(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x = self.x_train.astype(np.float64)
        std = x.std((0, 1, 2))
        return x.mean((0, 1, 2)), np.where(std > 0, std, 1.0)

    def tensor(self, x: NDArray[np.generic]) -> Tensor:
        """Return images as float32 (n, channels, height, width), normalised per channel.

        The mean and standard deviation are those of the training part.
        """
        mean, std = self._scale
        scaled = ((x.astype(np.float64) - mean) / std).astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))

    def batch(self, size: int, seed: int = 0) -> Batch:
        """Return a fixed mini-batch of `size` different training images, drawn with `seed`.

        Raises
        ------
        FusionError
            When there are fewer images than `size`.
        """
        if not 1 <= size <= len(self.x_train):
            raise FusionError(
                f"batch size {size} is out of range: images {self.name!r} hold "
                f"{len(self.x_train)} training images"
            )
        chosen = np.random.default_rng(seed).choice(len(self.x_train), size, replace=False)
        return Batch(
            self.tensor(self.x_train[chosen]),
            torch.from_numpy(self.y_train[chosen].astype(np.int64)),
            self.num_classes,
        )
