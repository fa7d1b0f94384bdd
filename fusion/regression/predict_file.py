"""Predictions for the rows of a file: by a saved model, or within a time from a few accuracies."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from fusion.benchmarks.source import AccuracySettings, load_accuracies
from fusion.errors import FusionError
from fusion.extraction.cost import parse_duration
from fusion.regression.answer import answer
from fusion.regression.predictor import Predictor
from fusion.regression.shipped import shipped_table, structure_of
from fusion.regression.within_time import WithinSettings, predict_within
from fusion.spaces import Space
from fusion.tables import IndicatorTable
from fusion.tables.choosing import Rows, find_rows
from fusion.tables.costs import pareto
from fusion.work import Work

Remarks: TypeAlias = Sequence[warnings.WarningMessage]

_SAID = {"table": "from the table", "extracted": "extracted", "structure": "by structure alone"}


@contextmanager
def _remarks() -> Iterator[Remarks]:
    """Collect what the block warns of."""
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always", UserWarning)
        yield remarks


@dataclass(frozen=True)
class Answer:
    """Predictions for the rows of a file.

    Attributes
    ----------
    frame : DataFrame
        The file's columns, and those of the predictions, which take the place of columns of their names.
    told : tuple of str
        What a reader should know: rows that were left out, remarks on the predictions; a line each.
    lines : tuple of str
        What was done.
    lower_is_better : bool
        Whether errors or losses are predicted.
    """

    frame: pd.DataFrame
    told: tuple[str, ...]
    lines: tuple[str, ...]
    lower_is_better: bool

    @classmethod
    def of(
        cls,
        rows: Rows,
        predicted: pd.DataFrame,
        remarks: Remarks,
        lines: Iterable[str],
        lower_is_better: bool,
    ) -> Answer:
        """Return the predictions of rows, with remarks that were caught."""
        columns = {str(name): column.to_numpy() for name, column in predicted.items() if name != "arch"}
        told = (*rows.told, *(str(remark.message) for remark in remarks))
        return cls(rows.columns.assign(**columns), told, tuple(lines), lower_is_better)

    def with_fronts(self, costs: Sequence[str]) -> Answer:
        """Return the same with a column `front_NAME` for each cost, a column of the file.

        It says which rows are on the Pareto front: none costs less and is predicted better.

        Raises
        ------
        FusionError
            When there is no such column, or it holds words.
        """
        predicted = self.frame["predicted"].to_numpy(dtype=float)
        columns = {}
        for name in costs:
            if name not in self.frame:
                there = ", ".join(map(str, self.frame.columns))
                raise FusionError(f"no column {name!r} beside the architectures; there are: {there}")
            cost = pd.to_numeric(self.frame[name], errors="coerce").to_numpy(dtype=float)
            known = np.flatnonzero(np.isfinite(cost))
            if not len(known):
                raise FusionError(f"column {name!r} has no numbers; name a column of costs")
            on = np.zeros(len(cost), dtype=bool)
            better = predicted[known] * (-1 if self.lower_is_better else 1)
            on[known[pareto(cost[known], better)]] = True
            columns[f"front_{name}"] = on
        return replace(self, frame=self.frame.assign(**columns))


def answer_file(
    model: Path | str,
    archs: tuple[str, str | None],
    *,
    indicators: Path | str | None = None,
    space: Space | str | None = None,
    interval: float | None = None,
    images: str | None = None,
    out: Path | str | None = None,
    work: Work = Work(),  # noqa: B008  (frozen)
) -> Answer:
    """Return what a saved model predicts for the architectures that a file names.

    Parameters
    ----------
    model : path
        Folder; a model in a folder of this name with `-structure` at its end helps out, see `answer`.
    archs : tuple of str
        What names them, as of `fusion.tables.choosing.named_architectures`, and the column where a file has
        several.
    indicators : path, optional
        A table, in which all must lie; by default that of the package which was made as the model's, if any.
    space : Space or str, optional
        As of `Predictor.load`.
    interval, images, out, work
        As of `Predictor.predict`.

    Raises
    ------
    FusionError
        As of `Predictor.load`, `find_rows` and `answer`.
    """
    folder = Path(model)
    predictor = Predictor.load(folder, space)
    given = None if indicators is None else IndicatorTable.open(indicators, space)
    own = predictor.space if given is None else given.space
    if own is None:
        raise FusionError(f"{model}: was fitted on several tables; give --indicators of the new one")
    rows = find_rows(own, *archs)
    if given is not None:
        predictor.check(given)
        rows = rows.within(given)
    with _remarks() as remarks:
        found = answer(
            *(predictor, rows.archs),
            table=given or shipped_table(predictor),
            structure=structure_of(folder, space) if given is None else None,
            interval=interval,
            images=images,
            out=out,
            work=work,
        )
    counts = found["source"].value_counts()
    by = ", ".join(f"{count} {_SAID[str(source)]}" for source, count in counts.items())
    done = [f"{len(found)} architectures predicted ({by})"]
    return Answer.of(rows, found, remarks, done, predictor.lower_is_better)


def within_file(
    space: Space,
    archs: tuple[str, str | None],
    accuracies: AccuracySettings,
    *,
    images: str,
    within: str,
    out: Path | str,
    settings: WithinSettings,
    work: Work,
) -> Answer:
    """Return what `predict_within` says of the architectures that a file names.

    Parameters
    ----------
    space : Space
    archs : tuple of str
        As of `answer_file`.
    accuracies : AccuracySettings
    within : str
        How long it may take, such as "30m".
    images, out, settings, work
        As of `predict_within`.

    Raises
    ------
    FusionError
        As of `find_rows`, `load_accuracies`, `parse_duration` and `predict_within`.
    """
    seconds = parse_duration(within)
    rows = find_rows(space, *archs)
    known = load_accuracies(accuracies, space)
    with _remarks() as remarks:
        found = predict_within(
            *(space, rows.archs, known), images=images, seconds=seconds, out=out, settings=settings, work=work
        )
    return Answer.of(rows, found.frame, remarks, found.lines(), known.lower_is_better)
