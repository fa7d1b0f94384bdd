"""All methods on all splits of one training size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.isotonic import IsotonicRegression
from tqdm import tqdm

from fusion.errors import FusionError
from fusion.evaluation.intervals import (
    Array,
    Indices,
    Outcome,
    Samples,
    scores_per_replicate,
    scores_per_split,
)
from fusion.evaluation.settings import Plan
from fusion.evaluation.splits import split
from fusion.seeding import derive_seed
from fusion.tables import Pool

Models = Mapping[str, Callable[[], Any]]


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
    """

    values: pd.DataFrame
    indicators: list[str]
    rankings: pd.DataFrame
    measured: Array
    groups: Indices


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
    """

    test_sizes: list[int] = field(default_factory=list)
    test_groups: list[int] = field(default_factory=list)
    points: Samples = field(default_factory=dict)
    replicates: Samples = field(default_factory=dict)
    weights: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    predictions: list[pd.DataFrame] = field(default_factory=list)


def run_size(data: Data, models: Models, size: int, plan: Plan, *, indicators: bool, progress: bool) -> Run:
    """Fit and judge all models, and with `indicators` all that ranks untrained, on the splits of a size.

    Raises
    ------
    FusionError
        When `size` leaves too few for testing or a model predicts what is not finite.
    """
    run = Run()
    outcomes = []
    bar = tqdm(
        range(plan.splits), desc=f"fit on {size}", leave=False, delay=2, disable=None if progress else True
    )
    for number in bar:
        train, test = split(data.groups, size, derive_seed(plan.seed, number))
        fitted: dict[str, Array] = {}
        for name, make in models.items():
            model = make()
            fitted[name] = _fit_predict(name, model, data.values, data.measured, train, test)
            if weights := _weights(model):
                run.weights.setdefault(name, []).append(weights)
        measured = data.measured[test]
        run.predictions.append(
            pd.DataFrame(
                {
                    "arch": data.values.index[test],
                    "split": number,
                    "set": "test",
                    "measured": measured,
                    **fitted,
                }
            )
        )
        ranking = dict(fitted)
        for name in data.rankings.columns if indicators else []:
            scores = data.rankings[name].to_numpy()
            ranking[name], fitted[name] = _untrained(scores, data.measured, train, test)
        outcomes.append(Outcome(measured, data.groups[test], ranking, fitted))
    rng = np.random.default_rng(derive_seed(plan.seed, "bootstrap", size))
    run.test_groups = [len(np.unique(outcome.groups)) for outcome in outcomes]
    run.test_sizes = [len(outcome.measured) for outcome in outcomes]
    run.points = scores_per_split(outcomes)
    run.replicates = scores_per_replicate(outcomes, plan.bootstrap, rng, progress)
    return run


def _fit_predict(
    name: str,
    model: Any,
    values: pd.DataFrame,
    measured: Array,
    train: Indices,
    test: Indices,
) -> Array:
    pool = {"pool": Pool(values)} if getattr(model, "uses_pool", False) else {}
    model.fit(values.iloc[train], measured[train], **pool)
    predicted = np.asarray(model.predict(values.iloc[test]), dtype=float).ravel()
    if len(predicted) != len(test) or not np.isfinite(predicted).all():
        raise FusionError(
            f"model {name!r}, trained on {len(train)}, did not predict a finite number for each "
            "architecture; check its settings or leave it out"
        )
    return predicted


def _untrained(scores: Array, measured: Array, train: Indices, test: Indices) -> tuple[Array, Array]:
    """Return a score, higher is better, and its accuracy by isotonic regression, on the test part."""
    known = scores[train][np.isfinite(scores[train])]
    if not len(known):  # says nothing: all architectures alike
        return np.zeros(len(test)), np.full(len(test), measured[train].mean())
    filled = np.where(np.isfinite(scores), scores, known.min())
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
