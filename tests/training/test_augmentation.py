from __future__ import annotations

import numpy as np
import pytest
import torch

from fusion.training.augmentation import AUGMENTATIONS, augment
from tests.training.augmented import BY_LOOP, augmented

SHAPE = (40, 3, 2, 32, 24)  # images, seeds, channels, height, width


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def uniform(names, seed=1):
    return np.random.default_rng(seed).random((*SHAPE[:2], len(names), 2))


def run(x, names, numbers):
    return augment(torch.from_numpy(x), names, torch.from_numpy(numbers)).numpy()


@pytest.mark.parametrize("names", [[], *([name] for name in BY_LOOP), ["crop", "flip", "cutout"]])
def test_every_image_of_every_seed_is_what_a_loop_makes_of_it(x, names):
    numbers = uniform(names)
    out = run(x, names, numbers)
    for seed in range(SHAPE[1]):
        np.testing.assert_array_equal(out[:, seed], augmented(x[:, seed], names, numbers[:, seed]))
    assert bool(names) != np.array_equal(out, x)


def test_all_are_tested():
    assert set(BY_LOOP) == set(AUGMENTATIONS)


def test_order_counts(x):
    numbers = uniform(["crop", "cutout"])
    swapped = run(x, ["cutout", "crop"], numbers[:, :, ::-1].copy())
    assert not np.array_equal(run(x, ["crop", "cutout"], numbers), swapped)


@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("name", list(BY_LOOP))
def test_small_images_keep_their_shape(name, size):
    x = torch.ones(5, 2, 1, size, size)
    assert AUGMENTATIONS[name](x, torch.rand(5, 2, 2, dtype=torch.float64)).shape == x.shape


def test_crop_reaches_every_offset_and_no_other():
    # a single bright pixel says where the window was
    x = torch.zeros(4000, 1, 1, 16, 16)
    x[..., 8, 8] = 1
    numbers = torch.from_numpy(np.random.default_rng(0).random((4000, 1, 2)))
    places = AUGMENTATIONS["crop"](x, numbers).flatten(1).argmax(1)
    rows, columns = places // 16 - 8, places % 16 - 8
    counts = torch.zeros(5, 5).index_put_((rows + 2, columns + 2), torch.ones(4000), accumulate=True)
    # 160 expected in each of the 25, standard deviation 12
    assert ((counts > 110) & (counts < 210)).all()


def test_half_are_flipped():
    x = torch.arange(4.0).expand(4000, 1, 1, 4, 4)
    numbers = torch.from_numpy(np.random.default_rng(0).random((4000, 1, 2)))
    flipped = (AUGMENTATIONS["flip"](x, numbers)[..., 0] == 3).float().mean()
    assert 0.46 < flipped < 0.54


def test_cutout_hides_at_most_a_quarter_of_the_image():
    numbers = torch.from_numpy(np.random.default_rng(0).random((500, 1, 2)))
    hidden = (AUGMENTATIONS["cutout"](torch.ones(500, 1, 3, 32, 32), numbers) == 0).float().sum((2, 3, 4)) / 3
    assert hidden.max() == 16 * 16
    assert hidden.min() < 12 * 12
