"""The indicator table: extraction into it, and reading it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from fusion.errors import FusionError
from fusion.extraction.planner import OK, compute
from fusion.images.base import Batch
from fusion.indicators.base import INDICATORS
from fusion.probes.base import Subject
from fusion.seeding import derive_seed, seeded
from fusion.spaces.base import Space
from fusion.storage.files import write_atomic
from fusion.storage.parts import PartStore, read_meta, read_rows
from fusion.work.precision import full_precision
from fusion.work.provenance import hardware, library_versions
from fusion.work.tasks import Row, run_tasks

KEYS = ["key", "indicator", "repeat"]


@dataclass(frozen=True)
class _Task:
    key: str
    repeat: int
    indicators: tuple[str, ...]


def _build(space: Space, key: str, seed: int, in_channels: int, num_classes: int) -> nn.Module:
    with seeded(seed):
        return space.build(key, in_channels=in_channels, num_classes=num_classes)


def make_subject(space: Space, key: str, batch: Batch, *, seed: int, repeat: int) -> Subject:
    """Return the network of `key`, initialised for this repeat, with the batch on its device."""
    build: Callable[[Space, int], Callable[[], nn.Module]] = lambda where, channels: partial(  # noqa: E731
        _build, where, key, derive_seed("init", seed, key, repeat), channels, batch.num_classes
    )
    return Subject(
        build(space, batch.x.shape[1]),
        batch,
        seed=derive_seed("probe", seed, repeat),
        build_thin=build(space.thin(), 1),
        graphs=space.graphs(key),
    )


def _extract(task: _Task, *, space: Space, batch: Batch, seed: int, device: str) -> list[Row]:
    with full_precision():
        subject = make_subject(space, task.key, batch.to(device), seed=seed, repeat=task.repeat)
        values = compute(task.indicators, subject)
    return [
        {
            "key": task.key,
            "indicator": value.indicator,
            "repeat": task.repeat,
            "value": value.value,
            "status": value.status,
            "seconds": round(value.seconds, 3),  # more digits would be most of a table's bytes
        }
        for value in values
    ]


def extract(
    space: Space,
    archs: Sequence[str],
    batch: Batch,
    indicators: Sequence[str],
    out: Path | str,
    *,
    images: str = "",
    repeats: int = 1,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    progress: bool = True,
) -> pd.DataFrame:
    """Compute what the table at `out` does not have yet, and return it for `archs`.

    Architectures that share a key are computed once. A value depends on key, repeat, batch, seed
    and device type, not on workers, order, or what else was computed. Killed at any moment, it
    goes on where it was.

    Parameters
    ----------
    space : Space
    archs : sequence of str
        Architectures of the space.
    batch : Batch
        On the CPU.
    indicators : sequence of str
        Names; see `fusion.indicators.select`.
    out : path
        Folder of the table; made when missing.
    images : str
        Where the images come from, as in `load_images`; noted beside the table, so that
        predicting with a model can extract again.
    repeats, seed : int
        Initialisations per architecture, and the seed from which all of them derive.
    device : str
        `cpu`, `cuda` or `cuda:N`.
    workers : int
        Processes.
    progress : bool
        Show a progress bar.

    Returns
    -------
    DataFrame
        Index: the keys of `archs` in their order, each once; columns: indicators, mean over
        repeats, NaN where undefined.

    Raises
    ------
    InvalidArchitecture
        Before any computation, when one of `archs` is not of the space.
    FusionError
        When `out` holds a table of other settings, is broken, or cannot be written.
    """
    out = Path(out)
    keys = list(dict.fromkeys(space.canonical(arch) for arch in archs))
    meta = {
        "kind": "indicators",
        **space.identity,
        "batch_digest": batch.digest,
        "batch_size": len(batch.y),
        "seed": seed,
        "device": torch.device(device).type,
    }
    provenance = {
        "images": images,
        "libraries": library_versions(),
        "hardware": hardware(torch.device(device)),
    }
    store = PartStore(out, KEYS, meta, provenance)
    _check_versions(out, indicators)
    rows = store.read()
    # as lists, which are walked through much faster than columns
    done = set(zip(*(rows[name].tolist() for name in KEYS), strict=True)) if len(rows) else set()
    tasks = [
        _Task(key, repeat, missing)
        for repeat in range(repeats)
        for key in keys
        if (missing := tuple(name for name in indicators if (key, name, repeat) not in done))
    ]
    if tasks:
        work = partial(_extract, space=space, batch=batch, seed=seed, device=device)
        run_tasks(work, tasks, store, workers=workers, description="extract", progress=progress)
    store.compact()
    return read_table(out).reindex(index=keys, columns=list(indicators))


def _check_versions(path: Path, indicators: Sequence[str]) -> None:
    """Refuse to add to values of another version of an indicator; note the versions in use."""
    meta = read_meta(path)
    known: dict[str, int] = meta.get("indicator_versions", {})
    current = {name: INDICATORS[name].version for name in indicators}
    if changed := [name for name, version in current.items() if known.get(name, version) != version]:
        raise FusionError(
            f"{path}: holds {', '.join(changed)} of another version; extract into another folder"
        )
    if current.keys() - known.keys():
        meta["indicator_versions"] = {**known, **current}
        write_atomic(path / "meta.json", json.dumps(meta, indent=1, sort_keys=True).encode())


def read_table(path: Path | str, *, spread: bool = False) -> pd.DataFrame:
    """Return the indicator table at `path`, wide.

    Parameters
    ----------
    path : path
        Folder that `extract` wrote.
    spread : bool
        Return the standard deviation over repeats instead of the mean.

    Returns
    -------
    DataFrame
        Index: `key`; columns: indicators; NaN where a value is undefined in all repeats.

    Raises
    ------
    FusionError
        When there is no table, or a part of it is truncated.
    """
    path = Path(path)
    if (kind := read_meta(path).get("kind")) != "indicators":
        raise FusionError(f"{path}: holds {kind}, not indicators")
    rows = read_rows(path, KEYS)
    if rows.empty:
        raise FusionError(f"{path}: the table has no rows yet")
    rows["value"] = rows["value"].astype("float64")
    groups = rows.groupby(["key", "indicator"], sort=True)["value"]
    wide = (groups.std() if spread else groups.mean()).unstack("indicator")
    order = [name for name in INDICATORS if name in wide] + [n for n in wide if n not in INDICATORS]
    return wide[order].rename_axis(columns=None)


def repeats(path: Path) -> int:
    """Return the number of initialisations per architecture in the table at `path`."""
    return int(read_rows(path, KEYS)["repeat"].max()) + 1


def undefined(path: Path) -> pd.DataFrame:
    """Return the rows of the table at `path` that have no value: key, indicator, repeat, status."""
    rows = read_rows(path, KEYS)
    return rows.loc[rows["status"] != OK, [*KEYS, "status"]].reset_index(drop=True)
