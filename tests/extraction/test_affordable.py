"""Which indicators fit into a time, from what they are said to take."""

from __future__ import annotations

import time

import pytest

import fusion.extraction.affordable as module
from fusion.errors import FusionError
from fusion.extraction.affordable import LEVELS, Choice, afford
from fusion.extraction.cost import Estimate
from fusion.images import load_images
from fusion.indicators import INDICATORS, select
from fusion.spaces import make_space
from fusion.work import Work

SPACE = make_space("nats-tss", {"channels": 4, "cells": 1})
BATCH = load_images("digits").batch(4)
KEYS = SPACE.sample(100, 0)
# Seconds that all of a class of cost share, and that each of its dearest observations takes beside them.
SHARED = {"structure": 0.01, "forward": 0.1, "backward": 0.2, "passes": 0.2}
OWN = {"structure": 0.0, "forward": 0.001, "backward": 0.001, "passes": 0.1}


def seconds_of(names):
    """Return what each takes, when these are computed together."""
    parts = module._by_observation(names)
    found = {}
    for cost, shared in SHARED.items():
        of_cost = [part for part in parts if INDICATORS[part[0]].cost == cost]
        for part in of_cost:
            found |= dict.fromkeys(part, (shared / len(of_cost) + OWN[cost]) / len(part))
    return {name: found[name] for name in names}


def total(level):
    """Return the seconds of all networks."""
    return len(KEYS) * sum(seconds_of(select(level)).values())


@pytest.fixture
def trials(monkeypatch):
    """The names that were timed, trial by trial; takes no time."""
    seen = []

    def try_some(space, keys, batch, names, *, work, trial, limit):
        seen.append(list(names))
        found = seconds_of(names)
        return Estimate(len(keys), work.processes, sum(found.values()), tuple(found.items()), trial - 1)

    monkeypatch.setattr(module, "try_some", try_some)
    return seen


def choose(seconds, *, worth=(), workers=1, slower=1.0, keys=KEYS):
    moment = time.monotonic() + seconds
    work = Work("cpu", workers)
    return afford(SPACE, keys, BATCH, moment=moment, worth=worth, work=work, slower=slower)


def test_all_that_fits_is_taken(trials):
    found = choose(total("standard") + 1)
    assert found.indicators == select("standard")
    assert found.left_out == []
    assert found.each * len(KEYS) == pytest.approx(total("standard"))
    assert trials == [select(level) for level in LEVELS]


@pytest.mark.parametrize(("workers", "slower"), [(1, 1.0), (2, 2.0), (4, 4.0)])
@pytest.mark.parametrize("level", LEVELS[:-1])
def test_a_level_is_taken_whole(trials, level, workers, slower):
    found = choose(total(level) + 0.5, workers=workers, slower=slower)
    assert found.indicators == [name for name in select("standard") if name in select(level)]
    # nothing dearer than what did not fit was tried
    assert trials[: LEVELS.index(level) + 2] == [select(name) for name in LEVELS[: LEVELS.index(level) + 2]]
    assert found.timed.keys() == set(select(LEVELS[LEVELS.index(level) + 1]))
    assert found.each * len(KEYS) == pytest.approx(total(level))


def test_nothing_where_not_even_the_networks_can_be_built(trials):
    found = choose(total("structure") / 2)
    assert (found.indicators, found.each) == ([], 0)
    assert trials == [select("structure")]


def test_what_shares_an_observation_is_added_together_and_what_is_worth_more_first(trials):
    seconds = total("fast") + len(KEYS) * 0.55
    few = choose(seconds)
    assert set(select("fast")) < set(few.indicators) < set(select("standard"))
    assert few.each * len(KEYS) <= seconds
    added = set(few.indicators) - set(select("fast"))
    for part in module._by_observation(few.left_out):
        assert not set(part) & added
        assert set(part) <= set(choose(seconds, worth=part[:1]).indicators)


def test_what_was_added_and_turns_out_dearer_is_dropped_again(trials):
    # by the shares of all of them many fit, but what they share costs the same however few they are
    seconds = total("fast") + len(KEYS) * 0.35
    found = choose(seconds)
    assert len(trials) > len(LEVELS)
    assert len(found.indicators) < len(trials[len(LEVELS)])
    assert found.each * len(KEYS) <= seconds


def test_it_is_written_and_read(tmp_path, trials):
    assert Choice.load(tmp_path / "c.json") is None
    found = choose(60)
    found.save(tmp_path / "c.json")
    assert Choice.load(tmp_path / "c.json") == found


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", "{}", '{"format": 2, "indicators": [], "timed": {}}'),
        '{"format": 1, "indicators": ["params"], "timed": {}}',
        '{"format": 1, "indicators": [], "timed": {"params": -1.0}}',
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(FusionError, match="remove it to choose anew"):
        Choice.load(tmp_path / "c.json")


def test_it_is_about_what_it_takes():
    found = choose(600, keys=KEYS[:3])
    assert found.indicators == select("standard")
    assert 0 < found.each < 5
