"""What an extraction will cost, measured on a few of its architectures before it starts."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from fusion.errors import FusionError
from fusion.extraction.planner import compute
from fusion.extraction.subject import make_subject
from fusion.images import Batch
from fusion.seeding import derive_seed
from fusion.spaces import Space
from fusion.work import Work
from fusion.work.devices import single_thread
from fusion.work.precision import full_precision

# The trial ends with the architecture that passes so many seconds.
_SECONDS = 10.0
_UNITS = {"s": 1, "m": 60, "h": 3600}
# Indicators that `lines` names one by one.
_SHOWN = 8


@dataclass(frozen=True)
class Estimate:
    """What is left to compute, and how long that will take.

    Attributes
    ----------
    architectures : int
        That are left, each as often as it is initialised.
    workers : int
        Processes.
    seconds : float
        Of one architecture in one process.
    by_indicator : tuple of (str, float)
        What each indicator has of these seconds, the most expensive first.
    measured : int
        Architectures of the trial, the mean of which this is.
    """

    architectures: int
    workers: int
    seconds: float
    by_indicator: tuple[tuple[str, float], ...]
    measured: int

    @property
    def total(self) -> float:
        """Seconds until all are computed; a core for each process is assumed."""
        return self.seconds * -(-self.architectures // self.workers)


def try_some(
    space: Space,
    keys: Sequence[str],
    batch: Batch,
    indicators: Sequence[str],
    *,
    work: Work,
    trial: int = 3,
    limit: float | None = None,
) -> Estimate:
    """Return what computing `indicators` for `keys` will cost; nothing is stored.

    The trial warms up on its first architecture, which is left out where others follow.

    Parameters
    ----------
    space : Space
    keys : sequence of str
        The canonical architectures that are left, once for each initialisation.
    batch : Batch
    indicators : sequence of str
        Names; see `fusion.indicators.select`.
    work : Work
        By what it will be computed.
    trial : int
        Architectures to compute for it.
    limit : float, optional
        Seconds after which no further one is begun; by default 10.

    Raises
    ------
    FusionError
        When nothing is left to compute.
    """
    if not keys:
        raise FusionError("nothing is left to compute, and nothing to estimate")
    # the same for the same keys, and spread over them: enumerations begin with the smallest
    chosen = sorted(dict.fromkeys(keys), key=lambda key: derive_seed("trial", key))[:trial]
    measured: list[dict[str, float]] = []
    placed = batch.to(work.pick())
    started = time.perf_counter()
    limit = _SECONDS if limit is None else limit
    with single_thread(), full_precision():
        for key in chosen:
            values = compute(indicators, make_subject(space, key, placed, seed=0, repeat=0))
            measured.append({value.indicator: value.seconds for value in values})
            if time.perf_counter() - started > limit:
                break
    counted = measured[1:] or measured
    mean = {name: sum(seconds[name] for seconds in counted) / len(counted) for name in indicators}
    return Estimate(
        len(keys),
        work.processes,
        sum(mean.values()),
        tuple(sorted(mean.items(), key=lambda item: -item[1])),
        len(counted),
    )


def duration(seconds: float) -> str:
    """Return a time in words: "40 s", "14 min", "3.2 h", "2.5 days"."""
    if seconds < 1:
        return "1 s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    for size, limit, name in ((60, 99.5, "min"), (3600, 48, "h")):
        if (number := seconds / size) < limit:
            return f"{number:.0f} {name}" if name == "min" or number >= 10 else f"{number:.1f} {name}"
    return f"{seconds / 86400:.1f} days"


def parse_duration(text: str) -> float:
    """Return the seconds that a text such as "30s", "30m" or "1.5h" means.

    Raises
    ------
    FusionError
        For any other text, a number without a unit among them, and for no time at all.

    Examples
    --------
    >>> parse_duration("30m"), parse_duration("1.5h")
    (1800.0, 5400.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip(), re.ASCII)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < seconds < float("inf"):
        raise FusionError(
            f"{text!r} is no length of time; give a number above 0 with its unit: 30s, 30m or 2h"
        )
    return seconds


def told(found: Estimate) -> str:
    """Return an estimate in one line."""
    networks = "architecture" if found.architectures == 1 else "architectures"
    workers = "worker" if found.workers == 1 else "workers"
    return (
        f"{found.architectures:,} {networks} to compute, about {duration(found.total)} "
        f"with {found.workers} {workers}"
    )


def lines(found: Estimate) -> list[str]:
    """Return an estimate as text: the whole, one architecture, and where its seconds go."""
    text = [
        told(found),
        f"{found.seconds:.3g} s for one architecture, measured on {found.measured}; of these",
    ]
    width = max(len(name) for name, _ in found.by_indicator)
    for name, seconds in found.by_indicator[:_SHOWN]:
        text.append(f"  {name:<{width}}  {seconds:8.3f} s  {seconds / found.seconds:4.0%}")
    if rest := found.by_indicator[_SHOWN:]:
        seconds = sum(part for _, part in rest)
        name = f"{len(rest)} others"
        text.append(f"  {name:<{width}}  {seconds:8.3f} s  {seconds / found.seconds:4.0%}")
    return text
