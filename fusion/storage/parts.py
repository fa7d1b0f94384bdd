"""A table that survives being killed: a folder of Parquet parts, each written atomically."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pandas as pd

from fusion.errors import FusionError
from fusion.storage.files import read_parquet, write_atomic, write_parquet

FORMAT = 1
# what a store's metadata says beside the settings on which its values depend
_NOT_COMPARED = {"provenance", "indicator_versions", "space_folder"}


class PartStore:
    """Rows in `path/parts/*.parquet`, what they mean in `path/meta.json`.

    Rows are only ever added. Two processes may add to one store at once: parts have unique names,
    and rows that both computed are equal and are read once.

    Parameters
    ----------
    path : Path
        The folder; made when it does not exist.
    keys : list of str
        Columns that identify a row.
    meta : dict
        The settings on which the values depend. A store that exists with others is refused.
    provenance : dict
        What else a reader should know (library versions, hardware); kept from the first writer
        and not compared.
    """

    def __init__(
        self, path: Path, keys: list[str], meta: dict[str, Any], provenance: dict[str, Any] | None = None
    ) -> None:
        self.path = path
        self.keys = keys
        self.meta = {"format": FORMAT, **meta, "provenance": provenance or {}}
        file = path / "meta.json"
        if not file.exists():
            try:
                (path / "parts").mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise FusionError(f"{path}: cannot be made ({error.strerror})") from None
            has_parts = bool(_parts(path))
            # asked again after looking for parts: another process may just have made the store
            if not file.exists():
                if has_parts:
                    raise FusionError(
                        f"{file}: missing beside its parts; restore it or choose another folder"
                    )
                write_atomic(file, json.dumps(self.meta, indent=1, sort_keys=True).encode())
        _check_same(self.meta, read_meta(path), path)

    def add(self, rows: pd.DataFrame) -> None:
        """Add rows as one part; on return they are on disk."""
        write_parquet(self.path / "parts" / f"{uuid.uuid4().hex}.parquet", rows)

    def read(self) -> pd.DataFrame:
        """Return all rows, each key once, sorted by key."""
        return read_rows(self.path, self.keys)

    def compact(self) -> None:
        """Join all parts into one."""
        parts = _parts(self.path)
        if len(parts) > 1:
            self.add(self.read())
            for part in parts:
                part.unlink(missing_ok=True)


def _parts(path: Path) -> list[Path]:
    return sorted((path / "parts").glob("*.parquet"))


def read_rows(path: Path, keys: list[str]) -> pd.DataFrame:
    """Return the rows of the store at `path`, each key once, sorted by key; empty when none."""
    while True:
        parts = _parts(path)
        try:
            frames = [read_parquet(part) for part in parts]
            break
        except FusionError:
            # another process joined the parts between listing and reading
            if all(part.exists() for part in parts):
                raise
    if not frames:
        return pd.DataFrame(columns=keys)
    rows = pd.concat(frames, ignore_index=True)
    return rows.drop_duplicates(keys).sort_values(keys, ignore_index=True)


def read_meta(path: Path) -> dict[str, Any]:
    """Return the metadata of the store at `path`; raises FusionError when there is none."""
    file = path / "meta.json"
    try:
        meta = json.loads(file.read_text())
    except FileNotFoundError:
        raise FusionError(f"{path}: no table here ({file.name} is missing)") from None
    except (ValueError, OSError) as error:
        raise FusionError(f"{file}: not readable ({error}); restore it") from None
    if not isinstance(meta, dict):
        raise FusionError(f"{file}: not readable (no JSON object); restore it")
    if meta.get("format") != FORMAT:
        raise FusionError(
            f"{path}: table format {meta.get('format')!r}, this version reads {FORMAT}; extract it again"
        )
    return meta


def _check_same(wanted: dict[str, Any], found: dict[str, Any], path: Path) -> None:
    wanted = json.loads(json.dumps(wanted))
    differ = [
        name
        for name in sorted((wanted.keys() | found.keys()) - _NOT_COMPARED)
        if wanted.get(name) != found.get(name)
    ]
    if differ:
        details = "; ".join(f"{name} is {found.get(name)!r}, asked {wanted.get(name)!r}" for name in differ)
        raise FusionError(f"{path}: holds a table of other settings ({details}); choose another --out")
