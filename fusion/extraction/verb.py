"""The verb `extract`: from architectures to the indicator table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from fusion.errors import FusionError
from fusion.extraction.cost import Estimate, told, try_some
from fusion.extraction.planner import compute, noted
from fusion.extraction.subject import make_subject
from fusion.images import Batch, ImageSet, load_images
from fusion.indicators import INDICATORS, needs_graphs, of_running, select
from fusion.spaces import Space
from fusion.storage.files import exists
from fusion.storage.parts import PartStore
from fusion.tables import IndicatorTable
from fusion.tables.indicator_table import KEYS, KIND
from fusion.work import Work
from fusion.work.devices import device_type
from fusion.work.precision import full_precision
from fusion.work.provenance import hardware, library_versions
from fusion.work.tasks import Row, has_deadline, run_tasks

BATCH_SIZE = 64
# Architectures from which on a trial of a few costs next to nothing.
_WORTH_A_TRIAL = 100


@dataclass(frozen=True)
class _Task:
    key: str
    repeat: int
    indicators: tuple[str, ...]


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
            "status": noted(value, subject.remarks),
            "seconds": round(value.seconds, 3),  # more digits would be most of a table's bytes
        }
        for value in values
    ]


def draw_batch(images: str | Path | ImageSet | Batch, seed: int, size: int = BATCH_SIZE) -> Batch:
    """Return the mini-batch that `images` names: of `size`, but where a batch is given."""
    if isinstance(images, Batch):
        return images
    found = images if isinstance(images, ImageSet) else load_images(images)
    return found.batch(size, seed)


def extract(
    space: Space,
    archs: Iterable[str],
    indicators: str | Sequence[str] = "standard",
    *,
    images: str | Path | ImageSet | Batch,
    out: Path | str,
    repeats: int = 1,
    seed: int = 0,
    work: Work = Work(),  # noqa: B008  (frozen)
) -> IndicatorTable:
    """Compute what the table at `out` does not have yet, and return the table of `archs`.

    Architectures that share a key are computed once. A value depends on key, repeat, batch, seed
    and device type, not on workers, order, or what else was computed. Killed at any moment, it
    goes on where it was; with nothing to do, it reads keys only.

    Parameters
    ----------
    space : Space
    archs : iterable of str
        Architectures of the space.
    indicators : str or sequence of str
        Names or presets; see `fusion.select`.
    images : str, path, ImageSet or Batch
        As in `fusion.images`; a batch of 64 is drawn with `seed`, but where a batch is given.
    out : path
        Folder of the table; made when missing.
    repeats, seed : int
        Initialisations per architecture, and the seed from which all of them derive.
    work : Work
        Device, processes, progress bar.

    Returns
    -------
    IndicatorTable
        Of these architectures and indicators, whatever else the folder holds.

    Raises
    ------
    InvalidArchitecture
        Before any computation, when one of `archs` is not of the space.
    FusionError
        When there are no architectures, or `out` holds a table of other settings, is broken, or
        cannot be written.

    Examples
    --------
    >>> import fusion
    >>> space = fusion.space("nats-tss", channels=4, cells=1)
    >>> batch = fusion.images("digits").batch(8)
    >>> table = fusion.extract(space, space.sample(3, seed=0), "params,flops", images=batch, out=folder / "t")
    >>> table.values().shape
    (3, 2)
    """
    names = select(indicators)
    keys = list(dict.fromkeys(map(space.canonical, archs)))
    if not keys:
        raise FusionError("no architecture to extract; give at least one")
    space.require(keys)
    batch = draw_batch(images, seed)
    store = _create(space, batch, Path(out), seed, work)
    fill = partial(_fill, store, space, batch, repeats=repeats, seed=seed, work=work)
    fill(keys, names)
    return IndicatorTable(store, space, tuple(keys), tuple(names), fill)


def estimate(
    space: Space,
    archs: Iterable[str],
    indicators: str | Sequence[str] = "standard",
    *,
    images: str | Path | ImageSet | Batch,
    out: Path | str,
    repeats: int = 1,
    seed: int = 0,
    work: Work = Work(),  # noqa: B008  (frozen)
) -> Estimate:
    """Return what `extract` with the same arguments would cost, tried on a few architectures.

    Raises
    ------
    FusionError
        As `extract`; and when nothing is left to compute.
    """
    names = select(indicators)
    keys = list(dict.fromkeys(map(space.canonical, archs)))
    batch = draw_batch(images, seed)
    rows = None
    if exists(Path(out) / "meta.json"):
        rows = _create(space, batch, Path(out), seed, work).read(KEYS)
    tasks = _tasks(rows, keys, names, repeats)
    return try_some(space, [task.key for task in tasks], batch, names, work=work)


def unextracted(
    space: Space, archs: Iterable[str], batch: Batch, out: Path, *, seed: int, work: Work
) -> IndicatorTable:
    """Return the table into which `extract` with the same arguments extracts, made where there is none.

    Nothing is computed, and no indicator is seen: `archs` have their encoding alone.

    Raises
    ------
    InvalidArchitecture
        When one of `archs` is not of the space.
    FusionError
        When `out` holds a table of other settings, is broken, or cannot be written.
    """
    keys = tuple(dict.fromkeys(map(space.canonical, archs)))
    return IndicatorTable(_create(space, batch, out, seed, work), space, keys, ())


def attach(
    table: IndicatorTable,
    images: str | Path | ImageSet | Batch,
    work: Work = Work(),  # noqa: B008  (frozen)
) -> IndicatorTable:
    """Return a table that was only read as one that computes what it lacks.

    Parameters
    ----------
    table : IndicatorTable
    images : str, path, ImageSet or Batch
        Those from which it was computed.
    work : Work

    Raises
    ------
    FusionError
        When the images or the type of device are not those of the table.
    """
    meta = table.meta
    batch = draw_batch(images, meta["seed"], meta["batch_size"])
    for name, ours in (("batch_digest", batch.digest), ("device", device_type(work.pick()))):
        if meta[name] != ours:
            raise FusionError(f"{table.path}: {name} is {meta[name]!r}, here it is {ours!r}; use what it had")
    repeats, seed = table.repeats, meta["seed"]
    fill = partial(_fill, table.store, table.space, batch, repeats=repeats, seed=seed, work=work)
    return replace(table, compute=fill)


def _create(space: Space, batch: Batch, out: Path, seed: int, work: Work) -> PartStore:
    """Return the store at `out`, made where there is none; raises FusionError for one of other settings."""
    device = work.pick()
    meta = {
        "kind": KIND,
        **space.identity,
        "batch_digest": batch.digest,
        "batch_size": len(batch.y),
        "seed": seed,
        "device": device_type(device),
    }
    provenance = {
        "images": batch.source,
        "libraries": library_versions(),
        "hardware": hardware(device),
    }
    store = PartStore.create(out, KEYS, meta, provenance)
    code = meta.get("space_graphs_code")
    if store.meta.get("space_graphs_code") != code:
        # only what looks at the cells' graphs depends on it
        rows = store.read()
        store.keep(rows[~rows["indicator"].map(needs_graphs).astype(bool)] if len(rows) else rows)
        store.note(space_graphs_code=code)
    return store


def _tasks(
    rows: pd.DataFrame | None, keys: Sequence[str], indicators: Sequence[str], repeats: int
) -> list[_Task]:
    """Return what is left to compute where `rows` are there."""
    if repeats < 1:
        raise FusionError(f"repeats is {repeats}; give at least 1")
    # as lists, which are walked through much faster than columns
    there = () if rows is None or rows.empty else zip(*(rows[name].tolist() for name in KEYS), strict=True)
    done = set(there)
    return [
        _Task(key, repeat, missing)
        for repeat in range(repeats)
        for key in keys
        if (missing := tuple(name for name in indicators if (key, name, repeat) not in done))
    ]


def _fill(
    store: PartStore,
    space: Space,
    batch: Batch,
    keys: Sequence[str],
    indicators: Sequence[str],
    *,
    repeats: int,
    seed: int,
    work: Work,
) -> None:
    """Compute what `store` lacks."""
    _check_versions(store, indicators)
    tasks = _tasks(store.read(KEYS), keys, indicators, repeats)
    if tasks:
        if work.progress and len(tasks) >= _WORTH_A_TRIAL and not has_deadline():
            left = [task.key for task in tasks]
            print(told(try_some(space, left, batch, indicators, work=work)), file=sys.stderr)
        function = partial(_extract, space=space, batch=batch, seed=seed, device=work.pick())
        for part, processes in _parts(tasks, work.processes):
            run_tasks(
                function, part, store,
                workers=processes, description="extract", found=len(keys) * repeats - len(part),
                progress=work.progress,
            )  # fmt: skip
    store.compact()


def _parts(tasks: Sequence[_Task], processes: int) -> Iterator[tuple[list[_Task], int]]:
    """Yield tasks and in how many processes to do them: what is timed, after all else and one by one."""
    for timed, count in ((False, processes), (True, 1)):
        named = [
            replace(t, indicators=tuple(n for n in t.indicators if of_running(n) is timed)) for t in tasks
        ]
        if part := [task for task in named if task.indicators]:
            yield part, count


def _check_versions(store: PartStore, indicators: Sequence[str]) -> None:
    """Refuse to add to values of another version of an indicator; note the versions in use."""
    known: dict[str, Any] = store.meta.get("indicator_versions", {})
    current = {name: INDICATORS[name].version for name in indicators}
    if changed := [name for name, version in current.items() if known.get(name, version) != version]:
        raise FusionError(
            f"{store.path}: holds {', '.join(changed)} of another version; extract into another folder"
        )
    if current.keys() - known.keys():
        store.note(indicator_versions={**known, **current})
