"""The verb `predict_within`: from a few accuracies to predictions of many architectures, by a given time."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from fusion.errors import FusionError
from fusion.extraction import extract
from fusion.extraction.affordable import Choice, afford, in_time
from fusion.extraction.cost import duration
from fusion.extraction.verb import BATCH_SIZE, draw_batch, unextracted
from fusion.images import Batch, ImageSet
from fusion.indicators import ENCODING
from fusion.regression.consensus import INDICATORS as CONSENSUS
from fusion.regression.predictor import Predictor
from fusion.regression.spec import ModelSpec
from fusion.regression.verb import fit
from fusion.seeding import derive_seed
from fusion.settings import Count, Settings, Share, Text, Whole
from fusion.spaces import Space
from fusion.storage.bundled import find_model
from fusion.tables import Accuracies, IndicatorTable, Labelled
from fusion.tables.indicator_table import KEYS
from fusion.work import Work
from fusion.work.tasks import until

# Architectures, names of indicators -> their table.
Compute: TypeAlias = Callable[[Sequence[str], Sequence[str]], IndicatorTable]

CHOSEN = "within.json"
"""The file beside a table's metadata that says which indicators were chosen for it."""

STRUCTURE = "structure"
"""The source of a prediction that reads the encoding alone."""

# A fit on indicators and encoding takes so many times as long as one on the encoding alone; and of all the
# time, the share that is kept for what is slower than expected.
_FITS, _MARGIN = 4.0, 0.05
# The share of the time for extraction after which it is looked at how fast it goes, and the fewest networks
# of each process from which that is told.
_PACE, _FEWEST = 0.15, 4
# Networks that each process may have in hand when the time is up.
_IN_HAND = 2
# Indicators that `lines` names one by one.
_SHOWN = 8


@dataclass(frozen=True)
class WithinSettings(Settings):
    """How `predict_within` computes and predicts.

    Attributes
    ----------
    batch_size : int
        Images of the mini-batch, but where a batch is given.
    seed : int
        Of batch and initialisations, as in `extract`; and of the order in which networks are extracted.
    interval : float
        How probably each accuracy is to lie between the ends that are returned.
    beside : str or None
        A model of several tables, such as `zero`: what spaces like this one taught, see `fusion.fit`.
    """

    kind = "within"

    batch_size: Count = BATCH_SIZE
    seed: Whole = 0
    interval: Share = 0.9
    beside: Text | None = None


@dataclass(frozen=True)
class Tonight:
    """What was predicted in the time that there was.

    Attributes
    ----------
    frame : DataFrame
        In the order of the architectures that were given. `arch`; `predicted`, `low` and `high` in the unit
        and sense of the accuracies; `rank`, 1 is best, equal for equal predictions; `source`: `indicators`,
        or `structure` where the encoding alone was read.
    indicators, left_out : tuple of str
        Those of the preset `standard` that were chosen, and the rest.
    costs : DataFrame
        A row for each indicator that was timed, the dearest first. `indicator`; `estimated`: seconds of all
        networks in one process; `real`: those of the networks that were extracted, NaN for what was not.
    seconds : dict of str to float
        What each stage took of this call.
    within : float
        The seconds that there were.
    networks, extracted : int
        Different networks, those with accuracies among them; and how many have indicators.
    """

    frame: pd.DataFrame
    indicators: tuple[str, ...]
    left_out: tuple[str, ...]
    costs: pd.DataFrame
    seconds: dict[str, float]
    within: float
    networks: int
    extracted: int

    def lines(self) -> list[str]:
        """Return in words what was chosen, what it cost, and what the predictions rest on."""
        sources = self.frame["source"].value_counts()
        stages = ", ".join(f"{name} {duration(seconds)}" for name, seconds in self.seconds.items())
        return [
            f"{len(self.frame):,} architectures predicted in {duration(sum(self.seconds.values()))} of "
            f"{duration(self.within)} ({stages})",
            f"{self.extracted:,} of {self.networks:,} networks have indicators; {_counts(sources)}",
            _chosen(self.indicators, self.left_out),
            *_table(self.costs),
        ]


