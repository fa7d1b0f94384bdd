from __future__ import annotations

import io
import os
import pickle
import struct
from typing import ClassVar

import numpy as np
import pytest

from fusion.errors import FusionError
from fusion.images import load_images

CIFAR10_FILES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 wrote into the CIFAR archives: protocol 2, every string a byte string."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, obj):
        data = obj if isinstance(obj, bytes) else obj.encode()
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(obj)

    dispatch[bytes] = dispatch[str] = save_string


def python2_pickle(fields):
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(fields)
    return stream.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def cifar_fields(rng, n, **labels):
    return {b"batch_label": b"a batch", b"data": rng.integers(0, 256, (n, 3072), dtype=np.uint8)} | {
        name.encode(): values for name, values in labels.items()
    }


def write_cifar10(folder, dump=python2_pickle):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    written = [cifar_fields(rng, 4, labels=[i, (i + 1) % 10, 9, 0]) for i in range(6)]
    for name, fields in zip(CIFAR10_FILES, written, strict=True):
        (folder / name).write_bytes(dump(fields))
    return written


@pytest.fixture
def cifar10(tmp_path):
    write_cifar10(tmp_path / "data" / "cifar-10-batches-py")
    return tmp_path / "data" / "cifar-10-batches-py"


def refused(source, match):
    with pytest.raises(FusionError, match=match) as raised:
        load_images(source)
    assert "\n" not in str(raised.value)


def python3_pickle(protocol):
    return lambda fields: pickle.dumps(fields, protocol)


@pytest.mark.parametrize(
    "dump",
    [python2_pickle, *map(python3_pickle, range(2, 6))],
    ids=["official", *(f"python3-protocol{i}" for i in range(2, 6))],
)
@pytest.mark.parametrize("around", [False, True])
def test_cifar10(tmp_path, dump, around):
    folder = tmp_path / "data" / "cifar-10-batches-py"
    written = write_cifar10(folder, dump)
    images = load_images(folder.parent if around else folder)
    pixels = np.concatenate([fields[b"data"] for fields in written[:5]])
    assert images.x_train.shape == (20, 32, 32, 3)
    # a row of the file is 1,024 red values, then green, then blue, each row by row
    assert images.x_train[7, 2, 5, 1] == pixels[7, 1024 + 2 * 32 + 5]
    assert np.array_equal(images.x_train.transpose(0, 3, 1, 2).reshape(20, -1), pixels)
    assert images.y_train.tolist() == [label for fields in written[:5] for label in fields[b"labels"]]
    assert images.y_test.tolist() == written[5][b"labels"]
    assert np.array_equal(images.x_test[0, 0, :, 0], written[5][b"data"][0, :32])
    assert images.num_classes == 10


def test_cifar100_uses_fine_labels(tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("train", "test"):
        fields = cifar_fields(rng, 3, fine_labels=[99, 0, 50], coarse_labels=[19, 0, 5])
        (folder / name).write_bytes(python2_pickle(fields))
    images = load_images(tmp_path)
    assert images.y_train.tolist() == images.y_test.tolist() == [99, 0, 50]
    assert images.num_classes == 100


def test_malicious_pickle_is_refused_and_not_run(tmp_path, cifar10):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    for fields in (Payload(), {b"data": Payload(), b"labels": [0]}):
        (cifar10 / "data_batch_3").write_bytes(pickle.dumps(fields))
        refused(cifar10, "data_batch_3: not a CIFAR file .*mkdir' is not expected")
    assert not (tmp_path / "owned").exists()


@pytest.mark.filterwarnings("ignore:numpy.core.numeric is deprecated")
def test_protocol_5_by_numpy_1(cifar10, monkeypatch):
    fields = cifar_fields(np.random.default_rng(1), 4, labels=[0] * 4)
    from_buffer = fields[b"data"].__reduce_ex__(5)[0]
    monkeypatch.setattr(from_buffer, "__module__", "numpy.core.numeric")
    data = pickle.dumps(fields, 5)
    assert b"numpy.core.numeric" in data
    (cifar10 / "test_batch").write_bytes(data)
    assert np.array_equal(load_images(cifar10).x_test[:, 0, :, 2], fields[b"data"][:, 2048:2080])


def test_names_read_as_text_and_saved_again(cifar10):
    fields = cifar_fields(np.random.default_rng(1), 4, labels=[3, 2, 1, 0])
    (cifar10 / "test_batch").write_bytes(pickle.dumps({name.decode(): x for name, x in fields.items()}))
    assert load_images(cifar10).y_test.tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.",
            "encoding 'rot13' is not expected",
        ),
        (b"c_codecs\ndecode\n(X\x01\x00\x00\x00atR.", "_codecs.decode' is not expected"),
        (b"cnumpy._core.numeric\nload\n(X\x01\x00\x00\x00atR.", "numpy._core.numeric.load' is not expected"),
        (b"cnumpy.numpy._core.numeric\n_frombuffer\n.", "is not expected"),
        (b"cbuiltins\ngetattr\n.", "builtins.getattr' is not expected"),
    ],
)
def test_only_what_arrays_need_is_called(cifar10, call, match):
    (cifar10 / "data_batch_1").write_bytes(b"\x80\x02" + call)
    refused(cifar10, f"data_batch_1: not a CIFAR file .*{match}")


@pytest.mark.parametrize("keep", [0, 10, 200, -1])
def test_truncated_cifar_file(cifar10, keep):
    path = cifar10 / "data_batch_2"
    path.write_bytes(path.read_bytes()[:keep])
    refused(cifar10, "data_batch_2: not a CIFAR file")


@pytest.mark.parametrize(
    "fields",
    [[], None, {b"labels": [0]}, {b"data": b"x", b"labels": [0]}, {b"data": np.zeros((2, 9), np.uint8)}],
)
def test_cifar_file_with_other_content(cifar10, fields):
    (cifar10 / "test_batch").write_bytes(pickle.dumps(fields))
    refused(cifar10, "test_batch: not a CIFAR file")


def test_cifar_with_a_file_missing(cifar10):
    (cifar10 / "data_batch_5").unlink()
    refused(cifar10, "data_batch_5: missing; unpack the whole archive")
