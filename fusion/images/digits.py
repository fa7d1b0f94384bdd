"""scikit-learn's digits: 1,797 real images of 8x8 pixels, on disk with scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from fusion.images.base import ImageSet


def digits() -> ImageSet:
    """Return the digits as one training part of 1,797 images (8, 8, 1), 10 classes.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998.
    """
    x, y = load_digits(return_X_y=True)
    images = x.reshape(-1, 8, 8, 1).astype(np.uint8)
    return ImageSet("digits", images, y.astype(np.int64), None, None, 10)
