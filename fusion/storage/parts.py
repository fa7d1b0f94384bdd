"""A table that survives being killed: a folder of Parquet parts, each written atomically."""

from __future__ import annotations

import json
import reprlib
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from fusion.errors import FusionError
from fusion.storage.documents import read_json, write_json
from fusion.storage.files import ParquetReader, make_folder, write_parquet

FORMAT = 1
# what a store's metadata says beside the settings on which its values depend
NOT_COMPARED = frozenset({"provenance", "indicator_versions", "space_folder", "space_graphs_code"})


class PartStore:
    """Rows in `path/parts/*.parquet`, what they mean in `path/meta.json`; opened once, read once.

    What is on disk is looked at when rows are first asked for, and remembered; what this object adds is
    remembered too. Rows are only ever added. Two processes may add to one store at once: parts have
    unique names, and rows that both computed are equal and are kept once.

    Parameters
    ----------
    path : Path
        A folder with a store; see `create` and `open`.
    keys : sequence of str
        Columns that identify a row.
    meta : dict
        The metadata as they are on disk.

    Attributes
    ----------
    path, keys, meta
        As given.
    """

    def __init__(self, path: Path, keys: Sequence[str], meta: dict[str, Any]) -> None:
        self.path = path
        self.keys = list(keys)
        self.meta = meta
        self._readers: list[ParquetReader] | None = None
        self._rows: pd.DataFrame | None = None
        self._added: list[pd.DataFrame] = []
        self._written: list[Path] = []

    @property
    def touched(self) -> bool:
        """Whether rows were added by this object."""
        return bool(self._written)

    @classmethod
    def open(cls, path: Path, keys: Sequence[str]) -> PartStore:
        """Return the store at `path`; raises FusionError when there is none."""
        return cls(path, keys, read_meta(path))

    @classmethod
    def create(
        cls,
        path: Path,
        keys: Sequence[str],
        meta: dict[str, Any],
        provenance: dict[str, Any] | None = None,
    ) -> PartStore:
        """Return the store at `path`, made where there is none yet.

        Parameters
        ----------
        path : Path
        keys : sequence of str
        meta : dict
            The settings on which the values depend.
        provenance : dict
            What else a reader should know (library versions, hardware); kept from the first writer
            and not compared.

        Raises
        ------
        FusionError
            When there is a store with other settings, or none can be made.
        """
        wanted = {"format": FORMAT, **meta, "provenance": provenance or {}}
        file = path / "meta.json"
        if not file.exists():
            make_folder(path / "parts")
            has_parts = bool(_parts(path))
            # asked again after looking for parts: another process may just have made the store
            if not file.exists():
                if has_parts:
                    raise FusionError(
                        f"{file}: missing beside its parts; restore it or choose another folder"
                    )
                write_json(file, wanted, sort_keys=True)
        store = cls.open(path, keys)
        _check_same(wanted, store.meta, path)
        return store

    def add(self, rows: pd.DataFrame) -> None:
        """Add rows as one part; on return they are on disk."""
        part = self.path / "parts" / f"{uuid.uuid4().hex}.parquet"
        write_parquet(part, rows)
        self._added.append(rows)
        self._written.append(part)

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return all rows, each key once, sorted by key.

        Parameters
        ----------
        columns : sequence of str, optional
            Only these, the keys among them: quicker than all.
        """
        found = self._from_disk(columns) if self._rows is None else [self._rows]
        rows = _joined([*found, *self._added], self.keys)
        if columns is not None:
            return rows[list(columns)]
        self._rows, self._added = rows, []
        return rows.copy()

    def note(self, **changes: Any) -> None:
        """Write changes to the metadata that is not compared."""
        self.meta = {**self.meta, **changes}
        write_json(self.path / "meta.json", self.meta, sort_keys=True)

    def keep(self, rows: pd.DataFrame) -> None:
        """Put `rows`, a part of those read, in the place of all others, on disk too."""
        stale = [*(reader.path for reader in self._readers or ()), *self._written]
        self._rows, self._added, self._written, self._readers = None, [], [], []
        self.add(rows)
        _remove(stale)

    def compact(self) -> None:
        """Join the parts that this object has read or written into one."""
        known = {*(reader.path for reader in self._opened()), *self._written}
        if len(known) > 1:
            rows = self.read()
            self._rows, self._written = None, []
            try:
                self.add(rows)
            except FusionError:
                self._rows, self._added, self._written = rows, [], sorted(known)
                raise
            self._readers = []
            _remove(sorted(known))

    def _opened(self) -> list[ParquetReader]:
        """Return one open file for each part that was on disk when it was first asked."""
        while self._readers is None:
            parts = _parts(self.path)
            opened = []
            try:
                for part in parts:
                    opened.append(ParquetReader(part))
                self._readers = opened
            except FusionError:
                for reader in opened:
                    reader.close()
                # another process joined the parts between listing and opening
                if all(part.exists() for part in parts):
                    raise
        return self._readers

    def _from_disk(self, columns: Sequence[str] | None) -> list[pd.DataFrame]:
        frames = [reader.read(columns) for reader in self._opened()]
        if columns is None:
            for reader in self._opened():
                reader.close()
        return frames


def _joined(frames: list[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    frames = [frame for frame in frames if len(frame)]
    if not frames:
        return pd.DataFrame(columns=keys)
    return pd.concat(frames, ignore_index=True).drop_duplicates(keys).sort_values(keys, ignore_index=True)


def _parts(path: Path) -> list[Path]:
    return sorted((path / "parts").glob("*.parquet"))


def _remove(parts: Sequence[Path]) -> None:
    for part in parts:
        with suppress(FileNotFoundError):
            part.unlink()


def read_meta(path: Path) -> dict[str, Any]:
    """Return the metadata of the store at `path`; raises FusionError when there is none."""
    file = path / "meta.json"
    try:
        meta = read_json(file, repair="restore it")
    except FileNotFoundError:
        raise FusionError(f"{path}: no table here ({file.name} is missing)") from None
    if meta.get("format") != FORMAT:
        found = reprlib.repr(meta.get("format"))
        raise FusionError(f"{path}: table format {found}, this version reads {FORMAT}; extract it again")
    return meta


def _check_same(wanted: dict[str, Any], found: dict[str, Any], path: Path) -> None:
    wanted = json.loads(json.dumps(wanted))
    differ = [
        name
        for name in sorted((wanted.keys() | found.keys()) - NOT_COMPARED)
        if wanted.get(name) != found.get(name)
    ]
    if differ:
        details = "; ".join(f"{name} is {found.get(name)!r}, asked {wanted.get(name)!r}" for name in differ)
        raise FusionError(f"{path}: holds a table of other settings ({details}); choose another --out")
