"""Where measured accuracies come from: a plain table, or the files of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusion.benchmarks import BENCHMARKS
from fusion.errors import FusionError
from fusion.settings import Flag, Settings, Text
from fusion.spaces import Space
from fusion.storage.bundled import find
from fusion.tables import Accuracies, read_accuracies


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


def load_accuracies(chosen: AccuracySettings, space: Space, archs: Sequence[str] | None = None) -> Accuracies:
    """Return the accuracies that a command or a pipeline names.

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
        return read_accuracies(
            find(chosen.table),
            space,
            chosen.column,
            arch_column=chosen.arch_column,
            lower_is_better=chosen.lower_is_better,
        )
    assert chosen.archive is not None
    benchmark = BENCHMARKS[chosen.benchmark](find(chosen.archive))
    if chosen.epochs is not None and not chosen.epochs.isdecimal():
        raise FusionError(f"accuracies: epochs is {chosen.epochs!r}, expected a whole number")
    epochs = None if chosen.epochs is None else int(chosen.epochs)
    found = benchmark.accuracies(chosen.dataset, chosen.split, epochs, archs=archs)
    return Accuracies.from_frame(
        found, str(benchmark.path), lower_is_better=chosen.lower_is_better, notes=benchmark.notes
    )
