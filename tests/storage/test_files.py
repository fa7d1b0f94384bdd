from __future__ import annotations

import pytest

from fusion.errors import FusionError
from fusion.storage import files


def test_what_lies_where(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "z.txt").write_bytes(b"z")
    (tmp_path / "a.txt").write_bytes(b"a")
    assert files.entries(tmp_path) == [tmp_path / "a.txt", tmp_path / "b"]
    assert files.files_below(tmp_path) == [tmp_path / "a.txt", tmp_path / "b" / "z.txt"]
    assert files.entries(tmp_path / "none") == files.files_below(tmp_path / "none") == []
    assert [files.is_file(tmp_path / name) for name in ("a.txt", "b", "c")] == [True, False, False]
    assert [files.is_folder(tmp_path / name) for name in ("a.txt", "b", "c")] == [False, True, False]
    assert [files.exists(tmp_path / name) for name in ("a.txt", "b", "c")] == [True, True, False]


def test_content(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"content")
    assert files.read_bytes(path) == b"content"
    with files.opened(path) as file:
        assert file.read(3) == b"con"
    with files.mapped(path) as data:
        assert data[3:] == b"tent"
    assert file.closed
    assert data.closed


def open_and_close(path):
    with files.opened(path):
        pass


def map_and_close(path):
    with files.mapped(path):
        pass


@pytest.mark.parametrize("read", [files.read_bytes, open_and_close, map_and_close])
def test_files_that_cannot_be_read(tmp_path, read):
    with pytest.raises(FusionError, match=r"none: no such file$"):
        read(tmp_path / "none")
    with pytest.raises(FusionError, match="cannot be read"):
        read(tmp_path)


def test_an_empty_file_cannot_be_mapped(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(FusionError, match="the file is empty"):
        map_and_close(tmp_path / "a")


def test_errors_of_who_reads_are_their_own(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(OSError, match="theirs"), files.opened(tmp_path / "a"):
        raise OSError("theirs")
