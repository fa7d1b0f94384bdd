"""Images from disk: an .npz, CIFAR or ImageNet16-120 as downloaded, or one folder per class."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fusion.errors import FusionError
from fusion.images.base import ImageSet
from fusion.storage.files import entries, exists, files_below, is_file, is_folder, opened, read_bytes

# CIFAR folder -> (training files, test file, label field, number of classes)
_CIFAR = {
    "cifar-10-batches-py": ([f"data_batch_{i}" for i in range(1, 6)], "test_batch", b"labels", 10),
    "cifar-100-python": (["train"], "test", b"fine_labels", 100),
}
# The names of MedMNIST's arrays.
_MEDMNIST = {
    "train_images": "x_train",
    "train_labels": "y_train",
    "test_images": "x_test",
    "test_labels": "y_test",
}
# ImageNet16-120: the first classes of ImageNet at 16 x 16, labels from 1.
_IMAGENET16, _IMAGENET16_TEST, _IMAGENET16_CLASSES = "train_data_batch_{}", "val_data", 120
# Images that are resized at once.
_CHUNK = 1024
_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp"}


def read_npz(path: Path) -> ImageSet:
    """Read `x_train`, `y_train` and, where present, `x_test`, `y_test`, `classes`; or MedMNIST's names.

    Grey images may be (n, height, width), signals (n, length); labels (n,) or (n, 1).

    Raises
    ------
    FusionError
        When the file is no .npz, lacks the training arrays, or holds others than `ImageSet` takes.
    """
    with opened(path) as file:
        try:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            with archive:
                arrays = {_MEDMNIST.get(name, name): archive[name] for name in archive.files}
        except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise FusionError(f"images {path}: cannot be read as .npz ({error}); fetch it again") from None
    missing = [name for name in ("x_train", "y_train") if name not in arrays]
    if missing:
        raise FusionError(f"images {path}: no array {', '.join(missing)} in the file")
    x_train, y_train = _with_channels(arrays["x_train"]), _labels(path, arrays["y_train"])
    x_test = _with_channels(arrays["x_test"]) if "x_test" in arrays else None
    y_test = _labels(path, arrays["y_test"]) if "y_test" in arrays else None
    num_classes = arrays["classes"].size if "classes" in arrays else int(y_train.max(initial=-1)) + 1
    return ImageSet(path.stem, x_train, y_train, x_test, y_test, num_classes)


def _with_channels(x: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return images with a dimension of channels, signals with one of height too."""
    if x.ndim == 2:
        return x[:, None, :, None]
    return x[..., None] if x.ndim == 3 else x


def _labels(path: Path, y: NDArray[np.generic]) -> NDArray[np.int64]:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    try:
        return y.astype(np.int64, casting="same_kind")
    except TypeError:
        raise FusionError(f"images {path}: labels have type {y.dtype}; expected integers from 0") from None


