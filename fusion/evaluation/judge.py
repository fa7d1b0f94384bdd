"""The core of an evaluation: same splits for every method, twins kept together, intervals everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fusion.errors import FusionError
from fusion.evaluation.baselines import BASELINES, INDICATOR, PARAMETERS
from fusion.evaluation.coverage import prediction_intervals
from fusion.evaluation.intervals import Array, Indices, interval
from fusion.evaluation.metrics import METRICS
from fusion.evaluation.ranges import range_errors
from fusion.evaluation.results import Correlations, CurvePoint, Extent, Interval, Judged, Method, ShownSplit
from fusion.evaluation.runs import CALIBRATED, Beside, Data, Models, Run, run_size
from fusion.evaluation.settings import Plan
from fusion.evaluation.splits import split
from fusion.tables import Pool
from fusion.tables.encoding import not_encoded
from fusion.work import Work

COLUMNS = ("arch", "split", "set", "measured")
"""Columns of the predictions that are not models."""

DESCRIPTIONS = {
    "single_indicators": "An indicator ranks by its value, negated where lower is better. For RMSE alone, "
    "it is mapped to accuracies by an increasing isotonic regression fitted on the training part.",
    "undefined_values": "Where an indicator is undefined, it counts as its worst value in the training "
    "part; the share of architectures for which it is defined is stated.",
    "mean": "Mean over the splits, leaving out splits in which a metric is undefined.",
    "advantage": "SROCC of a model minus SROCC of the best single indicator, on the same splits and the "
    "same replicates. The best indicator is the one with the highest mean SROCC on the test parts, hence "
    "chosen with hindsight in its favour.",
    "transfer": "Learned from none of these accuracies: from those of other spaces or data sets or, by "
    "models that can do without, from no accuracies at all; judged like a single indicator.",
    "learning_curve": "Each size has splits of its own, made in the same way, and is tested on the rest.",
    "baselines": "Every evaluation has them: what the architecture's string says without any indicator "
    "('encoding alone'), indicators together without any accuracy ('no labels'), and the number of "
    "parameters. What learns from no accuracies gives scores, mapped to accuracies like a single indicator's "
    "for RMSE alone; with 0 accuracies it is judged once, on all architectures.",
    "prediction_intervals": "Intervals that a model itself gives for single architectures, calibrated on the "
    "training part: how many of the tested accuracies lie inside, and how wide they are. Tenths of the test "
    f"part by prediction, lowest first; mean over the first {CALIBRATED} splits, and their 2.5 and 97.5 "
    "percentiles.",
    "correlations": "Spearman's correlation between the values of two indicators, negated where lower is "
    "better, over all architectures for which both are defined.",
    "pool": "Models that can use it also saw the indicator values, not the accuracies, of all of "
    "the table, those that they were tested on among them.",
    "ranges": "The tenth or fifth of a test part with the highest or lowest measured accuracies, with what "
    "ties with the last of them; mean over the splits, and the 2.5 and 97.5 percentiles over the splits.",
    "equations": "Fitted on all accuracies, with all of the table as the pool, as the model that is saved.",
    "ceiling": "Noise of a mean over k seeds: spread^2 / k. Reliability: 1 - its mean / the variance of the "
    "accuracies (Shrout and Fleiss, 1979). PLCC of a perfect prediction: its square root (Spearman, 1904). "
    "SROCC: of the accuracies, drawn towards their mean until they vary as much as without noise, with "
    "themselves plus such noise; mean over 50 draws.",
    "weights": "Mean of a model's weights over the splits, and the 2.5 and 97.5 percentiles over the splits.",
}
"""What the choices mean, in words; part of the metrics."""

_ALONE = Work(workers=1)


def judge(
    values: pd.DataFrame,
    accuracy: pd.Series[float],
    groups: pd.Series[Any],
    models: Models,
    higher_is_better: Mapping[str, bool],
    plan: Plan,
    *,
    beside: Beside | None = None,
    work: Work = _ALONE,
) -> Judged:
    """Judge single indicators and fusion models on the same random splits.

    Parameters
    ----------
    values : DataFrame, shape (architectures, columns)
        Raw indicator values; undefined ones are NaN (infinite ones count as undefined). Columns of the
        encoding (`fusion.tables.encoding`) are for the models alone.
    accuracy : Series, length architectures
        Measured accuracies, with the index of `values`; RMSE and regret are in their units.
    groups : Series, length architectures
        Equal labels are isomorphic twins; index as above.
    models : mapping of str to callable
        Name -> function without arguments that returns an unfitted scikit-learn regressor. One with
        the attribute `uses_pool = True` is fitted with the pool; one with
        `needs_labels = False` without accuracies, and what it predicts are scores. One that has
        `calibrate` and `predict_interval` is also judged by its prediction intervals. Names in
        `BASELINES` are those of baselines.
    higher_is_better : mapping of str to bool
        Orientation of each indicator.
    plan : Plan
        Sizes, splits, replicates and seed.
    beside : Beside, optional
        The pool, and scores that were learned elsewhere.
    work : Work
        Processes, and whether progress bars are shown.

    Returns
    -------
    Judged
        Independent of the order of rows, columns and mappings.

    Raises
    ------
    FusionError
        When the inputs do not fit together, sizes leave too few architectures, or a model predicts
        something that is not finite.
    """
    data = _checked(values, accuracy, groups, models, higher_is_better, beside or Beside())
    models = {name: models[name] for name in sorted(models)}
    for size in plan.sizes:  # before the first fit
        if size:
            split(data.groups, size, plan.seed)
    runs = {size: run_size(data, models, size, plan, work) for size in plan.sizes}
    main = runs[plan.train_size]
    names = data.indicators
    methods = _methods(data, models, main)
    curves = [name for name, of in methods.items() if of.kind in ("model", "baseline")]
    models = {name: models[name] for name in models if name not in BASELINES}
    best, advantage = _advantage(names, list(models), main)
    first = {name: {metric: _plain(main.points[name][metric][0]) for metric in METRICS} for name in models}
    return Judged(
        methods=methods,
        best_indicator=best,
        advantage=advantage,
        learning_curve={
            name: tuple(
                _curve_point(name, size, runs[size])
                for size in sorted(set(plan.train_sizes))
                if name in runs[size].points
            )
            for name in curves
        },
        ranges={name: range_errors(main.predictions, name) for name in models},
        correlations=Correlations(tuple(names), _correlations(data.rankings[names])),
        weights={name: _weight_spread(found) for name, found in main.weights.items()},
        prediction_intervals={name: prediction_intervals(found) for name, found in main.held.items()},
        shown_split=ShownSplit(0, first),
        predictions=pd.concat(main.predictions, ignore_index=True),
        groups=int(data.groups.max()) + 1,
        test_size=_extent(main.test_sizes),
        test_networks=_extent(main.test_groups),
    )


def _checked(
    values: pd.DataFrame,
    accuracy: pd.Series[Any],
    groups: pd.Series[Any],
    models: Models,
    higher_is_better: Mapping[str, bool],
    beside: Beside,
) -> Data:
    """Return the input in one order of rows and columns, or say what is wrong with it."""
    names = sorted(not_encoded(map(str, values.columns)))
    if not names:
        raise FusionError("no indicators; give a table with one column per indicator")
    if not values.index.is_unique or not values.columns.is_unique:
        raise FusionError("an architecture or an indicator occurs twice in the table; drop the duplicates")
    for what, series in (("accuracies", accuracy), ("groups", groups)):
        if not series.index.is_unique or set(series.index) != set(values.index):
            raise FusionError(f"{what} and indicators are not of the same architectures; join them first")
        if missing := int(series.isna().sum()):
            raise FusionError(f"{missing} {what} are missing; drop these architectures first")
    if unknown := sorted(set(names) - set(higher_is_better)):
        raise FusionError(f"higher_is_better lacks {', '.join(unknown)}; add True or False for each")
    transfer = pd.DataFrame(index=values.index) if beside.transfer is None else beside.transfer
    if sorted(transfer.index) != sorted(values.index) or not np.isfinite(transfer.to_numpy(np.float64)).all():
        raise FusionError("transferred scores are missing for some architectures; give one finite score each")
    taken = set(models) & {*values.columns, *COLUMNS, PARAMETERS} | set(transfer.columns) & {
        *values.columns,
        *models,
    }
    if taken:
        raise FusionError(f"a model is named {min(taken)!r}, like an indicator or a column; rename it")
    values = values.sort_index().sort_index(axis=1).astype(float)
    values = values.where(np.isfinite(values))
    signs = np.array([1.0 if higher_is_better[name] else -1.0 for name in names])
    measured = accuracy.loc[values.index].to_numpy(dtype=np.float64)
    if not np.isfinite(measured).all():
        raise FusionError("an accuracy is infinite; drop this architecture first")
    labels = groups.loc[values.index].to_numpy().astype(str)
    rankings = (values[names] * signs).join(transfer.sort_index(axis=1).astype(float))
    if INDICATOR in values:
        rankings[PARAMETERS] = rankings[INDICATOR]
    pool = values if beside.pool is None else beside.pool[values.columns].sort_index().astype(float)
    return Data(
        values,
        names,
        rankings,
        measured,
        np.unique(labels, return_inverse=True)[1],
        _alike(values),
        Pool(pool.where(np.isfinite(pool))),
    )


def _alike(values: pd.DataFrame) -> Indices:
    """Return for each row the position of the first with the same values."""
    rows = np.ascontiguousarray(values.to_numpy())
    whole = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, place = np.unique(whole, return_index=True, return_inverse=True)
    same: Indices = first[place]
    return same


_NONE = np.empty(0)


def _methods(data: Data, models: Models, run: Run) -> dict[str, Method]:
    defined = {str(name): float(share) for name, share in data.values[data.indicators].notna().mean().items()}
    baselines = [name for name in BASELINES if name in run.points]
    shares = {PARAMETERS: defined.get(INDICATOR, 1.0)}
    others = [str(name) for name in data.rankings if name not in defined and name != PARAMETERS]
    kinds = [
        *((name, "model", 1.0) for name in models if name not in BASELINES),
        *((name, "baseline", shares.get(name, 1.0)) for name in baselines),
        *((name, "transfer", 1.0) for name in others),
        *((name, "indicator", share) for name, share in defined.items()),
    ]
    return {name: Method(kind, share, _summary(name, run)) for name, kind, share in kinds}


def _interval(points: Array, replicates: Array) -> Interval:
    """Return a mean and its interval over the replicates, without such over the splits."""
    return interval(points, replicates if len(replicates) or len(points) < 2 else points)


def _summary(method: str, run: Run) -> dict[str, Interval]:
    return {
        name: _interval(run.points[method][name], run.replicates[method][name] if run.replicates else _NONE)
        for name in METRICS
    }


def _curve_point(method: str, size: int, run: Run) -> CurvePoint:
    return CurvePoint(size, len(run.test_sizes), _extent(run.test_sizes), _summary(method, run))


def _advantage(indicators: list[str], models: list[str], run: Run) -> tuple[str | None, dict[str, Interval]]:
    """Return the indicator with the highest mean SROCC and the models' paired differences from it."""
    means = {name: _summary(name, run)["srocc"].mean for name in indicators}
    ranked = {name: mean for name, mean in means.items() if mean is not None}
    if not ranked:
        return None, {}
    best = max(ranked, key=lambda name: ranked[name])
    advantage = {}
    for name in models:
        difference = run.points[name]["srocc"] - run.points[best]["srocc"]
        paired = run.replicates[name]["srocc"] - run.replicates[best]["srocc"] if run.replicates else _NONE
        advantage[name] = _interval(difference, paired)
    return best, advantage


def _weight_spread(found: list[dict[str, float]]) -> dict[str, Interval]:
    table = pd.DataFrame(found)
    columns = {str(name): table[name].to_numpy(dtype=np.float64) for name in sorted(table.columns)}
    return {name: interval(column, column) for name, column in columns.items()}


def _correlations(signed: pd.DataFrame) -> tuple[tuple[float | None, ...], ...]:
    table = signed.corr(method="spearman").to_numpy()
    return tuple(tuple(_plain(value) for value in row) for row in table)


def _extent(sizes: Sequence[int]) -> Extent:
    return Extent(min(sizes), max(sizes))


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
