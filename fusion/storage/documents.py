"""JSON files: read with limits, since they may come from anywhere, and written whole."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from fusion.errors import FusionError
from fusion.storage.files import write_atomic

# of a document; what belongs to data lies in Parquet, and LightGBM's trees in a text of their own
MAX_BYTES = 64 * 2**20
PACKED = ".gz"
"""At the end of the name of a file that is compressed by gzip."""


def read_json(path: Path, *, repair: str) -> dict[str, Any]:
    """Return the JSON object in a file.

    Parameters
    ----------
    path : Path
    repair : str
        What to do about a damaged file; the end of the message.

    Raises
    ------
    FileNotFoundError
        When there is none: what that means is for the caller to say.
    FusionError
        When it is larger than `MAX_BYTES`, no JSON, nested too deeply, or no object.
    """
    data = _read(path, repair)
    try:
        content = json.loads(data)
    except RecursionError:
        raise FusionError(f"{path}: nested too deeply; {repair}") from None
    except ValueError as error:
        raise FusionError(f"{path}: truncated or no JSON, not readable ({error}); {repair}") from None
    if not isinstance(content, dict):
        raise FusionError(f"{path}: not readable (no JSON object); {repair}")
    return content


def member(folder: Path, name: str) -> Path:
    """Return the path of a file in a folder that may come from anywhere; of its packed form without itself.

    Raises
    ------
    FileNotFoundError
        When there is none.
    FusionError
        When `name` is no plain file name, or the file is a link out of the folder, a device, or the like.
    """
    if name != Path(name).name:
        raise FusionError(f"{folder}: {name!r} is no file name")
    path, packed = folder / name, folder / f"{name}{PACKED}"
    if not path.exists() and packed.exists():
        path = packed
    try:
        real = path.resolve(strict=True)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError) as error:  # links in a circle; RuntimeError before Python 3.13
        raise FusionError(f"{path}: not readable ({error})") from None
    if real.parent != folder.resolve() or not real.is_file():
        raise FusionError(f"{path}: not a plain file of this folder; put the file itself there")
    return path


def read_text(path: Path, *, repair: str) -> str:
    """Return the text of a file that may come from anywhere.

    Raises
    ------
    FileNotFoundError
        When there is none: what that means is for the caller to say.
    FusionError
        When it is larger than `MAX_BYTES`, or no UTF-8.
    """
    try:
        return _read(path, repair).decode()
    except UnicodeDecodeError:
        raise FusionError(f"{path}: no text in UTF-8; {repair}") from None


def _read(path: Path, repair: str) -> bytes:
    """Return the bytes of a file, unpacked where its name says that it is packed."""
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise FusionError(f"{path}: {size:,} bytes are too many for this file; {repair}")
        if path.suffix != PACKED:
            return path.read_bytes()
        with gzip.open(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FusionError(
            f"{path}: truncated or not packed by gzip, not readable ({error}); {repair}"
        ) from None
    except OSError as error:
        raise FusionError(f"{path}: not readable ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise FusionError(f"{path}: unpacks to more than {MAX_BYTES:,} bytes; {repair}")
    return data


def write_json(path: Path, content: Any, *, sort_keys: bool = False) -> None:
    """Write JSON values to a file, atomically."""
    write_atomic(path, json.dumps(content, indent=1, sort_keys=sort_keys, allow_nan=False).encode())
