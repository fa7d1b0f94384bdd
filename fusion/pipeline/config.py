"""What a pipeline file may say, checked key by key."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from fusion.errors import FusionError
from fusion.settings import read_settings
from fusion.storage.bundled import bundled

T = TypeVar("T")


@dataclass(frozen=True)
class Architectures:
    """Which architectures are extracted and evaluated.

    Attributes
    ----------
    sample : int or None
        So many at random; None, with no `file`, is the whole space.
    file : str or None
        CSV or Parquet with a column `arch`, or text with one architecture a line.
    seed : int
        Of the sample.
    distinct : bool
        Sample among different networks (keys) instead of among architecture strings.
    without_dead_edges : bool
        Leave out those with an operation on no path from input to output, after sampling.
    """

    sample: int | None = None
    file: str | None = None
    seed: int = 0
    distinct: bool = False
    without_dead_edges: bool = False


@dataclass(frozen=True)
class Accuracies:
    """Where measured accuracies come from: a table with a column, or the files of a benchmark.

    Attributes
    ----------
    table : str or None
        Parquet or CSV with the columns `arch_column` and `column`.
    column, arch_column : str
    archive : str or None
        The file or folder that `benchmark` publishes.
    benchmark : str
        Of the archive; `fusion list benchmarks --json` has the names, and what the next three can be.
    dataset, split, epochs : str or None
        Of the archive; for the default, `cifar10`, `cifar100` or `ImageNet16-120`; `test` or `val`;
        `200` or `12`. None where the benchmark has only one, or one that goes without saying.
    """

    table: str | None = None
    column: str = "accuracy"
    arch_column: str = "arch"
    archive: str | None = None
    benchmark: str = "nats-tss"
    dataset: str | None = None
    split: str | None = None
    epochs: str | None = None


@dataclass(frozen=True)
class ModelSettings:
    """A fusion model and what it sees.

    Attributes
    ----------
    model : str
        Name of the model.
    indicators : str or None
        Preset or comma-separated names; None is all that are extracted.
    params : dict
        Settings of the model.
    """

    model: str
    indicators: str | None = None
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluationSettings:
    """How predictions are judged; see `fusion.evaluation.evaluate`."""

    train_size: int = 100
    train_sizes: tuple[int, ...] = (25, 50, 100, 200)
    splits: int = 10
    bootstrap: int = 200
    seed: int = 0


@dataclass(frozen=True)
class SearchSettings:
    """How the space is searched; see `fusion.search.compare`.

    Attributes
    ----------
    model : str
        The predictor, one of the pipeline's `models`, fitted anew in each round on what was measured.
    budget : int
        Measured architectures per search.
    initial, rounds, candidates : int
        Random architectures measured first; rounds of fitting and measuring; architectures whose
        accuracy is predicted in each round.
    repeats : int
        Searches of each kind.
    """

    model: str = "weighted_sum"
    budget: int = 50
    initial: int = 20
    rounds: int = 3
    candidates: int = 100
    repeats: int = 5
    seed: int = 0


@dataclass(frozen=True)
class Pipeline:
    """One run from architectures to report.

    Attributes
    ----------
    title : str
        Of the report.
    space : dict
        `name`, and the settings of the space.
    images, table : str
        Either the images to extract indicators from, as in `fusion.images.load_images`, or a table
        of indicators that was extracted before.
    accuracies : Accuracies
    target : str
        What the accuracies are, in words, for the report's protocol.
    indicators : str
        Preset or comma-separated names.
    models : dict of str to ModelSettings
        Fusion models by the names that the report gives them; the first one is saved as the run's
        model.
    batch_size, repeats, seed : int
        Images per batch, initialisations per architecture, seed of both.
    device : str
        `auto`, `cpu`, `cuda` or `cuda:N`.
    workers : int
        Processes; 0 is one per core.
    """

    title: str
    space: dict[str, Any]
    accuracies: Accuracies
    target: str
    images: str | None = None
    table: str | None = None
    architectures: Architectures = field(default_factory=Architectures)
    indicators: str = "standard"
    models: dict[str, ModelSettings] = field(
        default_factory=lambda: {
            "weighted_sum": ModelSettings("weighted_sum"),
            "lightgbm": ModelSettings("lightgbm"),
        }
    )
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    search: SearchSettings | None = None
    batch_size: int = 64
    repeats: int = 1
    seed: int = 0
    device: str = "auto"
    workers: int = 0


def _convert(annotation: Any, value: Any, where: str) -> Any:
    """Return `value` as the annotated type; raises FusionError naming the key."""
    origin, choices = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is types.UnionType:
        if value is None and type(None) in choices:
            return None
        (annotation,) = (choice for choice in choices if choice is not type(None))
        return _convert(annotation, value, where)
    if is_dataclass(annotation):
        return _from_dict(annotation, value, where)  # type: ignore[arg-type]
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_convert(choices[0], item, where) for item in value)
    if origin is dict and isinstance(value, dict):
        if choices[1] is Any:
            return value
        return {str(key): _convert(choices[1], item, f"{where}: {key}") for key, item in value.items()}
    if (
        isinstance(annotation, type)
        and isinstance(value, annotation)
        and not (annotation is int and isinstance(value, bool))
    ):
        return value
    if annotation is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    wanted = {str: "text", int: "a whole number", bool: "true or false"}.get(annotation, "a list or mapping")
    raise FusionError(f"{where}: expected {wanted}, got {value!r}")


def _from_dict(cls: type[T], values: Any, where: str) -> T:
    if not isinstance(values, dict):
        raise FusionError(f"{where}: expected a mapping of keys, got {values!r}")
    known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise FusionError(f"{where}: key {key!r} does not exist; {hint}")
    for name, item in known.items():
        if name not in values and item.default is MISSING and item.default_factory is MISSING:
            raise FusionError(f"{where}: key {name!r} is missing")
    hints = typing.get_type_hints(cls)
    return cls(**{key: _convert(hints[key], value, f"{where}: {key}") for key, value in values.items()})


def _override(values: dict[str, Any], settings: Sequence[str]) -> None:
    for name, value in read_settings(settings, "--set").items():
        *path, last = name.split(".")
        place = values
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise FusionError(f"--set {name}: {part!r} has no keys of its own")
        place[last] = value


def load_pipeline(source: str | Path, settings: Sequence[str] = ()) -> Pipeline:
    """Return the pipeline in a YAML file, with `key=value` or `part.key=value` settings over it.

    Parameters
    ----------
    source : path or str
        A file, or the name of a bundled pipeline such as `digits`.

    Raises
    ------
    FusionError
        When there is no such file, it is no YAML, or a key is unknown, missing or of another type.
    """
    path = Path(source)
    if not path.is_file():
        path = bundled(f"pipelines/{path.stem}.yaml")
        if not path.is_file():
            names = ", ".join(sorted(entry.stem for entry in path.parent.glob("*.yaml")))
            raise FusionError(f"pipeline {source}: no such file; bundled: {names}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FusionError(f"pipeline {path}: not readable as YAML ({' '.join(str(error).split())})") from None
    if isinstance(values, dict):
        _override(values, settings)
    return _from_dict(Pipeline, values, f"pipeline {path.name}")
