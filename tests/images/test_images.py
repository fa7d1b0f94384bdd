from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from fusion.errors import FusionError
from fusion.images import ImageSet, load_images


def save_npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def refused(source, match):
    with pytest.raises(FusionError, match=match) as raised:
        load_images(source)
    assert "\n" not in str(raised.value)


# --- a batch ---------------------------------------------------------------------------------


def test_batch_repeats_and_depends_on_seed_size_pixels_and_labels():
    digits = load_images("digits")
    digest = digits.batch(16).digest
    assert load_images("digits").batch(16).digest == digest
    assert digits.batch(16, seed=1).digest != digest
    assert digits.batch(17).digest != digest

    chosen = digits.batch(16)
    pixel, label = chosen.x.clone(), chosen.y.clone()
    pixel[3, 0, 2, 1] += 1e-3
    label[5] = (label[5] + 1) % 10
    assert type(chosen)(pixel, chosen.y, 10).digest != digest
    assert type(chosen)(chosen.x, label, 10).digest != digest
    assert type(chosen)(chosen.x, chosen.y, 11).digest != digest
    assert type(chosen)(chosen.x.reshape(16, 1, 4, 16), chosen.y, 10).digest != digest
    assert type(chosen)(chosen.x.clone(), chosen.y.clone(), 10).digest == digest


def test_batch_holds_different_training_images_with_their_labels():
    digits = load_images("digits")
    batch = digits.batch(200, seed=3)
    assert batch.x.dtype == torch.float32
    assert batch.y.dtype == torch.int64
    assert batch.x.shape == (200, 1, 8, 8)
    everything = digits.tensor(digits.x_train).flatten(1)
    found = [int((everything == image).all(1).nonzero()[0]) for image in batch.x.flatten(1)]
    assert len(set(found)) == 200
    assert digits.y_train[found].tolist() == batch.y.tolist()


@pytest.mark.parametrize("size", [0, -1, 1798])
def test_batch_size_out_of_range(size):
    with pytest.raises(FusionError, match="1797 training images"):
        load_images("digits").batch(size)


