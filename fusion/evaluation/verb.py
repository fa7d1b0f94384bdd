"""The verb: judge models and single indicators on measured architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

import numpy as np
import pandas as pd

from fusion.errors import FusionError
from fusion.evaluation.baselines import BASELINES, baselines
from fusion.evaluation.ceiling import ceiling
from fusion.evaluation.evaluation import Evaluation, Transfer
from fusion.evaluation.fronts import fronts, with_costs
from fusion.evaluation.intervals import BOOTSTRAP, OVER_SPLITS
from fusion.evaluation.judge import DESCRIPTIONS, judge
from fusion.evaluation.metrics import METRICS, K
from fusion.evaluation.results import Extent, Judged, MetricUsed, ModelUsed, Protocol
from fusion.evaluation.runs import Beside
from fusion.evaluation.selection import groups, selected
from fusion.evaluation.settings import Judging, Plan
from fusion.evaluation.splits import TWINS
from fusion.evaluation.words import best_model, silent_line
from fusion.regression import OnIndicators, fit
from fusion.regression.spec import ModelSpec
from fusion.spaces import Space
from fusion.tables import Labelled
from fusion.work import Work

Models = Sequence[str] | Mapping[str, ModelSpec | str]

DEFAULT_MODELS = ("auto", "weighted_sum", "lightgbm")

FEW_TESTED = 30
"""Different networks in a test part, under which intervals mean little."""


@overload
def evaluate(
    data: Labelled,
    models: Models = ...,
    *,
    settings: Judging | None = ...,
    progress: bool = ...,
    workers: int = ...,
) -> Evaluation: ...


@overload
def evaluate(
    data: Sequence[Labelled],
    models: Models = ...,
    *,
    settings: Judging | None = ...,
    progress: bool = ...,
    workers: int = ...,
) -> Evaluation | Transfer: ...


def evaluate(
    data: Labelled | Sequence[Labelled],
    models: Models = DEFAULT_MODELS,
    *,
    settings: Judging | None = None,
    progress: bool = True,
    workers: int = 1,
) -> Evaluation | Transfer:
    """Judge models and single indicators on architectures with measured accuracies.

    Parameters
    ----------
    data : Labelled or sequence of Labelled
        Several are judged by what was learned on the others too; see `Transfer`.
    models : sequence of str, or mapping of str to ModelSpec or str
        Registered names; or names of one's own for models with indicators and settings of their own.
    settings : Judging, optional
        Sizes, splits, replicates and seed, twins and dead edges; sizes fit themselves to how many
        architectures there are. `Judging.literature()` are those of publications.
    progress : bool
        Show progress bars on standard error for what takes longer than two seconds.
    workers : int
        Processes in which models are fitted; 0 is one per core.

    Returns
    -------
    Evaluation, or Transfer for several
        The same whatever the order of rows, columns and models, and the number of workers.

    Raises
    ------
    FusionError
        When a model or a setting is not known, or there are too few architectures.

    Examples
    --------
    >>> import fusion
    >>> data = fusion.load(digits).labelled("data/digits-tss/accuracies.parquet")
    >>> found = fusion.evaluate(data, ["weighted_sum"], progress=False)
    >>> found.protocol.train_size, found.best_indicator in data.indicators
    (14, True)
    """
    settings = settings or Judging()
    specs, work = named(models), Work(workers=workers, progress=progress)
    if isinstance(data, Labelled):
        return evaluate_one(data, specs, settings, work)
    if len(data) == 1:
        return evaluate_one(data[0], specs, settings, work)
    from fusion.evaluation.transfer import transfer  # which evaluates each of them

    return transfer(data, specs, settings, work)


def named(models: Models) -> dict[str, ModelSpec]:
    """Return name -> what the model is, in the order of the names; FusionError for a baseline's name."""
    if taken := sorted({*models} & {*BASELINES}):
        raise FusionError(f"a model is named {taken[0]!r}, like a baseline of every evaluation; rename it")
    given = models if isinstance(models, Mapping) else {name: name for name in models}
    return {name: ModelSpec.of(given[name]) for name in sorted(given)}


def evaluate_one(
    data: Labelled,
    specs: Mapping[str, ModelSpec],
    settings: Judging,
    work: Work,
    *,
    elsewhere: pd.DataFrame | None = None,
    learned_from: Mapping[str, int] | None = None,
    chosen_elsewhere: str | None = None,
) -> Evaluation:
    """Judge on one table; arguments as of `evaluate`, and what was learned on other tables.

    Parameters
    ----------
    elsewhere : DataFrame, optional
        Scores by key, higher is better, one column per method.
    learned_from : mapping of str to int, optional
        Group -> networks.
    chosen_elsewhere : str, optional
        The best indicator of these groups.
    """
    data, left_out = selected(data, settings)
    plan, fitted = settings.fit(len(data.y))
    columns = [str(name) for name in data.X.columns]
    # what has no value here may not be enough for a baseline
    known = [name for name in columns if np.isfinite(data.X[name].to_numpy(dtype=np.float64)).any()]
    others, without = baselines(known)
    made = {name: _maker(spec, columns) for name, spec in specs.items()}
    made |= {name: _maker(spec, known) for name, spec in others.items()}
    equations = _equations(data, specs, columns)
    scores = None if elsewhere is None else elsewhere.loc[list(data.keys)].set_axis(data.X.index)
    judged = judge(
        data.X,
        data.y,
        groups(data, settings),
        made,
        data.directions,
        plan,
        beside=Beside(scores, data.pool.table),
        work=work,
    )
    predictions = with_costs(judged.predictions, data.costs)
    unusable = unusable_indicators(data)
    silent = [silent_line(unusable, len(data.indicators))] if unusable else []
    return Evaluation(
        protocol=_protocol(data, {**specs, **others}, settings, plan, judged, learned_from or {}),
        notes=(*data.notes, *left_out, *fitted, *silent, *without),
        warnings=_warnings(data, judged),
        unusable=unusable,
        methods=judged.methods,
        best_indicator=judged.best_indicator,
        advantage=judged.advantage,
        learning_curve=judged.learning_curve,
        ranges=judged.ranges,
        ceiling=ceiling(data.y, data.accuracies.spread, data.accuracies.seeds),
        correlations=judged.correlations,
        weights=judged.weights,
        prediction_intervals=judged.prediction_intervals,
        shown_split=judged.shown_split,
        equations=equations,
        chosen_elsewhere=chosen_elsewhere,
        fronts=fronts(predictions, best_model(judged)),
        predictions=predictions,
    )


