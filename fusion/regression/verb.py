"""The verb `fit`: from accuracies to a predictor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fusion.errors import FusionError
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
from fusion.tables import Labelled

# Under so many, predictions are told to be rough.
_FEW = 20


def fit(data: Labelled | Sequence[Labelled], model: str | ModelSpec = "lightgbm") -> Predictor:
    """Return the predictor that `model` becomes on all accuracies of `data`.

    Parameters
    ----------
    data : Labelled or sequence of Labelled
        One: the predictor gives accuracies of its space with intervals, reads the encoding too, and learns
        where values lie from all that the table has. Several: it ranks the architectures of any space by
        their indicators alone, see `fusion.regression.groups`.
    model : str or ModelSpec
        By name with its default settings, or with others.

    Raises
    ------
    FusionError
        When the model, a setting or an indicator is not known or not in the table, or the accuracies
        teach nothing.

    Examples
    --------
    >>> import fusion
    >>> data = fusion.load(digits).labelled("data/digits-tss/accuracies.parquet")
    >>> predictor = fusion.fit(data, "weighted_sum")
    >>> predictor.networks
    24
    """
    spec = ModelSpec.of(model)
    datas = [data] if isinstance(data, Labelled) else list(data)
    if not datas:
        raise FusionError("nothing to fit; give at least one table with accuracies")
    for each in datas:
        _check_accuracies(each)
    return _fit_one(datas[0], spec) if len(datas) == 1 else _fit_several(datas, spec)


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
    fitted = estimator.fit(data.X, data.y, pool=data.pool)
    ranks = fitted.model_.gives == "score"
    if not ranks and data.twins.nunique() > max(1, fitted.model_.fewest):
        fitted.calibrate(data.X, data.y, pool=data.pool, groups=data.twins)
    features = list(estimator.features)
    return Predictor(
        model=fitted,
        spec=_settled(spec, fitted.model_),
        target=_score(spec) if ranks else data.target,
        lower_is_better=data.accuracies.lower_is_better and not ranks,
        sources=(Source.of(data, features, networks=data.networks),),
        space=data.space,
        ranges=_ranges(data.X[features]),
        notes=(*data.notes, *_notes("", data.networks)),
    )


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
            Source.of(data, features, group=group.name, networks=len(group.accuracy))
            for data, group in zip(datas, groups, strict=True)
        ),
        space=None,
        ranges=_ranges(pd.concat([_scores(group, features) for group in groups])),
        notes=tuple(notes),
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
