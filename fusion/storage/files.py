"""Single files, written whole or not at all, and what is said when one cannot be read."""

from __future__ import annotations

import os
import uuid
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


def read_parquet(path: Path) -> pd.DataFrame:
    """Read one Parquet file; raises FusionError when it is missing or broken."""
    try:
        # the footer's own checks do not notice a column chunk cut short, so read it all here
        frame: pd.DataFrame = pq.ParquetFile(path, page_checksum_verification=True).read().to_pandas()
        return frame
    except FileNotFoundError:
        raise FusionError(f"{path}: no such file") from None
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise FusionError(
            f"{path}: truncated or no Parquet file ({reason}); delete it, and run the command that "
            "made it again to recompute its rows"
        ) from None
