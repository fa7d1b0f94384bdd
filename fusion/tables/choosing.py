"""Which architectures are meant: all, a sample, a file; and what a file says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from fusion.errors import FusionError
from fusion.settings import Flag, Settings, Text, Whole
from fusion.spaces import Space
from fusion.storage.bundled import find
from fusion.storage.files import exists
from fusion.tables.architectures import read_archs
from fusion.tables.indicator_table import IndicatorTable

# Ends of names of files, whatever a space takes for an architecture.
_OF_FILES = {".csv", ".tsv", ".txt", ".gz", ".parquet", ".feather", ".json", ".xlsx"}


@dataclass(frozen=True)
class Architectures(Settings):
    """Which architectures are extracted and evaluated.

    Attributes
    ----------
    sample : int or None
        So many at random; with neither this nor `file`, the whole space.
    file : str or None
        A table with a column of architectures, or text with one architecture a line.
    seed : int
        Of the sample.
    distinct : bool
        Sample among different networks instead of among architecture strings.
    without_dead_edges : bool
        Leave out those with an operation on no path from input to output, after sampling.
    """

    kind = "architectures"

    sample: Whole | None = None
    file: Text | None = None
    seed: Whole = 0
    distinct: Flag = False
    without_dead_edges: Flag = False


def choose_architectures(space: Space, chosen: Architectures, column: str | None = None) -> list[str]:
    """Return the architectures that a command or a pipeline names.

    Raises
    ------
    FusionError
        For a missing file, an unknown architecture, or a sample larger than the space.
    """
    if chosen.file is not None:
        archs = read_archs(find(chosen.file), space, arch_column=column).distinct()
    elif chosen.distinct:
        archs = _distinct(space, chosen)
    else:
        archs = list(space.enumerate()) if chosen.sample is None else space.sample(chosen.sample, chosen.seed)
    return without_dead_edges(space, archs) if chosen.without_dead_edges else archs


def without_dead_edges(space: Space, archs: Sequence[str]) -> list[str]:
    """Return those of `archs` of which every operation lies on a path from input to output."""
    return [arch for arch in archs if not space.has_dead_edge(arch)]


def named_architectures(space: Space, text: str, column: str | None = None) -> list[str]:
    """Return those named by `all`, `sample:N[:SEED]`, a pattern with `*`, an architecture, or a file."""
    if text == "all":
        return choose_architectures(space, Architectures())
    if "*" in text:
        found = [arch for arch in space.enumerate() if fnmatchcase(arch, text)]
        if not found:
            raise FusionError(f"--archs {text}: no architecture of {space.name} has such a name")
        return found
    if text.startswith("sample:"):
        numbers = text.split(":")[1:]
        if not all(number.isdigit() for number in numbers) or len(numbers) > 2:
            raise FusionError(f"--archs {text}: expected sample:N or sample:N:SEED")
        size, seed = (*(int(number) for number in numbers), 0)[:2]
        return choose_architectures(space, Architectures(sample=size, seed=seed))
    if _is_one(space, text):
        return [text]
    return choose_architectures(space, Architectures(file=text), column)


@dataclass(frozen=True)
class Rows:
    """Architectures to predict.

    Attributes
    ----------
    archs : list of str
    columns : DataFrame
        What their file says of each, or `arch` alone.
    told : tuple of str
        What was left out, one line each.
    """

    archs: list[str]
    columns: pd.DataFrame
    told: tuple[str, ...] = ()

    def within(self, table: IndicatorTable) -> Rows:
        """Return those that have indicators; raises FusionError when none has."""
        known = table.values().index
        there = [table.space.canonical(arch) in known for arch in self.archs]
        missing = [arch for arch, found in zip(self.archs, there, strict=True) if not found]
        if len(missing) == len(self.archs):
            raise FusionError(f"{table.path}: holds none of the architectures; extract them first")
        if not missing:
            return self
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        told = (
            f"{len(missing)} architectures are not in {table.path} and were left out; extract them: {shown}"
        )
        archs = [arch for arch, found in zip(self.archs, there, strict=True) if found]
        return Rows(archs, self.columns[there].reset_index(drop=True), (*self.told, told))


def find_rows(space: Space, text: str, column: str | None = None) -> Rows:
    """Return what `named_architectures` does; of a file with its other columns, and without bad rows.

    Raises
    ------
    FusionError
        When the file cannot be read, or no row holds an architecture.
    """
    if text == "all" or "*" in text or text.startswith("sample:") or _is_one(space, text):
        archs = named_architectures(space, text)
        return Rows(archs, pd.DataFrame({"arch": archs}))
    found = read_archs(find(text), space, arch_column=column)
    if not found.archs:
        raise FusionError(f"{found.bad}; no row holds an architecture of {space.name}, nothing to predict")
    return Rows(list(found.archs), found.columns, () if found.bad is None else (f"left out: {found.bad}",))


def _is_one(space: Space, text: str) -> bool:
    """Return whether a text is an architecture, and no file, be it one that is not there."""
    if exists(find(text)) or Path(text).suffix in _OF_FILES:
        return False
    try:
        space.canonical(text)
    except Exception:  # of a space of the user's own: then it is as if it were a file
        return False
    return True


def _distinct(space: Space, chosen: Architectures) -> list[str]:
    keys = list(dict.fromkeys(space.canonical(arch) for arch in space.enumerate()))
    if chosen.sample is None:
        return keys
    if chosen.sample > len(keys):
        raise FusionError(
            f"space {space.name} has {len(keys)} different networks, {chosen.sample} were asked"
        )
    order = np.random.default_rng(chosen.seed).permutation(len(keys))
    return [keys[i] for i in order[: chosen.sample]]