def _latin1(text: str, encoding: str) -> bytes:
    """Stand in for `_codecs.encode`, as which protocol 2 writes bytes, and know no other encoding."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r} is not expected in a CIFAR file")
    return text.encode("latin1")


class _NumpyOnly(pickle.Unpickler):
    """Reads arrays, as numpy of Python 2 or 3 pickled them, and refuses any other class: no code is run."""

    _ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy.core.numeric", "_frombuffer"): np.empty(0).__reduce_ex__(5)[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin1,
    }

    def find_class(self, module: str, name: str) -> Any:
        # numpy 2 calls numpy.core numpy._core
        found = self._ALLOWED.get((module.replace("numpy._core", "numpy.core", 1), name))
        if found is None:
            raise pickle.UnpicklingError(f"{f'{module}.{name}'!r} is not expected in a CIFAR file")
        return found


def _read_cifar_file(path: Path, label: bytes, side: int = 32) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if not exists(path):
        raise FusionError(f"images {path}: missing; unpack the whole archive")
    data = read_bytes(path)
    try:
        loaded = _NumpyOnly(io.BytesIO(data), encoding="bytes").load()
        fields = {name.encode() if isinstance(name, str) else name: x for name, x in loaded.items()}
        x = np.asarray(fields[b"data"], dtype=np.uint8).reshape(-1, 3, side, side)
        return x.transpose(0, 2, 3, 1), np.asarray(fields[label], dtype=np.int64)
    except Exception as error:  # damaged bytes make the unpickler raise almost anything
        reason = " ".join(str(error).split())
        raise FusionError(f"images {path}: not a CIFAR file ({reason}); fetch it again") from None


def read_cifar(path: Path) -> ImageSet:
    """Read `cifar-10-batches-py` or `cifar-100-python` as the archives unpack them."""
    train_files, test_file, label, num_classes = _CIFAR[path.name]
    parts = [_read_cifar_file(path / name, label) for name in train_files]
    x_test, y_test = _read_cifar_file(path / test_file, label)
    return ImageSet(
        path.name,
        np.concatenate([x for x, _ in parts]),
        np.concatenate([y for _, y in parts]),
        x_test,
        y_test,
        num_classes,
    )


def read_imagenet16(path: Path) -> ImageSet:
    """Read ImageNet16-120 from `train_data_batch_1` to `_10` and `val_data`, as NATS-Bench shares them."""
    files = [path / _IMAGENET16.format(number) for number in range(1, 11)]
    parts = [_read_cifar_file(file, b"labels", 16) for file in (*files, path / _IMAGENET16_TEST)]
    chosen = [(x[y <= _IMAGENET16_CLASSES], y[y <= _IMAGENET16_CLASSES] - 1) for x, y in parts]
    *train, test = chosen
    return ImageSet(
        "ImageNet16-120",
        np.concatenate([x for x, _ in train]),
        np.concatenate([y for _, y in train]),
        *test,
        _IMAGENET16_CLASSES,
    )


def resized(images: ImageSet, size: tuple[int, int]) -> ImageSet:
    """Return images of another height and width, by bicubic interpolation, values within their range."""
    return replace(
        images,
        x_train=_resize(images.x_train, size),
        x_test=None if images.x_test is None else _resize(images.x_test, size),
    )


def _resize(x: NDArray[np.generic], size: tuple[int, int]) -> NDArray[np.generic]:
    if x.shape[1:3] == size:
        return x
    found = np.empty((len(x), *size, x.shape[3]), dtype=x.dtype)
    for start in range(0, len(x), _CHUNK):
        some = torch.from_numpy(x[start : start + _CHUNK].astype(np.float32)).permute(0, 3, 1, 2)
        large = functional.interpolate(some, size=size, mode="bicubic", antialias=True)
        values = large.clamp(some.min(), some.max()).permute(0, 2, 3, 1).numpy()
        found[start : start + _CHUNK] = values.round() if x.dtype.kind in "ui" else values
    return found


Size: TypeAlias = "tuple[int, int] | None"


def _read_image(file: Path, size: Size) -> NDArray[np.uint8]:
    """Return one image (height, width, 3); 16 bits become 8, and a size is interpolated to."""
    from PIL import Image  # in the extra `images`: only these readers need it

    try:
        with opened(file) as data, Image.open(data) as found:
            image: Image.Image = found
            if image.mode == "F":
                raise FusionError(f"images {file}: pixels are fractions; save them with 8 or 16 bits")
            if image.mode.startswith("I"):
                wide = np.asarray(image, dtype=np.int64)
                if wide.min() < 0 or wide.max() >= 2**16:
                    raise FusionError(f"images {file}: pixels have more than 16 bits; save them with 8 or 16")
                image = Image.fromarray((wide // 256).astype(np.uint8))
            image = image.convert("RGB")
            if size is not None:
                image = image.resize(size[::-1], Image.Resampling.BICUBIC)
            return np.asarray(image, dtype=np.uint8)
    except OSError as error:
        raise FusionError(f"images {file}: cannot be read ({error})") from None


def _is_image(file: Path) -> bool:
    """Whether a file is meant as an image; archives made on macOS have `._` files beside them."""
    return file.suffix.lower() in _IMAGE_SUFFIXES and not file.name.startswith(".")


def _stacked(
    root: Path, files: Sequence[tuple[Path, int]], size: Size
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images of files with labels."""
    images, labels = [], []
    for file, label in files:
        images.append(_read_image(file, size))
        labels.append(label)
        if images[-1].shape != images[0].shape:
            raise FusionError(
                f"images {file}: size {images[-1].shape[:2]} differs from the first image's "
                f"{images[0].shape[:2]}; resize them to one size, as resize:{images[0].shape[0]}:PATH does"
            )
    if not images:
        raise FusionError(f"images {root}: no image in its class folders")
    return np.stack(images), np.array(labels, dtype=np.int64)