def test_images_are_normalised_per_channel_by_the_training_part(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (50, 6, 6, 3), dtype=np.uint8)
    x[..., 1] //= 3
    x[..., 2] = 7  # a channel without any variation
    y = np.arange(50) % 2
    images = load_images(save_npz(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:5] // 2, y_test=y[:5]))
    z = images.tensor(images.x_train)
    mean, sd = z.double().mean((0, 2, 3)), z.double().std((0, 2, 3), correction=0)
    np.testing.assert_allclose(mean, 0, atol=1e-6)
    np.testing.assert_allclose(sd, [1, 1, 0], atol=1e-6)
    by_hand = (x[:5, ..., 0] // 2 - x[..., 0].mean()) / x[..., 0].std()
    np.testing.assert_allclose(images.tensor(images.x_test)[:, 0], by_hand, rtol=1e-5, atol=1e-6)


# --- digits, noise -----------------------------------------------------------------------------


def test_digits_are_scikit_learns():
    images, (x, y) = load_images("digits"), load_digits(return_X_y=True)
    assert np.array_equal(images.x_train.reshape(1797, 64), x)
    assert np.array_equal(images.y_train, y)
    assert images.num_classes == 10
    assert images.channels == 1
    assert images.x_test is None


def test_noise_is_standard_normal_and_always_the_same():
    images = load_images("noise:3x5x4")
    assert images.x_train.shape == (1024, 5, 4, 3)
    assert abs(images.x_train.mean()) < 0.02
    assert abs(images.x_train.std() - 1) < 0.02
    assert set(images.y_train) == set(range(10))
    assert np.array_equal(images.x_train, load_images("noise:3x5x4").x_train)


@pytest.mark.parametrize("source", ["noise:0x8x8", "noise:3x8", "noise", "digit"])
def test_unknown_source(source):
    refused(source, "noise|digit")


# --- .npz ------------------------------------------------------------------------------------


def test_npz(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (12, 5, 6, 3), dtype=np.uint8), np.array([0, 1, 3] * 4, dtype=np.uint8)
    images = load_images(save_npz(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2]))
    assert images.name == "own"
    assert np.array_equal(images.x_train, x)
    assert np.array_equal(images.x_test, x[:2])
    assert images.y_train.dtype == images.y_test.dtype == np.int64
    assert images.num_classes == 4
    classes = np.array(list("abcdef"))
    with_classes = load_images(save_npz(tmp_path / "b.npz", x_train=x, y_train=y, classes=classes))
    assert with_classes.num_classes == 6


def test_npz_of_grey_images_without_a_channel_axis(tmp_path):
    x = np.zeros((4, 5, 6))
    images = load_images(
        save_npz(tmp_path / "a.npz", x_train=x, y_train=[0, 1, 0, 1], x_test=x, y_test=[0] * 4)
    )
    assert images.x_train.shape == images.x_test.shape == (4, 5, 6, 1)


X, Y = np.zeros((4, 5, 5, 3), np.uint8), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"x_train": X}, "no array y_train"),
        ({"a": X}, "no array x_train, y_train"),
        ({"x_train": X[:3], "y_train": Y}, "3 images but 4 labels"),
        ({"x_train": X[0, 0, 0], "y_train": Y}, "expected \\(n, height, width, channels\\)"),
        ({"x_train": X, "y_train": Y - 1}, "labels span -1"),
        ({"x_train": X, "y_train": Y, "classes": np.array(["only"])}, "labels span 0 .. 1"),
        ({"x_train": X, "y_train": np.array([{}] * 4)}, "cannot be read as .npz"),
    ],
)
def test_npz_with_wrong_arrays(tmp_path, arrays, match):
    refused(save_npz(tmp_path / "a.npz", **arrays), match)


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"x_train": X[:0], "y_train": Y[:0]}, "holds no image"),
        ({"x_train": X[:, :0], "y_train": Y}, "holds no image"),
        ({"x_train": X, "y_train": np.array(list("abcd"))}, "labels have type <U1"),
        ({"x_train": X, "y_train": Y + 0.5}, "labels have type float64"),
        ({"x_train": X, "y_train": Y.reshape(2, 2)}, "labels of shape \\(2, 2\\)"),
        ({"x_train": X, "y_train": np.array(0)}, "labels of shape \\(\\)"),
        ({"x_train": X, "y_train": Y, "x_test": X[:2], "y_test": Y}, "test part: 2 images but 4 labels"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "test part: .*both or none"),
        ({"x_train": X, "y_train": Y, "y_test": Y}, "test part: .*both or none"),
        ({"x_train": X, "y_train": Y, "x_test": X[..., :1], "y_test": Y}, "test part: 1 channels"),
        ({"x_train": X, "y_train": Y, "x_test": X[..., 0], "y_test": Y}, "test part: 1 channels"),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1}, "test part: labels span 1 .. 2"),
        ({"x_train": np.full(X.shape, np.nan), "y_train": Y}, "not all finite"),
        ({"x_train": np.where(X == 0, np.inf, 0), "y_train": Y}, "not all finite"),
        ({"x_train": X, "y_train": Y, "x_test": X * np.nan, "y_test": Y}, "test part: .*not all finite"),
        ({"x_train": np.full(X.shape, "a"), "y_train": Y}, "not all finite numbers"),
    ],
)
def test_npz_with_arrays_that_cannot_be_used(tmp_path, arrays, match):
    refused(save_npz(tmp_path / "a.npz", **arrays), match)


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04 half"])
def test_npz_that_is_none(tmp_path, data):
    (tmp_path / "a.npz").write_bytes(data)
    refused(tmp_path / "a.npz", "cannot be read as .npz")


def test_truncated_npz(tmp_path):
    whole = save_npz(tmp_path / "a.npz", x_train=X, y_train=Y).read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[:-50])
    refused(tmp_path / "a.npz", "cannot be read as .npz")


def test_damaged_npz(tmp_path):
    path = save_npz(tmp_path / "a.npz", x_train=X, y_train=Y)
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    refused(path, "cannot be read as .npz")


def test_damaged_compressed_npz(tmp_path):
    path = tmp_path / "a.npz"
    x = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    np.savez_compressed(path, x_train=x, y_train=np.zeros(20, int))
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("x_train.npy").header_offset
    data = bytearray(path.read_bytes())
    data[start + 60 : start + 90] = b"\xff" * 30
    path.write_bytes(data)
    refused(path, "cannot be read as .npz")


def test_single_array_under_the_name_of_an_npz(tmp_path):
    with open(tmp_path / "a.npz", "wb") as file:
        np.save(file, X)
    refused(tmp_path / "a.npz", "cannot be read as .npz")


# --- one folder per class --------------------------------------------------------------------


def write_class_folders(root, classes, n=2, size=(6, 5)):
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(n):
            Image.new("RGB", size, (10 * label, i, 200)).save(root / name / f"{i}.png")


