"""Images from disk: an .npz, a CIFAR folder as downloaded, or one folder per class."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fusion.errors import FusionError
from fusion.images.base import ImageSet
from fusion.storage.files import entries, exists, files_below, is_file, is_folder, opened, read_bytes

# CIFAR folder -> (training files, test file, label field, number of classes)
_CIFAR = {
    "cifar-10-batches-py": ([f"data_batch_{i}" for i in range(1, 6)], "test_batch", b"labels", 10),
    "cifar-100-python": (["train"], "test", b"fine_labels", 100),
}
_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp"}


def read_npz(path: Path) -> ImageSet:
    """Read `x_train`, `y_train` and, where present, `x_test`, `y_test`, `classes`.

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
                arrays = {name: archive[name] for name in archive.files}
        except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise FusionError(f"images {path}: cannot be read as .npz ({error}); fetch it again") from None
    missing = [name for name in ("x_train", "y_train") if name not in arrays]
    if missing:
        raise FusionError(f"images {path}: no array {', '.join(missing)} in the file")
    x_train, x_test = arrays["x_train"], arrays.get("x_test")
    if x_train.ndim == 3:
        x_train = x_train[..., None]
        x_test = None if x_test is None else x_test[..., None]
    y_train = _labels(path, arrays["y_train"])
    y_test = _labels(path, arrays["y_test"]) if "y_test" in arrays else None
    num_classes = arrays["classes"].size if "classes" in arrays else int(y_train.max(initial=-1)) + 1
    return ImageSet(path.stem, x_train, y_train, x_test, y_test, num_classes)


def _labels(path: Path, y: NDArray[np.generic]) -> NDArray[np.int64]:
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


def _read_cifar_file(path: Path, label: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if not exists(path):
        raise FusionError(f"images {path}: missing; unpack the whole archive")
    data = read_bytes(path)
    try:
        loaded = _NumpyOnly(io.BytesIO(data), encoding="bytes").load()
        fields = {name.encode() if isinstance(name, str) else name: x for name, x in loaded.items()}
        x = np.asarray(fields[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
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


def _read_classes(root: Path, classes: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from PIL import Image  # in the extra `images`: only this reader needs it

    images, labels = [], []
    for label, name in enumerate(classes):
        for file in files_below(root / name):
            if file.suffix.lower() not in _IMAGE_SUFFIXES:
                continue
            try:
                with opened(file) as data, Image.open(data) as image:
                    images.append(np.asarray(image.convert("RGB"), dtype=np.uint8))
            except OSError as error:
                raise FusionError(f"images {file}: cannot be read ({error})") from None
            labels.append(label)
            if images[-1].shape != images[0].shape:
                raise FusionError(
                    f"images {file}: size {images[-1].shape[:2]} differs from the first image's "
                    f"{images[0].shape[:2]}; resize them to one size"
                )
    if not images:
        raise FusionError(f"images {root}: no image in its class folders")
    return np.stack(images), np.array(labels, dtype=np.int64)


def read_folder(path: Path) -> ImageSet:
    """Read one folder per class (ImageFolder), or `train/` and `test/` (or `val/`) of such folders."""
    train = path / "train" if is_folder(path / "train") else path
    test = next((path / name for name in ("test", "val") if is_folder(path / name)), None)
    if train == path:
        test = None
    classes = [entry.name for entry in entries(train) if is_folder(entry)]
    if not classes:
        raise FusionError(
            f"images {path}: expected cifar-10-batches-py, cifar-100-python, or one folder per class"
        )
    x_train, y_train = _read_classes(train, classes)
    x_test, y_test = _read_classes(test, classes) if test else (None, None)
    return ImageSet(path.name, x_train, y_train, x_test, y_test, len(classes))


def read_images(path: Path) -> ImageSet:
    """Read whatever lies at `path`; raises FusionError when nothing readable does."""
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
    return read_cifar(path) if path.name in _CIFAR else read_folder(path)
