"""Several spaces or data sets: each judged by what was learned on the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
from tqdm import tqdm

from fusion.errors import FusionError
from fusion.evaluation.evaluation import Evaluation, Transfer
from fusion.evaluation.metrics import METRICS
from fusion.evaluation.results import SummaryCell, SummaryRow
from fusion.evaluation.selection import selected
from fusion.evaluation.settings import Judging
from fusion.evaluation.verb import evaluate_one
from fusion.indicators import INDICATORS
from fusion.regression.auto.prior import write_weights
from fusion.regression.groups import (
    Group,
    common_indicators,
    fit_groups,
    grouped,
    same_versions,
    unseen,
    within_group,
)
from fusion.regression.spec import ModelSpec
from fusion.regression.within_table import WithinTable
from fusion.tables import Labelled
from fusion.work import Work

PREFIX = "transfer_"
"""Of the names of methods that were learned elsewhere, or on the judged group without its accuracies."""
BESIDE = "beside_"
"""Of the names of models fitted on accuracies of the judged group, and on what like groups taught."""


def transfer(
    datas: Sequence[Labelled], specs: Mapping[str, ModelSpec], settings: Judging, work: Work
) -> Transfer:
    """Judge on each table what was learned on the others, beside what was learned on its own.

    A model that can do without accuracies is fitted on the judged table without any, as `fusion.fit` of
    several tables has it: `auto` learns from those of the others that are like it, the rest from none.
    Where some are, it is also judged as fitted on accuracies of the table `beside` them.

    Parameters and errors as for `evaluate`.

    Raises
    ------
    FusionError
        Also when the tables have no indicator in common or hold one in different versions, or two of them
        measure the same networks.
    """
    if not datas:
        raise FusionError("no table; give at least one")
    groups = grouped(datas)
    features = common_indicators(groups)
    same_versions(datas, features)
    for data, group in zip(datas, groups, strict=True):
        try:
            settings.fit(len(selected(data, settings)[0].y))
        except FusionError as error:
            raise FusionError(f"group {group.name}: {error}") from None
    others_of = [[unseen(other, judged) for other in groups if other is not judged] for judged in groups]
    found = {}
    bar = tqdm(
        list(zip(datas, groups, others_of, strict=True)),
        desc="groups", leave=False, delay=2, disable=None if work.progress else True,
    )  # fmt: skip
    for data, group, others in bar:
        bar.set_postfix_str(group.name)
        versions = data.table.meta["indicator_versions"]
        within = {
            name: WithinTable.of(spec, features, others, versions)
            for name, spec in specs.items()
            if not spec.estimator().needs_labels
        }
        taught = {name: of.taught(data.table) for name, of in within.items()}
        beside = {
            BESIDE + name: replace(
                specs[name], params={**specs[name].params, "taught": write_weights(weights)}
            )
            for name, weights in taught.items()
            if weights
        }
        elsewhere = pd.DataFrame(
            {
                PREFIX + name: _scores(within.get(name, spec), data, others, features, settings.seed)
                for name, spec in specs.items()
            }
        )
        judged = evaluate_one(
            data,
            {**specs, **beside},
            settings,
            work,
            elsewhere=elsewhere,
            learned_from={other.name: len(other.accuracy) for other in others},
            chosen_elsewhere=_best_indicator(others, features),
        )
        found[group.name] = replace(judged, notes=(*judged.notes, *_notes(within, data)))
    return Transfer(found, _summary(found, list(specs)))


def _scores(
    how: ModelSpec | WithinTable, data: Labelled, others: Sequence[Group], features: Sequence[str], seed: int
) -> pd.Series[float]:
    """Return the scores of the whole table of `data`, without its accuracies, by key."""
    if isinstance(how, WithinTable):
        alone = how.fit(data.table)
        values = data.table.values([*alone.features])
        return pd.Series(alone.predict(values), values.index)
    fitted = fit_groups(how.make(features), others, features, seed)
    values = data.table.values(features)
    return pd.Series(fitted.predict(within_group(values, values)), values.index)


def _notes(within: Mapping[str, WithinTable], data: Labelled) -> list[str]:
    lines = []
    for name, model in within.items():
        lines.append(f"{PREFIX}{name} is fitted on this table without accuracies: {model.why}")
        lines += [f"{PREFIX}{name}: {line}" for line in model.told(data.table)]
    return lines


def _best_indicator(groups: Sequence[Group], features: Sequence[str]) -> str:
    """Return the indicator with the highest mean SROCC over `groups`; what is undefined counts least."""
    srocc = METRICS["srocc"].function

    def mean(name: str) -> float:
        sign = 1 if name not in INDICATORS or INDICATORS[name].higher_is_better else -1
        total = 0.0
        for group in groups:
            signed = sign * group.table.loc[group.accuracy.index, name]
            found = srocc(group.accuracy.to_numpy(), signed.fillna(signed.min()).to_numpy())
            total += -1.0 if math.isnan(found) else found
        return total / len(groups)

    return max(features, key=mean)


def _summary(found: Mapping[str, Evaluation], models: Sequence[str]) -> tuple[SummaryRow, ...]:
    def cells(
        methods: Mapping[str, str | None], sizes: Mapping[str, int | None] | None = None
    ) -> dict[str, SummaryCell]:
        return {
            name: SummaryCell(
                method, found[name].methods[method].scores["srocc"].mean, (sizes or {}).get(name)
            )
            for name, method in methods.items()
            if method is not None
        }

    chosen = {name: of.chosen_elsewhere for name, of in found.items()}
    hindsight = {name: of.best_indicator for name, of in found.items()}
    sizes = {name: of.protocol.train_size for name, of in found.items()}
    rows = [
        SummaryRow(f"{of}, no accuracy of this group", "transfer", cells(dict.fromkeys(found, PREFIX + of)))
        for of in models
    ]
    rows.append(SummaryRow("best indicator of the other groups", "indicator", cells(chosen)))
    rows.append(SummaryRow("best indicator of this group, with hindsight", "indicator", cells(hindsight)))
    rows += [
        SummaryRow(f"{of}, accuracies of this group", "model", cells(dict.fromkeys(found, of), sizes))
        for of in models
    ]
    for of in models:
        if any(BESIDE + of in found[name].methods for name in found):
            methods = {name: BESIDE + of if BESIDE + of in found[name].methods else of for name in found}
            rows.append(
                SummaryRow(
                    f"{of}, accuracies of this group beside the others", "model", cells(methods, sizes)
                )
            )
    return tuple(rows)
