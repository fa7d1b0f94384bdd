"""The parts of what an evaluation found, frozen and typed; documented in docs/results-format.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Interval:
    """A mean with the percentiles 2.5 and 97.5; None where undefined.

    Attributes
    ----------
    mean, low, high : float or None
    """

    mean: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Extent:
    """From the smallest to the largest over the splits.

    Attributes
    ----------
    min, max : int
    """

    min: int
    max: int


@dataclass(frozen=True)
class Method:
    """A model, a baseline, a transferred model or a single indicator on the test parts.

    Attributes
    ----------
    kind : str
        "model", "baseline", "transfer" or "indicator".
    defined : float
        Share of the architectures for which it is defined.
    scores : mapping of str to Interval
        By metric.
    """

    kind: str
    defined: float
    scores: Mapping[str, Interval]

    @property
    def reversed(self) -> bool:
        """Whether it clearly ranks upside down: its SROCC, with its interval, lies below 0."""
        srocc = self.scores["srocc"]
        highest = srocc.mean if srocc.high is None else srocc.high
        return highest is not None and highest < 0


@dataclass(frozen=True)
class CurvePoint:
    """A model or a baseline at one training size.

    Attributes
    ----------
    train_size : int
        As asked.
    splits : int
        Over which `scores` are means; 1 where nothing is trained on.
    test_size : Extent
        Architectures tested on.
    scores : mapping of str to Interval
        By metric.
    """

    train_size: int
    splits: int
    test_size: Extent
    scores: Mapping[str, Interval]


@dataclass(frozen=True)
class RangeErrors:
    """A model's errors among the test architectures in one range of the measured accuracy.

    Attributes
    ----------
    architectures : Extent
        How many lie in the range.
    rmse, mae : Interval
        Root mean squared and mean absolute error, in the units of the accuracy; mean and percentiles over
        the splits.
    srocc : Interval
        Spearman's correlation inside the range, likewise.
    """

    architectures: Extent
    rmse: Interval
    mae: Interval
    srocc: Interval


@dataclass(frozen=True)
class IntervalsHeld:
    """How prediction intervals hold on some of the test architectures.

    Attributes
    ----------
    coverage : Interval
        Share of them whose measured accuracy lies inside; mean and percentiles over the splits.
    width : Interval
        Mean width, in the units of the accuracy, likewise.
    """

    coverage: Interval
    width: Interval


@dataclass(frozen=True)
class PredictionIntervals:
    """How a model's prediction intervals hold.

    Attributes
    ----------
    level : float
        The share that they are asked to hold.
    all : IntervalsHeld
        On all test architectures.
    tenths : tuple of IntervalsHeld
        On each tenth of them by prediction, lowest first.
    """

    level: float
    all: IntervalsHeld
    tenths: tuple[IntervalsHeld, ...]


@dataclass(frozen=True)
class Ceiling:
    """How far a prediction could agree with these accuracies, which have seeds of their own.

    Attributes
    ----------
    architectures : int
        Those of which the spread over at least two seeds is known.
    reliability : float
        1 - (mean variance of a mean over its seeds) / (variance of the accuracies).
    plcc : float
        Square root of the reliability.
    srocc : float
        Spearman's correlation of accuracies without noise with themselves plus noise of the seeds' size.
    rmse : float
        Square root of the mean variance of a mean over its seeds, in the units of the accuracy.
    """

    architectures: int
    reliability: float
    plcc: float
    srocc: float
    rmse: float


@dataclass(frozen=True)
class Correlations:
    """Rank correlations between indicators, each negated where lower is better.

    Attributes
    ----------
    indicators : tuple of str
    srocc : tuple of tuples of float or None
        Their symmetric matrix; None where undefined.
    """

    indicators: tuple[str, ...]
    srocc: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class ShownSplit:
    """The split that a report shows as a scatter plot.

    Attributes
    ----------
    split : int
    scores : mapping of str to mapping of str to float or None
        Model -> metric -> value on this split.
    """

    split: int
    scores: Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class ModelUsed:
    """A model as it was made.

    Attributes
    ----------
    model : str
        Its registered name.
    indicators : str or None
        Those it was given; None is all, or those that it reads by itself.
    params : mapping
        Its settings, as far as they were given.
    """

    model: str
    indicators: str | None
    params: Mapping[str, Any]


@dataclass(frozen=True)
class MetricUsed:
    """A metric in words.

    Attributes
    ----------
    higher_is_better : bool
    formula : str
    """

    higher_is_better: bool
    formula: str


@dataclass(frozen=True)
class Protocol:
    """What was measured, and how it was judged.

    Attributes
    ----------
    target : str
        What the accuracies are, in words.
    lower_is_better : bool
        Whether the accuracies were negated, being errors.
    rows : int
        Rows of the accuracies that were read.
    space : str
    space_settings : mapping
    images : str
        From which the indicators were computed.
    batch_size, repeats : int
        Images in the batch; initialisations per architecture.
    architectures, networks, groups : int
        Strings; different networks among them; groups of twins, which never straddle a split (of one each
        where twins are apart).
    twins : str
        How isomorphic twins are treated: "together", "apart" or "one", see `Judging`.
    dead_edges : int or None
        Judged architectures with an operation on no path from input to output; None for a space without
        edges.
    without_dead_edges : bool
        Whether such were left out.
    train_size : int
        Architectures to train on.
    train_size_reached, test_size, test_networks : Extent
        Architectures in the training and test parts; groups of twins in the test parts.
    train_sizes : tuple of int
        Of the learning curve.
    splits, bootstrap, seed : int
    indicators : tuple of str
    higher_is_better : mapping of str to bool
        Orientation of each indicator, as its source states it.
    models : mapping of str to ModelUsed
    baselines : mapping of str to ModelUsed
        Those that are models.
    transfer : tuple of str
        Methods that saw none of these accuracies: learned elsewhere, or from this table without any.
    learned_from : mapping of str to int
        Where they were: other group -> networks with an accuracy.
    metrics : mapping of str to MetricUsed
    descriptions : mapping of str to str
        What the choices mean, in words.
    """

    target: str
    lower_is_better: bool
    rows: int
    space: str
    space_settings: Mapping[str, Any]
    images: str
    batch_size: int
    repeats: int
    architectures: int
    networks: int
    groups: int
    twins: str
    dead_edges: int | None
    without_dead_edges: bool
    train_size: int
    train_size_reached: Extent
    test_size: Extent
    test_networks: Extent
    train_sizes: tuple[int, ...]
    splits: int
    bootstrap: int
    seed: int
    indicators: tuple[str, ...]
    higher_is_better: Mapping[str, bool]
    models: Mapping[str, ModelUsed]
    baselines: Mapping[str, ModelUsed]
    transfer: tuple[str, ...]
    learned_from: Mapping[str, int]
    metrics: Mapping[str, MetricUsed]
    descriptions: Mapping[str, str]


@dataclass(frozen=True)
class Judged:
    """What `judge` found.

    Attributes
    ----------
    methods : mapping of str to Method
        Models, then baselines, then what was learned elsewhere, then single indicators.
    best_indicator : str or None
        The one with the highest mean SROCC on the test parts; None where none is defined.
    advantage : mapping of str to Interval
        Model -> its SROCC minus that of the best indicator, on the same replicates.
    learning_curve : mapping of str to tuple of CurvePoint
        Model or baseline -> a point for each size that it can be judged at.
    ranges : mapping of str to mapping of str to RangeErrors
        Model -> range ("best_tenth", "best_fifth", "worst_tenth") -> errors.
    correlations : Correlations
    weights : mapping of str to mapping of str to Interval
        Model -> feature -> weight, percentiles over the splits; only models that have such.
    prediction_intervals : mapping of str to PredictionIntervals
        Only models that have such.
    shown_split : ShownSplit
    predictions : DataFrame
        Out-of-sample predictions at `train_size`: `arch`, `split`, `set` ("test"), `measured` and one
        column per model; one row per split and test architecture. Not part of the JSON form.
    groups : int
        Groups of twins.
    test_size, test_networks : Extent
        Architectures, and groups of twins, in the test parts.
    """

    methods: Mapping[str, Method]
    best_indicator: str | None
    advantage: Mapping[str, Interval]
    learning_curve: Mapping[str, tuple[CurvePoint, ...]]
    ranges: Mapping[str, Mapping[str, RangeErrors]]
    correlations: Correlations
    weights: Mapping[str, Mapping[str, Interval]]
    prediction_intervals: Mapping[str, PredictionIntervals]
    shown_split: ShownSplit
    predictions: pd.DataFrame = field(compare=False, repr=False)
    groups: int
    test_size: Extent
    test_networks: Extent


@dataclass(frozen=True)
class SummaryCell:
    """What one way of learning reaches on one group.

    Attributes
    ----------
    method : str
        Name among the methods of that group's evaluation.
    srocc : float or None
    train_size : int or None
        Accuracies of the group that it was trained on; None where none.
    """

    method: str
    srocc: float | None
    train_size: int | None = None


@dataclass(frozen=True)
class SummaryRow:
    """One way of learning, on every group.

    Attributes
    ----------
    name : str
        In words.
    kind : str
        "transfer", "indicator" or "model".
    groups : mapping of str to SummaryCell
        By group.
    """

    name: str
    kind: str
    groups: Mapping[str, SummaryCell]
