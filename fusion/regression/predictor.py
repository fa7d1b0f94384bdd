"""The noun `Predictor`: a fitted fusion model with all that its predictions need."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import pandas as pd

from fusion.errors import FusionError
from fusion.images import Batch, ImageSet
from fusion.regression.base import FusionModel
from fusion.regression.card import card
from fusion.regression.columns import Array
from fusion.regression.explaining import explain
from fusion.regression.explanation import Explanation
from fusion.regression.saving import Document, document, read_model, write_model
from fusion.regression.source import Source, learned_from
from fusion.regression.spec import ModelSpec
from fusion.regression.subset import OnIndicators, WithinGroup
from fusion.regression.weighted_sum import WeightedSum
from fusion.regression.within_table import WithinTable, in_table
from fusion.spaces import Space, restore_space
from fusion.storage.files import make_folder, temporary_folder, write_atomic
from fusion.tables import IndicatorTable, Labelled
from fusion.tables.encoding import encode, not_encoded
from fusion.work import Work

# An architecture is told to lie outside when more than this share of its indicators does. The encoding of a
# model that reads indicators too is left out: its many 0s and 1s would hide what they say.
_OUTSIDE = 0.25
# Ranks have the mean 0; a mean of predicted ranks beyond this is told.
_OFF_CENTRE = 0.5


@dataclass(frozen=True)
class Predictor:
    """A fitted fusion model, and how the indicators that it reads are made.

    Attributes
    ----------
    model : OnIndicators, WithinGroup or WithinTable
        Fitted, but for the last; predicts from a table with more columns than it reads, in any order. It
        knows neither the sense of the accuracies nor how the table was made: `predict` does.
    spec : ModelSpec
        The model's name, the indicators asked for, and all its settings.
    target : str
        What is predicted, in words.
    lower_is_better : bool
        Whether it is an error or a loss; the model learned its negative.
    sources : tuple of Source
        The tables that it was made with; several make a model that ranks within a table.
    space : Space or None
        Of the one table; None for several.
    ranges : DataFrame
        Index: the columns that it reads; columns `low` and `high`: the training values' ends, NaN
        where all were undefined, and where nothing was learned. For several tables, of the values' ranks.
    notes : tuple of str
        What was to be said when it was fitted, one line each.

    Examples
    --------
    >>> import fusion
    >>> data = fusion.load(digits).labelled("data/digits-tss/accuracies.parquet")
    >>> predictor = fusion.fit(data, "weighted_sum")
    >>> len(predictor.predict(data.table))
    24
    """

    model: OnIndicators | WithinGroup | WithinTable
    spec: ModelSpec
    target: str
    lower_is_better: bool
    sources: tuple[Source, ...]
    space: Space | None
    ranges: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def features(self) -> list[str]:
        """The columns that the model reads: indicators, and `encoding.NAME` of the encoding."""
        return [str(name) for name in self.model.features]

    @property
    def _telling(self) -> pd.DataFrame:
        """The ranges of what is told of a table: of indicators, or where the model reads none of the rest."""
        return self.ranges.loc[not_encoded(self.features) or self.features]

    @property
    def by_group(self) -> bool:
        """Whether it was fitted on several tables, and ranks the architectures within the one it is given."""
        return not isinstance(self.model, OnIndicators)

    @property
    def fitted(self) -> FusionModel:
        """The fusion model inside `model`; not fitted in a `WithinTable`."""
        return self.model.model_

    @property
    def architectures(self) -> int:
        """Architectures with an accuracy that it learned from."""
        return sum(source.architectures for source in self.sources)

    @property
    def networks(self) -> int:
        """Different networks among them."""
        return sum(source.networks for source in self.sources)

    @property
    def learned_from(self) -> str:
        """From how many accuracies it learned, in words."""
        return learned_from(self.sources, whole=isinstance(self.model, WithinTable))

    @overload
    def predict(
        self,
        what: Iterable[str] | IndicatorTable,
        *,
        interval: None = None,
        pool: IndicatorTable | None = None,
        images: str | ImageSet | Batch | None = None,
        out: Path | str | None = None,
        work: Work = ...,
    ) -> pd.Series[float]: ...

    @overload
    def predict(
        self,
        what: Iterable[str] | IndicatorTable,
        *,
        interval: float,
        pool: IndicatorTable | None = None,
        images: str | ImageSet | Batch | None = None,
        out: Path | str | None = None,
        work: Work = ...,
    ) -> pd.DataFrame: ...

    def predict(
        self,
        what: Iterable[str] | IndicatorTable,
        *,
        interval: float | None = None,
        pool: IndicatorTable | None = None,
        images: str | ImageSet | Batch | None = None,
        out: Path | str | None = None,
        work: Work = Work(),  # noqa: B008  (frozen)
    ) -> pd.Series[float] | pd.DataFrame:
        """Return what is predicted for architectures, or for all in a table.

        What a reader of the predictions should know is told by `warnings`, see `remarks`.

        Parameters
        ----------
        what : iterable of str, or IndicatorTable
            Architectures, whose indicators are computed as those of the model's table were; or their
            indicators.
        interval : float, optional
            Between 0 and 1: how probably each accuracy is to lie between the two ends that are returned
            then, see `fusion.regression.calibration`.
        pool : IndicatorTable, optional
            For a model of several tables: among whose architectures ranks are taken; by default those of
            `what`.
        images : str, ImageSet or Batch, optional
            For architectures: where the model's images are; by default where they were.
        out : path, optional
            For architectures: folder that keeps the indicators, and in which an interrupted computation
            goes on; by default they are not kept.
        work : Work
            For architectures: device, processes, progress bar. By default the model's type of device.

        Returns
        -------
        Series of float, named `target`
            In the unit and sense of the accuracies; index: architectures as given, or the table's keys.
            With `interval` a DataFrame with the columns `predicted`, `low` and `high`.

        Raises
        ------
        InvalidArchitecture
            For a string that is no architecture of the space.
        FusionError
            When the indicators were, or would be, made in another way than those that the model learned
            from: images, device, seeds, versions; or are lacking. When the model has no intervals.
        """
        if interval is not None:
            self._check_intervals()
        model = self.model
        if isinstance(what, IndicatorTable):
            self.check(what)
            model = in_table(model, what if pool is None else pool)
            values, index = what.values([*model.features]), None
            where = str(what.path)
        else:
            archs = [what] if isinstance(what, str) else list(what)
            values, index = self._extract(archs, images, out, work), pd.Index(archs, name="arch")
            where = "the architectures"
        if pool is not None:
            self.check(pool)
        raw = _raw(model, values, pool)
        predicted = pd.Series(-raw if self.lower_is_better else raw, values.index, name=self.target)
        for line in self._remarks(values, predicted, where):
            warnings.warn(line, stacklevel=2)
        found = predicted if interval is None else self._with_ends(predicted, values, interval)
        return found if index is None else found.set_axis(index)

    def _check_intervals(self) -> None:
        if self.by_group:
            raise FusionError(
                "a model of several tables has no intervals: how far off it is in another table is not "
                "known; fit one table"
            )
        if self.fitted.gives == "score":
            other = "it on accuracies" if self.fitted.uses_labels else "another model"
            raise FusionError(
                f"{self.spec.model} ranks and predicts no accuracies; for intervals fit {other}"
            )
        if self.fitted.calibration_ is None:
            raise FusionError(f"{self.networks} networks are too few for intervals; fit more")

    def _with_ends(self, predicted: pd.Series[float], values: pd.DataFrame, interval: float) -> pd.DataFrame:
        assert isinstance(self.model, OnIndicators)
        ends = self.model.predict_interval(values, interval)
        low, high = (-ends[:, ::-1] if self.lower_is_better else ends).T
        return pd.DataFrame({"predicted": predicted, "low": low, "high": high}, values.index)

    def remarks(self, table: IndicatorTable) -> list[str]:
        """Return what to know of predictions from `table`: what is empty, what lies outside; a line each."""
        return self._remarks(self._read(table), None, str(table.path))

    def outside(self, table: IndicatorTable) -> pd.Series[float]:
        """Return, by key, the share of indicators beyond the range of what the model learned from.

        Undefined values are not counted. 0 for a model of several tables: ranks have one range.
        """
        return self._outside(self._read(table))

    def _read(self, table: IndicatorTable) -> pd.DataFrame:
        return table.values(None if isinstance(self.model, WithinTable) else self.features)

    def equation(self, largest: int | None = None) -> str | None:
        """Return the learned formula and what its symbols mean; None where the model is no formula."""
        return self.fitted.equation(largest=largest) if isinstance(self.fitted, WeightedSum) else None

    def explain(
        self, data: Labelled | IndicatorTable, arch: str | None = None, *, seed: int = 0
    ) -> Explanation:
        """Return what carries the predictions, and that of `arch`; see `fusion.regression.explaining`."""
        return explain(self, data, arch, seed)

    def card(self) -> str:
        """Return what to know of the model before using it, as Markdown."""
        return card(self._document(), self.model.weights())

    def save(self, folder: Path | str) -> None:
        """Write the model to `folder`, made when missing: `model.json`, texts beside it, and `card.md`.

        Nothing in them runs code when read or used; see `docs/models.md`.

        Raises
        ------
        FusionError
            When the model is of a class that is not registered, a setting is no JSON value, or the folder
            cannot be written.
        """
        folder = Path(folder)
        make_folder(folder)
        lessons = self.model.lessons if isinstance(self.model, WithinTable) else ()
        write_model(folder, self._document(), self.fitted, lessons)
        write_atomic(folder / "card.md", self.card().encode())

    @classmethod
    def load(cls, folder: Path | str, space: Space | str | None = None) -> Predictor:
        """Return the predictor that `save` wrote; its predictions are the same to the last bit.

        Parameters
        ----------
        folder : path
        space : Space or str, optional
            Needed of a space that is not registered, for a model imports no code: the space itself, or its
            class as `file.py:Class` or `module:Class`, the code of which must be that of the model.

        Raises
        ------
        FusionError
            When there is no model, or it is damaged, of another format, or of another space.
        """
        document, fitted, lessons = read_model(Path(folder))
        features = document.features
        several = len(document.sources) > 1
        own = None if several else restore_space(document.sources[0].identity, space, str(folder))
        model: OnIndicators | WithinGroup | WithinTable
        if document.fitted_anew:
            model = WithinTable(document.spec, features, lessons)
        elif several:
            model = WithinGroup(fitted, features)
        else:
            model = OnIndicators(document.spec.estimator(), features)
            model.model_ = fitted
        return cls(
            model=model,
            spec=document.spec,
            target=document.target,
            lower_is_better=document.lower_is_better,
            sources=tuple(document.sources),
            space=own,
            ranges=pd.DataFrame({"low": document.low, "high": document.high}, features, dtype=float),
            notes=tuple(document.notes),
        )

    def _document(self) -> Document:
        ends = {
            name: [None if np.isnan(x) else x for x in self.ranges[name].tolist()] for name in self.ranges
        }
        return document(
            model=self.spec.model,
            indicators=self.spec.indicators,
            params=dict(self.spec.params),
            features=self.features,
            target=self.target,
            lower_is_better=self.lower_is_better,
            sources=list(self.sources),
            low=ends["low"],
            high=ends["high"],
            notes=list(self.notes),
        )

    def check(self, table: IndicatorTable) -> None:
        """Raise FusionError unless a table was made as that of the model, or has the same versions.

        A model that learned nothing takes any.
        """
        for source in self.sources if not isinstance(self.model, WithinTable) else ():
            source.check(table, versions_only=self.by_group)

    def _extract(
        self, archs: list[str], images: str | ImageSet | Batch | None, out: Path | str | None, work: Work
    ) -> pd.DataFrame:
        if self.space is None:
            raise FusionError(
                "a model of several tables ranks architectures within a table of their own; extract one, and "
                "predict from it"
            )
        (source,) = self.sources
        keys = [self.space.canonical(arch) for arch in archs]
        if not not_encoded(self.features):
            return encode(self.space, keys, self.features)
        with temporary_folder() as unkept:
            folder = unkept if out is None else Path(out)
            batch = source.batch(images)
            values = source.extract(self.space, keys, self.features, batch=batch, out=folder, work=work)
        return values.loc[keys]

    def _outside(self, values: pd.DataFrame) -> pd.Series[float]:
        if self.by_group:
            return pd.Series(0.0, values.index)
        ranges = self._telling
        values = values[list(ranges.index)]
        beyond = values.lt(ranges["low"]) | values.gt(ranges["high"])
        known = values.notna() & ranges["low"].notna()
        return (beyond.sum(axis=1) / known.sum(axis=1).clip(lower=1)).astype(float)

    def _remarks(self, values: pd.DataFrame, predicted: pd.Series[float] | None, where: str) -> list[str]:
        lines = []
        if self.by_group or self.fitted.gives == "score":
            lines.append(f"the predictions are no accuracies: each is the {self.target}")
        learned = self._telling["low"].dropna().index
        empty = [str(name) for name in learned if not values[name].notna().any()]
        if empty:
            shown = ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
            lines.append(
                f"{where}: {len(empty)} of the {len(learned)} indicators that the model learned from have no "
                f"value for any architecture ({shown})"
            )
        if count := int((self._outside(values) > _OUTSIDE).sum()):
            lines.append(
                f"{where}: {count} of {len(values)} architectures lie outside what was learned (more than a "
                "quarter of their indicators lies beyond the range of the training architectures)"
            )
        off = self.by_group and self.fitted.needs_labels
        if off and predicted is not None and abs(mean := float(predicted.mean())) > _OFF_CENTRE:
            lines.append(
                f"{where}: the predicted scores average {mean:.1f} where 0 is expected; only their order "
                "means something"
            )
        return lines


def _raw(
    model: OnIndicators | WithinGroup | WithinTable, values: pd.DataFrame, pool: IndicatorTable | None
) -> Array:
    if isinstance(model, WithinGroup):
        within: WithinGroup = model
        return within.predict(values, None if pool is None else pool.values([*within.features]))
    assert isinstance(model, OnIndicators)  # a WithinTable was fitted in its table
    return model.predict(values)
