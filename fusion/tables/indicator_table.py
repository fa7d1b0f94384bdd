"""The indicator table: values of architectures, and how they were made."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fusion.errors import FusionError
from fusion.indicators import COST, INDICATORS, of_running
from fusion.spaces import Space, restore_space
from fusion.storage.bundled import find
from fusion.storage.parts import PartStore
from fusion.tables.accuracies import Accuracies, read_accuracies
from fusion.tables.costs import Costs, read_costs
from fusion.tables.encoding import encode, is_encoded, not_encoded

if TYPE_CHECKING:
    from fusion.tables.labelled import Labelled

KEYS = ["key", "indicator", "repeat"]
KIND = "indicators"
OK = "ok"


@dataclass(frozen=True, repr=False)
class IndicatorTable:
    """Indicator values by canonical architecture, read once, and all that says how they were made.

    Attributes
    ----------
    store : PartStore
        Long rows (`key`, `indicator`, `repeat`, `value`, `status`, `seconds`) and their metadata.
    space : Space
        Whose architectures they are.
    keys : tuple of str or None
        The canonical architectures that are seen, in this order; None is all in the store.
    indicators : tuple of str or None
        The indicators that are seen, in this order; None is all in the store. With none of them, `keys`
        need not be in the store: they have their encoding alone.
    compute : callable or None
        Computes what the store lacks of some keys; only a table that `extract` made has it.

    Examples
    --------
    >>> import fusion
    >>> table = fusion.load("data/nats-sss-cifar10/indicators")
    >>> table.values(["params", "encoding.width.0"]).shape, table.repeats
    ((2000, 2), 1)
    """

    store: PartStore
    space: Space
    keys: tuple[str, ...] | None = None
    indicators: tuple[str, ...] | None = None
    compute: Callable[[Sequence[str], Sequence[str]], None] | None = None

    @classmethod
    def open(cls, path: Path | str, space: Space | str | None = None) -> IndicatorTable:
        """Return the table in a folder that `extract` wrote.

        Parameters
        ----------
        path : path
        space : Space or str, optional
            Needed of a space that is not registered, for a table imports no code: the space itself, or
            its class as `file.py:Class` or `module:Class`, the code of which must be that of the table.

        Raises
        ------
        FusionError
            When there is no table, or it is damaged, or of another space.
        """
        store = PartStore.open(Path(path), KEYS)
        check_metadata(store)
        return cls(store, restore_space(store.meta, space, str(path)))

    def __repr__(self) -> str:
        seen = "" if self.keys is None else f", {len(self.keys)} networks"
        return f"IndicatorTable({str(self.path)!r}, {self.space.name}{seen})"

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.store.path

    @property
    def meta(self) -> dict[str, Any]:
        """How it was made, as JSON values: space, batch, seed, device, versions, provenance."""
        return self.store.meta

    @property
    def images(self) -> str:
        """Where its images came from, as in `fusion.images`; empty when nobody said."""
        return str(self.meta["provenance"].get("images", ""))

    @cached_property
    def repeats(self) -> int:
        """Initialisations per architecture."""
        return 1 if self.indicators == () else int(self._long["repeat"].max()) + 1

    @cached_property
    def _long(self) -> pd.DataFrame:
        rows = self.store.read()
        if rows.empty:
            raise FusionError(f"{self.path}: the table has no rows yet")
        rows["value"] = rows["value"].astype("float64")
        return rows

    @cached_property
    def _means(self) -> pd.DataFrame:
        return self._wide("mean")

    def values(self, names: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the values, mean over the repeats.

        Parameters
        ----------
        names : sequence of str, optional
            Indicators, and columns of the encoding (`encoding.NAME`), which are not stored but computed by
            the space; when left out, all indicators that are seen but what running the network costs, of
            which models learn nothing.

        Returns
        -------
        DataFrame
            Index `key`; columns: as named; NaN where a value is undefined in all repeats.

        Raises
        ------
        FusionError
            When the table lacks an indicator.
        """
        if names is None:
            return self._means[[name for name in self._means if not of_running(str(name))]]
        found = self._columns(self._means, not_encoded(names))
        if encoded := list(filter(is_encoded, names)):
            found = found.join(encode(self.space, list(found.index), encoded))
        return found[list(names)]

    def costs(self) -> pd.DataFrame:
        """Return the indicators of the preset `cost` that are seen, in the form of `values`."""
        return self._means[[name for name in COST if name in self._means]]

    def machines(self) -> list[str]:
        """Return what is said of the latencies or energies that are seen, where it is not the same of all."""
        timed = [name for name in self.costs() if of_running(str(name))]
        if not timed:
            return []
        rows = self._seen[self._seen["value"].notna()]
        for name in timed:
            said = sorted(rows.loc[rows["indicator"] == name, "status"].unique())
            if len(said) > 1:
                return [text.removeprefix(f"{OK}: ") for text in said]
        return []

    def encoding(self) -> pd.DataFrame:
        """Return what the space says of the architectures that are seen, see `fusion.tables.encoding.encode`.

        Returns
        -------
        DataFrame of float
            Index `key`, as of `values`; columns `encoding.NAME` and `encoding.NAME=CHOICE`, sorted.
        """
        return self._encoding

    @cached_property
    def _encoding(self) -> pd.DataFrame:
        return encode(self.space, list(self._means.index))

    def spread(self) -> pd.DataFrame:
        """Return the standard deviation over the repeats, in the form of `values`."""
        return self._wide("std")

    def undefined(self) -> pd.DataFrame:
        """Return the rows without a value: key, indicator, repeat, status."""
        rows = self._seen
        return rows.loc[rows["value"].isna(), [*KEYS, "status"]].reset_index(drop=True)

    def seconds(self) -> pd.Series[float]:
        """Return the mean seconds that each indicator took for one architecture and initialisation."""
        return self._seen.groupby("indicator", sort=False)["seconds"].mean()

    def empty(self) -> dict[str, str]:
        """Return indicator -> most frequent reason, for those that no architecture has a value of."""
        rows = self._seen
        found = {}
        for name, group in rows.groupby("indicator", sort=False):
            if group["value"].isna().all():
                found[str(name)] = str(group["status"].mode().iloc[0])
        return found

    def remarks(self) -> list[str]:
        """Return what has no value, and what has to be said of values, a line each."""
        lines = []
        if n := len(self.undefined()):
            lines.append(f"{n} values are undefined; the column `status` says why")
        reasons: dict[str, list[str]] = {}
        for name, reason in self.empty().items():
            reasons.setdefault(reason, []).append(name)
        for reason, names in reasons.items():
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            lines.append(f"no architecture has a value of {len(names)} indicators ({shown}): {reason}")
        rows = self._seen
        said = rows[rows["value"].notna() & (rows["status"] != OK)]
        for status, of in said.groupby("status", sort=True):
            shown = ", ".join(of["indicator"].unique()[:3])
            more = f" and {count - 3} more" if (count := of["indicator"].nunique()) > 3 else ""
            networks = of["key"].nunique()
            lines.append(
                f"{str(status).removeprefix(f'{OK}: ')} ({shown}{more}; {networks} "
                f"{'networks' if networks > 1 else 'network'})"
            )
        return lines

    def only(
        self, archs: Sequence[str] | None = None, indicators: Sequence[str] | None = None
    ) -> IndicatorTable:
        """Return the same table, of which only some architectures or indicators are seen.

        Raises
        ------
        FusionError
            When one of them is not in the table.
        """
        keys = self.keys if archs is None else tuple(dict.fromkeys(map(self.space.canonical, archs)))
        names = self.indicators if indicators is None else tuple(indicators)
        if indicators is not None:
            self._columns(self._means, indicators)
        known = self._known if archs is not None else frozenset()
        if archs is not None and (missing := [key for key in keys or () if key not in known]):
            raise FusionError(
                f"{self.path}: lacks {len(missing)} of {len(keys or ())} architectures, the first "
                f"{missing[0]}; choose others, or give images to extract from instead of a table"
            )
        return replace(self, keys=keys, indicators=names)

    def extend(self, archs: Sequence[str]) -> IndicatorTable:
        """Return the table with the values of `archs` seen too, computed where they are missing.

        Raises
        ------
        FusionError
            For a table that `extract` did not make: open it with its images by extracting into it.
        """
        if self.compute is None:
            raise FusionError(f"{self.path}: a table that was only read cannot grow; extract into it")
        asked = list(dict.fromkeys(map(self.space.canonical, archs)))
        names = list(self._means.columns) if self.indicators is None else list(self.indicators)
        self.compute(asked, names)
        before = list(self._means.index) if self.keys is None else list(self.keys)
        return replace(self, keys=tuple(dict.fromkeys([*before, *asked])), indicators=tuple(names))

    def labelled(
        self,
        accuracies: Accuracies | Path | str,
        column: str = "accuracy",
        *,
        archs: Sequence[str] | None = None,
        target: str | None = None,
        costs: Costs | Path | str | None = None,
    ) -> Labelled:
        """Return the architectures of the table that have an accuracy.

        Parameters
        ----------
        accuracies : Accuracies or path
            A file is read by `fusion.tables.read_accuracies`.
        column : str
            Of the file.
        archs, target
            See `Labelled.join`.
        costs : Costs or path, optional
            What else is to be weighed against accuracy; a file is read by `fusion.tables.read_costs`.

        Raises
        ------
        FusionError
            When the file cannot be read, or no architecture has both.
        """
        from fusion.tables.labelled import Labelled  # which is made of tables

        if not isinstance(accuracies, Accuracies):
            accuracies = read_accuracies(find(accuracies), self.space, column)
        if costs is not None and not isinstance(costs, Costs):
            costs = read_costs(find(costs), self.space)
        return Labelled.join(self, accuracies, archs=archs, target=target, costs=costs)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self._seen["key"].unique())

    @property
    def _seen(self) -> pd.DataFrame:
        rows = self._long
        if self.keys is not None:
            rows = rows[rows["key"].isin(set(self.keys))]
        if self.indicators is not None:
            rows = rows[rows["indicator"].isin(set(self.indicators))]
        return rows

    def _wide(self, statistic: str) -> pd.DataFrame:
        if self.keys is not None and self.indicators == ():
            return pd.DataFrame(index=pd.Index(self.keys, name="key", dtype=object))
        groups = self._seen.groupby(["key", "indicator"], sort=True)["value"]
        wide: pd.DataFrame = groups.agg(statistic).unstack("indicator")
        if self.indicators is not None:
            wide = self._columns(wide, self.indicators)
        else:
            known = [name for name in INDICATORS if name in wide]
            wide = wide[[*known, *(name for name in wide if name not in INDICATORS)]]
        if self.keys is not None:
            wide = wide.reindex(list(self.keys))
        return wide.rename_axis(columns=None).rename_axis(index="key")

    def _columns(self, wide: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
        if lacking := [name for name in names if name not in wide]:
            raise FusionError(
                f"{self.path}: has no indicator {', '.join(lacking)}; extract them, or name those it has"
            )
        return wide[list(names)]


def check_metadata(store: PartStore) -> None:
    """Raise FusionError unless the metadata of a store are those of an indicator table."""
    meta, path = store.meta, store.path
    if (kind := meta.get("kind")) != KIND:
        raise FusionError(f"{path}: holds {kind}, not indicators")
    wanted: dict[str, type] = {
        "space": str, "space_settings": dict, "batch_digest": str, "batch_size": int, "seed": int,
        "device": str, "provenance": dict, "indicator_versions": dict,
    }  # fmt: skip
    for name, kind in wanted.items():
        value = meta.get(name, {} if name == "indicator_versions" else None)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise FusionError(f"{path / 'meta.json'}: {name} is {reprlib.repr(value)}; restore it")
