"""What a pipeline file may say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag

from fusion.errors import FusionError
from fusion.extraction.verb import BATCH_SIZE
from fusion.search.results import SearchSettings as SearchNumbers
from fusion.settings import Flag, Settings, Text, Texts, Whole, Wholes, check, override
from fusion.storage.bounded_yaml import read_yaml
from fusion.storage.bundled import bundled, bundled_names, find
from fusion.work import Work


@dataclass(frozen=True)
class Architectures(Settings):
    """Which architectures are extracted and evaluated.

    Attributes
    ----------
    sample : int or None
        So many at random; with neither this nor `file`, the whole space.
    file : str or None
        A table with a column of architectures, or text with one architecture a line.
    seed : int
        Of the sample.
    distinct : bool
        Sample among different networks instead of among architecture strings.
    without_dead_edges : bool
        Leave out those with an operation on no path from input to output, after sampling.
    """

    kind = "architectures"

    sample: Whole | None = None
    file: Text | None = None
    seed: Whole = 0
    distinct: Flag = False
    without_dead_edges: Flag = False


@dataclass(frozen=True)
class AccuracySettings(Settings):
    """Where measured accuracies come from: a table with a column, or the files of a benchmark.

    Attributes
    ----------
    table : str or None
        A file with a column of architectures and columns of accuracies.
    column : str
        Of the accuracies in `table`.
    arch_column : str or None
        Of the architectures in `table`; null finds it.
    lower_is_better : bool
        Whether `column` holds an error or a loss.
    archive : str or None
        In place of `table`: the file or folder that `benchmark` publishes.
    benchmark : str
        Of the archive; `fusion list benchmarks --json` has the names, and what the next three can be.
    dataset : str or None
        Of the archive; null where the benchmark has only one, as in the next two.
    split : str or None
        Of the archive.
    epochs : str or None
        Of the archive; null also where a number of epochs goes without saying.
    """

    kind = "accuracies"

    table: Text | None = None
    column: Text = "accuracy"
    arch_column: Text | None = None
    lower_is_better: Flag = False
    archive: Text | None = None
    benchmark: Text = "nats-tss"
    dataset: Text | None = None
    split: Text | None = None
    epochs: Text | None = None


@dataclass(frozen=True)
class ModelSettings(Settings):
    """A fusion model and what it sees.

    Attributes
    ----------
    model : str
        Which model; `fusion list models` has the names.
    indicators : str or None
        Preset or comma-separated names; null is all that are extracted.
    params : dict
        Settings of the model, by name.
    """

    kind = "model"

    model: Text
    indicators: Text | None = None
    params: dict[Text, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluationSettings(Settings):
    """How predictions are judged.

    Attributes
    ----------
    train_size : int or None
        Architectures that models are trained on; null fits it to how many there are.
    train_sizes : tuple of int or None
        Of the learning curve; null fits them.
    splits : int
        Random splits into training and test architectures.
    bootstrap : int
        Bootstrap replicates of the intervals.
    seed : int
        Of splits and replicates.
    """

    kind = "evaluation"

    train_size: Whole | None = None
    train_sizes: Wholes | None = None
    splits: Whole = 10
    bootstrap: Whole = 200
    seed: Whole = 0


@dataclass(frozen=True)
class SearchSettings(SearchNumbers):
    """How the space is searched.

    Attributes
    ----------
    model : str
        The predictor, one of the pipeline's `models`, fitted anew in each round on what was measured.
    """

    model: Text = "weighted_sum"


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
    models : dict of str to ModelSettings
        Fusion models by the names that the report gives them; the first one is saved as the run's model.
    evaluation : EvaluationSettings
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
    architectures: Architectures = Architectures()
    indicators: Text = "standard"
    models: dict[Text, ModelSettings] = field(
        default_factory=lambda: {name: ModelSettings(name) for name in ("weighted_sum", "lightgbm")}
    )
    evaluation: EvaluationSettings = EvaluationSettings()
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
