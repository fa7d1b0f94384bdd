"""Files that may come from anywhere, packed or not: limits, and one line about what is wrong."""

import gzip
import json

import pytest

import fusion.storage.documents as documents
from fusion.errors import FusionError
from fusion.storage.documents import member, read_json, read_text


def pack(path, data):
    path.write_bytes(gzip.compress(data))
    return path


def test_a_packed_file_is_read_as_itself(tmp_path):
    content = {"a": [1, 2.5], "b": "ü"}
    packed = pack(tmp_path / "m.json.gz", json.dumps(content).encode())
    assert member(tmp_path, "m.json") == packed
    assert read_json(packed, repair="again") == content
    assert read_text(packed, repair="again") == json.dumps(content)
    # the file itself comes first
    (tmp_path / "m.json").write_text("{}")
    assert read_json(member(tmp_path, "m.json"), repair="again") == {}


def test_neither(tmp_path):
    with pytest.raises(FileNotFoundError):
        member(tmp_path, "m.json")


@pytest.mark.parametrize("cut", [0, 5, 12, -1, -9])
def test_a_truncated_or_plain_file(tmp_path, cut):
    packed = pack(tmp_path / "m.json.gz", b'{"a": 1}' * 9)
    packed.write_bytes(packed.read_bytes()[:cut])
    with pytest.raises(FusionError, match=r"m\.json\.gz: .*; again"):
        read_json(packed, repair="again")
    packed.write_bytes(b"{}")
    with pytest.raises(FusionError, match=r"m\.json\.gz: truncated or not packed by gzip.*; again"):
        read_json(packed, repair="again")


def test_changed_bytes(tmp_path):
    packed = pack(tmp_path / "m.json.gz", json.dumps(list(range(99))).encode())
    data = bytearray(packed.read_bytes())
    for at in range(10, len(data), 3):
        packed.write_bytes(bytes([*data[:at], data[at] ^ 0xFF, *data[at + 1 :]]))
        with pytest.raises(FusionError, match="again"):
            read_json(packed, repair="again")


def test_what_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "MAX_BYTES", 1000)
    packed = pack(tmp_path / "m.json.gz", b"[" * 100_000)
    assert packed.stat().st_size < 1000
    with pytest.raises(FusionError, match=r"unpacks to more than 1,000 bytes; again"):
        read_text(packed, repair="again")
    pack(packed, b'{"a": "' + b"a" * 991 + b'"}')
    assert len(read_text(packed, repair="again")) == 1000
