"""What a run starts from: architectures, accuracies, models, by name or by file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.benchmarks import BENCHMARKS
from fusion.benchmarks.table import read_accuracies, read_archs, to_keys
from fusion.errors import FusionError, InvalidArchitecture
from fusion.extraction.table import repeats
from fusion.indicators.base import INDICATORS, select
from fusion.pipeline.config import AccuracySettings, Architectures, ModelSettings, SearchSettings
from fusion.regression import FusionModel, OnIndicators, make_model
from fusion.search import Indicators, compare
from fusion.spaces.base import Space
from fusion.spaces.subset import Subset
from fusion.storage.bundled import find
from fusion.storage.parts import read_meta


def canonical_at(space: Space, arch: str, where: str) -> str:
    """Return the key of `arch`; an InvalidArchitecture says where it was found."""
    try:
        return space.canonical(arch)
    except InvalidArchitecture as error:
        raise InvalidArchitecture(f"{where}: {error}") from None


def read_checked_archs(path: Path, space: Space) -> list[str]:
    """Return the architectures in a file, each once; raises InvalidArchitecture with the line number."""
    archs, lines = read_archs(path)
    for arch, line in zip(archs, lines, strict=True):
        canonical_at(space, arch, f"{path}, line {line}")
    return list(dict.fromkeys(archs))


def choose_architectures(space: Space, chosen: Architectures) -> list[str]:
    """Return the architectures that a pipeline names.

    Raises
    ------
    FusionError
        For a missing file, an unknown architecture, or a sample larger than the space.
    """
    if chosen.file is not None:
        archs = read_checked_archs(find(chosen.file), space)
    elif chosen.distinct:
        archs = _distinct(space, chosen)
    else:
        archs = list(space.enumerate()) if chosen.sample is None else space.sample(chosen.sample, chosen.seed)
    return [arch for arch in archs if not (chosen.without_dead_edges and space.has_dead_edge(arch))]


def _distinct(space: Space, chosen: Architectures) -> list[str]:
    keys = list(dict.fromkeys(space.canonical(arch) for arch in space.enumerate()))
    if chosen.sample is None:
        return keys
    if chosen.sample > len(keys):
        raise FusionError(
            f"space {space.name} has {len(keys)} different networks, {chosen.sample} were asked"
        )
    order = np.random.default_rng(chosen.seed).permutation(len(keys))
    return [keys[i] for i in order[: chosen.sample]]


@dataclass(frozen=True)
class Measured:
    """Measured accuracies by architecture string and by key.

    Attributes
    ----------
    by_arch, by_key : Series
        As given; and the mean over strings that build the same network.
    """

    by_arch: pd.Series[float]
    by_key: pd.Series[float]

    def of(self, archs: Sequence[str], space: Space) -> pd.Series[float]:
        """Return the accuracies of those of `archs` that have one: their own, else their key's."""
        own = self.by_arch.reindex(pd.Index(archs))
        key = pd.Series(self.by_key.reindex([space.canonical(arch) for arch in archs]).to_numpy(), own.index)
        return own.fillna(key).dropna().astype(float)


def load_accuracies(chosen: AccuracySettings, space: Space, archs: Sequence[str] | None = None) -> Measured:
    """Return the accuracies that a pipeline names.

    Parameters
    ----------
    chosen : AccuracySettings
    space : Space
    archs : sequence of str or None
        For an archive, which architectures are needed; None is all.

    Raises
    ------
    FusionError
        When neither or both of table and archive are named, or the one named is missing or broken.
    """
    if (chosen.table is None) == (chosen.archive is None):
        raise FusionError("accuracies: name either a table or an archive (set the other to null)")
    if chosen.table is not None:
        by_arch = read_accuracies(find(chosen.table), chosen.column, chosen.arch_column)
    else:
        assert chosen.archive is not None
        benchmark = BENCHMARKS[chosen.benchmark](find(chosen.archive))
        if chosen.epochs is not None and not chosen.epochs.isdecimal():
            raise FusionError(f"accuracies: epochs is {chosen.epochs!r}, expected a whole number")
        epochs = None if chosen.epochs is None else int(chosen.epochs)
        found = benchmark.accuracies(chosen.dataset, chosen.split, epochs, archs=archs)
        by_arch = found["accuracy"]
    return Measured(by_arch, to_keys(by_arch, space))


def model_features(settings: ModelSettings, indicators: Sequence[str]) -> list[str]:
    """Return the indicators that a model sees; raises FusionError for one that is not extracted."""
    features = list(indicators) if settings.indicators is None else select(settings.indicators)
    if missing := [name for name in features if name not in indicators]:
        raise FusionError(f"model {settings.model!r} needs {', '.join(missing)}, which is not extracted")
    return features


def model_makers(
    models: Mapping[str, ModelSettings], indicators: Sequence[str]
) -> dict[str, Callable[[], OnIndicators]]:
    """Return name -> function that makes the unfitted model; raises FusionError for unknown ones."""

    def maker(settings: ModelSettings) -> Callable[[], OnIndicators]:
        features = model_features(settings, indicators)
        make_model(settings.model, **settings.params)  # unknown names are told before any computation
        return lambda: OnIndicators(make_model(settings.model, **settings.params), features)

    return {name: maker(settings) for name, settings in models.items()}


def fit(model: FusionModel, table: pd.DataFrame, accuracy: pd.Series[float], space: Space) -> FusionModel:
    """Return `model` fitted on the architectures of `accuracy`, with the whole table as its pool."""
    training = table.loc[[space.canonical(arch) for arch in accuracy.index]]
    return model.fit(training, accuracy.to_numpy(), pool=table if model.uses_pool else None)


def model_metadata(table: Path, target: str, trained_on: int) -> dict[str, Any]:
    """Return what a saved model says about itself: the target, and how its indicators are made."""
    meta = read_meta(table)
    images = meta.pop("provenance").get("images", "")
    return {
        "target": target,
        "trained_on": trained_on,
        "indicators": meta,
        "images": images,
        "repeats": repeats(table),
    }


def compare_searches(
    space: Space,
    measured: Measured,
    indicators: Indicators,
    make_predictor: Callable[[], OnIndicators],
    settings: SearchSettings,
    among: Collection[str] | None = None,
) -> dict[str, Any]:
    """Return `fusion.search.compare` with accuracies looked up; the optimum is the best of them.

    Where not every network of the space has an accuracy, those that have one are searched; and of these
    only the keys in `among`, where that is given.
    """
    by_key = measured.by_key if among is None else measured.by_key[measured.by_key.index.isin(list(among))]
    whole = space.enumerable and all(space.canonical(arch) in by_key.index for arch in space.enumerate())
    if not whole and len(by_key) < settings.budget:
        raise FusionError(
            f"search: {len(by_key)} networks have an accuracy and indicators; the budget, "
            f"{settings.budget}, must not be more"
        )
    found = compare(
        space if whole else Subset(space, by_key.index),
        measured.by_key.__getitem__,
        indicators,
        make_predictor,
        budget=settings.budget,
        initial=settings.initial,
        rounds=settings.rounds,
        candidates=settings.candidates,
        repeats=settings.repeats,
        seed=settings.seed,
        optimum=float(by_key.max()),
    )
    found["protocol"] |= {"space": space.name, "networks": "all" if whole else len(by_key)}
    return found


def directions(indicators: Sequence[str]) -> dict[str, bool]:
    """Return indicator -> whether higher is better."""
    return {name: INDICATORS[name].higher_is_better for name in indicators}
