"""Formats of the field: signals, many channels, MedMNIST, ImageNet16-120, Tiny-ImageNet, 16 bits, sizes."""

import pickle

import numpy as np
import pytest
from PIL import Image

from fusion.errors import FusionError
from fusion.images import load_images

RNG = np.random.default_rng(0)
X, Y = RNG.integers(256, size=(4, 6, 5, 3), dtype=np.uint8), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (RNG.random((4, 6, 5, 13)), (13, 6, 5)),
        (RNG.random((4, 6, 5)), (1, 6, 5)),
        (RNG.random((4, 30)), (1, 1, 30)),
    ],
    ids=["13 channels", "grey", "signals"],
)
def test_any_number_of_channels_and_signals(tmp_path, x, shape):
    np.savez(tmp_path / "a.npz", x_train=x, y_train=Y, x_test=x, y_test=Y)
    images = load_images(tmp_path / "a.npz")
    assert images.batch(4).x.shape == (4, *shape)
    assert images.x_test.shape == images.x_train.shape


def test_noise_of_many_channels():
    assert load_images("noise:4x16x16").batch(2).x.shape == (2, 4, 16, 16)


def test_labels_in_a_column_and_the_names_of_medmnist(tmp_path):
    other = RNG.integers(256, size=(2, 6, 5, 3), dtype=np.uint8)
    arrays = {"train_images": X, "train_labels": Y[:, None], "val_images": other, "val_labels": Y[:2, None]}
    np.savez(tmp_path / "pathmnist.npz", **arrays, test_images=other, test_labels=Y[:2, None])
    images = load_images(tmp_path / "pathmnist.npz")
    assert images.y_train.tolist() == Y.tolist()
    assert np.array_equal(images.x_test, other)


def test_imagenet16_120(tmp_path):
    for name, first in [*((f"train_data_batch_{n}", n) for n in range(1, 11)), ("val_data", 50)]:
        data = np.full((3, 3 * 16 * 16), first, np.uint8)
        data[:, :256] = 200
        with open(tmp_path / name, "wb") as file:
            pickle.dump({"data": data, "labels": [first, 120, 121]}, file)
    images = load_images(tmp_path)
    assert images.x_train.shape == (20, 16, 16, 3)
    assert images.y_train[:4].tolist() == [0, 119, 1, 119]
    assert (images.x_train[..., 0] == 200).all()  # the channels one after the other
    assert images.y_test.tolist() == [49, 119]
    assert images.num_classes == 120


def folders(root, names, size=(5, 6), n=2):
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(n):
            Image.new("RGB", size, (i, 2, 3)).save(root / name / f"{i}.png")


def test_names_with_a_dot_are_no_classes_and_no_images(tmp_path):
    folders(tmp_path, ["cat", "dog"])
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / "cat" / "._0.png").write_bytes(b"of macOS")
    images = load_images(tmp_path)
    assert images.num_classes == 2
    assert images.y_train.tolist() == [0, 0, 1, 1]


def test_tiny_imagenet_as_published(tmp_path):
    for name in ("n01", "n02"):
        folders(tmp_path / "train" / name, ["images"])
    (tmp_path / "val" / "images").mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (5, 6), (9, i, 0)).save(tmp_path / "val" / "images" / f"val_{i}.JPEG")
    lines = [f"val_{i}.JPEG\t{name}\t0\t0\t62\t62" for i, name in enumerate(("n02", "n01", "n02"))]
    (tmp_path / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    images = load_images(tmp_path)
    assert images.y_train.tolist() == [0, 0, 1, 1]
    assert images.y_test.tolist() == [1, 0, 1]


def test_a_test_part_without_classes_is_left_out(tmp_path):
    folders(tmp_path / "train", ["a", "b"])
    folders(tmp_path / "test", ["images"])
    assert load_images(tmp_path).x_test is None


def test_sixteen_bits_become_eight(tmp_path):
    (tmp_path / "a").mkdir()
    wide = (np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8)
    Image.fromarray(wide).save(tmp_path / "a" / "0.png")
    assert np.array_equal(load_images(tmp_path).x_train[0, :, :, 1], wide // 256)
    Image.fromarray(wide.astype(np.float32)).save(tmp_path / "a" / "0.tiff")
    (tmp_path / "a" / "0.tiff").rename(tmp_path / "a" / "1.png")
    with pytest.raises(FusionError, match="fractions"):
        load_images(tmp_path)


def test_images_of_many_sizes_are_resized(tmp_path):
    folders(tmp_path, ["a"], size=(5, 6))
    folders(tmp_path, ["b"], size=(9, 4))
    images = load_images(f"resize:8:{tmp_path}")
    assert images.x_train.shape == (4, 8, 8, 3)
    assert images.source == f"resize:8:{tmp_path}"


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_arrays_are_resized_within_their_range(tmp_path, dtype):
    np.savez(tmp_path / "a.npz", x_train=X.astype(dtype), y_train=Y)
    images = load_images(f"resize:12x10:{tmp_path / 'a.npz'}")
    assert images.x_train.shape == (4, 12, 10, 3)
    assert images.x_train.dtype == dtype
    assert X.min() <= images.x_train.min() <= images.x_train.max() <= X.max()
    assert images.x_train.mean() == pytest.approx(X.mean(), rel=0.05)