def _read_classes(root: Path, classes: list[str], size: Size) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    found: list[tuple[Path, int]] = []
    for label, name in enumerate(classes):
        files = [file for file in files_below(root / name) if _is_image(file)]
        if not files:
            raise FusionError(f"images {root / name}: no image in this class; remove the folder or fill it")
        found += [(file, label) for file in files]
    return _stacked(root, found, size)


def _read_test(
    root: Path, classes: list[str], size: Size
) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | tuple[None, None]:
    """Return the test part: one folder per class, or Tiny-ImageNet's list of files; else none."""
    listed = root / "val_annotations.txt"
    if exists(listed):
        places = {name: label for label, name in enumerate(classes)}
        lines = [line.split("\t") for line in read_bytes(listed).decode("utf-8", "replace").splitlines()]
        files = [
            (root / "images" / line[0], places[line[1]])
            for line in lines
            if len(line) > 1 and line[1] in places
        ]
        return _stacked(root, files, size)
    if not all(is_folder(root / name) for name in classes):
        return None, None
    return _read_classes(root, classes, size)


def read_folder(path: Path, size: Size = None) -> ImageSet:
    """Read one folder per class (ImageFolder), or `train/` and `test/` (or `val/`) of such folders.

    Folders and files whose names begin with a dot are no classes and no images. A test part without
    labels, of which nothing tells the classes, is left out. `size` to resize each image to.
    """
    train = path / "train" if is_folder(path / "train") else path
    test = next((path / name for name in ("test", "val") if is_folder(path / name)), None)
    if train == path:
        test = None
    classes = [entry.name for entry in entries(train) if is_folder(entry) and not entry.name.startswith(".")]
    if not classes:
        raise FusionError(
            f"images {path}: expected cifar-10-batches-py, cifar-100-python, ImageNet16-120's "
            "train_data_batch_1, or one folder per class"
        )
    x_train, y_train = _read_classes(train, classes, size)
    x_test, y_test = _read_test(test, classes, size) if test else (None, None)
    return ImageSet(path.name, x_train, y_train, x_test, y_test, len(classes))


def read_images(path: Path, size: Size = None) -> ImageSet:
    """Read whatever lies at `path`; raises FusionError when nothing readable does.

    Files of one folder per class are resized to `size` one by one, so that they may differ.
    """
    if not exists(path):
        raise FusionError(
            f"images {path}: no such file or folder; give an .npz, a CIFAR folder or an image folder"
        )
    if is_file(path):
        if path.suffix != ".npz":
            raise FusionError(f"images {path}: a file must be an .npz with x_train and y_train")
        return read_npz(path)
    for name in _CIFAR:
        if is_folder(path / name):
            return read_cifar(path / name)
    if path.name in _CIFAR:
        return read_cifar(path)
    if is_file(path / _IMAGENET16.format(1)):
        return read_imagenet16(path)
    return read_folder(path, size)
