"""Several tables at once: one model fitted on all, and each judged by the models of the others."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from fusion.errors import FusionError
from fusion.evaluation import METRICS, write_transfer_report
from fusion.evaluation.splits import MIN_TEST
from fusion.pipeline.inputs import directions, model_metadata
from fusion.pipeline.steps import Joined, join, judge, write_evaluation
from fusion.regression import make_model, save_model
from fusion.regression.groups import SCORE, Group, common_indicators, fit_groups, within_group
from fusion.storage.files import write_atomic
from fusion.storage.parts import read_meta

# Ranks among fewer networks say nothing.
_FEWEST = 10


@dataclass(frozen=True)
class _Source:
    """A table, its accuracies, and the group that they make."""

    path: Path
    target: str
    joined: Joined
    group: Group


def _read(indicators: Sequence[Path], accuracies: Sequence[Path], targets: Sequence[str]) -> list[_Source]:
    if len(accuracies) != len(indicators) or len(targets) not in (1, len(indicators)):
        raise FusionError(
            f"{len(indicators)} tables, {len(accuracies)} files of accuracies and {len(targets)} targets; "
            "give one of each per table (a single target serves all)"
        )
    targets = [*targets] * (len(indicators) // len(targets))
    joined = [join(*of) for of in zip(indicators, accuracies, targets, strict=True)]
    names = _names([of.space.name for of in joined], targets, indicators)
    sources = []
    for path, target, of, name in zip(indicators, targets, joined, names, strict=True):
        by_key = of.measured.by_key
        group = Group(name, of.table, by_key[by_key.index.isin(of.table.index)])
        if len(group.accuracy) < _FEWEST:
            raise FusionError(
                f"group {name}: {len(group.accuracy)} networks have indicators and an accuracy; ranks need "
                f"at least {_FEWEST}"
            )
        sources.append(_Source(path, target, of, group))
    return sources


def _names(spaces: Sequence[str], targets: Sequence[str], tables: Sequence[Path]) -> list[str]:
    """Return what tells the groups apart: their spaces, with their targets, their tables, or both."""
    both = [f"{target} {table}" for target, table in zip(targets, tables, strict=True)]
    for with_what in ([""] * len(spaces), targets, map(str, tables), both):
        names = [
            re.sub(r"[^\w.]+", "-", f"{space} {what}").strip("-.")
            for space, what in zip(spaces, with_what, strict=True)
        ]
        if len(set(names)) == len(names):
            return names
    raise FusionError("a table is named twice with the same target; name each once")


def _versions(sources: Sequence[_Source], features: Sequence[str]) -> dict[str, int]:
    """Return the versions of `features`; raises FusionError when the tables hold different ones."""
    found: dict[str, int] = {}
    for source in sources:
        held = read_meta(source.path)["indicator_versions"]
        for name in features:
            if found.setdefault(name, held[name]) != held[name]:
                raise FusionError(f"the tables hold {name} of different versions; extract it again")
    return found


def _unseen(other: _Source, judged: _Source) -> Group:
    """Return the group of `other` without the networks, and their twins, that `judged` measures too."""
    space = judged.joined.space
    if type(other.joined.space) is not type(space):
        return other.group
    seen = {space.twins(key) for key in judged.group.accuracy.index}
    accuracy = other.group.accuracy
    kept = accuracy[[space.twins(key) not in seen for key in accuracy.index]]
    if len(kept) < _FEWEST:
        raise FusionError(
            f"groups {other.group.name} and {judged.group.name} measure the same networks of one space, "
            f"and {len(kept)} others are left to learn from; give accuracies of different networks"
        )
    return replace(other.group, accuracy=kept)


def fit_group_files(
    indicators: Sequence[Path], accuracies: Sequence[Path], targets: Sequence[str], model: str, out: Path
) -> list[str]:
    """Fit `model` on several tables at once, save it, and return lines to print."""
    sources = _read(indicators, accuracies, targets)
    groups = [source.group for source in sources]
    features = common_indicators(groups)
    versions = _versions(sources, features)
    fitted = fit_groups(make_model(model), groups, features)
    parts = [
        {"group": of.group.name, **model_metadata(of.path, of.target, len(of.group.accuracy))}
        for of in sources
    ]
    metadata = {"target": SCORE, "indicators": {"indicator_versions": versions}, "groups": parts}
    save_model(out, fitted, features=features, metadata=metadata, by_group=True)
    measured = ", ".join(f"{len(group.accuracy)} of {group.name}" for group in groups)
    size = min(len(group.accuracy) for group in groups)
    absent = {of.group.name: len(of.joined.measured.by_arch) - len(of.joined.accuracy) for of in sources}
    return [
        f"{model} fitted on {size} networks of each group (measured: {measured}): {out}",
        *(
            f"{number} architectures of {name} with an accuracy are not in its table and were left out"
            for name, number in absent.items()
            if number
        ),
        f"it predicts the {SCORE}",
    ]


def evaluate_group_files(
    indicators: Sequence[Path],
    accuracies: Sequence[Path],
    targets: Sequence[str],
    models: Sequence[str],
    out: Path,
    *,
    train_size: int,
    splits: int,
    seed: int,
    warn: Callable[[str], None],
) -> dict[str, Any]:
    """Judge on each group what was learned on the others; write reports to `out`, and return the metrics.

    `out` gets metrics.json and report.html over all groups, and one folder per group with its own
    evaluation, in which models trained on `train_size` of its architectures stand beside those that
    were trained on the other groups alone.
    """
    sources = _read(indicators, accuracies, targets)
    features = common_indicators([source.group for source in sources])
    _versions(sources, features)
    for source in sources:
        if (known := len(source.joined.accuracy)) < train_size + MIN_TEST:
            raise FusionError(
                f"group {source.group.name}: {known} architectures; training on {train_size} of them needs "
                f"at least {train_size + MIN_TEST}"
            )
    others_of = [[_unseen(other, source) for other in sources if other is not source] for source in sources]
    signs = {name: 1 if higher else -1 for name, higher in directions(features).items()}
    found: dict[str, Any] = {}
    for source, others in zip(sources, others_of, strict=True):
        group = source.group
        warn(f"{group.name}: learning from {', '.join(other.name for other in others)}")
        scores = within_group(group.table[features], group.table[features])
        transfer = pd.DataFrame(
            {
                f"transfer_{name}": fit_groups(make_model(name), others, features, seed).predict(scores)
                for name in models
            },
            index=group.table.index,
        )
        evaluation = judge(
            source.joined, source.target, models,
            train_size=train_size, splits=splits, seed=seed, transfer=transfer,
        )  # fmt: skip
        protocol = evaluation.metrics["protocol"]
        protocol["learned_elsewhere_from"] = ", ".join(
            f"{other.name} ({len(other.accuracy)} networks)" for other in others
        )
        evaluation.metrics["indicator_chosen_elsewhere"] = _best_indicator(others, features, signs)
        write_evaluation(out / group.name, evaluation, f"{source.target} on {group.name}")
        found[group.name] = evaluation.metrics
    metrics = {"groups": found}
    write_atomic(out / "metrics.json", json.dumps(metrics, indent=1, allow_nan=False).encode())
    write_transfer_report(out / "report.html", found)
    return metrics


def _best_indicator(groups: Sequence[Group], features: Sequence[str], signs: dict[str, int]) -> str:
    """Return the indicator with the highest mean SROCC over `groups`; what is undefined counts least."""
    srocc = METRICS["srocc"].function

    def mean(name: str) -> float:
        total = 0.0
        for group in groups:
            signed = signs[name] * group.table.loc[group.accuracy.index, name]
            found = srocc(group.accuracy.to_numpy(), signed.fillna(signed.min()).to_numpy())
            total += -1.0 if math.isnan(found) else found
        return total / len(groups)

    return max(features, key=mean)