def _maker(spec: ModelSpec, columns: list[str]) -> Callable[[], OnIndicators]:
    spec.make(columns)  # unknown names are told before any computation
    return lambda: spec.make(columns)


def _equations(data: Labelled, specs: Mapping[str, ModelSpec], columns: list[str]) -> dict[str, str]:
    # in one order, for the last digits of a sum depend on it
    data = replace(data, X=data.X.sort_index(), y=data.y.sort_index())
    found = {
        name: fit(data, spec).equation()
        for name, spec in specs.items()
        if hasattr(spec.make(columns).model, "equation")  # the others need not be fitted
    }
    return {name: equation for name, equation in found.items() if equation is not None}


def unusable_indicators(data: Labelled) -> dict[str, str]:
    """Return indicator -> reason, for those without a value or with the same one for all architectures."""
    reasons = data.table.empty()
    found = {}
    for name in sorted(data.indicators):
        values = data.X[name].dropna()
        if values.empty:
            found[name] = reasons.get(name, "no value for these architectures")
        elif values.min() == values.max():
            found[name] = "the same value for all architectures"
    return found


def _protocol(
    data: Labelled,
    specs: Mapping[str, ModelSpec],
    settings: Judging,
    plan: Plan,
    judged: Judged,
    learned_from: Mapping[str, int],
) -> Protocol:
    space, table, total = data.space, data.table, len(data.y)
    test = judged.test_size
    used = {name: ModelUsed(of.model, of.indicators, dict(of.params)) for name, of in specs.items()}
    return Protocol(
        target=data.target,
        lower_is_better=data.accuracies.lower_is_better,
        rows=data.accuracies.rows,
        space=space.name,
        space_settings=space.settings,
        images=Path(table.images).name,
        batch_size=int(table.meta["batch_size"]),
        repeats=table.repeats,
        architectures=total,
        networks=data.networks,
        groups=judged.groups,
        twins=settings.twins,
        dead_edges=_dead_edges(space, data.X.index),
        without_dead_edges=not settings.dead_edges,
        train_size=plan.train_size,
        train_size_reached=Extent(total - test.max, total - test.min),
        test_size=test,
        test_networks=judged.test_networks,
        train_sizes=tuple(sorted(set(plan.train_sizes))),
        splits=plan.splits,
        bootstrap=plan.bootstrap,
        seed=plan.seed,
        indicators=judged.correlations.indicators,
        higher_is_better={name: data.directions[name] for name in judged.correlations.indicators},
        models={name: of for name, of in used.items() if name not in BASELINES},
        baselines={name: of for name, of in used.items() if name in BASELINES},
        transfer=tuple(name for name, of in judged.methods.items() if of.kind == "transfer"),
        learned_from=dict(learned_from),
        metrics={name: MetricUsed(of.higher_is_better, of.formula) for name, of in METRICS.items()},
        descriptions={
            "splitting": TWINS[settings.twins],
            "interval": BOOTSTRAP if plan.bootstrap else OVER_SPLITS,
            **DESCRIPTIONS,
        },
    )


def _dead_edges(space: Space, archs: pd.Index[str]) -> int | None:
    if type(space).has_dead_edge is Space.has_dead_edge:  # a space without edges
        return None
    return sum(space.has_dead_edge(arch) for arch in archs)


def _warnings(data: Labelled, judged: Judged) -> tuple[str, ...]:
    found = []
    fewest, tested = judged.test_networks.min, judged.test_size.min
    if fewest < FEW_TESTED:
        found.append(
            f"a test part holds only {fewest} different networks: intervals mean little, and where they "
            "overlap nothing follows"
        )
    if 2 * K <= tested < 5 * K:  # with fewer they are undefined
        found.append(
            f"precision@{K} and regret@{K} take {K} of only {tested} tested architectures: chance alone "
            "does well"
        )
    if twins := data.accuracies.disagreement(data.space):
        found.append(twins)
    return (*found, *_upside_down(judged))


def _upside_down(judged: Judged) -> list[str]:
    """Return what ranks clearly the other way round than it should, and strongly: one line each."""
    best = judged.best_indicator
    highest = 0.0 if best is None else judged.methods[best].scores["srocc"].mean or 0.0
    found = {name: of.scores["srocc"].mean or 0.0 for name, of in judged.methods.items() if of.reversed}
    lines = [
        f"{name}, without these accuracies, ranks these architectures upside down (SROCC {mean:.3f})"
        for name, mean in found.items()
        if judged.methods[name].kind == "transfer"
    ]
    stronger = [
        f"{name} {mean:.3f}"
        for name, mean in sorted(found.items(), key=lambda item: item[1])
        if judged.methods[name].kind == "indicator" and -mean > highest
    ]
    if stronger:
        lines.append(
            "these architectures are ranked upside down, and more strongly than by any indicator in the "
            f"direction of its source: SROCC {', '.join(stronger[:5])}"
        )
    return lines
