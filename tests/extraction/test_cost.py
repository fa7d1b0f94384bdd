"""What an extraction will cost, told before it starts."""

from __future__ import annotations

import pytest

from fusion.errors import FusionError
from fusion.extraction import cost as module
from fusion.extraction.cost import Estimate, duration, lines, parse_duration, told, try_some
from fusion.extraction.planner import Value
from fusion.images import load_images
from fusion.spaces import make_space
from fusion.work import Work

SPACE = make_space("nats-tss", {"channels": 4, "cells": 1})
KEYS = [SPACE.canonical(arch) for arch in SPACE.sample(6, seed=0)]
BATCH = load_images("digits").batch(4)


@pytest.fixture
def clock(monkeypatch):
    """Each indicator of each architecture takes what is said here, the first ten times as long."""
    seen = []

    def compute(names, subject):
        seen.append(subject)
        slow = 10 if len(seen) == 1 else 1
        return [Value(name, 1.0, "ok", slow * {"params": 0.5, "meco": 1.5}[name]) for name in names]

    monkeypatch.setattr(module, "compute", compute)
    return seen


def test_the_first_warms_up_and_the_rest_is_spread_over_the_workers(clock):
    found = try_some(SPACE, KEYS * 2, BATCH, ["params", "meco"], work=Work("cpu", 2))
    assert len(clock) == 3
    assert (found.architectures, found.workers, found.measured) == (12, 2, 2)
    assert found.seconds == pytest.approx(2.0)
    assert found.by_indicator == (("meco", pytest.approx(1.5)), ("params", pytest.approx(0.5)))
    assert found.total == pytest.approx(12.0)


def test_one_architecture_is_measured_as_it_is(clock):
    found = try_some(SPACE, KEYS[:1], BATCH, ["params"], work=Work("cpu", 8))
    assert (found.measured, found.seconds, found.total) == (1, 5.0, 5.0)


def test_a_long_trial_ends_early(clock, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS", -1.0)
    assert try_some(SPACE, KEYS, BATCH, ["params"], work=Work("cpu", 1)).measured == 1
    assert len(clock) == 1


def test_the_limit_of_a_trial_can_be_given(clock):
    assert try_some(SPACE, KEYS, BATCH, ["params"], work=Work("cpu", 1), trial=5, limit=0).measured == 1
    assert len(clock) == 1


def test_it_is_about_what_it_takes():
    found = try_some(SPACE, KEYS, BATCH, ["params", "naswot", "meco"], work=Work("cpu", 1), trial=2)
    assert 0 < found.seconds < 5
    assert sum(seconds for _, seconds in found.by_indicator) == pytest.approx(found.seconds)


def test_nothing_left():
    with pytest.raises(FusionError, match="nothing is left"):
        try_some(SPACE, [], BATCH, ["params"], work=Work("cpu", 1))


def test_it_is_told_in_a_line_and_by_indicator():
    found = Estimate(1200, 2, 1.4, (("meco", 1.0), *((f"i{n}", 0.04) for n in range(10))), 3)
    assert told(found) == "1,200 architectures to compute, about 14 min with 2 workers"
    text = lines(found)
    assert text[0] == told(found)
    assert text[1] == "1.4 s for one architecture, measured on 3; of these"
    assert text[2].split() == ["meco", "1.000", "s", "71%"]
    assert text[-1].split() == ["3", "others", "0.120", "s", "9%"]
    assert told(Estimate(1, 1, 0.2, (("meco", 0.2),), 1)).startswith("1 architecture to compute, about 1 s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "1 s"), (40, "40 s"), (840, "14 min"), (11520, "3.2 h"), (72000, "20 h"), (216000, "2.5 days")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("30m", 1800), ("2h", 7200), ("1.5h", 5400), (" 0.5m ", 30)]
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["90", "", "m", "0m", "0.0h", "-1h", "1d", "1e3s", "inf", "nan h", "1h30m", "٣m"]
)
def test_what_is_no_duration_is_told_in_a_line(text):
    with pytest.raises(
        FusionError, match=r"no length of time; give a number above 0 with its unit: 30s, 30m or 2h$"
    ):
        parse_duration(text)
