"""Run a pipeline into a folder; what is there already and still fits is not computed again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

import fusion
from fusion.benchmarks.source import AccuracySettings, load_accuracies
from fusion.errors import FusionError
from fusion.evaluation import Evaluation, Transfer, evaluate
from fusion.extraction import extract
from fusion.images import Batch, load_images
from fusion.indicators import select
from fusion.pipeline.config import Pipeline
from fusion.regression import ModelSpec, fit
from fusion.search import PREDICTOR, Comparison, Growing, Indicators, search
from fusion.spaces import Space, make_space
from fusion.storage.bundled import find
from fusion.storage.documents import read_json, write_json
from fusion.storage.files import make_folder
from fusion.tables import IndicatorTable, Labelled, read_costs
from fusion.tables.choosing import choose_architectures, without_dead_edges
from fusion.work import Work


@dataclass(frozen=True)
class Run:
    """What a pipeline left in its folder.

    Attributes
    ----------
    out : Path
    evaluation : Evaluation or Transfer
        The latter of several tables.
    search : Comparison or None
    """

    out: Path
    evaluation: Evaluation | Transfer
    search: Comparison | None

    def lines(self) -> list[str]:
        """Return what to print: a summary of what was found, notes and warnings."""
        lines = [f"Report: {self.out / 'report.html'}", *self.evaluation.lines()]
        if self.search is not None:
            best = ", ".join(f"{name} {of.mean_best:.2f}" for name, of in self.search.methods.items())
            known = f"{self.search.best_of} {self.search.best_known:.2f}"
            lines.append(f"Best accuracy found by search: {best}; {known}")
        return lines


class _Ledger:
    """Remembers from which inputs each step's files were made, in `DIR/run.json`."""

    def __init__(self, out: Path) -> None:
        self.path = out / "run.json"
        try:
            self.steps = read_json(self.path, repair="")
        except (FileNotFoundError, FusionError):
            self.steps = {}

    def has(self, step: str, digest: str, files: Sequence[Path]) -> bool:
        return self.steps.get(step) == digest and all(file.exists() for file in files)

    def note(self, step: str, digest: str) -> None:
        self.steps[step] = digest
        write_json(self.path, self.steps)


def _digest(*parts: Any) -> str:
    sha = hashlib.sha256(fusion.__version__.encode())
    for part in parts:
        if isinstance(part, pd.DataFrame | pd.Series):
            sha.update(pd.util.hash_pandas_object(part).to_numpy().tobytes())
            part = list(part.columns) if isinstance(part, pd.DataFrame) else part.name
        sha.update(json.dumps(part, sort_keys=True, default=str).encode())
    return sha.hexdigest()


def run_pipeline(pipeline: Pipeline, out: Path, *, space: str | None = None) -> Run:
    """Run `pipeline` into the folder `out`.

    Leaves there `indicators/` (where the pipeline names images), `model/` and `models/`,
    `metrics.json`, `predictions.parquet`, `search.json` (where the pipeline searches) and
    `report.html`. The models are fitted on all accuracies; judging keeps its splits.

    Parameters
    ----------
    pipeline : Pipeline
    out : Path
    space : str, optional
        The class of a space that is not registered, as `file.py:Class` or `module:Class`.

    Raises
    ------
    FusionError
        When an input is missing or wrong, or `out` holds indicators of other settings.
    """
    names = select(pipeline.indicators)
    specs = pipeline.models
    for spec in specs.values():
        spec.check(names)  # what is unknown is told before any computation
    make_folder(out)
    if pipeline.tables is not None:
        return _run_transfer(pipeline, out, names, specs, space)
    data, more = _labelled(pipeline, out, names, space)
    ledger = _Ledger(out)
    evaluation = _judged(pipeline, data, specs, ledger, out)
    found = None
    if pipeline.search is not None:
        found = _searched(pipeline, data, specs, ledger, out, more)
    evaluation.report(out / "report.html", title=pipeline.title, search=found)
    return Run(out, evaluation, found)


def _labelled(
    pipeline: Pipeline, out: Path, names: list[str], named: str | None
) -> tuple[Labelled, Indicators | None]:
    """Return the pipeline's data, and what computes the indicators of other architectures."""
    if (pipeline.table is None) == (pipeline.images is None):
        raise FusionError("pipeline: give either images to extract indicators from, or a table of them")
    assert isinstance(pipeline.accuracies, AccuracySettings)
    space = _space(pipeline, named)
    own, chosen = pipeline.accuracies.table is not None, pipeline.architectures
    archs = None if own else choose_architectures(space, chosen)
    # an archive takes minutes to read whole, and only a search asks for architectures of its own
    accuracies = load_accuracies(pipeline.accuracies, space, None if pipeline.search else archs)
    if own and chosen.without_dead_edges:
        archs = without_dead_edges(space, [str(arch) for arch in accuracies.by_arch.index])
    wanted = [str(arch) for arch in accuracies.by_arch.index] if archs is None else archs
    join = partial(Labelled.join, accuracies=accuracies, archs=archs, target=pipeline.target)
    costs = None if pipeline.costs is None else read_costs(find(pipeline.costs), space)
    if pipeline.table is not None:
        table = IndicatorTable.open(find(pipeline.table), space).only(indicators=names)
        if not own:
            table.only(archs)  # says which it lacks
        return join(table, costs=costs), None
    assert pipeline.images is not None
    batch = load_images(pipeline.images).batch(pipeline.batch_size, pipeline.seed)
    make = partial(_extract, pipeline, space, names, batch)
    more = Growing(partial(make, out=out / "searched", progress=False))
    return join(make(wanted, out / "indicators"), costs=costs), more


