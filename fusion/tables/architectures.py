"""The architectures of a plain table or a list: in which column they are, and what its cells mean."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.errors import FusionError, InvalidArchitecture
from fusion.spaces import Space
from fusion.storage.plain import PlainTable, is_number, read_lines, read_table

# what tables call the column of architectures, most telling name first
_NAMES = ("arch", "architecture", "arch_str", "genotype", "hash", "index")
_KNOWN = frozenset(_NAMES)
_HASH = "hash"
_INDEX = "index"
_SHOWN = 3


@dataclass(frozen=True)
class ArchList:
    """Architectures in the order of a file, repeats included.

    Attributes
    ----------
    archs : tuple of str
        Of the rows that hold one.
    lines : tuple of int
        Where each is in the file, from 1: its line; of a file without lines its row.
    columns : DataFrame
        These rows with all columns of the file, as the file has them.
    source : str
        The file, for messages.
    bad : str or None
        One line about the rows that hold no architecture, which are left out.
    """

    archs: tuple[str, ...]
    lines: tuple[int, ...]
    columns: pd.DataFrame
    source: str
    bad: str | None = None

    def require(self) -> None:
        """Raise InvalidArchitecture where a row holds no architecture."""
        if self.bad is not None:
            raise InvalidArchitecture(self.bad)

    def distinct(self) -> list[str]:
        """Return the architectures, each once; raises InvalidArchitecture where a row holds none."""
        self.require()
        return list(dict.fromkeys(self.archs))


@dataclass(frozen=True)
class ArchColumn:
    """Where a table has its architectures.

    Attributes
    ----------
    table : PlainTable
    space : Space or None
        Whose notations are understood; None takes the strings as they are.
    names : tuple of str
        One column; or those that spell an architecture together.
    """

    table: PlainTable
    space: Space | None
    names: tuple[str, ...]

    @classmethod
    def find(cls, table: PlainTable, space: Space | None, name: str | None = None) -> ArchColumn:
        """Return the column of that name, or the one that obviously holds architectures.

        Raises
        ------
        FusionError
            When there is none; names the columns that there are.
        """
        together = space.spelled_by if space is not None else ()
        spelled = bool(together) and set(together) <= set(table.header)
        if name is None:
            name = next((known for known in _NAMES[:-2] if _present(table, known)), None)
            if name is None and spelled:
                return cls(table, space, together)
            name = name or _obvious(table)
        elif name == _HASH and spelled:
            return cls(table, space, together)
        if name is not None:
            return cls(table, space, (column_named(table, name, space),))
        _refuse_headless(table, space)
        raise FusionError(
            f"{table.path}: no column 'arch'; there are: {table.names}; name the one of the architectures "
            "(--arch-column)"
        )

    def read(self, rows: Sequence[int], hashes: Mapping[str, str] | None = None) -> ArchList:
        """Return the architectures in these rows; `bad` tells which hold none."""
        columns = [[_text(cell) for cell in self.table.column(name)] for name in self.names]
        archs, kept, bad = [], [], []
        known: dict[tuple[str, ...], str | InvalidArchitecture] = {}
        for row in rows:
            cells = tuple(column[row] for column in columns)
            if cells not in known:
                known[cells] = self._meaning(cells, hashes or {})
            meant = known[cells]
            if isinstance(meant, InvalidArchitecture):
                bad.append((row, meant))
            else:
                archs.append(meant)
                kept.append(row)
        lines = tuple(self.table.numbers[row] for row in kept)
        frame = self.table.frame.iloc[kept].reset_index(drop=True)
        source = str(self.table.path)
        return ArchList(tuple(archs), lines, frame, source, self._told(bad, columns) if bad else None)

    def _meaning(self, cells: tuple[str, ...], hashes: Mapping[str, str]) -> str | InvalidArchitecture:
        text = hashes.get(cells[0].lower(), cells[0])
        if len(cells) == 1 and not text:
            return InvalidArchitecture(f"'' in column {self.names[0]!r} where an architecture is expected")
        if self.space is None:
            return text
        if len(cells) == 1:
            return _meant(self.space, text)
        try:
            return self.space.read_columns(cells)
        except InvalidArchitecture as error:
            return error

    def _told(self, bad: list[tuple[int, InvalidArchitecture]], columns: list[list[str]]) -> str:
        (row, error), *others = bad
        unit = self.table.unit
        told = f"{self.table.path}, {unit} {self.table.numbers[row]}: {error}"
        if not others:
            return told
        first = ", ".join(
            f"{unit} {self.table.numbers[row]} {shortened(':'.join(cells[row] for cells in columns))!r}"
            for row, _ in others[:_SHOWN]
        )
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        return f"{told}; likewise {first}{more}"


def read_archs(path: Path | str, space: Space | None, *, arch_column: str | None = None) -> ArchList:
    """Return the architectures in a file.

    Parameters
    ----------
    path : path
        A table, as for `read_accuracies`; or a text file with one architecture per line, in which lines
        that are blank or begin with # are passed over.
    space : Space or None
        Whose architectures they are, in any notation that its `read` knows; None takes the strings as they
        are.
    arch_column : str, optional
        As in `read_accuracies`.

    Returns
    -------
    ArchList
        Rows that hold no architecture of the space are left out and told in its `bad`.

    Raises
    ------
    FusionError
        When the file is missing, unreadable or empty, or has no column of architectures.
    """
    lines = read_lines(path) if arch_column is None else None
    if lines and _is_list(Path(path), lines, space):
        frame = pd.DataFrame({"arch": [line for _, line in lines]}, dtype=object)
        numbers = tuple(number for number, _ in lines)
        table = PlainTable(Path(path).expanduser(), frame, numbers, "line")
        return ArchColumn(table, space, ("arch",)).read(range(len(frame)))
    table = read_table(path)
    found = ArchColumn.find(table, space, arch_column)
    if not table.numbers:
        raise FusionError(f"{table.path}: the table has no rows; give one with architectures")
    return found.read(range(len(table.numbers)))


def _is_list(path: Path, lines: list[tuple[int, str]], space: Space | None) -> bool:
    """Return whether lines are architectures rather than the rows of a table."""
    first = lines[0][1]
    names = (name.strip().strip("\"'").lower() for name in re.split(r"[,;\s]", first))
    if not _KNOWN.isdisjoint(names):
        return False
    if space is not None and isinstance(_meant(space, first), str):
        return True
    return path.name.lower().removesuffix(".gz").rpartition(".")[2] not in ("csv", "tsv")


def _meant(space: Space, text: str) -> str | InvalidArchitecture:
    """Return the architecture that `text` means, or why it means none."""
    try:
        return space.read(text)
    except InvalidArchitecture as error:
        return error
    except FusionError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # of a space of the user's own
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return InvalidArchitecture(f"{text!r} is no {space.name} architecture ({reason})")


def column_named(table: PlainTable, name: str, space: Space | None) -> str:
    """Return the name of the column that is meant: that one, or else the only one in another case.

    Raises
    ------
    FusionError
        When there is none; says so where the table has no header.
    """
    if name not in table.header:
        alike = [known for known in table.header if known.lower() == name.lower()]
        if len(alike) == 1:
            return alike[0]
        _refuse_headless(table, space)
    table.column(name)
    return name


def _present(table: PlainTable, name: str) -> bool:
    return name in [known.lower() for known in table.header]


def _obvious(table: PlainTable) -> str | None:
    """Return the column of hashes or official numbers, or the unnamed one where a Series was written."""
    if _present(table, _HASH):
        return _HASH
    if _present(table, _INDEX):
        cells = table.column(column_named(table, _INDEX, None))
        if len(cells) > 1 and [_text(cell) for cell in cells] in (
            [str(i) for i in range(len(cells))],
            [str(i) for i in range(1, len(cells) + 1)],
        ):
            raise FusionError(
                f"{table.path}: column {_INDEX!r} seems to count the rows; name the column of the "
                f"architectures (--arch-column), also if it is this one; there are: {table.names}"
            )
        return _INDEX
    if table.header[:1] == ("",) and table.numbers and not is_number(table.column("")[0]):
        return ""
    return None


def _refuse_headless(table: PlainTable, space: Space | None) -> None:
    """Raise where the names of the columns are the cells of a row."""
    others = [name for name in table.header if name and not is_number(name)]
    if len(others) == len([name for name in table.header if name]):
        return
    if space is not None and not any(isinstance(_meant(space, name), str) for name in others or table.header):
        return
    raise FusionError(
        f"{table.path}: the header is missing, the first row is already one of values; write the names of "
        "the columns above it, such as arch,accuracy"
    )


def _text(cell: Any) -> str:
    """Return a cell as text: lists and numbers as Python writes them, objects as JSON, nothing as ''."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if isinstance(cell, dict):
        return json.dumps(cell, sort_keys=True, separators=(",", ":"))
    if isinstance(cell, (list, tuple)):
        return str(list(cell))
    return "" if cell is None or pd.isna(cell) else str(cell)


def shortened(text: str, length: int = 60) -> str:
    """Return the beginning of a long text, for messages."""
    return text if len(text) <= length else f"{text[: length - 3]}..."
