"""Where a pipeline's indicator values come from: computed into its own folder, or an existing table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from fusion.errors import FusionError
from fusion.extraction.table import extract, read_table, repeats
from fusion.images import Batch, load_images
from fusion.pipeline.config import Pipeline
from fusion.spaces import Space
from fusion.storage.bundled import find
from fusion.storage.parts import read_meta
from fusion.work.devices import default_workers, pick_device


class Values(Protocol):
    """Indicator values by architecture."""

    @property
    def path(self) -> Path:
        """The folder of the table."""

    @property
    def digest(self) -> str:
        """The digest of the batch of images."""

    @property
    def about(self) -> dict[str, Any]:
        """`images`, `batch_size` and `repeats`, for the report's protocol."""

    @property
    def keys(self) -> pd.Index[str] | None:
        """The keys that have values; None where those of any are computed."""

    def of(self, archs: Sequence[str], *, progress: bool = True) -> pd.DataFrame:
        """Return the indicators of `archs`, indexed by key."""


@dataclass
class Extracted:
    """Values computed when they are asked for, into the table at `path`, and remembered."""

    path: Path
    space: Space
    images: str
    batch: Batch
    indicators: list[str]
    repeats: int
    seed: int
    device: str
    workers: int
    _known: pd.DataFrame = field(default_factory=pd.DataFrame, init=False)

    @property
    def digest(self) -> str:
        return self.batch.digest

    @property
    def about(self) -> dict[str, Any]:
        images = Path(self.images).name
        return {"images": images, "batch_size": len(self.batch.y), "repeats": self.repeats}

    @property
    def keys(self) -> None:
        return None

    def of(self, archs: Sequence[str], *, progress: bool = True) -> pd.DataFrame:
        keys = list(dict.fromkeys(self.space.canonical(arch) for arch in archs))
        # a search asks hundreds of times, mostly for what it knows
        if missing := [key for key in keys if key not in self._known.index]:
            found = extract(
                self.space,
                missing,
                self.batch,
                self.indicators,
                self.path,
                images=self.images,
                repeats=self.repeats,
                seed=self.seed,
                device=self.device,
                workers=self.workers,
                progress=progress,
            )
            self._known = pd.concat([self._known, found])
        return self._known.loc[keys]


@dataclass(frozen=True)
class _Existing:
    """Values of a table that somebody extracted before."""

    path: Path
    digest: str
    about: dict[str, Any]
    space: Space
    table: pd.DataFrame

    @property
    def keys(self) -> pd.Index[str]:
        return self.table.index

    def of(self, archs: Sequence[str], *, progress: bool = True) -> pd.DataFrame:
        keys = list(dict.fromkeys(self.space.canonical(arch) for arch in archs))
        missing = [key for key in keys if key not in self.table.index]
        if missing:
            raise FusionError(
                f"{self.path}: lacks {len(missing)} of {len(keys)} architectures, the first {missing[0]}; "
                "choose others, or give images to extract from instead of a table"
            )
        return self.table.loc[keys]


def make_values(pipeline: Pipeline, space: Space, indicators: list[str], out: Path) -> Values:
    """Return the source of values that `pipeline` names.

    Raises
    ------
    FusionError
        When it names both images and a table, or neither; when the images cannot be read, or the
        table cannot, is of another space, or lacks an indicator.
    """
    neither_or_both = "pipeline: give either images to extract indicators from, or a table of them"
    if pipeline.table is None:
        if pipeline.images is None:
            raise FusionError(neither_or_both)
        return Extracted(
            out / "indicators",
            space,
            pipeline.images,
            load_images(pipeline.images).batch(pipeline.batch_size, pipeline.seed),
            indicators,
            pipeline.repeats,
            pipeline.seed,
            pick_device(pipeline.device),
            pipeline.workers or default_workers(),
        )
    if pipeline.images is not None:
        raise FusionError(neither_or_both)
    path = find(pipeline.table)
    meta = read_meta(path)
    table = read_table(path)
    asked = {name: value for name, value in space.identity.items() if name != "space_folder"}
    if differ := [name for name, value in asked.items() if meta.get(name) != value]:
        name = differ[0]
        raise FusionError(f"{path}: {name} is {meta.get(name)!r}, the pipeline's is {asked[name]!r}")
    if lacking := [name for name in indicators if name not in table]:
        raise FusionError(f"{path}: has no indicator {', '.join(lacking)}; name those it has")
    about = {
        "images": Path(meta["provenance"]["images"]).name,
        "batch_size": meta["batch_size"],
        "repeats": repeats(path),
    }
    return _Existing(path, meta["batch_digest"], about, space, table[indicators])
