"""Which indicators of the preset `standard` can be computed for many networks before a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fusion.errors import FusionError
from fusion.extraction.cost import try_some
from fusion.images import Batch
from fusion.indicators import INDICATORS, select
from fusion.probes.base import provider
from fusion.spaces import Space
from fusion.storage.documents import read_json, write_json
from fusion.work import Work

# From the cheapest to the dearest; each holds those before it.
LEVELS = ("structure", "forward", "fast", "standard")

# Networks of a trial, the first of which warms up, and the share of the time left after which it ends.
_TRIED, _SHARE = 5, 0.05
# With all cores at work and networks at hand that the trial did not see, one takes longer.
SLOWER = 1.25
# Trials of what was added to a level.
_ROUNDS = 3

Seconds = Annotated[float, Field(ge=0, lt=float("inf"))]


class Choice(BaseModel):
    """Indicators that are computed, and what each costs.

    Attributes
    ----------
    format : int
    indicators : list of str
        Empty where not even the networks can be built in time.
    timed : dict of str to float
        Seconds of one network in one process, of every indicator that was timed: of those that are computed
        together, and of the others together with what was timed with them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    indicators: list[str]
    timed: dict[str, Seconds]

    @property
    def each(self) -> float:
        """Seconds of one network in one process."""
        return sum(self.timed[name] for name in self.indicators)

    @property
    def left_out(self) -> list[str]:
        """The indicators of `standard` that are not computed."""
        return [name for name in select(LEVELS[-1]) if name not in self.indicators]

    def save(self, path: Path) -> None:
        """Write it to a file; raises FusionError when that cannot be done."""
        write_json(path, self.model_dump())

    @classmethod
    def load(cls, path: Path) -> Choice | None:
        """Return what `save` wrote; None where there is nothing.

        Raises
        ------
        FusionError
            When the file is damaged.
        """
        try:
            choice = cls.model_validate(read_json(path, repair="remove it to choose anew"))
        except FileNotFoundError:
            return None
        except ValidationError:
            choice = None
        if choice is None or not choice.timed.keys() >= {*choice.indicators}:
            raise FusionError(f"{path}: not what was written there; remove it to choose anew")
        return choice


def afford(
    space: Space,
    keys: Sequence[str],
    batch: Batch,
    *,
    moment: float,
    worth: Collection[str],
    work: Work,
    slower: float = SLOWER,
) -> Choice:
    """Return the indicators that can be computed for all networks before a moment.

    The presets `structure`, `forward`, `fast` and `standard` are timed on a few networks, one after the
    other, until one does not fit. The last that fits is taken whole; of the one that does not, indicators
    are added by their dearest observation, which its others share: those first among which one is of
    `worth`, and of these the cheapest first, as far as they fit. What comes of that is timed anew, and those
    added last are dropped again until it fits.

    Parameters
    ----------
    space : Space
    keys : sequence of str
        Canonical architectures.
    batch : Batch
    moment : float
        Of `time.monotonic()`.
    worth : collection of str
        Indicators that are worth more than others.
    work : Work
        By what they will be computed.
    slower : float
        How many times as long a network takes then as in the trial, which is in one process.
    """

    def fits(seconds: float) -> bool:
        return in_time(len(keys), slower * seconds, moment, work)

    timed = partial(_timed, space, keys, batch, moment, work)
    chosen: dict[str, float] = {}
    every: dict[str, float] = {}
    for level in LEVELS:
        found = timed(select(level))
        every |= found
        if not fits(sum(found.values())):
            if chosen:
                chosen = _extended(chosen, found, worth, fits, timed)
            break
        chosen = found
    names = [name for name in select(LEVELS[-1]) if name in chosen]
    return Choice(indicators=names, timed={**every, **chosen})


def in_time(networks: int, seconds: float, moment: float, work: Work) -> bool:
    """Return whether so many networks, of so many seconds each, are computed before a moment."""
    return -(-networks // work.processes) * seconds <= moment - time.monotonic()


def _timed(
    space: Space, keys: Sequence[str], batch: Batch, moment: float, work: Work, names: Sequence[str]
) -> dict[str, float]:
    """Return the seconds of each indicator when these are computed together for one network."""
    limit = _SHARE * (moment - time.monotonic())
    found = dict(try_some(space, keys, batch, names, work=work, trial=_TRIED, limit=limit).by_indicator)
    return {name: found[name] for name in names}


def _extended(
    chosen: Mapping[str, float],
    found: Mapping[str, float],
    worth: Collection[str],
    fits: Callable[[float], bool],
    timed: Callable[[Sequence[str]], dict[str, float]],
) -> dict[str, float]:
    """Return what fits of `found`, more than which `chosen` is known to fit, with the seconds of each."""
    parts = _by_observation(name for name in found if name not in chosen)
    parts.sort(key=lambda part: (not set(worth) & set(part), sum(found[name] for name in part)))
    total = sum(chosen.values())
    added: list[list[str]] = []
    for part in parts:
        seconds = sum(found[name] for name in part)
        if fits(total + seconds):
            total += seconds
            added.append(part)
    for _ in range(_ROUNDS):
        if not added:
            break
        wanted = {name for part in added for name in part} | chosen.keys()
        # what was shared with those left out has become dearer
        again = timed([name for name in found if name in wanted])
        total = sum(again.values())
        if fits(total):
            return again
        while added and not fits(total):
            total -= sum(again[name] for name in added.pop())
    return dict(chosen)


def _by_observation(names: Iterable[str]) -> list[list[str]]:
    """Return the indicators with the same observations of their highest class of cost, together."""
    found: dict[frozenset[str], list[str]] = {}
    for name in names:
        one = INDICATORS[name]
        dearest = frozenset(need for need in one.needs if provider(need).provides[need] == one.cost)
        found.setdefault(dearest, []).append(name)
    return list(found.values())
