"""How what carries a prediction is measured: by permuting columns, replacing them, and fitting again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.base import clone

from fusion.errors import FusionError
from fusion.regression.alike import ColumnGroup, column_groups
from fusion.regression.columns import Array
from fusion.regression.explanation import Contribution, Explanation, Importance, Reasons, Rows, Weight
from fusion.regression.groups import FEWEST
from fusion.regression.subset import OnIndicators
from fusion.seeding import derive_seed
from fusion.tables import IndicatorTable, Labelled, Pool

if TYPE_CHECKING:
    from fusion.regression.predictor import Predictor

PERMUTATIONS = 5
MOST_ROWS = 300  # more networks than these tell groups apart hardly better, and take longer
BACKGROUND = 64  # architectures that one is held against; their number over two are permutations of groups
REFITS = 20

Predict = Callable[[pd.DataFrame], Array]


def explain(
    predictor: Predictor, data: Labelled | IndicatorTable, arch: str | None = None, seed: int = 0
) -> Explanation:
    """Return what carries the predictions, and why one architecture is predicted as it is.

    Parameters
    ----------
    predictor : Predictor
        Of one table.
    data : Labelled or IndicatorTable
        Accuracies by which to see what matters: those of ten or more networks that the model did not learn
        from, where there are some, else all; or a table, for how much the predictions alone owe to what.
    arch : str, optional
        An architecture of the table.
    seed : int
        Of all that is drawn: networks, permutations, orders, refits.

    Raises
    ------
    FusionError
        For a model of several tables, a table that was made in another way than that of the model or lacks
        `arch`, or fewer than ten networks.
    """
    if not isinstance(predictor.model, OnIndicators):
        raise FusionError("a model of several tables is not explained; fit one table")
    model, table = predictor.model, data.table if isinstance(data, Labelled) else data
    predictor.check(table)
    values = table.values(predictor.features).sort_index()
    key = None if arch is None else table.space.canonical(arch)
    if key is not None and key not in values.index:
        raise FusionError(f"{table.path}: lacks {arch}; name an architecture of the table, or extract it")
    groups = column_groups(values)
    rows, accuracy = _measured(predictor, data, values)
    measured = values.loc[accuracy.index]
    drawn = _rng(seed, "rows").permutation(len(measured))[:MOST_ROWS]
    measured, accuracy = measured.iloc[np.sort(drawn)], accuracy.iloc[np.sort(drawn)]
    srocc, importances = permutation_importances(model.predict, measured, np.asarray(accuracy), groups, seed)
    weights, refits = _weights(predictor, data, seed)
    reasons = None
    if key is not None and arch is not None:
        background = values.iloc[np.sort(_rng(seed, "background").permutation(len(values))[:BACKGROUND])]
        sign = -1 if predictor.lower_is_better else 1
        predicted, expected, added = shapley_values(
            lambda rows: sign * model.predict(rows), values.loc[[key]].iloc[0], background, groups, seed
        )
        found = zip(groups, added.tolist(), strict=True)
        contributions = [Contribution(group.title, group.columns, one) for group, one in found]
        contributions.sort(key=lambda one: (-abs(one.added), one.columns))
        reasons = Reasons(arch, predicted, expected, len(background), tuple(contributions))
    return Explanation(
        model=predictor.spec.model,
        target=predictor.target,
        rows=rows,
        networks=len(measured),
        srocc=srocc,
        permutations=PERMUTATIONS,
        importances=importances,
        weights=weights,
        refits=refits,
        reasons=reasons,
    )


def _rng(seed: int, what: str) -> np.random.Generator:
    return np.random.default_rng(derive_seed("explain", what, seed))


def _measured(
    predictor: Predictor, data: Labelled | IndicatorTable, values: pd.DataFrame
) -> tuple[Rows, pd.Series[float]]:
    """Return on what importance is measured, and by key the accuracies or predictions, higher is better."""
    if not isinstance(data, Labelled):
        _check_number(len(values), str(data.path))
        assert isinstance(predictor.model, OnIndicators)
        return "predictions", pd.Series(predictor.model.predict(values), values.index)
    seen: pd.Series[bool] | None = pd.Series(False, data.y.index)
    if predictor.fitted.uses_labels:
        seen = predictor.sources[0].learned_from(data)
    rows: Rows = "unknown" if seen is None else "training"
    accuracy, keys = data.y, data.keys
    if seen is not None and keys[~seen].nunique() >= FEWEST:
        rows, accuracy, keys = "held out", accuracy[~seen], keys[~seen]
    by_key = accuracy.groupby(keys.to_numpy()).mean().sort_index()
    _check_number(len(by_key), data.accuracies.source)
    return rows, by_key.astype(np.float64)


def _check_number(networks: int, where: str) -> None:
    if networks < FEWEST:
        raise FusionError(f"{where}: {networks} networks are too few to explain by; give at least {FEWEST}")


def permutation_importances(
    predict: Predict, values: pd.DataFrame, reference: Array, groups: list[ColumnGroup], seed: int = 0
) -> tuple[float, tuple[Importance, ...]]:
    """Return the SROCC of predictions with `reference`, and its fall when each group is permuted.

    SROCC, not a squared error: it has no unit, is there for models that only rank too, and is not decided by
    a few collapsed networks. All groups go through the same permutations. A constant prediction ranks
    nothing and has an SROCC of 0.

    Parameters
    ----------
    predict : callable
        Gives the predictions of a table, each row by itself.
    values : DataFrame, shape (n_architectures, n_columns)
    reference : ndarray, shape (n_architectures,)
        Accuracies, higher is better.
    groups : list of ColumnGroup
    seed : int
        Of the permutations.

    Returns
    -------
    srocc : float
    importances : tuple of Importance
        Largest first.

    Notes
    -----
    Source: A. Fisher, C. Rudin, F. Dominici, "All Models are Wrong, but Many are Useful", JMLR 20, 2019,
    there as a difference of losses.
    """
    rng = _rng(seed, "permutations")
    orders = np.concatenate([rng.permutation(len(values)) for _ in range(PERMUTATIONS)])
    ranks = rankdata(reference)
    srocc = _correlation(rankdata(predict(values)), ranks)
    repeated = pd.concat([values] * PERMUTATIONS, ignore_index=True)
    found = []
    for group in groups:
        columns = list(group.columns)
        permuted = repeated.copy()
        permuted[columns] = values[columns].to_numpy()[orders]
        predicted = predict(permuted).reshape(PERMUTATIONS, len(values))
        falls = np.array([srocc - _correlation(rankdata(row), ranks) for row in predicted])
        found.append(Importance(group.title, group.columns, float(falls.mean()), float(falls.std())))
    return srocc, tuple(sorted(found, key=lambda one: (-one.fall, one.columns)))


def _correlation(x: Array, y: Array) -> float:
    if x.min() == x.max() or y.min() == y.max():
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def shapley_values(
    predict: Predict,
    row: pd.Series[float],
    background: pd.DataFrame,
    groups: list[ColumnGroup],
    seed: int = 0,
) -> tuple[float, float, Array]:
    """Return what the values of one architecture add to its prediction, in place of those of others.

    From each architecture of the background, one group after another takes the values of the architecture,
    in a random order and in its reverse; what a group adds is the mean change of the prediction in its turn.

    Parameters
    ----------
    predict : callable
        Gives the predictions of a table, each row by itself.
    row : Series, shape (n_columns,)
    background : DataFrame, shape (n_background, n_columns)
        Equal to `row` in the columns that are in no group.
    groups : list of ColumnGroup
    seed : int
        Of the orders.

    Returns
    -------
    predicted, expected : float
        The prediction, and the mean prediction of the background.
    added : ndarray, shape (n_groups,)
        They add up to `predicted - expected`.

    Notes
    -----
    An estimate, by sampling orders and backgrounds, of the Shapley value of the groups in the game whose
    value is the mean prediction when the others' values are those of the background; exact for a sum of
    functions of one group each. Sources: E. Strumbelj, I. Kononenko, "Explaining prediction models and
    individual predictions with feature contributions", Knowledge and Information Systems 41, 2014; S. M.
    Lundberg, S.-I. Lee, "A Unified Approach to Interpreting Model Predictions", NeurIPS 2017; orders and
    their reverse: R. Mitchell et al., "Sampling Permutations for Shapley Value Estimation", JMLR 23, 2022.
    """
    rng = _rng(seed, "orders")
    own, columns = row.to_numpy(dtype=np.float64), list(row.index)
    places = [[columns.index(name) for name in group.columns] for group in groups]
    added, expected = np.zeros(len(groups)), 0.0
    for other in background.to_numpy(dtype=np.float64):
        order = rng.permutation(len(groups))
        turns = (order, order[::-1])
        walks = np.tile(other, (2, len(groups) + 1, 1))
        for turn, walk in zip(turns, walks, strict=True):
            for step, group in enumerate(turn, start=1):
                walk[step:, places[group]] = own[places[group]]
        # a table of both walks, so that a model is asked once
        predicted = predict(pd.DataFrame(walks.reshape(-1, len(columns)), columns=columns))
        predicted = predicted.reshape(2, -1)
        for turn, path in zip(turns, predicted, strict=True):
            added[turn] += np.diff(path) / (2 * len(background))
        expected += float(predicted[0, 0]) / len(background)
    return float(predict(row.to_frame().T)[0]), expected, added


def _weights(
    predictor: Predictor, data: Labelled | IndicatorTable, seed: int
) -> tuple[tuple[Weight, ...], int]:
    """Return the weights, largest first, and how many refits their spread is from."""
    assert isinstance(predictor.model, OnIndicators)
    own = predictor.model.weights()
    refits = _refitted(predictor, predictor.model, data, seed) if own else []
    found = []
    for feature, weight in own.items():
        ends: tuple[float, ...] = ()
        if refits:
            # a column that marks missing values is there only in refits that saw some
            each = np.array([weights.get(feature, 0.0) for weights in refits])
            ends = (float(each.mean()), *np.percentile(each, [2.5, 97.5]).tolist())
        found.append(Weight(feature, weight, *ends))
    return tuple(sorted(found, key=lambda one: (-abs(one.weight), one.feature))), len(refits)


def _refitted(
    predictor: Predictor, model: OnIndicators, data: Labelled | IndicatorTable, seed: int
) -> list[dict[str, float]]:
    """Return the weights of refits on networks drawn with replacement from those that it learned from.

    A model that learns from no accuracies learned from the table; of another one the accuracies are needed.
    """
    rng = _rng(seed, "refits")
    if not predictor.fitted.uses_labels:
        table = data.table if isinstance(data, Labelled) else data
        pool = table.values(predictor.features).sort_index()
        drawn = [pool.iloc[rng.integers(len(pool), size=len(pool))] for _ in range(REFITS)]
        return [clone(model).fit(rows, None, pool=Pool(rows)).weights() for rows in drawn]
    if not isinstance(data, Labelled):
        return []
    seen = predictor.sources[0].learned_from(data)
    if seen is None or seen.sum() != predictor.architectures or data.twins[seen].nunique() < FEWEST:
        return []
    rows_of = pd.Series(np.arange(len(data.y)))[seen.to_numpy()].groupby(data.twins[seen].to_numpy())
    networks = [rows.to_numpy() for _, rows in rows_of]
    found = []
    for _ in range(REFITS):
        chosen = np.concatenate([networks[i] for i in rng.integers(len(networks), size=len(networks))])
        refit = clone(model).fit(data.X.iloc[chosen], data.y.iloc[chosen], pool=data.pool)
        found.append(refit.weights())
    return found
