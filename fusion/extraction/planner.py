"""From the indicators asked for to the passes made: every probe runs once, for all that need it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from fusion.indicators.base import INDICATORS
from fusion.probes.base import PROBES, Observations, Subject, as_undefined, provider
from fusion.seeding import derive_seed, seeded

OK = "ok"


@dataclass(frozen=True)
class Value:
    """What one indicator gave.

    Attributes
    ----------
    indicator : str
    value : float or None
        None where there is none, for the reason in `status`.
    status : str
        "ok", or in a few words why there is no value.
    seconds : float
        Time of the passes that the indicator needs and of the indicator itself; indicators that
        share a pass each count the whole of it.
    """

    indicator: str
    value: float | None
    status: str
    seconds: float


def plan(names: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return probe name -> observations wanted from it, in order of registration."""
    needs = {need for name in names for need in INDICATORS[name].needs}
    wanted: dict[str, frozenset[str]] = {}
    for name in PROBES:
        if mine := frozenset(need for need in needs if provider(need).name == name):
            wanted[name] = mine
    return wanted


def _observe(name: str, wanted: frozenset[str], subject: Subject) -> Observations:
    try:
        # a network may draw at random, as dropout does: the same draws in every pass, none of ours
        with seeded(derive_seed("pass", subject.seed)):
            return PROBES[name].run(subject, wanted)
    except Exception as error:  # one failing pass must not lose the indicators of the others
        return dict.fromkeys(wanted, as_undefined(error))


def compute(names: Sequence[str], subject: Subject) -> list[Value]:
    """Return the value of each indicator in `names` for one network, in their order.

    Never raises for what the network does: an indicator without a value says why.
    """
    waiting = {name: set(INDICATORS[name].needs) for name in names}
    seconds = dict.fromkeys(names, 0.0)
    values: dict[str, Value] = {}
    observations: Observations = {}
    for probe_name, wanted in plan(names).items():
        started = time.perf_counter()
        observations |= _observe(probe_name, wanted, subject)
        spent = time.perf_counter() - started
        for name, needs in list(waiting.items()):
            if not needs & wanted:
                continue
            seconds[name] += spent
            needs -= wanted
            if not needs:
                del waiting[name]
                values[name] = _value(name, observations, seconds[name])
        # what no waiting indicator needs is freed before the next pass
        alive = set().union(*waiting.values(), *(INDICATORS[name].needs for name in waiting))
        observations = {key: value for key, value in observations.items() if key in alive}
    return [values[name] for name in names]


def _value(name: str, observations: Observations, seconds: float) -> Value:
    started = time.perf_counter()
    value: float | None = None
    status = OK
    try:
        value = INDICATORS[name](observations)
    except Exception as error:  # the same: null and a status, never a lost row
        status = str(as_undefined(error))
    return Value(name, value, status, seconds + time.perf_counter() - started)
