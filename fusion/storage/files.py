"""Single files, written whole or not at all, and what is said when one cannot be read."""

from __future__ import annotations

import mmap
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, TextIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fusion.errors import FusionError

# what pyarrow and pandas raise for a damaged file: its metadata holds JSON that nobody checks before use
UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, AttributeError)


def exists(path: Path) -> bool:
    """Return whether something lies at `path`."""
    return path.exists()


def is_file(path: Path) -> bool:
    """Return whether a file lies at `path`."""
    return path.is_file()


def is_folder(path: Path) -> bool:
    """Return whether a folder lies at `path`."""
    return path.is_dir()


def entries(folder: Path) -> list[Path]:
    """Return what lies in `folder`, sorted by name; nothing where there is no folder."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def files_below(folder: Path) -> list[Path]:
    """Return the files in `folder` and in the folders below it, sorted by path."""
    return sorted(file for file in folder.rglob("*") if file.is_file())


def read_bytes(path: Path) -> bytes:
    """Return what the file holds; raises FusionError when it is missing or cannot be read."""
    with opened(path) as file:
        return file.read()


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Give the file open for reading bytes; raises FusionError when it is missing or cannot be read."""
    try:
        file = open(path, "rb")  # noqa: SIM115  (errors of the reader are its own)
    except FileNotFoundError:
        raise FusionError(f"{path}: no such file") from None
    except OSError as error:
        raise FusionError(f"{path}: cannot be read ({error.strerror})") from None
    with file:
        yield file


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Give the bytes of a file that may be larger than the memory.

    Raises
    ------
    FusionError
        When the file is missing or empty, or cannot be read.
    """
    with opened(path) as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise FusionError(f"{path}: the file is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader sees the old file or the whole new one."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):  # the reason for the failure may hold for this too
            temporary.unlink()
        raise FusionError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "make room or choose another --out, then run again"
        ) from None


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write `frame` to `path` as one Parquet file, atomically."""
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    write_atomic(path, sink.getvalue().to_pybytes())


def make_folder(path: Path) -> None:
    """Make a folder and those that it lies in; raises FusionError when that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FusionError(f"{path}: cannot be made ({error.strerror}); choose another folder") from None


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a new folder that is removed, with all in it, after the block."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


class ParquetReader:
    """One Parquet file of our own, opened once; columns may be read from it one after another.

    Parameters
    ----------
    path : Path

    Raises
    ------
    FusionError
        When it is missing or broken, here or while reading.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # checksums: the footer's own checks do not notice a column chunk cut short
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
        except FileNotFoundError:
            raise FusionError(f"{path}: no such file") from None
        except UNREADABLE as error:
            raise _damaged(path, error) from None

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows, of these columns or of all."""
        try:
            frame: pd.DataFrame = self._file.read(columns and list(columns)).to_pandas()
            return frame
        except UNREADABLE as error:
            raise _damaged(self.path, error) from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _damaged(path: Path, error: BaseException) -> FusionError:
    reason = " ".join(str(error).split())
    return FusionError(
        f"{path}: truncated or no Parquet file ({reason}); delete it, and run the command that "
        "made it again to recompute its rows"
    )


def read_parquet(path: Path) -> pd.DataFrame:
    """Read one Parquet file of our own; raises FusionError when it is missing or broken."""
    reader = ParquetReader(path)
    try:
        return reader.read()
    finally:
        reader.close()


def check_frame_name(path: Path) -> None:
    """Raise FusionError unless `write_frame` knows the ending of a name."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise FusionError(f"{path}: the name must end in .csv or .parquet")


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a table to a file whose name ends in .csv or .parquet, atomically; numbers come back exactly.

    Raises
    ------
    FusionError
        For another ending, or when it cannot be written.
    """
    check_frame_name(path)
    if path.suffix.lower() == ".parquet":
        write_parquet(path, frame)
    else:
        write_atomic(path, frame.to_csv(index=False, lineterminator="\n").encode())


def discard(stream: TextIO) -> None:
    """Let what is still written to a closed pipe go nowhere, as when the reader has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
