"""What an evaluation found: frozen, typed, and with a JSON form that carries the number of its format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import pandas as pd

from fusion.evaluation.fronts import Front
from fusion.evaluation.results import (
    Ceiling,
    Correlations,
    CurvePoint,
    Interval,
    Method,
    PredictionIntervals,
    Protocol,
    RangeErrors,
    ShownSplit,
    SummaryRow,
)

FORMAT = 4
"""Of the JSON form; documented in docs/results-format.md."""


class SearchRuns(Interface):
    """What the figure of searches needs of one kind of search."""

    @property
    def trajectories(self) -> Sequence[Sequence[float]]:
        """Run -> the best accuracy after 1, 2, ... measured architectures."""


class Searched(Interface):
    """What the figure of searches needs of a comparison of searches, which stands above this folder."""

    @property
    def methods(self) -> Mapping[str, SearchRuns]:
        """The kinds of search."""

    @property
    def best_known(self) -> float | None:
        """The best accuracy among the networks that were searched."""

    @property
    def networks(self) -> int:
        """How many networks were searched."""

    @property
    def whole(self) -> bool:
        """Whether these are all networks of the space."""


@dataclass(frozen=True)
class Evaluation:
    """Models and single indicators, judged on the architectures of one space.

    Attributes
    ----------
    protocol : Protocol
    notes : tuple of str
        What was left out, averaged or fitted on the way, one line each.
    warnings : tuple of str
        What to be careful about, one line each.
    unusable : mapping of str to str
        Indicator that has no value, or the same everywhere -> the reason.
    equations : mapping of str to str
        Model -> its formula, fitted on all accuracies; only models that have one.
    ceiling : Ceiling or None
        None where the accuracies' own seeds are not known.
    chosen_elsewhere : str or None
        The best indicator of the groups that were learned from.
    methods, best_indicator, advantage, learning_curve, ranges, correlations, weights
        See `Judged`.
    prediction_intervals, shown_split
        See `Judged`.
    fronts : mapping of str to Front
        Cost -> the front of the best model's predictions; only costs that vary and are known.
    predictions : DataFrame
        See `Judged`; and a column `cost.NAME` for each cost. Not part of the JSON form.
    """

    protocol: Protocol
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    unusable: Mapping[str, str]
    methods: Mapping[str, Method]
    best_indicator: str | None
    advantage: Mapping[str, Interval]
    learning_curve: Mapping[str, tuple[CurvePoint, ...]]
    ranges: Mapping[str, Mapping[str, RangeErrors]]
    ceiling: Ceiling | None
    correlations: Correlations
    weights: Mapping[str, Mapping[str, Interval]]
    prediction_intervals: Mapping[str, PredictionIntervals]
    shown_split: ShownSplit
    equations: Mapping[str, str]
    chosen_elsewhere: str | None
    fronts: Mapping[str, Front]
    predictions: pd.DataFrame = field(compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, with `format` and `kind` in front; without the predictions."""
        from fusion.evaluation.documents import to_json  # which is made of these classes

        return to_json(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any], predictions: pd.DataFrame) -> Evaluation:
        """Return the evaluation that gave `content`; raises FusionError when it is none."""
        from fusion.evaluation.documents import evaluation_from_json

        return evaluation_from_json(content, predictions)

    @classmethod
    def read(cls, folder: Path | str) -> Evaluation:
        """Return the evaluation that `save` left in a folder; raises FusionError when there is none."""
        from fusion.evaluation.documents import read_evaluation

        return read_evaluation(Path(folder))

    def report(self, path: Path | str, *, title: str | None = None, search: Searched | None = None) -> None:
        """Write the report, one HTML file that fetches nothing; the same evaluation gives the same bytes.

        Parameters
        ----------
        path : path
            Replaced atomically.
        title : str, optional
            By default the target and the space.
        search : fusion.search.Comparison, optional
            A comparison of searches to be shown too.

        Raises
        ------
        FusionError
            When the predictions are those of another evaluation, a search has no runs, or the file
            cannot be written.
        """
        from fusion.evaluation.page import write_report

        write_report(Path(path), self, title=title, search=search)

    def save(self, folder: Path | str) -> None:
        """Write `metrics.json`, `predictions.parquet` and `protocol.csv`; `read` makes the same of them."""
        from fusion.evaluation.documents import save_evaluation

        save_evaluation(Path(folder), self)

    def write(self, folder: Path | str, *, title: str | None = None, search: Searched | None = None) -> None:
        """Write the files of `save`, and `report.html`; see `report`."""
        from fusion.evaluation.documents import write_evaluation

        write_evaluation(Path(folder), self, title=title, search=search)

    def lines(self) -> tuple[str, ...]:
        """Return what to print: a summary of three lines, then notes and warnings."""
        from fusion.evaluation.words import lines

        return lines(self)


@dataclass(frozen=True)
class Transfer:
    """Each of several spaces or data sets, judged by what was learned on the others.

    Attributes
    ----------
    groups : mapping of str to Evaluation
        The name of the group, which is that of its folder -> its evaluation.
    summary : tuple of SummaryRow
    """

    groups: Mapping[str, Evaluation]
    summary: tuple[SummaryRow, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of all groups."""
        return tuple(f"{name}: {note}" for name, of in self.groups.items() for note in of.notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of all groups."""
        return tuple(f"{name}: {warning}" for name, of in self.groups.items() for warning in of.warnings)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, with `format` and `kind` in front; without the predictions."""
        from fusion.evaluation.documents import transfer_to_json

        return transfer_to_json(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any], predictions: Mapping[str, pd.DataFrame]) -> Transfer:
        """Return what gave `content`, with the predictions of each group; raises FusionError for others."""
        from fusion.evaluation.documents import transfer_from_json

        return transfer_from_json(content, predictions)

    def report(self, path: Path | str) -> None:
        """Write the report over all groups; that of each is linked as `GROUP/report.html` beside it."""
        from fusion.evaluation.page import write_transfer_report

        write_transfer_report(Path(path), self)

    def write(self, folder: Path | str) -> None:
        """Write `metrics.json` and `report.html`, and the files of each group into a folder of its name."""
        from fusion.evaluation.documents import write_transfer

        write_transfer(Path(folder), self)

    def lines(self) -> tuple[str, ...]:
        """Return what to print: one line per way of learning, then notes and warnings."""
        from fusion.evaluation.words import transfer_lines

        return transfer_lines(self)
