"""Augmentations of one image in plain loops, for tests: what the batched ones must equal."""

from __future__ import annotations

import numpy as np


def flip(image, u):
    return image[:, :, ::-1] if u[0] < 0.5 else image


def crop(image, u):
    channels, height, width = image.shape
    margin = max(1, min(height, width) // 8)
    top, left = int(u[0] * (2 * margin + 1)), int(u[1] * (2 * margin + 1))
    out = np.zeros_like(image)
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                row, column = i + top - margin, j + left - margin
                if 0 <= row < height and 0 <= column < width:
                    out[c, i, j] = image[c, row, column]
    return out


def cutout(image, u):
    _, height, width = image.shape
    row, column = int(u[0] * height), int(u[1] * width)
    out = image.copy()
    out[
        :,
        max(0, row - height // 4) : row + height // 4,
        max(0, column - width // 4) : column + width // 4,
    ] = 0
    return out


BY_LOOP = {"flip": flip, "crop": crop, "cutout": cutout}


def augmented(images, names, uniform):
    """Images (batch, channels, height, width) with random numbers (batch, names, 2)."""
    out = []
    for image, numbers in zip(images, uniform, strict=True):
        for name, u in zip(names, numbers, strict=True):
            image = BY_LOOP[name](image, u)
        out.append(image)
    return np.stack(out)
