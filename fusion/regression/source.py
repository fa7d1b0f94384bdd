"""What a model learned from: a table, how its values were made, and how many accuracies there were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from fusion.errors import FusionError
from fusion.extraction import extract
from fusion.images import Batch, ImageSet, load_images
from fusion.indicators import INDICATORS
from fusion.spaces import Space
from fusion.tables import IndicatorTable, Labelled
from fusion.tables.encoding import not_encoded
from fusion.work import Work
from fusion.work.devices import device_type

# one line of text, for these stand in messages
Line = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")]
Count = Annotated[int, Field(ge=0, le=2**53)]

# the metadata of a table that must be those of the model's table
_SETTINGS = ("space", "space_settings", "space_code", "batch_digest", "seed", "device")


class Source(BaseModel):
    """An indicator table, as a model that learned from it remembers it.

    Attributes
    ----------
    group : str
        What tells it from the other tables of the model.
    target : str
        What the accuracies are, in words; empty without.
    architectures, networks : int
        With an accuracy that was learned from: strings, and different networks among them.
    space, space_settings, space_code
        `Space.identity`.
    images : str
        Where the images came from, as in `fusion.images`; empty when nobody said.
    batch_size : int
    batch_digest : str
    seed, repeats : int
        As in `extract`.
    device : str
        Type of the device that computed the values.
    indicator_versions : mapping of str to int
        Of the indicators that the model reads.
    seen : list of str or None
        The first 16 hexadecimal digits of the SHA-256 of each group of twins with an accuracy, sorted; None
        for a model of several tables, and in models that were saved before there was such a thing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    group: Line
    target: Line
    architectures: Count
    networks: Count
    space: Line
    space_settings: dict[Line, JsonValue]
    space_code: Line | None
    images: Line
    batch_size: Annotated[int, Field(ge=1, le=2**24)]
    batch_digest: Line
    seed: int
    repeats: Annotated[int, Field(ge=1, le=10_000)]
    device: Line
    indicator_versions: dict[Line, int]
    seen: list[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]] | None = None

    @classmethod
    def of(
        cls,
        table: IndicatorTable,
        features: Sequence[str],
        *,
        group: str = "",
        target: str = "",
        architectures: int = 0,
        networks: int = 0,
        twins: Iterable[str] | None = None,
    ) -> Source:
        """Return what is remembered of a table, and of the accuracies where they are learned from.

        `twins`: the groups of twins that are learned from.
        """
        meta = table.meta
        versions: Mapping[str, int] = meta.get("indicator_versions", {})
        return cls(
            group=group,
            target=target,
            architectures=architectures,
            networks=networks,
            space_code=meta.get("space_code"),
            images=table.images,
            repeats=table.repeats,
            indicator_versions={name: versions[name] for name in features if name in versions},
            seen=None if twins is None else sorted({_digest(group) for group in twins}),
            **{
                name: meta[name]
                for name in ("space", "space_settings", "batch_size", "batch_digest", "seed", "device")
            },
        )

    @property
    def identity(self) -> dict[str, Any]:
        """The space, as in the metadata of a table."""
        return {
            "space": self.space,
            "space_settings": self.space_settings,
            "space_code": self.space_code,
        }

    def learned_from(self, data: Labelled) -> pd.Series[bool] | None:
        """Return whether each architecture, in the order of `data.X`, or a twin of it, had an accuracy.

        None where the model does not know.
        """
        if self.seen is None:
            return None
        seen = set(self.seen)
        return data.twins.map(lambda twins: _digest(twins) in seen)

    def check(self, table: IndicatorTable, *, versions_only: bool) -> None:
        """Refuse a table whose values were computed in another way.

        Parameters
        ----------
        table : IndicatorTable
        versions_only : bool
            For a model of several tables, which is for other spaces and images: only the indicators must
            be the same.

        Raises
        ------
        FusionError
            Naming what differs.
        """
        own = self.model_dump()
        differ = [name for name in _SETTINGS if not versions_only and own[name] != table.meta.get(name)]
        differ += self._other_versions(table.meta.get("indicator_versions", {}))
        if differ:
            raise FusionError(
                f"{table.path}: was made with other settings than the model's table "
                f"({', '.join(differ)}); extract with the model's, or fit again"
            )

    def extract(
        self,
        space: Space,
        archs: Sequence[str],
        features: Sequence[str],
        *,
        batch: Batch,
        out: Path,
        work: Work,
    ) -> pd.DataFrame:
        """Return the indicators of `archs`, by key, computed as those that the model learned from.

        Parameters
        ----------
        space : Space
        archs : sequence of str
            Canonical architectures.
        features : sequence of str
            Indicators, one at least, and columns of the encoding.
        batch, out, work
            As in `fusion.extraction.extract`.

        Raises
        ------
        FusionError
            When that cannot be done here: another device, other versions.
        """
        names = not_encoded(features)
        if differ := self._other_versions({name: INDICATORS[name].version for name in names}):
            raise FusionError(
                f"this version of Fusion computes other values than the model learned from "
                f"({', '.join(differ)}); fit again, or give a table"
            )
        if work.device == "auto":
            work = replace(work, device=self.device)
        elif (device := device_type(work.pick())) != self.device:
            raise FusionError(
                f"the model's indicators were computed on {self.device}, not on {device}; choose "
                f"{self.device}, or fit again"
            )
        table = extract(
            space, archs, names, images=batch, out=out, repeats=self.repeats, seed=self.seed, work=work
        )
        return table.values(features)

    def batch(self, images: str | ImageSet | Batch | None = None) -> Batch:
        """Return the mini-batch from which the model's indicators were computed.

        Parameters
        ----------
        images : str, ImageSet or Batch, optional
            Where the images are now; by default where they were.

        Raises
        ------
        FusionError
            When they are other images, or it is not known where they are.
        """
        given = images or self.images
        if not given:
            raise FusionError(
                "the model does not say from which images its indicators were computed; give them"
            )
        if isinstance(given, str):
            given = load_images(given)
        batch = given if isinstance(given, Batch) else given.batch(self.batch_size, self.seed)
        if batch.digest != self.batch_digest:
            raise FusionError(
                f"images {batch.source or 'given'}: not those from which the model's indicators were computed"
                f"{f' ({self.images})' if self.images else ''}; give those, or a table"
            )
        return batch

    def _other_versions(self, versions: Mapping[str, int]) -> list[str]:
        return [
            f"version of {name}"
            for name, version in self.indicator_versions.items()
            if versions.get(name, version) != version
        ]


def _digest(twins: str) -> str:
    return hashlib.sha256(twins.encode()).hexdigest()[:16]


def learned_from(sources: Sequence[Source], *, whole: bool = False) -> str:
    """Return in words from how many accuracies a model of these tables learned.

    `whole`: from all of each table, and not as many of each as the smallest has.
    """
    if not any(source.architectures for source in sources):
        return "no accuracies"
    if len(sources) == 1:
        return f"{sources[0].architectures} architectures ({sources[0].networks} different networks)"
    groups = ", ".join(f"{source.networks} of {source.group}" for source in sources)
    if whole:
        return f"the accuracies of like spaces, among {groups} networks"
    fewest = min(source.networks for source in sources)
    return f"{fewest} networks of each group (measured: {groups})"
