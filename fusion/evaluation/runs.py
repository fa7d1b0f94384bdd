"""All methods on all splits of one training size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.isotonic import IsotonicRegression
from tqdm import tqdm

from fusion.errors import FusionError
from fusion.evaluation.baselines import BASELINES
from fusion.evaluation.coverage import LEVEL, held
from fusion.evaluation.intervals import (
    Array,
    Indices,
    Outcome,
    Samples,
    collected,
    scores_of,
    scores_per_replicate,
)
from fusion.evaluation.settings import Plan
from fusion.evaluation.splits import split
from fusion.seeding import derive_seed
from fusion.tables import Pool
from fusion.work import Work
from fusion.work.tasks import in_order

Models = Mapping[str, Callable[[], Any]]


CALIBRATED = 5
"""Splits, from the first on, in which models are calibrated, which takes up to ten fits more."""


@dataclass(frozen=True)
class Data:
    """Checked input in one order of rows and columns.

    Attributes
    ----------
    values : DataFrame, shape (architectures, columns)
        What models read: raw values of indicators and encoding, NaN where undefined.
    indicators : list of str
        The columns that are indicators.
    rankings : DataFrame, shape (architectures, indicators and transferred methods)
        What ranks without training: the indicators, negated where lower is better, and transferred scores.
    measured : ndarray, shape (architectures,)
        Accuracies.
    groups : ndarray of int, shape (architectures,)
        Equal numbers are twins; 0 to the number of groups minus 1.
    alike : ndarray of int, shape (architectures,)
        Position of the first architecture with the same values.
    pool : Pool
        What models see without accuracies.
    """

    values: pd.DataFrame
    indicators: list[str]
    rankings: pd.DataFrame
    measured: Array
    groups: Indices
    alike: Indices
    pool: Pool


@dataclass(frozen=True)
class Beside:
    """What is known beside the architectures that are judged.

    Attributes
    ----------
    transfer : DataFrame, shape (architectures, methods), or None
        Scores of the judged architectures, higher is better and none missing, that were learned without any
        of their accuracies; one column per method. The models do not see them.
    pool : DataFrame or None
        Raw values of more architectures, of the same columns, without accuracies: what models with
        `uses_pool = True` are fitted with; None for those that are judged.
    """

    transfer: pd.DataFrame | None = None
    pool: pd.DataFrame | None = None


@dataclass
class Part:
    """What came out for one split.

    Attributes
    ----------
    test_size, test_groups : int
        Architectures, and groups of twins, in the test part.
    points : dict of str to dict of str to float
        Method -> metric -> value.
    outcome : Outcome or None
        What replicates are drawn from; None where none are.
    weights : dict of str to dict of str to float
        Of the models that have such, at the main size.
    predictions : DataFrame or None
        Test predictions of the models, at the main size.
    held : dict of str to ndarray
        For models with prediction intervals how they held, at the main size.
    """

    test_size: int
    test_groups: int
    points: dict[str, dict[str, float]]
    outcome: Outcome | None
    weights: dict[str, dict[str, float]] = field(default_factory=dict)
    predictions: pd.DataFrame | None = None
    held: dict[str, Array] = field(default_factory=dict)


@dataclass
class Run:
    """What came out for one training size.

    Attributes
    ----------
    test_sizes, test_groups : list of int
        Architectures, and groups of twins, in each split's test part.
    points, replicates : dict of str to dict of str to ndarray
        Method -> metric -> value per split, and per bootstrap replicate.
    weights : dict of str to list of dict of str to float
        For each model that has such, the weight of each feature in each split.
    predictions : list of DataFrame
        Test predictions of the models, one table per split.
    held : dict of str to list of ndarray
        For each model with prediction intervals, how they held in each of the first `CALIBRATED` splits.
    """

    test_sizes: list[int] = field(default_factory=list)
    test_groups: list[int] = field(default_factory=list)
    points: Samples = field(default_factory=dict)
    replicates: Samples = field(default_factory=dict)
    weights: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    predictions: list[pd.DataFrame] = field(default_factory=list)
    held: dict[str, list[Array]] = field(default_factory=dict)


def run_size(data: Data, models: Models, size: int, plan: Plan, work: Work) -> Run:
    """Fit and judge all methods on the splits of a size; at the main size also all that ranks untrained.

    With size 0, what needs no accuracies is judged on all architectures, once.

    Raises
    ------
    FusionError
        When `size` leaves too few for testing or a model predicts what is not finite.
    """
    run = Run()
    splits = range(plan.splits if size else 1)
    parts = in_order(partial(_judge_split, data, models, size, plan), splits, workers=work.processes)
    hidden = None if work.progress else True
    outcomes, points = [], []
    for part in tqdm(parts, desc=f"fit on {size}", total=len(splits), leave=False, delay=2, disable=hidden):
        run.test_sizes.append(part.test_size)
        run.test_groups.append(part.test_groups)
        points.append(part.points)
        outcomes += [] if part.outcome is None else [part.outcome]
        run.predictions += [] if part.predictions is None else [part.predictions]
        for name, weights in part.weights.items():
            run.weights.setdefault(name, []).append(weights)
        for name, found in part.held.items():
            run.held.setdefault(name, []).append(found)
    run.points = collected(points)
    rng = np.random.default_rng(derive_seed(plan.seed, "bootstrap", size))
    run.replicates = scores_per_replicate(outcomes, plan.bootstrap, rng, work)
    return run


def _judge_split(data: Data, models: Models, size: int, plan: Plan, number: int) -> Part:
    """Fit and judge on one split; single indicators, weights and predictions at the main size alone."""
    main = size == plan.train_size
    train, test = _split(data, size, derive_seed(plan.seed, number))
    ranking, fitted, weights, intervals = {}, {}, {}, {}
    for name, make in models.items():
        model = make()
        if not size and _says(model, "needs_labels"):
            continue
        if not size or not _says(model, "uses_labels"):
            scores = _unlabelled(name, model, data, train)
            ranking[name], fitted[name] = _untrained(scores, data.measured, train, test)
        else:
            _fit(model, data, train)
            ranking[name] = fitted[name] = _predict(name, model, data, test, f"trained on {size}")
        if main and name not in BASELINES:
            weights[name] = _weights(model)
            ends = _intervals(model, data, train, test) if number < CALIBRATED else None
            if ends is not None:
                intervals[name] = held(data.measured[test], fitted[name], *ends.T)
    predictions = {name: fitted[name] for name in fitted if name not in BASELINES}
    for name in data.rankings.columns if main else data.rankings.columns.intersection(list(BASELINES)):
        scores = data.rankings[name].to_numpy()
        ranking[name], fitted[name] = _untrained(scores, data.measured, train, test)
    measured = data.measured[test]
    outcome = Outcome(measured, data.groups[test], ranking, fitted)
    about = {"arch": data.values.index[test], "split": number, "set": "test", "measured": measured}
    return Part(
        test_size=len(test),
        test_groups=len(np.unique(outcome.groups)),
        points=scores_of(outcome),
        outcome=outcome if plan.bootstrap else None,
        weights={name: found for name, found in weights.items() if found},
        predictions=pd.DataFrame({**about, **predictions}) if main else None,
        held=intervals,
    )


def _split(data: Data, size: int, seed: int) -> tuple[Indices, Indices]:
    if size == 0:
        return np.arange(0), np.arange(len(data.groups))
    return split(data.groups, size, seed)


def _says(model: Any, what: str) -> bool:
    """Return what a model's class says, such as `needs_labels`; true where it says nothing."""
    # of a model that sees some of the columns, the model inside says it
    return bool(getattr(getattr(model, "model", model), what, True))


