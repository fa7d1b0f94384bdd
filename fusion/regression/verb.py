"""The verb `fit`: from accuracies to a predictor."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd

from fusion.errors import FusionError
from fusion.regression.auto import FEWEST, Auto
from fusion.regression.auto.members import MEMBERS
from fusion.regression.auto.prior import write_weights
from fusion.regression.base import FusionModel
from fusion.regression.groups import (
    SCORE,
    Group,
    common_indicators,
    fit_groups,
    grouped,
    same_versions,
    within_group,
)
from fusion.regression.predictor import Predictor
from fusion.regression.source import Source
from fusion.regression.spec import ModelSpec
from fusion.regression.subset import WithinGroup
from fusion.regression.within_table import WithinTable, fit_unlabelled
from fusion.tables import IndicatorTable, Labelled

# Under so many, predictions are told to be rough.
_FEW = 20


def fit(
    what: IndicatorTable | Labelled | Sequence[Labelled],
    model: str | ModelSpec = "auto",
    *,
    beside: Predictor | Sequence[Labelled] | None = None,
) -> Predictor:
    """Return the predictor that `model` becomes on all that `what` has.

    Parameters
    ----------
    what : IndicatorTable, Labelled or sequence of Labelled
        A table with accuracies: the predictor gives accuracies of its space with intervals, reads the
        encoding too, and learns where values lie from all that the table has. A table without: it ranks the
        architectures of its space, by a model that can do without accuracies. Several tables with
        accuracies: it ranks those of any space by their indicators alone, see `fusion.regression.groups`;
        a model that can do without accuracies then learns from none of them, and ranks within each table
        that it is given as one fitted on that table.
    model : str or ModelSpec
        By name with its default settings, or with others.
    beside : Predictor or sequence of Labelled, optional
        For `auto` on one table with accuracies: other spaces, or a model of several tables, such as `zero`.
        What those that are like the table's space taught is thought of its architectures before its own
        accuracies are seen, which correct it; where none is, its own are all. A note says which.

    Raises
    ------
    FusionError
        When the model, a setting or an indicator is not known or not in the table, the accuracies teach
        nothing, the model needs some and there are none, or it learns of no other spaces.

    Examples
    --------
    >>> import fusion
    >>> data = fusion.load(digits).labelled("data/digits-tss/accuracies.parquet")
    >>> predictor = fusion.fit(data, "weighted_sum")
    >>> predictor.networks
    24
    >>> fusion.fit(data.table).target
    'score of auto, by which architectures are ranked'
    """
    spec = ModelSpec.of(model)
    if isinstance(what, IndicatorTable):
        if beside is not None:
            raise FusionError(
                "accuracies of other spaces go beside some of this one; without, fit the others alone"
            )
        return _fit_unlabelled(what, spec)
    datas = [what] if isinstance(what, Labelled) else list(what)
    if not datas:
        raise FusionError("nothing to fit; give at least one table with accuracies")
    for each in datas:
        _check_accuracies(each)
    if beside is not None:
        if len(datas) > 1:
            raise FusionError("other spaces go beside one table; give one with its accuracies")
        return _fit_beside(datas[0], spec, beside)
    if len(datas) == 1:
        return _fit_one(datas[0], spec)
    return _fit_several(datas, spec) if spec.estimator().needs_labels else _fit_anew(datas, spec)


def _check_accuracies(data: Labelled) -> None:
    where = f"{data.accuracies.source}: "
    if data.networks < 2:
        raise FusionError(
            f"{where}{len(data.y)} architectures of {data.networks} network; a model needs at least two "
            "networks"
        )
    if data.y.min() == data.y.max():
        raise FusionError(
            f"{where}all {len(data.y)} values are {abs(data.y.iloc[0]):g}; there is nothing to learn"
        )


def _fit_one(data: Labelled, spec: ModelSpec) -> Predictor:
    estimator = spec.make([str(name) for name in data.X.columns])
    fitted = estimator.fit(data.X, data.y, pool=data.pool, groups=data.twins)
    ranks = fitted.model_.gives == "score"
    if not ranks:
        with suppress(FusionError):  # too few to hold some of them out
            fitted.calibrate(data.X, data.y, pool=data.pool, groups=data.twins)
    features = list(estimator.features)
    return Predictor(
        model=fitted,
        spec=_settled(spec, fitted.model_),
        target=_score(spec) if ranks else data.target,
        lower_is_better=data.accuracies.lower_is_better and not ranks,
        sources=(_source(data, features, data.networks),),
        space=data.space,
        ranges=_ranges(data.X[features]),
        notes=(*data.notes, *_notes("", data.networks), *_mixture(fitted.model_, data.twins.nunique())),
    )


def _fit_beside(data: Labelled, spec: ModelSpec, beside: Predictor | Sequence[Labelled]) -> Predictor:
    if not type(spec.estimator()).uses_kin:
        raise FusionError(f"model {spec.model!r} learns of no other spaces; auto does")
    if isinstance(beside, Predictor):
        found = beside.model
    else:
        others = list(beside)
        found = WithinTable.of(spec, (), grouped(others), _versions(others))
    if not isinstance(found, WithinTable) or not found.lessons:
        raise FusionError("beside: expected tables with accuracies, or the model that auto became on several")
    taught = found.taught(data.table)
    if taught:
        spec = replace(spec, params={**spec.params, "taught": write_weights(taught)})
    fitted = _fit_one(data, spec)
    told = found.told(data.table, "learned from its own accuracies alone")
    return replace(fitted, notes=(*told, *fitted.notes))


def _fit_unlabelled(table: IndicatorTable, spec: ModelSpec) -> Predictor:
    fitted = fit_unlabelled(table, spec)
    features = list(fitted.features)
    values = table.values(features)
    return Predictor(
        model=fitted,
        spec=_settled(spec, fitted.model_),
        target=_score(spec),
        lower_is_better=False,
        sources=(Source.of(table, features),),
        space=table.space,
        ranges=_ranges(values),
        notes=tuple(_notes("", len(values))),
    )


def _fit_anew(datas: Sequence[Labelled], spec: ModelSpec) -> Predictor:
    groups = grouped(datas)
    features = spec.features(common_indicators(groups))
    settled = _settled(spec, spec.estimator())
    same_versions(datas, features)
    model = WithinTable.of(settled, features, groups, _versions(datas))
    learned = bool(model.lessons)
    return Predictor(
        model=model,
        spec=settled,
        target=_score(spec),
        lower_is_better=False,
        sources=tuple(
            _source(data, features, len(group.accuracy), group.name)
            if learned
            else Source.of(data.table, features, group=group.name)
            for data, group in zip(datas, groups, strict=True)
        ),
        space=None,
        ranges=pd.DataFrame({"low": np.nan, "high": np.nan}, features),
        notes=(model.why,),
    )


def _versions(datas: Sequence[Labelled]) -> dict[str, int]:
    """Return the version of each indicator of the tables, which are the same in all that have it."""
    return {
        name: version for data in datas for name, version in data.table.meta["indicator_versions"].items()
    }


def _fit_several(datas: Sequence[Labelled], spec: ModelSpec) -> Predictor:
    groups = grouped(datas)
    features = spec.features(common_indicators(groups))
    same_versions(datas, features)
    fitted = fit_groups(spec.estimator(), groups, features)
    notes = []
    for data, group in zip(datas, groups, strict=True):
        notes += [f"{group.name}: {note}" for note in data.notes]
        notes += _notes(f"{group.name}: ", len(group.accuracy))
    return Predictor(
        model=WithinGroup(fitted, features),
        spec=_settled(spec, fitted),
        target=_score(spec) if fitted.gives == "score" else SCORE,
        lower_is_better=False,
        sources=tuple(
            _source(data, features, len(group.accuracy), group.name)
            for data, group in zip(datas, groups, strict=True)
        ),
        space=None,
        ranges=_ranges(pd.concat([_scores(group, features) for group in groups])),
        notes=tuple(notes),
    )


def _source(data: Labelled, features: Sequence[str], networks: int, group: str = "") -> Source:
    return Source.of(
        data.table,
        features,
        group=group,
        target=data.target,
        architectures=len(data.y),
        networks=networks,
        twins=None if group else data.twins.unique(),
    )


def _scores(group: Group, features: Sequence[str]) -> pd.DataFrame:
    values = group.table[list(features)]
    return within_group(values, values)


def _score(spec: ModelSpec) -> str:
    return f"score of {spec.model}, by which architectures are ranked"


def _settled(spec: ModelSpec, fitted: FusionModel) -> ModelSpec:
    """Return `spec` with all settings, whatever the defaults will be one day."""
    return ModelSpec(spec.model, spec.indicators, fitted.get_params(deep=False))


def _ranges(values: pd.DataFrame) -> pd.DataFrame:
    finite = values.where(np.isfinite(values))
    return pd.DataFrame({"low": finite.min(), "high": finite.max()})


def _notes(where: str, networks: int) -> list[str]:
    if networks >= _FEW:
        return []
    return [f"{where}learned from {networks} networks only; under {_FEW}, predictions are rough"]


def _mixture(model: FusionModel, networks: int) -> list[str]:
    """Return what `auto` mixed, in words."""
    if not isinstance(model, Auto) or not model.shares_:
        return []
    total = sum(model.shares_.values())
    shares = sorted(model.shares_.items(), key=lambda item: -item[1])
    parts = ", ".join(f"{MEMBERS[name].title} {100 * share / total:.0f} %" for name, share in shares)
    why = "as is expected of so few" if networks < FEWEST else "by the errors of left-out architectures"
    return [f"auto mixed: {parts}, {why}"]
