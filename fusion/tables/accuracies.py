"""Measured accuracies of architectures of one space, and lists of architectures, from plain tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import chi2

from fusion.errors import FusionError
from fusion.spaces import Space
from fusion.storage.plain import PlainTable, read_table
from fusion.tables.architectures import ArchColumn, column_named, shortened

# the most that a chance difference between twins may be unlikely, over all networks of a table together
_CHANCE = 0.001
# Without seeds, twins that are a third of all ranks apart. Of NAS-Bench-201's 1,188 networks with several
# strings, trained one by one, none is (CIFAR-10 and -100, 12 and 200 epochs); of random pairs, 45 % are.
_RANKS = 1 / 3
_FEWEST = 20  # architectures, below which ranks say little


@dataclass(frozen=True)
class Accuracies:
    r"""Measured accuracies of architectures of one space.

    Attributes
    ----------
    by_arch : Series of float64
        Index `arch`, named like the column; the mean over the rows of one architecture; negated where
        `lower_is_better`.
    seeds : Series of Int64
        Measurements in each mean; null where unknown.
    cost : Series of float64
        Seconds of one training; NaN where unknown.
    spread : Series of float64
        Standard deviation over an architecture's own measurements; NaN where fewer than two are known.
    source : str
        The file or benchmark, for messages.
    rows : int
        Rows read.
    lower_is_better : bool
    notes : tuple of str
        What was left out or averaged, one line each.

    Examples
    --------
    >>> import fusion
    >>> space = fusion.space("nats-tss")
    >>> (folder / "a.csv").write_text("arch;accuracy\n12839;93,63 %\n12839;93,77 %\n")
    42
    >>> found = fusion.tables.read_accuracies(folder / "a.csv", space)
    >>> round(float(found.by_arch.iloc[0]), 2), found.rows
    (93.7, 2)
    """

    by_arch: pd.Series[float]
    seeds: pd.Series[int]
    cost: pd.Series[float]
    spread: pd.Series[float]
    source: str
    rows: int
    lower_is_better: bool = False
    notes: tuple[str, ...] = ()
    # keys take a fraction of a millisecond each, and all that asks for them asks with the same space
    _keys: list[tuple[Space, pd.Index[str]]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        source: str,
        *,
        lower_is_better: bool = False,
        notes: tuple[str, ...] = (),
    ) -> Accuracies:
        """Return the accuracies that a benchmark gives.

        Parameters
        ----------
        frame : DataFrame
            As `Benchmark.accuracies` returns it: index `arch`; columns `accuracy`, `seeds`, `cost`, `spread`.
        source : str
        lower_is_better : bool
            That the column `accuracy` holds errors or losses.
        notes : tuple of str
            The benchmark's.
        """
        accuracy = frame["accuracy"].astype("float64")
        return cls(
            -accuracy if lower_is_better else accuracy,
            frame["seeds"].astype("Int64"),
            frame["cost"].astype("float64"),
            frame["spread"].astype("float64"),
            source,
            len(frame),
            lower_is_better,
            notes,
        )

    def keys(self, space: Space) -> pd.Index[str]:
        """Return the key of each architecture, in the order of `by_arch`."""
        for known, keys in self._keys:
            if known is space:
                return keys
        keys = pd.Index([space.canonical(arch) for arch in self.by_arch.index], name="key", dtype=object)
        self._keys.append((space, keys))
        return keys

    def by_key(self, space: Space) -> pd.Series[float]:
        """Return the mean over the strings that build the same network.

        Returns
        -------
        Series of float64
            Index `key`, in order of first appearance.
        """
        return self.by_arch.groupby(self.keys(space), sort=False).mean()

    def of(self, space: Space, archs: Sequence[str]) -> pd.Series[float]:
        """Return the accuracies of those of `archs` that have one: their own, else their key's."""
        own = self.by_arch.reindex(pd.Index(archs))
        by_key = self.by_key(space)
        key = pd.Series(by_key.reindex([space.canonical(arch) for arch in archs]).to_numpy(), own.index)
        return own.fillna(key).dropna().astype(float)

    def disagreeing(self, space: Space) -> tuple[str, ...]:
        """Return the keys whose strings' accuracies differ by more than seeds do, the worst first.

        Where standard deviations over seeds are known, by a chi-squared test of the strings' means against
        them (the larger of the key's own and that of all; 0.1 % for all keys together). Otherwise where the
        strings of a key are more than a third of all ranks apart, among 20 architectures or more.
        """
        keys = self.keys(space)
        several = keys.duplicated(keep=False)
        if not several.any():
            return ()
        known = self.spread.notna() & (self.seeds > 1).fillna(False).astype(bool)
        differs = self._tested(keys, several, known) if known.any() else self._far_apart(keys, several)
        size = self.by_arch[several].groupby(keys[several], sort=False).agg(np.ptp)
        return tuple(str(key) for key in size[differs].sort_values(ascending=False, kind="stable").index)

    def _tested(
        self, keys: pd.Index[str], several: np.ndarray[tuple[int], np.dtype[np.bool_]], known: pd.Series[bool]
    ) -> pd.Series[bool]:
        """Return key -> whether its strings' means differ by more than their seeds explain."""
        values = pd.DataFrame(
            {
                "y": self.by_arch.to_numpy(),
                "n": self.seeds.fillna(1).to_numpy(dtype=float),
                "squares": (self.spread**2 * (self.seeds.astype("float64") - 1)).where(known, 0.0).to_numpy(),
                "free": (self.seeds.astype("float64") - 1).where(known, 0.0).to_numpy(),
            },
            index=keys,
        )
        everywhere = values["squares"].sum() / values["free"].sum()
        # an architecture without seeds of its own may be one of the noisier ones
        noisy = max(everywhere, float((self.spread[known] ** 2).quantile(0.95)))
        groups = values[several].groupby(level=0, sort=False)
        squares, free = groups["squares"].sum(), groups["free"].sum()
        variance = (squares / free).where(free > 0, noisy).clip(lower=everywhere)
        weight = groups["n"].sum()
        values["ny"] = values["n"] * values["y"]
        centre = values[several].groupby(level=0, sort=False)["ny"].sum() / weight
        away = values[several]["n"] * (values[several]["y"] - centre.reindex(keys[several])) ** 2
        statistic = away.groupby(level=0, sort=False).sum() / variance.clip(lower=np.finfo(float).tiny)
        chance = chi2.sf(statistic, groups.size() - 1)
        return pd.Series(chance < _CHANCE / len(statistic), statistic.index)

    def _far_apart(
        self, keys: pd.Index[str], several: np.ndarray[tuple[int], np.dtype[np.bool_]]
    ) -> pd.Series[bool]:
        """Return key -> whether its strings are far apart among all architectures."""
        ranks = self.by_arch.rank(pct=True)[several].groupby(keys[several], sort=False).agg(np.ptp)
        return (ranks > _RANKS) & (len(keys) >= _FEWEST)

    def disagreement(self, space: Space) -> str | None:
        """Return one line about the networks that `disagreeing` names; None where it names none."""
        found = self.disagreeing(space)
        if not found:
            return None
        keys = self.keys(space)
        worst = (-self.by_arch if self.lower_is_better else self.by_arch)[keys == found[0]].sort_values()
        low, high = (f"{shortened(str(worst.index[at]))} with {worst.iloc[at]:.6g}" for at in (0, -1))
        networks = keys[keys.duplicated()].nunique()
        return (
            f"{self.source}: twins differ by more than seeds do in {len(found)} of {networks} networks with "
            f"several strings, most {low} and {high}: is `canonical` right?"
        )


