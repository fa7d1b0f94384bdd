"""Run a pipeline into a folder; what is there already and still fits is not computed again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import fusion
from fusion.errors import FusionError
from fusion.evaluation import evaluate, write_report
from fusion.indicators import select
from fusion.pipeline.config import Pipeline, SearchSettings
from fusion.pipeline.inputs import (
    Measured,
    choose_architectures,
    compare_searches,
    directions,
    fit,
    load_accuracies,
    model_features,
    model_makers,
    model_metadata,
)
from fusion.pipeline.values import Values, make_values
from fusion.regression import WeightedSum, make_model, save_model
from fusion.spaces import Space, make_space
from fusion.storage.files import read_parquet, write_atomic, write_parquet

# A model is judged on what it was not trained on; so many architectures at least.
_FEWEST = 20


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False).encode()


def _digest(*parts: Any) -> str:
    sha = hashlib.sha256(fusion.__version__.encode())
    for part in parts:
        if isinstance(part, pd.DataFrame | pd.Series):
            sha.update(pd.util.hash_pandas_object(part).to_numpy().tobytes())
            part = list(part.columns) if isinstance(part, pd.DataFrame) else part.name
        sha.update(json.dumps(part, sort_keys=True, default=str).encode())
    return sha.hexdigest()


class _Ledger:
    """Remembers from which inputs each step's files were made, in `DIR/run.json`."""

    def __init__(self, out: Path) -> None:
        self.path = out / "run.json"
        try:
            self.steps: dict[str, str] = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            self.steps = {}

    def has(self, step: str, digest: str, files: Sequence[Path]) -> bool:
        return self.steps.get(step) == digest and all(file.exists() for file in files)

    def note(self, step: str, digest: str) -> None:
        self.steps[step] = digest
        write_atomic(self.path, _json(self.steps))


@dataclass(frozen=True)
class _Context:
    """What all steps share."""

    pipeline: Pipeline
    out: Path
    space: Space
    indicators: list[str]
    values: Values
    ledger: _Ledger


