"""What a pipeline file may say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag

from fusion.benchmarks.source import AccuracySettings
from fusion.errors import FusionError
from fusion.evaluation import DEFAULT_MODELS, Judging
from fusion.extraction.verb import BATCH_SIZE
from fusion.regression.spec import ModelSpec
from fusion.search.results import SearchSettings as SearchNumbers
from fusion.settings import Settings, Text, Texts, Whole, check, override
from fusion.storage.bounded_yaml import read_yaml
from fusion.storage.bundled import bundled, bundled_names, find
from fusion.tables.choosing import Architectures
from fusion.work import Work


@dataclass(frozen=True)
class SearchSettings(SearchNumbers):
    """How the space is searched.

    Attributes
    ----------
    model : str or None
        The predictor, one of the pipeline's `models`, fitted anew in each round; null is a quick `auto`.
    """

    model: Text | None = None

    def numbers(self) -> SearchNumbers:
        """Return all but the model."""
        return SearchNumbers(**{item.name: getattr(self, item.name) for item in fields(SearchNumbers)})


_Each = Annotated[tuple[AccuracySettings, ...], BeforeValidator(tuple)]
# the discriminator keeps messages to what was meant
_OneOrEach = Annotated[
    Annotated[AccuracySettings, Tag("one")] | Annotated[_Each, Tag("each")],
    Discriminator(lambda value: "each" if isinstance(value, list | tuple) else "one"),
]


@dataclass(frozen=True)
class Pipeline(Settings):
    """One run from architectures to report.

    Attributes
    ----------
    title : str
        Of the report.
    space : dict
        `name`, and the settings of the space (`fusion list spaces --json`).
    accuracies : AccuracySettings, or tuple of AccuracySettings
        Measured accuracies; with `tables` a list, one for each.
    target : str
        What the accuracies are, in words, for the report.
    images : str or None
        Images from which indicators are extracted: `digits`, a CIFAR folder, an `.npz`, an image folder.
    table : str or None
        In place of `images`: a table of indicators that was extracted before.
    tables : tuple of str or None
        In place of both: several such tables, between which models are transferred.
    architectures : Architectures
        Which are extracted and judged, of a whole benchmark; a table of accuracies names its own.
    indicators : str
        Preset or comma-separated names; `fusion list indicators` has them.
    costs : str or None
        Table of costs by architecture, against which the report holds the accuracies; without it, those
        indicators of the preset `cost` that there are.
    models : dict of str to ModelSpec
        Fusion models by the names that the report gives them; the first one is saved as the run's model.
    evaluation : Judging
        How predictions are judged.
    search : SearchSettings or None
        How the space is searched; null is not at all.
    batch_size : int
        Images per batch.
    repeats : int
        Initialisations per architecture.
    seed : int
        Of the batch and the initialisations.
    device : str
        `auto`, `cpu`, `cuda` or `cuda:N`.
    workers : int
        Processes; 0 is one per core.
    """

    kind = "pipeline"

    title: Text
    space: dict[Text, Any]
    accuracies: _OneOrEach
    target: Text
    images: Text | None = None
    table: Text | None = None
    tables: Texts | None = None
    architectures: Architectures = field(default_factory=Architectures)
    indicators: Text = "standard"
    costs: Text | None = None
    models: dict[Text, ModelSpec] = field(
        default_factory=lambda: {name: ModelSpec(name) for name in DEFAULT_MODELS}
    )
    evaluation: Judging = field(default_factory=Judging)
    search: SearchSettings | None = None
    batch_size: Whole = BATCH_SIZE
    repeats: Whole = 1
    seed: Whole = 0
    device: Text = Work.device
    workers: Whole = Work.workers

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tables is None:
            if isinstance(self.accuracies, tuple):
                raise FusionError("accuracies: a list of them goes with `tables`; without, name one")
        elif self.costs is not None:
            raise FusionError("costs: they go with one table, not with `tables`")
        elif self.table is not None or self.images is not None:
            raise FusionError("tables: they are in place of `table` and `images`; set these to null")
        elif not isinstance(self.accuracies, tuple) or len(self.accuracies) != len(self.tables):
            raise FusionError(f"accuracies: give a list of {len(self.tables)}, one for each of `tables`")


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
    path = find(source)
    if not path.is_file() and path.name == str(source):
        path = bundled(f"pipelines/{path.stem}.yaml")
    if not path.is_file():
        names = ", ".join(bundled_names("pipelines", ".yaml"))
        raise FusionError(f"pipeline {source}: no such file; bundled: {names}")
    values = read_yaml(path, "pipeline")
    if isinstance(values, dict):
        override(values, settings, "--set")
    return check(Pipeline, values, f"pipeline {path.name}")