@dataclass
class _Clock:
    """What each stage takes, and when all must be done."""

    seconds: float
    started: float = field(default_factory=time.monotonic)
    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the block as this stage."""
        started = time.monotonic()
        yield
        self.stages[name] = time.monotonic() - started


def predict_within(
    space: Space,
    archs: Iterable[str],
    accuracies: Accuracies,
    *,
    images: str | Path | ImageSet | Batch,
    seconds: float,
    out: Path | str,
    settings: WithinSettings = WithinSettings(),
    work: Work = Work(),  # noqa: B008  (frozen)
) -> Tonight:
    """Return what is predicted of architectures within a given time.

    First, `auto` is fitted on the encoding alone, from which all can be predicted at any moment. Then it is
    found out which indicators can be computed for all networks in the time that is left without a reserve,
    see `fusion.extraction.affordable.afford`; the indicators of `fusion.regression.consensus` are worth
    more than others there. The reserve is for the fit (4 times that on the encoding) and for what is slower
    than expected (5 % of the time). They are computed for the networks with accuracies first, then for the
    others in a random order, until that time is up. After 15 % of it, some indicators are dropped if not all
    networks will be done in time at the pace so far. Last, `auto` is fitted on all that was computed, and
    predicts the architectures that have indicators; the encoding alone predicts the others, and all where
    some network with an accuracy has none yet.

    Called again with the same `out`, it goes on with the same indicators, and computes nothing twice. What
    a reader of the predictions should know is told by `warnings`, see `Predictor.predict`.

    Parameters
    ----------
    space : Space
        One that need not be listed.
    archs : iterable of str
        Architectures of the space.
    accuracies : Accuracies
        Of at least two networks of the space, among `archs` or not.
    images : str, path, ImageSet or Batch
        As in `fusion.images`.
    seconds : float
        In which all is to be done; what earlier calls took does not count.
    out : path
        Folder of the indicator table; made when missing.
    settings : WithinSettings
    work : Work
        Device, processes, progress bar.

    Raises
    ------
    InvalidArchitecture
        When an architecture, or one with an accuracy, is not of the space.
    FusionError
        When there is no time or no architecture, the accuracies teach nothing, the images are missing, or
        `out` holds a table of other settings.
    """
    clock = _Clock(seconds)
    if not 0 < seconds < math.inf:
        raise FusionError(f"seconds is {seconds:g}; give a number above 0")
    asked, folder = list(archs), Path(out)
    if not asked:
        raise FusionError("no architecture to predict; give at least one")
    others = None if settings.beside is None else Predictor.load(find_model(settings.beside))
    of_asked = [space.canonical(arch) for arch in asked]
    known = list(dict.fromkeys(accuracies.keys(space)))
    keys = known + _shuffled(set(of_asked).difference(known), settings.seed)
    batch = draw_batch(images, settings.seed, settings.batch_size)
    with clock.stage("encoding"):
        plain = unextracted(space, keys, batch, folder, seed=settings.seed, work=work)
        by_key = _predicted(plain, accuracies, ModelSpec("auto", ENCODING), settings.interval, None)
    reserve = _FITS * clock.stages["encoding"] + _MARGIN * seconds
    moment = clock.started + seconds - reserve
    compute = partial(extract, space, images=batch, out=folder, seed=settings.seed, work=work)
    with clock.stage("choice"):
        choice = _choose(folder / CHOSEN, space, keys, batch, moment, compute, work)
    table = plain
    with clock.stage("extraction"):
        if choice.indicators:
            with until(moment - _IN_HAND * choice.each):
                table = _complete(compute(keys, choice.indicators))
    found = set(table.keys or ()) if choice.indicators else set()
    with clock.stage("fit"):
        if found.issuperset(known):
            by_key.update(_predicted(table, accuracies, ModelSpec("auto"), settings.interval, others))
    frame = by_key.loc[of_asked].reset_index(drop=True)
    read = pd.Series(of_asked).isin(found) & found.issuperset(known)
    frame.insert(0, "arch", asked)
    frame["rank"] = frame["predicted"].rank(method="min", ascending=accuracies.lower_is_better).astype(int)
    frame["source"] = np.where(read, "indicators", STRUCTURE)
    return Tonight(
        frame,
        tuple(choice.indicators),
        tuple(choice.left_out),
        _costs(choice, table, len(keys)),
        clock.stages,
        seconds,
        len(keys),
        len(found),
    )


def _shuffled(keys: Iterable[str], seed: int) -> list[str]:
    """Return keys in a random order that others among them do not change."""
    return sorted(keys, key=lambda key: derive_seed("within", seed, key))


def _predicted(
    table: IndicatorTable,
    accuracies: Accuracies,
    spec: ModelSpec,
    interval: float,
    beside: Predictor | None,
) -> pd.DataFrame:
    """Return predictions of all that is seen of a table, by key, of a model fitted on it."""
    fitted = fit(Labelled.join(table, accuracies), spec, beside=beside)
    if beside is not None:
        warnings.warn(fitted.notes[0], stacklevel=2)  # from which spaces
    return fitted.predict(table, interval=interval)


def _choose(
    path: Path, space: Space, keys: Sequence[str], batch: Batch, moment: float, compute: Compute, work: Work
) -> Choice:
    """Return what was chosen before; or what is chosen now, and fits at the pace of the first networks."""
    if (before := Choice.load(path)) is not None:
        return before
    now = time.monotonic()
    if moment <= now:
        return Choice(indicators=[], timed={})
    choose = partial(afford, space, batch=batch, moment=moment, worth=CONSENSUS, work=work)
    choice = choose(keys)
    if choice.indicators:
        choice.save(path)  # an interruption from here on changes nothing
        with until(now + _PACE * (moment - now)):
            table = _complete(compute(keys, choice.indicators))
        done = set(table.keys or ())
        left = [key for key in keys if key not in done]
        pace = _pace(table, work.processes)
        if left and pace is not None and not in_time(len(left), pace, moment, work):
            again = choose(left, slower=pace / choice.each)
            names = [name for name in choice.indicators if name in again.indicators]
            choice = Choice(indicators=names, timed={**choice.timed, **again.timed})
            if names:
                choice.save(path)
    if work.progress:
        print(_chosen(choice.indicators, choice.left_out), file=sys.stderr)
    return choice


def _pace(table: IndicatorTable, processes: int) -> float | None:
    """Return what a network takes with all processes at work; None where too few tell.

    The slowest network of each process is left out, for it may be the first, which warms up.
    """
    keys, names = table.keys or (), table.indicators or ()
    if len(keys) < _FEWEST * processes:
        return None
    rows = table.store.read()
    rows = rows[rows["key"].isin(keys) & rows["indicator"].isin(names)]
    seconds = rows.groupby("key")["seconds"].sum().sort_values()
    return float(seconds.iloc[:-processes].mean())


def _complete(table: IndicatorTable) -> IndicatorTable:
    """Return a table of the networks that have all its indicators, which cannot grow."""
    names = set(table.indicators or ())
    rows = table.store.read(KEYS)
    rows = rows[rows["indicator"].isin(names) & (rows["repeat"] == 0)]
    counts = rows["key"].value_counts()
    there = set(counts.index[counts == len(names)])
    return replace(table, keys=tuple(key for key in table.keys or () if key in there), compute=None)


def _costs(choice: Choice, table: IndicatorTable, networks: int) -> pd.DataFrame:
    estimated = pd.Series(choice.timed, dtype=float) * networks
    real = pd.Series(dtype=float)
    if table.indicators and table.keys:
        real = table.seconds() * len(table.keys)
    found = pd.DataFrame({"estimated": estimated, "real": real.reindex(estimated.index)})
    found = found.sort_values("estimated", ascending=False, kind="stable")
    return found.rename_axis("indicator").reset_index()


def _counts(sources: pd.Series[int]) -> str:
    words = {"indicators": "predicted from indicators", STRUCTURE: "from the encoding alone"}
    return ", ".join(f"{sources[name]:,} {text}" for name, text in words.items() if name in sources)


def _chosen(indicators: Sequence[str], left_out: Sequence[str]) -> str:
    if not indicators:
        return "no indicators are computed: not even the networks can be built in time"
    if not left_out:
        return f"all {len(indicators)} indicators of the preset standard are computed"
    return (
        f"{len(indicators)} of {len(indicators) + len(left_out)} indicators are computed; left out, for want "
        f"of time: {', '.join(left_out)}"
    )


def _table(costs: pd.DataFrame) -> list[str]:
    """Return what the dearest indicators cost, a line each."""
    if costs.empty:
        return []
    shown = costs.head(_SHOWN)
    width = max(map(len, shown["indicator"]))
    rows = zip(shown["indicator"], shown["estimated"], shown["real"], strict=True)
    told = [
        f"  {name:<{width}}  {estimated:9.1f} s" + ("" if np.isnan(real) else f"  {real:9.1f} s")
        for name, estimated, real in rows
    ]
    return ["seconds of all networks in one process, estimated, and real where computed:", *told]
