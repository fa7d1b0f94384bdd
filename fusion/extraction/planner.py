"""From the indicators asked for to the passes made: every probe runs once, for all that need it."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass

from fusion.indicators.base import INDICATORS, needs_graphs
from fusion.probes.base import BUILDING, COSTS, PROBES, RUNNING, Observations, Subject, provider
from fusion.probes.checkpoints import without_checkpoints
from fusion.probes.undefined import Broken, Undefined, as_undefined
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
        "ok", or in a few words why there is no value; "ok: " with what has to be said of the value.
    broken : bool
        There is no value because a pass failed, and not because none is defined.
    seconds : float
        What the indicator costs: itself, the observations that only it needed, and an equal share
        of what it needed together with other indicators of the call (the making of the network, by
        all but those of the cells' graphs). The seconds of all indicators of a call add up to the
        time spent in building, passes and indicators.
    """

    indicator: str
    value: float | None
    status: str
    seconds: float
    broken: bool = False


def plan(names: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return probe name -> observations wanted from it, in order of registration."""
    needs = {need for name in names for need in INDICATORS[name].needs}
    wanted: dict[str, frozenset[str]] = {}
    for name in PROBES:
        if mine := frozenset(need for need in needs if provider(need).name == name):
            wanted[name] = mine
    return wanted


def _run(name: str, wanted: frozenset[str], subject: Subject) -> Observations:
    try:
        # a network may draw at random, as dropout does: the same draws in every pass, none of ours
        with seeded(derive_seed("pass", subject.seed)), without_checkpoints():
            return PROBES[name].run(subject, wanted)
    except Exception as error:  # one failing pass must not lose the indicators of the others
        return dict.fromkeys(wanted, as_undefined(error))


def _observe(name: str, wanted: frozenset[str], subject: Subject) -> Observations:
    """Run a pass; what breaks with the channels last in memory is tried again in the default format."""
    found = _run(name, wanted, subject)
    broken = frozenset(need for need in wanted if isinstance(found[need], Broken))
    if broken and subject.channels_last:
        with subject.default_format():
            again = _run(name, broken, subject)
        found |= {need: again[need] for need in broken}
    return found


def _shares(
    total: float, metered: Mapping[frozenset[str], float], users: Mapping[str, Set[str]]
) -> dict[str, float]:
    """Return the seconds of a pass that fall to each indicator.

    Parameters
    ----------
    total : float
        Seconds of the whole pass.
    metered : mapping
        Seconds within it that were spent for some observations alone.
    users : mapping of str to set of str
        Indicators, and the observations of the pass that each needs.
    """
    shares = dict.fromkeys(users, 0.0)
    rest = total
    for observations, seconds in metered.items():
        if mine := [name for name, needs in users.items() if needs & observations]:
            rest -= seconds
            for name in mine:
                shares[name] += seconds / len(mine)
    return {name: share + rest / len(users) for name, share in shares.items()}


def compute(names: Sequence[str], subject: Subject) -> list[Value]:
    """Return the value of each indicator in `names` for one network, in their order.

    Never raises for what the network does: an indicator without a value says why.
    """
    waiting = {name: set(INDICATORS[name].needs) for name in names}
    seconds = dict.fromkeys(names, 0.0)
    found: dict[str, float | Undefined] = {}
    observations: Observations = {}
    building = 0.0
    for probe_name, wanted in plan(names).items():
        subject.meter.take()
        started = time.perf_counter()
        observations |= _observe(probe_name, wanted, subject)
        spent, metered = time.perf_counter() - started, subject.meter.take()
        built = metered.pop(frozenset({BUILDING}), 0.0)
        building += built
        users = {name: needs & wanted for name, needs in waiting.items() if needs & wanted}
        for name, share in _shares(spent - built, metered, users).items():
            started = time.perf_counter()
            waiting[name] -= wanted
            if not waiting[name]:
                del waiting[name]
                found[name] = _call(name, observations)
            seconds[name] += share + time.perf_counter() - started
        # what no waiting indicator needs is freed before the next pass
        alive = set().union(*waiting.values(), *(INDICATORS[name].needs for name in waiting))
        observations = {key: value for key, value in observations.items() if key in alive}
    of_network = [name for name in names if not needs_graphs(name)] or names
    for name in of_network:
        seconds[name] += building / len(of_network)
    return [_value(name, found[name], seconds[name], subject.notes) for name in names]


def _call(name: str, observations: Observations) -> float | Undefined:
    try:
        return INDICATORS[name](observations)
    except Exception as error:  # the same: null and a status, never a lost row
        return as_undefined(error)


def noted(value: Value, remarks: Collection[str]) -> str:
    """Return a status with what has to be said of the network, where the value comes from a pass over it.

    That of a cost says on what it was taken, alike of all networks.
    """
    if value.value is None or INDICATORS[value.indicator].cost in (COSTS[0], RUNNING):
        return value.status
    return ": ".join([value.status, *sorted(remarks)])


def _value(name: str, found: float | Undefined, seconds: float, notes: Mapping[str, str]) -> Value:
    if isinstance(found, Undefined):
        return Value(name, None, str(found), seconds, isinstance(found, Broken))
    said = sorted({notes[need] for need in INDICATORS[name].needs if need in notes})
    return Value(name, found, ": ".join([OK, *said]), seconds)