def test_one_folder_per_class(tmp_path):
    root = tmp_path / "flowers"
    write_class_folders(root, ["rose", "daisy"])
    (root / "daisy" / "notes.txt").write_text("no image")
    images = load_images(root)
    assert images.name == "flowers"
    assert images.x_train.shape == (4, 5, 6, 3)  # height before width
    assert images.y_train.tolist() == [0, 0, 1, 1]
    assert images.x_train[:, 0, 0, 0].tolist() == [10, 10, 0, 0]  # daisy, written second, comes first
    assert images.x_test is None


@pytest.mark.parametrize("test_name", ["test", "val"])
def test_train_and_test_folders(tmp_path, test_name):
    write_class_folders(tmp_path / "train", ["a", "b"], n=3)
    write_class_folders(tmp_path / test_name, ["a", "b"], n=1)
    images = load_images(tmp_path)
    assert len(images.x_train) == 6
    assert images.y_test.tolist() == [0, 1]
    assert images.num_classes == 2


def test_grey_image_files_become_three_channels(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("L", (4, 4), 9).save(tmp_path / "a" / "0.png")
    assert load_images(tmp_path).x_train.tolist() == np.full((1, 4, 4, 3), 9).tolist()


def test_folder_with_nothing_to_read(tmp_path):
    refused(tmp_path, "one folder per class")
    (tmp_path / "empty").mkdir()
    refused(tmp_path, "empty: no image in this class; remove the folder or fill it")


def test_image_file_that_is_broken_or_of_another_size(tmp_path):
    write_class_folders(tmp_path, ["a"])
    (tmp_path / "a" / "2.png").write_bytes(b"\x89PNG no more")
    refused(tmp_path, "2.png: cannot be read")
    Image.new("RGB", (7, 5)).save(tmp_path / "a" / "2.png")
    refused(tmp_path, "2.png: size .*resize them to one size")
    assert load_images(f"resize:6x8:{tmp_path}").x_train.shape == (3, 6, 8, 3)


def test_path_to_nothing_and_to_another_file(tmp_path):
    refused(tmp_path / "none", "no such file or folder")
    (tmp_path / "a.csv").write_text("x")
    refused(tmp_path / "a.csv", "must be an .npz")


def test_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save_npz(tmp_path / "a.npz", x_train=X, y_train=Y)
    assert len(load_images("~/a.npz").x_train) == 4


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ((X[:0], Y[:0], None, None), "holds no image"),
        ((X, Y + 0.5, None, None), "labels of shape .* float64"),
        ((X, Y, X, None), "both or none"),
        ((X, Y, X, Y + 1), "test part: labels span"),
    ],
)
def test_image_set_checks_its_arrays(arrays, match):
    with pytest.raises(FusionError, match=match):
        ImageSet("own", *arrays, 2)


def test_digest_of_an_image_set_is_that_of_its_content():
    def digest(x=X, y=Y, x_test=X, y_test=Y, name="a", classes=2):
        return ImageSet(name, x, y, x_test, y_test, classes).digest

    other = X.copy()
    other[1, 2, 3, 0] = 1
    assert digest() == digest(x=X.copy(), name="b") == digest(x=np.asfortranarray(X))
    different = [
        digest(x=other),
        digest(y=Y[::-1]),
        digest(x_test=other),
        digest(y_test=Y[::-1]),
        digest(x_test=None, y_test=None),
        digest(x=X.astype(np.int8)),
        digest(x=X.reshape(4, 25, 1, 3)),
        digest(classes=3),
    ]
    assert len({digest(), *different}) == 1 + len(different)


@pytest.mark.parametrize("chunk", [1, 1000, 2**22])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_scale_is_the_same_in_chunks_of_any_size(monkeypatch, chunk, dtype):
    monkeypatch.setattr("fusion.images.base._CHUNK", chunk)
    x = (255 * np.random.default_rng(0).random((23, 7, 5, 3)) ** [1, 2, 3]).astype(dtype)
    images = ImageSet("own", x, np.arange(23) % 2, None, None, 2)
    wide = x.astype(np.float64)
    expected = ((wide - wide.mean((0, 1, 2))) / wide.std((0, 1, 2))).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(images.tensor(x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.shared
def test_published_images(shared_data):
    images = load_images(shared_data / "images" / "tiny-imagenet-16x16.npz")
    batch = images.batch(64)
    assert images.num_classes == 200
    assert batch.x.shape == (64, 3, 16, 16)
    assert batch.digest == images.batch(64).digest
