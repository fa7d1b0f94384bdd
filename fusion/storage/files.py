"""Single files, written whole or not at all, and what is said when one cannot be read."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fusion.errors import FusionError

# what pyarrow and pandas raise for a damaged file: its metadata holds JSON that nobody checks before use
_UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, AttributeError)


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


def read_bytes(path: Path) -> bytes:
    """Return the content of a file of the user's; raises FusionError when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FusionError(f"{path}: no such file") from None
    except OSError as error:
        raise FusionError(f"{path}: cannot be read ({error.strerror})") from None


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
        except _UNREADABLE as error:
            raise _damaged(path, error) from None

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows, of these columns or of all."""
        try:
            frame: pd.DataFrame = self._file.read(columns and list(columns)).to_pandas()
            return frame
        except _UNREADABLE as error:
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
