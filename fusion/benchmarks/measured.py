"""Accuracies that `fusion measure` trained, as a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fusion.benchmarks.base import BENCHMARKS, Benchmark, Row
from fusion.errors import FusionError
from fusion.storage.bundled import bundled
from fusion.storage.parts import PartStore
from fusion.training.recipe import Recipe
from fusion.training.train import KEYS
from fusion.training.verb import accuracies


@BENCHMARKS.register
class Measured(Benchmark):
    """What `fusion measure --out path` trained: any space and images, one recipe.

    Accuracies are of the images' test part, by key of the space, after any epoch that was tested; by
    default after the last one.
    """

    name = "measured"
    summary = "accuracies and training states that `fusion measure` trained: its folder"
    source = "yours, in the spirit of the Darts-training-bench of DAS, arXiv:2212.12132"
    splits = ("test",)

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self._store = PartStore.open(self.path, KEYS)
        meta = self._store.meta
        if meta.get("kind") != "training-states":
            raise FusionError(f"{self.path}: no training states here; give the --out of `fusion measure`")
        self.space = meta["space"]
        self.datasets = (meta["images"],)
        self.epochs = Recipe.from_dict(meta["recipe"]).tested
        # the epochs before the last are on the way to it, not another measurement
        self.default_epochs = self.epochs[-1]

    def _read(self, dataset: str, split: str, epochs: int, archs: Sequence[str] | None) -> list[Row]:
        states = self._store.read()
        if states.empty:
            raise FusionError(f"{self.path}: nothing trained yet; run `fusion measure` again")
        table = accuracies(states[states["epoch"] <= epochs])
        seeds = table.filter(like="accuracy_seed_")
        columns = (table["arch"], table["accuracy"], seeds.notna().sum(axis=1), table["seconds"])
        return list(map(Row, *(column.tolist() for column in columns), seeds.std(axis=1).tolist()))


@BENCHMARKS.register
class DigitsTss(Measured):
    """The bundled benchmark, all networks of NAS-Bench-201 on digits; see data/digits-tss/README.md."""

    name = "digits-tss"
    summary = "bundled: NAS-Bench-201 cells trained on scikit-learn's digits, 8 seeds each"
    source = "this project; see data/digits-tss/README.md"
    space = "nats-tss"
    datasets = ("digits",)
    epochs = (5,)

    def __init__(self, path: Path | str | None = None) -> None:
        super().__init__(bundled("data/digits-tss") if path is None else path)
