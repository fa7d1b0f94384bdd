from __future__ import annotations

import struct

import numpy as np
import pytest

from fusion.benchmarks import tfrecord as module
from fusion.benchmarks.tfrecord import masked_crcs, message_fields, read_records
from fusion.errors import FusionError


def crc32c(data):
    """Bit by bit, as polynomial division."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def framed(data):
    def masked(part):
        crc = crc32c(part)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def records_of(tmp_path, content):
    (tmp_path / "a.tfrecord").write_bytes(content)
    return list(read_records(tmp_path / "a.tfrecord"))


def refused(match, tmp_path, content):
    with pytest.raises(FusionError, match=match) as raised:
        records_of(tmp_path, content)
    assert str(raised.value).startswith(str(tmp_path / "a.tfrecord"))
    assert "\n" not in str(raised.value)


PARTS = [b"", b"a", bytes(range(256)) * 3, b"123456789", b"\0" * 40]


def test_checksum_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of RFC 3720's CRC-32C


def test_checksums_of_many_parts_at_once():
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, 3000, dtype=np.uint8)
    starts, lengths = rng.integers(0, 2000, 60), rng.integers(0, 900, 60)
    found = masked_crcs(data, starts.tolist(), lengths.tolist())
    for crc, start, length in zip(found, starts, lengths, strict=True):
        whole = framed(data[start : start + length].tobytes())
        assert struct.pack("<I", crc) == whole[-4:]


@pytest.mark.parametrize("batch", [1, 2, 5, 100])
def test_records_come_back(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(module, "_BATCH", batch)
    assert records_of(tmp_path, b"".join(map(framed, PARTS))) == PARTS


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_file_cut_anywhere(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(module, "_BATCH", batch)
    content = framed(b"one") + framed(b"record")
    boundary = len(framed(b"one"))
    for keep in range(1, len(content)):
        if keep == boundary:
            assert records_of(tmp_path, content[:keep]) == [b"one"]
        else:
            at = boundary if keep > boundary else 0
            refused(f"cut short in the record at byte {at}", tmp_path, content[:keep])


def test_every_flipped_bit_is_noticed(tmp_path):
    content = framed(b"one") + framed(b"two")
    for position in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[position // 8] ^= 1 << position % 8
        refused("damaged at byte|wrong checksum in the record at byte", tmp_path, bytes(damaged))


def test_what_is_no_file_of_records(tmp_path):
    refused("the file is empty", tmp_path, b"")
    refused("no TFRecord file, or damaged at byte 0", tmp_path, b"<html>quota exceeded</html>")
    refused("wrong checksum|no TFRecord", tmp_path, b"\0" * 64)
    with pytest.raises(FusionError, match="cannot be read"):
        list(read_records(tmp_path))


def test_fields_of_a_message():
    # 1: varint 300, 2: double 0.5, 3: bytes, 16: float 2.0, 1 again: varint 0
    message = b"\x08\xac\x02" + b"\x11" + struct.pack("<d", 0.5) + b"\x1a\x02hi"
    message += b"\x85\x01" + struct.pack("<f", 2.0) + b"\x08\x00"
    assert list(message_fields(message)) == [(1, 300), (2, 0.5), (3, b"hi"), (16, 2.0), (1, 0)]
    assert list(message_fields(b"")) == []
    whole = {len(b"\x08\xac\x02"), 12, 16, 22, 24}
    for keep in range(1, len(message)):
        if keep not in whole:
            with pytest.raises(ValueError, match="cut short"):
                list(message_fields(message[:keep]))


@pytest.mark.parametrize("message", [b"\x0b", b"\x08" + b"\xff" * 11, b"\x1a\xff\xff\xff\xff\x0f"])
def test_what_is_no_message(message):
    with pytest.raises(ValueError, match=r"wire type|varint|cut short"):
        list(message_fields(message))