def _prepare(pipeline: Pipeline, out: Path) -> _Context:
    settings = dict(pipeline.space)
    if "name" not in settings:
        raise FusionError("pipeline: space needs a key 'name'")
    space = make_space(settings.pop("name"), settings)
    indicators = select(pipeline.indicators)
    model_makers(pipeline.models, indicators)
    values = make_values(pipeline, space, indicators, out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FusionError(f"{out}: cannot be made ({error.strerror})") from None
    return _Context(pipeline, out, space, indicators, values, _Ledger(out))


def _with_twins(values: pd.DataFrame, archs: Sequence[str], space: Space) -> pd.DataFrame:
    """Return the rows of `values` (by key) for architecture strings."""
    return values.loc[[space.canonical(arch) for arch in archs]].set_axis(pd.Index(archs, name="arch"))


def _fit_models(context: _Context, table: pd.DataFrame, accuracy: pd.Series[float]) -> dict[str, str]:
    """Fit every model on `train_size` architectures and save it; return the equations."""
    pipeline = context.pipeline
    train = accuracy.sample(pipeline.evaluation.train_size, random_state=pipeline.seed)
    equations = {}
    for i, (name, settings) in enumerate(pipeline.models.items()):
        features = model_features(settings, context.indicators)
        model = fit(make_model(settings.model, **settings.params), table[features], train, context.space)
        metadata = model_metadata(context.values.path, pipeline.target, len(train))
        save_model(context.out / "models" / name, model, features=features, metadata=metadata)
        if i == 0:
            save_model(context.out / "model", model, features=features, metadata=metadata)
        if isinstance(model, WeightedSum):
            equations[name] = model.equation()
    return equations


def _judge(
    context: _Context, table: pd.DataFrame, values: pd.DataFrame, accuracy: pd.Series[float]
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return metrics and out-of-sample predictions, from their files when they still fit.

    The models that are saved are fitted here too.
    """
    pipeline, space, asked = context.pipeline, context.space, context.pipeline.evaluation
    files = [context.out / name for name in ("metrics.json", "predictions.parquet", "model/model.json")]
    models = {name: asdict(settings) for name, settings in pipeline.models.items()}
    digest = _digest(table, values, accuracy, asdict(asked), models, pipeline.target, pipeline.seed)
    if context.ledger.has("evaluation", digest, files):
        return json.loads(files[0].read_text()), read_parquet(files[1])
    groups = pd.Series([space.twins(arch) for arch in values.index], values.index)
    evaluation = evaluate(
        values,
        accuracy,
        groups,
        models=model_makers(pipeline.models, context.indicators),
        higher_is_better=directions(context.indicators),
        train_size=asked.train_size,
        train_sizes=[size for size in asked.train_sizes if size + _FEWEST <= len(values)],
        splits=asked.splits,
        bootstrap=asked.bootstrap,
        seed=asked.seed,
        use_pool=True,
    )
    metrics = evaluation.metrics
    metrics["protocol"] = {
        "target": pipeline.target,
        "space": space.name,
        "space_settings": space.settings,
        **context.values.about,
        "without_dead_edges": pipeline.architectures.without_dead_edges,
        "networks": len({space.canonical(arch) for arch in values.index}),
        **metrics["protocol"],
    }
    metrics["equations"] = _fit_models(context, table, accuracy)
    write_parquet(files[1], evaluation.predictions)
    write_atomic(files[0], _json(metrics))
    context.ledger.note("evaluation", digest)
    return metrics, evaluation.predictions


def _search(context: _Context, settings: SearchSettings, measured: Measured) -> dict[str, Any]:
    """Return the comparison of searches, from its file when it still fits."""
    file = context.out / "search.json"
    if settings.model not in context.pipeline.models:
        raise FusionError(f"search: model {settings.model!r} is not among the pipeline's models")
    chosen = context.pipeline.models[settings.model]
    keys = context.values.keys
    digest = _digest(
        measured.by_key,
        asdict(settings),
        asdict(chosen),
        context.space.identity,
        context.values.digest,
        context.indicators,
        None if keys is None else context.values.of(list(keys)),
    )
    if context.ledger.has("search", digest, [file]):
        found: dict[str, Any] = json.loads(file.read_text())
        return found
    found = compare_searches(
        context.space,
        measured,
        lambda keys: context.values.of(keys, progress=False),
        model_makers({"search": chosen}, context.indicators)["search"],
        settings,
        keys,
    )
    write_atomic(file, _json(found))
    context.ledger.note("search", digest)
    return found


def run_pipeline(pipeline: Pipeline, out: Path) -> list[str]:
    """Run `pipeline` into the folder `out` and return a four-line summary.

    Leaves there `indicators/` (unless the pipeline names a table), `model/` and `models/`,
    `metrics.json`, `predictions.parquet`, `search.json` (where the pipeline searches) and
    `report.html`.

    Raises
    ------
    FusionError
        When an input is missing or wrong, or `out` holds indicators of other settings.
    """
    context = _prepare(pipeline, out)
    archs = choose_architectures(context.space, pipeline.architectures)
    # an archive takes minutes to read whole, and only a search asks for architectures of its own
    measured = load_accuracies(pipeline.accuracies, context.space, None if pipeline.search else archs)
    accuracy = measured.of(archs, context.space)
    if len(accuracy) < pipeline.evaluation.train_size + _FEWEST:
        raise FusionError(
            f"{len(accuracy)} of {len(archs)} architectures have an accuracy; training on "
            f"{pipeline.evaluation.train_size} needs at least {pipeline.evaluation.train_size + _FEWEST}"
        )
    table = context.values.of(archs)
    values = _with_twins(table, list(accuracy.index), context.space)
    metrics, predictions = _judge(context, table, values, accuracy)
    search = _search(context, pipeline.search, measured) if pipeline.search else None
    if metrics.get("search") != search:
        metrics["search"] = search
        write_atomic(out / "metrics.json", _json(metrics))
    write_report(
        out / "report.html",
        title=pipeline.title,
        metrics=metrics,
        predictions=predictions,
        search=search,
        equations=metrics["equations"],
    )
    return _summary(pipeline, metrics, search)


def _summary(pipeline: Pipeline, metrics: dict[str, Any], search: dict[str, Any] | None) -> list[str]:
    def srocc(name: str | None) -> str:
        found = {"mean": None, "low": None} if name is None else metrics["methods"][name]["srocc"]
        mean = "undefined" if found["mean"] is None else f"{found['mean']:.3f}"
        spread = "" if found["low"] is None else f" [{found['low']:.3f}, {found['high']:.3f}]"
        return f"{name or '-'} {mean}{spread}"

    protocol = metrics["protocol"]
    if search:
        best = ", ".join(f"{name} {found['mean_best']:.2f}" for name, found in search["methods"].items())
        found = f"{best}; optimum {search['optimum']:.2f}"
    else:
        found = "not part of this pipeline"
    return [
        f"{pipeline.title}: {protocol['architectures']} architectures ({protocol['networks']} different "
        f"networks), {len(protocol['indicators'])} indicators, trained on {protocol['train_size']}, "
        f"{protocol['splits']} splits",
        "SROCC of fusion models: " + ", ".join(srocc(name) for name in pipeline.models),
        "SROCC of the best single indicator: " + srocc(metrics["best_indicator"]),
        f"Best accuracy found by search: {found}",
    ]
