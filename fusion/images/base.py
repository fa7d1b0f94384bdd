"""A data set of images in memory, and the fixed mini-batch drawn from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusion.errors import FusionError

# numbers looked at together when a sum runs over a whole data set: 32 MB as float64
_CHUNK = 2**22


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
    source : str
        Where the images come from, as in `load_images`; empty when nobody said. Not part of the digest.
    """

    x: Tensor
    y: Tensor
    num_classes: int
    source: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape, pixels and labels: equal digests mean equal batches."""
        sha = hashlib.sha256(repr((tuple(self.x.shape), self.num_classes)).encode())
        sha.update(self.x.contiguous().numpy().tobytes())
        sha.update(self.y.contiguous().numpy().tobytes())
        return sha.hexdigest()

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch on `device`."""
        return replace(self, x=self.x.to(device), y=self.y.to(device))


@dataclass(frozen=True)
class ImageSet:
    """Labelled images.

    Attributes
    ----------
    name : str
        What the images are, for metadata and messages.
    x_train, y_train : ndarray
        Images (n, height, width, channels), finite numbers; integer labels (n,), 0 .. classes-1.
    x_test, y_test : ndarray or None
        The test part, where the data set has one.
    num_classes : int
        Number of classes.
    source : str
        Where they come from, as in `load_images`; empty when nobody said. Not part of the digest.

    Raises
    ------
    FusionError
        When a part's shapes, types, labels or pixel values are not as said here.
    """

    name: str
    x_train: NDArray[np.generic]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.generic] | None
    y_test: NDArray[np.int64] | None
    num_classes: int
    source: str = ""

    def __post_init__(self) -> None:
        self._check(f"images {self.name!r}", self.x_train, self.y_train)
        part = f"images {self.name!r}, test part"
        if self.x_test is None or self.y_test is None:
            if self.x_test is not self.y_test:
                raise FusionError(
                    f"{part}: images without labels or labels without images; give both or none"
                )
            return
        self._check(part, self.x_test, self.y_test)
        if self.x_test.shape[-1] != self.channels:
            raise FusionError(
                f"{part}: {self.x_test.shape[-1]} channels, but the training part has {self.channels}"
            )

    def _check(self, part: str, x: NDArray[np.generic], y: NDArray[np.int64]) -> None:
        if x.ndim != 4:
            raise FusionError(f"{part}: shape {x.shape}; expected (n, height, width, channels)")
        if y.ndim != 1 or y.dtype.kind not in "iu":
            raise FusionError(f"{part}: labels of shape {y.shape} and type {y.dtype}; expected (n,) integers")
        if len(x) != len(y):
            raise FusionError(f"{part}: {len(x)} images but {len(y)} labels")
        if x.size == 0:
            raise FusionError(f"{part}: shape {x.shape} holds no image")
        if x.dtype.kind not in "buif" or not np.isfinite([x.min(), x.max()]).all():
            raise FusionError(f"{part}: pixels of type {x.dtype} that are not all finite numbers")
        if y.min() < 0 or y.max() >= self.num_classes:
            raise FusionError(
                f"{part}: labels span {y.min()} .. {y.max()}, expected 0 .. {self.num_classes - 1}"
            )

    @property
    def channels(self) -> int:
        """Number of image channels."""
        return int(self.x_train.shape[-1])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of both parts' shapes, types, pixels and labels: equal digests mean equal images."""
        sha = hashlib.sha256(repr(self.num_classes).encode())
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            if array is None:
                sha.update(b"none")
                continue
            sha.update(repr((array.shape, array.dtype.str)).encode())
            sha.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        return sha.hexdigest()

    @cached_property
    def _scale(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation per channel; in chunks, never all images as float64."""
        step = max(1, _CHUNK // self.x_train[0].size)
        chunks = [self.x_train[start : start + step] for start in range(0, len(self.x_train), step)]
        count = self.x_train[..., 0].size
        mean = np.sum([chunk.astype(np.float64).sum((0, 1, 2)) for chunk in chunks], 0) / count
        squares = [((chunk.astype(np.float64) - mean) ** 2).sum((0, 1, 2)) for chunk in chunks]
        std = np.sqrt(np.sum(squares, 0) / count)
        return mean, np.where(std > 0, std, 1.0)

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
            self.source,
        )