def read_accuracies(
    path: Path | str,
    space: Space | None,
    column: str = "accuracy",
    *,
    arch_column: str | None = None,
    lower_is_better: bool = False,
    hashes: Mapping[str, str] | None = None,
) -> Accuracies:
    """Return one column of measured accuracies.

    Parameters
    ----------
    path : path
        A table in any format of `fusion.storage.plain.read_table`.
    space : Space or None
        Whose architectures they are, in any notation that its `read` knows; None takes the strings as they
        are.
    column : str
        The column of accuracies; their unit is kept as it is. Columns `{column}_seed_0`, ... beside it are
        the measurements of which it is the mean; `seconds` or `cost` is the time of one training.
    arch_column : str, optional
        The column of architectures; by default `arch`, or else another common name for it.
    lower_is_better : bool
        That the column holds errors or losses: the accuracies are its negatives.
    hashes : mapping, optional
        Architecture strings by the hash that stands for them in the file.

    Returns
    -------
    Accuracies
        Rows without a value are left out, and several rows of one architecture averaged; notes say so.

    Raises
    ------
    FusionError
        When the file cannot be read or lacks a column, or a value is neither a finite number nor missing.
    InvalidArchitecture
        When rows with a value hold no architecture of the space; one line, with the first few.
    """
    table = read_table(path)
    archs = ArchColumn.find(table, space, arch_column)
    values = np.array(table.floats(column_named(table, column, space)), dtype=float)
    there = np.flatnonzero(~np.isnan(values))
    if not len(there):
        what = f"no value in column {column!r}" if len(values) else "no rows"
        raise FusionError(f"{table.path}: the table has {what}; give one with architectures and accuracies")
    notes = []
    if missing := np.flatnonzero(np.isnan(values)).tolist():
        notes.append(
            f"{table.path}: {_counted(len(missing), 'row')} without a value left out ({table.where(missing)})"
        )
    found = archs.read(there.tolist(), hashes)
    found.require()
    rows = pd.DataFrame({"arch": found.archs, "value": values[there]})
    groups = rows.groupby("arch", sort=False)["value"]
    differ = groups.min() != groups.max()
    # the mean of equal numbers may differ from them in the last digit
    by_arch = groups.mean().where(differ, groups.first()).rename(column)
    if repeated := int((groups.size() > 1).sum()):
        notes.append(f"{table.path}: {_counted(repeated, 'architecture')} with several rows, averaged")
    measured = _seeds(table, column, rows["arch"], there)
    if measured.empty and differ.any():
        measured = rows  # not copies of one another: each is a measurement
    of_each = measured.groupby("arch", sort=False)["value"].agg(["count", "std"]).reindex(by_arch.index)
    cost = _cost(table, notes)
    return Accuracies(
        -by_arch if lower_is_better else by_arch,
        of_each["count"].where(of_each["count"] > 0).astype("Int64").rename("seeds"),
        cost[there].groupby(rows["arch"].to_numpy(), sort=False).mean().rename_axis("arch").rename("cost"),
        of_each["std"].astype("float64").rename("spread"),
        str(table.path),
        len(values),
        lower_is_better,
        tuple(notes),
    )


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' if n > 1 else ''}"


def _seeds(
    table: PlainTable, column: str, archs: pd.Series[str], there: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> pd.DataFrame:
    """Return the measurements beside a column of means: `arch` and `value`, one row each."""
    names = [name for name in table.header if re.fullmatch(rf"{re.escape(column)}_seed_\d+", name)]
    parts = [
        pd.DataFrame({"arch": archs, "value": np.array(table.floats(name), dtype=float)[there]})
        for name in names
    ]
    empty = pd.DataFrame({"arch": pd.Series(dtype=object), "value": pd.Series(dtype=float)})
    return pd.concat(parts).dropna() if parts else empty


def _cost(table: PlainTable, notes: list[str]) -> pd.Series[float]:
    """Return the seconds of a training by row of the table; says so in `notes` where they are no numbers."""
    name = next((name for name in ("seconds", "cost") if table.header.count(name) == 1), None)
    if name is not None:
        try:
            return pd.Series(table.floats(name), dtype="float64")
        except FusionError as error:  # accuracies can be used without
            notes.append(f"{error}; costs are taken as unknown")
    return pd.Series(np.nan, range(len(table.numbers)), dtype="float64")