def _pool(model: Any, data: Data) -> dict[str, Pool]:
    return {"pool": data.pool} if getattr(model, "uses_pool", False) else {}


def _fit(model: Any, data: Data, train: Indices) -> None:
    groups = {"groups": data.groups[train]} if getattr(model, "uses_groups", False) else {}
    model.fit(data.values.iloc[train], data.measured[train], **_pool(model, data), **groups)


def _unlabelled(name: str, model: Any, data: Data, train: Indices) -> Array:
    """Return the scores of a model that sees no accuracy, of all architectures."""
    everything = np.arange(len(data.measured))
    model.fit(data.values.iloc[train if len(train) else everything], None, **_pool(model, data))
    return _predict(name, model, data, everything, "without accuracies")


def _predict(name: str, model: Any, data: Data, rows: Indices, how: str) -> Array:
    """Return a prediction for each row; rows with the same values are predicted once."""
    _, first, place = np.unique(data.alike[rows], return_index=True, return_inverse=True)
    predicted = np.asarray(model.predict(data.values.iloc[rows[first]]), dtype=float).ravel()
    if len(predicted) != len(first) or not np.isfinite(predicted).all():
        raise FusionError(
            f"model {name!r}, {how}, did not predict a finite number for each "
            "architecture; check its settings or leave it out"
        )
    return predicted[place]


def _intervals(model: Any, data: Data, train: Indices, test: Indices) -> Array | None:
    """Return the ends of a fitted model's prediction intervals, shape (test, 2); None where it has none."""
    if not hasattr(model, "calibrate") or not _says(model, "uses_labels"):
        return None
    try:
        model.calibrate(
            data.values.iloc[train], data.measured[train], groups=data.groups[train], **_pool(model, data)
        )
    except FusionError:  # too few to hold some of them out
        return None
    ends: Array = np.asarray(model.predict_interval(data.values.iloc[test], coverage=LEVEL), dtype=float)
    return ends


def _untrained(scores: Array, measured: Array, train: Indices, test: Indices) -> tuple[Array, Array]:
    """Return a score, higher is better, and its accuracy by isotonic regression, on the test part.

    Without a training part there are no accuracies: NaN.
    """
    known = scores[train] if len(train) else scores
    known = known[np.isfinite(known)]
    if not len(known):  # says nothing: all architectures alike
        mean = measured[train].mean() if len(train) else np.nan
        return np.zeros(len(test)), np.full(len(test), mean)
    filled = np.where(np.isfinite(scores), scores, known.min())
    if not len(train):
        return filled[test], np.full(len(test), np.nan)
    mapping = IsotonicRegression(increasing=True, out_of_bounds="clip")
    mapping.fit(filled[train], measured[train])
    return filled[test], mapping.predict(filled[test])


def _weights(model: Any) -> dict[str, float]:
    """Return the weight of each feature: what the model itself tells, else a linear model's `coef_`."""
    if hasattr(model, "weights"):
        told: dict[str, float] = model.weights()
        return told
    names, weights = getattr(model, "feature_names_in_", None), getattr(model, "coef_", None)
    if names is None or weights is None or np.size(weights) != len(names):
        return {}
    return {str(name): float(weight) for name, weight in zip(names, np.ravel(weights), strict=True)}
