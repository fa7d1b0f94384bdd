"""The verb `measure`: architectures trained over several seeds, and what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from fusion.errors import FusionError
from fusion.images import ImageSet, load_images
from fusion.spaces.base import Space
from fusion.storage.files import write_parquet
from fusion.storage.parts import PartStore
from fusion.training.recipe import Recipe
from fusion.training.train import KEYS, train_architecture, training_data
from fusion.work import Work
from fusion.work.devices import device_type
from fusion.work.provenance import hardware, library_versions
from fusion.work.tasks import Row, run_tasks

FORMAT = 1
KIND = "training-states"


@dataclass(frozen=True)
class Trained:
    """What training one architecture gave.

    Attributes
    ----------
    arch : str
        Canonical.
    accuracy : float
        Percent of the test images after the last epoch, mean over the seeds.
    by_seed : tuple of float
    seconds : float
        Of one training.
    """

    arch: str
    accuracy: float
    by_seed: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class Measurement:
    """Architectures that were trained by one recipe.

    Attributes
    ----------
    space, images : str
        What was trained, and on what.
    recipe : Recipe
    trained : tuple of Trained
        In the order asked for, each network once.
    """

    space: str
    images: str
    recipe: Recipe
    trained: tuple[Trained, ...]

    def table(self) -> pd.DataFrame:
        """Return columns `arch`, `accuracy`, `accuracy_seed_I` for each seed I, and `seconds`."""
        rows = [
            {
                "arch": one.arch,
                "accuracy": one.accuracy,
                **{f"accuracy_seed_{i}": value for i, value in enumerate(one.by_seed)},
                "seconds": one.seconds,
            }
            for one in self.trained
        ]
        return pd.DataFrame(rows)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, with the version of their form."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Measurement:
        """Return the measurement that gave `values`; raises FusionError for another form."""
        if values.get("format") != FORMAT:
            raise FusionError(f"measurement: form {values.get('format')!r}, this version reads {FORMAT}")
        try:
            recipe = Recipe.from_dict(values["recipe"])
            trained = tuple(
                Trained(of["arch"], of["accuracy"], tuple(of["by_seed"]), of["seconds"])
                for of in values["trained"]
            )
            return cls(values["space"], values["images"], recipe, trained)
        except (KeyError, TypeError) as error:
            raise FusionError(f"measurement: damaged ({error}); measure again") from None


def measure(
    space: Space,
    archs: Iterable[str],
    *,
    images: str | Path | ImageSet,
    recipe: Recipe | None = None,
    out: Path | str,
    work: Work = Work(),  # noqa: B008  (frozen)
    train: Callable[..., list[Row]] = train_architecture,
) -> Measurement:
    """Train every architecture that `out` does not have yet.

    Isomorphic architectures are trained once. Killed at any moment, it goes on where it was.
    `out/accuracies.parquet` then has all that were ever trained there.

    Parameters
    ----------
    space : Space
    archs : iterable of str
    images : str, path or ImageSet
        As in `fusion.images`.
    recipe : Recipe, optional
        How they are trained; by default as `Recipe()` says.
    out : path
        Folder of the training states; made when missing.
    work : Work
        Device, processes, progress bar.
    train : callable
        Trains one architecture, as `train_architecture` does.

    Raises
    ------
    InvalidArchitecture
        Before any training, when one of `archs` is not of the space.
    FusionError
        When there are no `archs`, or `out` holds trainings by another recipe or on other images,
        or cannot be written.

    Examples
    --------
    >>> import fusion
    >>> space = fusion.space("nats-tss", channels=2, cells=1)
    >>> recipe = fusion.Recipe(epochs=1, train_images=64, seeds=2)
    >>> archs = space.sample(2, seed=0)
    >>> found = fusion.measure(space, archs, images="digits", recipe=recipe, out=folder / "m")
    >>> found.table().shape
    (2, 5)
    """
    keys = list(dict.fromkeys(map(space.canonical, archs)))
    if not keys:
        raise FusionError("no architecture to measure; give at least one")
    recipe = Recipe() if recipe is None else recipe
    found = images if isinstance(images, ImageSet) else load_images(images)
    data = training_data(found, recipe)
    device = work.pick()
    meta = {
        "kind": KIND,
        **space.identity,
        "images": found.name,
        "images_digest": found.digest,
        "recipe": asdict(recipe),
        "device": device_type(device),
    }
    provenance = {"libraries": library_versions(), "hardware": hardware(device)}
    store = PartStore.create(Path(out), KEYS, meta, provenance)
    done = set(store.read(KEYS)["key"])
    todo = [key for key in keys if key not in done]
    if todo:
        function = partial(train, space=space, data=data, recipe=recipe, device=device)
        known = len(keys) - len(todo)
        run_tasks(
            function, todo, store,
            workers=work.processes, description="measure", found=known, progress=work.progress,
        )  # fmt: skip
    store.compact()
    table = accuracies(store.read())
    write_parquet(store.path / "accuracies.parquet", table)  # with those of earlier calls
    return Measurement(space.name, found.name, recipe, _trained(table.set_index("arch").loc[keys]))


def _trained(table: pd.DataFrame) -> tuple[Trained, ...]:
    seeds = table.filter(like="accuracy_seed_")
    return tuple(
        Trained(str(arch), float(accuracy), tuple(map(float, by_seed)), float(seconds))
        for arch, accuracy, by_seed, seconds in zip(
            table.index, table["accuracy"], seeds.to_numpy(), table["seconds"], strict=True
        )
    )


def accuracies(states: pd.DataFrame) -> pd.DataFrame:
    """Return one row per architecture from training states.

    Columns: `arch`, `accuracy` (percent, after the last epoch, mean over seeds), `accuracy_seed_I`
    for each seed I, `seconds` (one training).
    """
    final = states[states["epoch"] == states["epoch"].max()]
    wide: pd.DataFrame = final.pivot(index="key", columns="seed", values="test_accuracy").astype(float)
    table = wide.add_prefix("accuracy_seed_")
    table.insert(0, "accuracy", wide.mean(axis=1))
    table["seconds"] = states.groupby("key")["seconds"].sum() / wide.shape[1]
    return table.rename_axis("arch").rename_axis(columns=None).reset_index()
