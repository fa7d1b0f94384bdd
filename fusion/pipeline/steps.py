"""The steps of a pipeline, each alone on the files that the one before left."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from fusion.benchmarks.table import read_archs
from fusion.errors import FusionError, InvalidArchitecture
from fusion.evaluation import Evaluation, evaluate, write_report
from fusion.extraction.table import extract, read_table, repeats
from fusion.images import load_images
from fusion.pipeline.config import AccuracySettings, ModelSettings, SearchSettings
from fusion.pipeline.inputs import (
    Measured,
    canonical_at,
    compare_searches,
    directions,
    fit,
    load_accuracies,
    model_makers,
    model_metadata,
)
from fusion.pipeline.values import Extracted
from fusion.regression import WeightedSum, load_model, make_model, save_model
from fusion.regression.groups import SCORE
from fusion.search import Indicators
from fusion.spaces import Space, restore_space
from fusion.storage.files import write_atomic, write_parquet
from fusion.storage.parts import read_meta


@dataclass(frozen=True)
class Joined:
    """An indicator table with the accuracies of some of its architectures.

    Attributes
    ----------
    space : Space
    table : DataFrame
        The whole table, by key.
    measured : Measured
        All accuracies of the file.
    accuracy : Series
        Of the architectures of the file whose key is in the table, by architecture string.
    """

    space: Space
    table: pd.DataFrame
    measured: Measured
    accuracy: pd.Series[float]


def join(indicators: Path, accuracies: Path, column: str) -> Joined:
    """Return an indicator table joined with the accuracies of a file on the canonical architecture.

    Raises
    ------
    FusionError
        When either is missing or broken, or no architecture is in both.
    """
    table = read_table(indicators)
    space = restore_space(read_meta(indicators))
    measured = load_accuracies(AccuracySettings(table=str(accuracies), column=column), space)
    known = [arch for arch in measured.by_arch.index if space.canonical(arch) in table.index]
    if not known:
        raise FusionError(f"no architecture of {accuracies} is in the table {indicators}; extract them first")
    return Joined(space, table, measured, measured.by_arch.loc[known])


def fit_files(indicators: Path, accuracies: Path, column: str, model: str, out: Path) -> list[str]:
    """Fit `model` on all rows of the accuracy file, save it, and return lines to print."""
    joined = join(indicators, accuracies, column)
    fitted = fit(make_model(model), joined.table, joined.accuracy, joined.space)
    metadata = model_metadata(indicators, column, len(joined.accuracy))
    save_model(out, fitted, features=list(joined.table.columns), metadata=metadata)
    lines = [f"{model} fitted on {len(joined.accuracy)} architectures: {out}"]
    if absent := len(joined.measured.by_arch) - len(joined.accuracy):
        lines.append(f"{absent} architectures with an accuracy are not in the table and were left out")
    return [*lines, fitted.equation()] if isinstance(fitted, WeightedSum) else lines


def predict_files(
    model: Path,
    archs: Path,
    out: Path,
    *,
    indicators: Path | None,
    device: str,
    workers: int,
    warn: Callable[[str], None],
) -> int:
    """Write `arch,predicted` for every usable row of `archs`; return the number of rows written.

    Without an indicator table the indicators are extracted with the model's own settings, into
    a folder beside `out`. A model fitted on several tables needs one, of whichever space. Rows that
    cannot be predicted are told to `warn` with their line.

    Raises
    ------
    FusionError
        When the model or the table cannot be read or do not belong together, or no row is usable.
    """
    saved = load_model(model)
    made_from: dict[str, Any] = saved.metadata["indicators"]
    if saved.by_group:
        if indicators is None:
            raise FusionError(f"{model}: was fitted on several tables; give --indicators of the new one")
        warn(f"{model}: predicts the {SCORE}")
        space = restore_space(read_meta(indicators))
    else:
        space = restore_space(made_from)
    rows: list[tuple[int, str, str]] = []
    found, lines = read_archs(archs)
    for arch, line in zip(found, lines, strict=True):
        try:
            rows.append((line, arch, canonical_at(space, arch, f"{archs}, line {line}")))
        except InvalidArchitecture as error:
            warn(str(error))
    if not rows:
        raise FusionError(f"{archs}: no row holds an architecture of {space.name}; nothing to predict")
    if indicators is None:
        table = _extract_again(
            saved.features, saved.metadata, space, [arch for _, arch, _ in rows], out, device, workers
        )
    else:
        _check_same_settings(made_from, read_meta(indicators), indicators, by_group=saved.by_group)
        table = read_table(indicators)
        for line, arch, key in rows:
            if key not in table.index:
                warn(f"{archs}, line {line}: {arch} is not in {indicators}; extract it first")
        rows = [row for row in rows if row[2] in table.index]
        if not rows:
            raise FusionError(f"{indicators}: holds none of the architectures in {archs}; extract them first")
    predicted = saved.predict(table.loc[[key for _, _, key in rows]], pool=table)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arch", "predicted"])
    writer.writerows((arch, repr(float(value))) for (_, arch, _), value in zip(rows, predicted, strict=True))
    write_atomic(out, text.getvalue().encode())
    return len(rows)


def _extract_again(
    features: list[str],
    metadata: dict[str, Any],
    space: Space,
    archs: list[str],
    out: Path,
    device: str,
    workers: int,
) -> pd.DataFrame:
    meta = metadata["indicators"]
    batch = load_images(metadata["images"]).batch(meta["batch_size"], meta["seed"])
    if batch.digest != meta["batch_digest"]:
        raise FusionError(
            f"images {metadata['images']}: not those from which the model's indicators were computed; "
            "give --indicators"
        )
    folder = out.with_name(out.stem + "-indicators")
    return extract(
        space, archs, batch, features, folder,
        images=metadata["images"], repeats=metadata["repeats"], seed=meta["seed"],
        device=device, workers=workers,
    )  # fmt: skip


def _check_same_settings(model: dict[str, Any], table: dict[str, Any], path: Path, *, by_group: bool) -> None:
    """Refuse values that were computed in another way than those that the model learned from.

    A model of several tables is for other spaces and images; only the indicators must be the same.
    """
    names = ("space", "space_settings", "space_code", "batch_digest", "seed", "device")
    differ = [name for name in names if not by_group and model.get(name) != table.get(name)]
    versions = table.get("indicator_versions", {})
    differ += [
        f"version of {name}"
        for name, version in model.get("indicator_versions", {}).items()
        if versions.get(name, version) != version
    ]
    if differ:
        raise FusionError(f"{path}: other settings than the model's table ({', '.join(differ)}); fit again")


def evaluate_files(
    indicators: Path,
    accuracies: Path,
    column: str,
    models: Sequence[str],
    out: Path,
    *,
    train_size: int,
    splits: int,
    seed: int,
) -> dict[str, Any]:
    """Judge models and single indicators; write metrics, predictions and report to `out`."""
    joined = join(indicators, accuracies, column)
    evaluation = judge(joined, column, models, train_size=train_size, splits=splits, seed=seed)
    write_evaluation(out, evaluation, f"{column} on {joined.space.name}")
    return evaluation.metrics


def judge(
    joined: Joined,
    target: str,
    models: Sequence[str],
    *,
    train_size: int,
    splits: int,
    seed: int,
    transfer: pd.DataFrame | None = None,
) -> Evaluation:
    """Return how models and single indicators do on the architectures that have an accuracy.

    `transfer` has scores by key that were learned without these accuracies; see `evaluate`.
    """
    space, accuracy = joined.space, joined.accuracy
    keys = [space.canonical(arch) for arch in accuracy.index]
    archs = pd.Index(accuracy.index, name="arch")
    values = joined.table.loc[keys].set_axis(archs)
    evaluation = evaluate(
        values,
        accuracy,
        pd.Series([space.twins(arch) for arch in accuracy.index], accuracy.index),
        models=model_makers({name: ModelSettings(name) for name in models}, list(values.columns)),
        higher_is_better=directions(list(values.columns)),
        train_size=train_size,
        train_sizes=[train_size],
        splits=splits,
        seed=seed,
        use_pool=True,
        transfer=None if transfer is None else transfer.loc[keys].set_axis(archs),
    )
    evaluation.metrics["protocol"] = {
        "target": target,
        "space": space.name,
        "space_settings": space.settings,
        "networks": len(set(keys)),
        **evaluation.metrics["protocol"],
    }
    return evaluation


def write_evaluation(out: Path, evaluation: Evaluation, title: str) -> None:
    """Write metrics.json, predictions.parquet and report.html to the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    write_parquet(out / "predictions.parquet", evaluation.predictions)
    write_atomic(out / "metrics.json", json.dumps(evaluation.metrics, indent=1, allow_nan=False).encode())
    write_report(
        out / "report.html",
        title=title,
        metrics=evaluation.metrics,
        predictions=evaluation.predictions,
        search=None,
        equations={},
    )


def search_files(
    indicators: Path,
    accuracies: Path,
    column: str,
    settings: SearchSettings,
    out: Path,
    *,
    images: str | None,
    device: str,
    workers: int,
) -> dict[str, Any]:
    """Search the table's space with a predictor and without; write search.json to `out`.

    Accuracies are looked up in the file. Without `images`, what is in the table is searched; with
    them, the indicators of other architectures are computed and added to it.
    """
    joined = join(indicators, accuracies, column)
    names = list(joined.table.columns)
    predictor = model_makers({"search": ModelSettings(settings.model)}, names)["search"]
    among: pd.Index[str] | None = joined.table.index
    values: Indicators = lambda keys: joined.table.loc[list(keys)]  # noqa: E731
    if images is not None:
        meta = read_meta(indicators)
        batch = load_images(images).batch(meta["batch_size"], meta["seed"])
        among = None
        values = partial(
            Extracted(
                indicators,
                joined.space,
                images,
                batch,
                names,
                repeats(indicators),
                meta["seed"],
                device,
                workers,
            ).of,
            progress=False,
        )
    found = compare_searches(joined.space, joined.measured, values, predictor, settings, among)
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "search.json", json.dumps(found, indent=1, allow_nan=False).encode())
    return found