def _space(pipeline: Pipeline, named: str | None) -> Space:
    settings = dict(pipeline.space)
    if "name" not in settings:
        raise FusionError("pipeline: space needs a key 'name'")
    name = str(settings.pop("name"))
    if ":" in name and named is None:
        raise FusionError(f"pipeline: the space {name} is not part of Fusion; name its class: --space {name}")
    return make_space(named or name, settings)


def _extract(
    pipeline: Pipeline,
    space: Space,
    names: list[str],
    batch: Batch,
    archs: Sequence[str],
    out: Path,
    *,
    progress: bool = True,
) -> IndicatorTable:
    work = Work(pipeline.device, pipeline.workers, progress)
    return extract(
        space, archs, names, images=batch, out=out, repeats=pipeline.repeats, seed=pipeline.seed, work=work
    )


def _judged(
    pipeline: Pipeline, data: Labelled, specs: dict[str, ModelSpec], ledger: _Ledger, out: Path
) -> Evaluation:
    """Return the evaluation, from its files when they still fit; the models are fitted and saved with it."""
    files = [out / name for name in ("metrics.json", "predictions.parquet", "model/model.json")]
    digest = _digest(
        data.X,
        data.y,
        data.pool.table,
        [list(data.notes), data.accuracies.rows],
        data.accuracies.seeds.astype("float64"),
        data.accuracies.spread,
        data.costs,
        {name: asdict(spec) for name, spec in specs.items()},
        asdict(pipeline.evaluation),
        pipeline.target,
    )
    if ledger.has("evaluation", digest, files):
        return Evaluation.read(out)
    evaluation = evaluate(data, specs, settings=pipeline.evaluation, workers=pipeline.workers)
    assert isinstance(evaluation, Evaluation)
    _save_models(data, specs, out)
    evaluation.save(out)
    ledger.note("evaluation", digest)
    return evaluation


def _save_models(data: Labelled | Sequence[Labelled], specs: dict[str, ModelSpec], out: Path) -> None:
    """Fit each model on all accuracies and save it; the first one also as the run's model."""
    for i, (name, spec) in enumerate(specs.items()):
        predictor = fit(data, spec)
        predictor.save(out / "models" / name)
        if i == 0:
            predictor.save(out / "model")


def _searched(
    pipeline: Pipeline,
    data: Labelled,
    specs: dict[str, ModelSpec],
    ledger: _Ledger,
    out: Path,
    more: Indicators | None,
) -> Comparison:
    """Return the comparison of searches, from its file when it still fits."""
    asked, file = pipeline.search, out / "search.json"
    assert asked is not None
    if asked.model not in {None, *specs}:
        raise FusionError(f"search: model {asked.model!r} is not among the pipeline's models")
    spec = PREDICTOR if asked.model is None else specs[asked.model]
    digest = _digest(
        data.accuracies.by_arch,
        data.accuracies.cost,
        data.pool.table,
        asdict(asked),
        asdict(spec),
        data.space.identity,
        more is not None,
    )
    if ledger.has("search", digest, [file]):
        return Comparison.from_json(read_json(file, repair="delete it"))
    found = search(data, spec, asked.numbers(), more=more)
    write_json(file, found.to_json())
    ledger.note("search", digest)
    return found


def _run_transfer(
    pipeline: Pipeline, out: Path, names: list[str], specs: dict[str, ModelSpec], named: str | None
) -> Run:
    """Judge on each of several tables what the others taught, and fit on all."""
    assert pipeline.tables is not None
    assert isinstance(pipeline.accuracies, tuple)
    if pipeline.search is not None:
        raise FusionError("pipeline: several tables go without a search")
    datas = []
    for path, chosen in zip(pipeline.tables, pipeline.accuracies, strict=True):
        table = IndicatorTable.open(find(path), named).only(indicators=names)
        accuracies = load_accuracies(chosen, table.space)
        datas.append(Labelled.join(table, accuracies, target=pipeline.target))
    transfer = evaluate(datas, specs, settings=pipeline.evaluation, workers=pipeline.workers)
    transfer.write(out)
    _save_models(datas, specs, out)
    return Run(out, transfer, None)
