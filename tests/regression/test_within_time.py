"""Predictions within a given time: what is chosen, what is extracted first, and what fills the rest in."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import fusion.extraction.verb as verb
import fusion.regression.within_time as module
from fusion.errors import FusionError, InvalidArchitecture
from fusion.extraction import extract
from fusion.extraction.affordable import Choice
from fusion.extraction.planner import compute
from fusion.images import load_images
from fusion.indicators import select
from fusion.regression import ModelSpec, WithinSettings, fit, predict_within
from fusion.spaces import make_space
from fusion.spaces.nats_tss import NatsTss
from fusion.work import Work
from tests.tables.reading import read_rows
from tests.tables.small import accuracies_of, distinct, table_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SPACE = make_space("nats-tss", {"channels": 2, "cells": 1})
BATCH = load_images("digits").batch(4)
NAMES = ["params", "flops", "naswot"]
ALONE = Work("cpu", 1, progress=False)
EVERY = distinct(30, space=SPACE)
MEASURED, OTHERS = EVERY[:12], EVERY[12:]
HOURS = 10_000.0
STANDARD = len(select("standard"))


class Unlisted(NatsTss):
    """A space of which architectures can only be drawn."""

    enumerable = False

    def enumerate(self):
        raise AssertionError

    def __len__(self):
        raise AssertionError


def measured(keys=MEASURED, **changed):
    """Return made-up accuracies: more convolutions are better."""
    better = [80 + 2 * key.count("conv") + 0.1 * i for i, key in enumerate(keys)]
    return accuracies_of(pd.Series(better, keys), **changed)


def fit_quickly(data, spec, beside=None):
    """Leave out the trees, which take most of the time."""
    return fit(data, ModelSpec(spec.model, spec.indicators, {"effort": "quick"}), beside=beside)


@pytest.fixture(autouse=True, scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fit", fit_quickly)
        yield


@pytest.fixture
def chosen(monkeypatch):
    """Three indicators are chosen, as if each took a millisecond; of what is chosen anew, the first two."""
    asked = []

    def afford(space, keys, batch, *, moment, worth, work, slower=1.0):
        asked.append((list(keys), slower))
        names = NAMES if slower == 1.0 else NAMES[:2]
        return Choice(indicators=names, timed=dict.fromkeys([*NAMES, "zico"], 0.001))

    monkeypatch.setattr(module, "afford", afford)
    return asked


@pytest.fixture
def computed(monkeypatch):
    """What is computed, in order; `computed.most` networks, then the time is up."""
    seen = SimpleNamespace(keys=[], names=[], most=10**6)

    def counting(names, subject):
        seen.names.append(tuple(names))
        return compute(names, subject)

    def making(space, key, batch, **more):
        seen.keys.append(key)
        return make_subject(space, key, batch, **more)

    make_subject = verb.make_subject
    monkeypatch.setattr(verb, "make_subject", making)
    monkeypatch.setattr(verb, "compute", counting)

    def monotonic():
        return time.monotonic() + (2 * HOURS if len(seen.keys) >= seen.most else 0)

    monkeypatch.setattr("fusion.work.tasks.time", SimpleNamespace(monotonic=monotonic))
    return seen


def run(out, archs=OTHERS, accuracies=None, *, seconds=HOURS, images=BATCH, space=SPACE, **more):
    work = more.pop("work", ALONE)
    given = measured() if accuracies is None else accuracies
    settings = WithinSettings(**more)
    return predict_within(
        space, archs, given, images=images, seconds=seconds, out=out, settings=settings, work=work
    )


class TestInTime:
    @pytest.fixture(scope="class")
    def found(self, tmp_path_factory):
        twin = next(a for a in SPACE.enumerate() if a not in EVERY and SPACE.canonical(a) == OTHERS[3])
        archs = [OTHERS[3], *OTHERS[:2], twin, MEASURED[0], OTHERS[0]]
        out = tmp_path_factory.mktemp("within") / "t"
        return archs, predict_within(SPACE, iter(archs), measured(), images=BATCH, seconds=HOURS, out=out,
                                     work=ALONE), out  # fmt: skip

    def test_rows_are_those_that_were_given_in_their_order(self, found):
        archs, tonight, _ = found
        frame = tonight.frame
        assert list(frame) == ["arch", "predicted", "low", "high", "rank", "source"]
        assert list(frame["arch"]) == archs
        assert (frame["source"] == "indicators").all()
        same = frame.drop(columns="arch")
        assert same.iloc[0].equals(same.iloc[3])  # twins
        assert same.iloc[1].equals(same.iloc[5])  # the same twice
        assert (frame["low"] <= frame["predicted"]).all()
        assert (frame["predicted"] <= frame["high"]).all()
        assert frame.loc[frame["rank"] == 1, "predicted"].min() == frame["predicted"].max()
        assert list(frame["rank"]) == list(frame["predicted"].rank(method="min", ascending=False))

    def test_all_of_standard_fits_and_is_in_the_table(self, found):
        _, tonight, out = found
        assert list(tonight.indicators) == select("standard")
        assert tonight.left_out == ()
        assert (tonight.networks, tonight.extracted) == (15, 15)
        costs = tonight.costs.set_index("indicator")
        assert set(costs.index) == set(select("standard"))
        assert costs["estimated"].is_monotonic_decreasing
        seconds = read_rows(out, ["key", "indicator"]).groupby("indicator")["seconds"].sum()
        assert costs["real"].to_dict() == pytest.approx(seconds.to_dict())
        assert list(tonight.seconds) == ["encoding", "choice", "extraction", "fit"]

    def test_it_is_told(self, found):
        text = "\n".join(found[1].lines())
        assert "6 architectures predicted in" in text
        assert "15 of 15 networks have indicators; 6 predicted from indicators" in text
        assert f"all {STANDARD} indicators of the preset standard are computed" in text

    def test_they_are_what_the_verbs_give(self, found):
        archs, tonight, out = found
        table = extract(SPACE, [*MEASURED, *archs], images=BATCH, out=out, work=ALONE)
        expected = fit_quickly(table.labelled(measured()), ModelSpec("auto")).predict(table, interval=0.9)
        given = expected.loc[[SPACE.canonical(arch) for arch in archs]]
        for name in given:
            assert np.allclose(given[name], tonight.frame[name])


def test_those_with_accuracies_come_first_and_the_rest_in_a_seeded_order(tmp_path, chosen, computed):
    run(tmp_path / "a")
    assert computed.keys[:12] == MEASURED
    first = computed.keys[12:]
    assert set(first) == set(OTHERS)
    computed.keys.clear()
    run(tmp_path / "b", OTHERS[::-1][:9])
    assert computed.keys[12:] == [key for key in first if key in OTHERS[9:]]
    computed.keys.clear()
    run(tmp_path / "c", seed=1)
    assert computed.keys[12:] != first
    assert set(computed.names) == {tuple(NAMES)}


class TestTimeIsUp:
    def test_the_encoding_fills_in_and_a_second_call_goes_on(self, tmp_path, chosen, computed):
        computed.most = 17
        found = run(tmp_path / "t")
        assert (found.networks, found.extracted) == (30, 17)
        assert sorted(found.frame["source"].unique()) == ["indicators", "structure"]
        read = found.frame["source"] == "indicators"
        assert set(found.frame["arch"][read]) == set(computed.keys[12:])
        assert found.frame["predicted"].notna().all()
        assert found.costs["real"].notna().sum() == 3
        assert "17 of 30 networks have indicators; 5 predicted from indicators, 13 from the" in "".join(
            found.lines()
        )
        told = f"3 of {STANDARD} indicators are computed; left out, for want of time: "
        assert told in "".join(found.lines())
        computed.most = 10**6
        whole = run(tmp_path / "t")
        assert len(chosen) == 1  # it was not chosen anew
        assert sorted(computed.keys) == sorted(EVERY)  # nothing twice
        assert (whole.extracted, set(whole.frame["source"])) == (30, {"indicators"})
        pd.testing.assert_frame_equal(whole.frame, run(tmp_path / "at once").frame)

    def test_an_interruption_loses_nothing(self, tmp_path, chosen, computed, monkeypatch):
        counting = verb.compute

        def interrupted(names, subject):
            if len(computed.keys) == 15:
                raise KeyboardInterrupt
            return counting(names, subject)

        monkeypatch.setattr(verb, "compute", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "t")
        monkeypatch.setattr(verb, "compute", counting)
        assert run(tmp_path / "t").extracted == 30
        assert len(chosen) == 1
        assert len(computed.names) == 30

    def test_not_all_that_have_accuracies_are_in(self, tmp_path, chosen, computed):
        computed.most = 5
        found = run(tmp_path / "t", [*MEASURED[:2], *OTHERS])
        assert found.extracted == 5
        assert set(found.frame["source"]) == {"structure"}

    def test_no_time_for_any_indicator(self, tmp_path, computed):
        found = run(tmp_path / "t", seconds=1e-3)
        assert (found.indicators, len(found.left_out), found.extracted) == ((), STANDARD, 0)
        assert set(found.frame["source"]) == {"structure"}
        assert found.frame["rank"].min() == 1
        assert "no indicators are computed" in "".join(found.lines())
        assert computed.keys == []
        assert found.costs.empty
        # nothing is there to go on with, so more time chooses anew
        assert not (tmp_path / "t" / module.CHOSEN).exists()

    def test_fewer_are_computed_when_it_goes_slower_than_expected(
        self, tmp_path, chosen, computed, monkeypatch
    ):
        monkeypatch.setattr(module, "in_time", lambda *_: False)
        computed.most = 14
        assert run(tmp_path / "t").indicators == ("params", "flops")
        (keys, _), (left, slower) = chosen
        assert len(keys) == 30
        assert left == [key for key in keys if key not in computed.keys[:14]]
        assert slower > 0
        assert Choice.load(tmp_path / "t" / module.CHOSEN).indicators == NAMES[:2]
        computed.most = 10**6
        found = run(tmp_path / "t")
        assert (found.indicators, found.extracted) == (("params", "flops"), 30)
        assert computed.names == [tuple(NAMES)] * 14 + [("params", "flops")] * 16


def test_the_pace_is_told_by_enough_networks_without_the_slowest_of_each_process(tmp_path):
    values = pd.DataFrame(1.0, pd.Index(EVERY[:9], name="key"), ["params", "flops", "zen"])
    table = table_of(tmp_path / "t", values, of=SPACE)  # 0.1 s each
    slow = {"key": EVERY[9], "indicator": "flops", "repeat": 0, "value": 1.0, "status": "ok", "seconds": 9.0}
    table.store.add(pd.DataFrame([slow]))
    seen = replace(table, keys=tuple(EVERY[:10]), indicators=("params", "flops"))
    assert module._pace(seen, 1) == pytest.approx(0.2)
    assert module._pace(seen, 3) is None
    assert module._pace(replace(seen, keys=()), 1) is None


def test_the_time_is_kept(tmp_path, monkeypatch):
    def slowly(names, subject):
        time.sleep(0.2)
        return compute(names, subject)

    monkeypatch.setattr(verb, "compute", slowly)
    monkeypatch.setattr(
        module, "afford", lambda *_, **__: Choice(indicators=["params"], timed={"params": 0.2})
    )
    started = time.monotonic()
    found = run(tmp_path / "t", distinct(300, space=SPACE), seconds=6.0)
    assert time.monotonic() - started < 6.6
    assert 0 < found.extracted < 300


def test_errors_are_best_when_lowest(tmp_path, chosen):
    up = run(tmp_path / "t").frame
    down = run(tmp_path / "t", accuracies=measured(lower_is_better=True)).frame
    assert list(up["rank"]) == list(down["rank"])
    assert list(down["predicted"]) == list(-up["predicted"])
    assert list(down["low"]) == list(-up["high"])
    assert down.loc[down["rank"] == 1, "predicted"].max() == down["predicted"].min()


def test_a_space_that_cannot_be_listed(tmp_path, chosen):
    found = run(tmp_path / "t", space=Unlisted(channels=2, cells=1))
    assert set(found.frame["source"]) == {"indicators"}


def test_other_spaces_go_before_the_accuracies(tmp_path, chosen):
    with pytest.warns(UserWarning, match="like none of those taught.*its own accuracies alone"):
        found = run(tmp_path / "t", beside="zero")  # three indicators show no likeness
    pd.testing.assert_frame_equal(found.frame, run(tmp_path / "t").frame)
    with pytest.raises(FusionError, match="no-such-model"):
        run(tmp_path / "t", beside="no-such-model")


def test_several_workers_give_the_same(tmp_path, chosen, capsys):
    alone = run(tmp_path / "a")
    two = run(tmp_path / "b", work=Work("cpu", 2))
    pd.testing.assert_frame_equal(alone.frame, two.frame)
    told = capsys.readouterr().err
    assert f"3 of {STANDARD} indicators are computed" in told
    assert "30/30" in told


class TestBadInput:
    @pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf")])
    def test_no_time(self, tmp_path, seconds):
        with pytest.raises(FusionError, match=r"seconds is .*; give a number above 0"):
            run(tmp_path / "t", seconds=seconds)

    def test_no_architectures(self, tmp_path):
        with pytest.raises(FusionError, match="no architecture to predict"):
            run(tmp_path / "t", [])

    def test_architectures_of_another_space(self, tmp_path):
        with pytest.raises(InvalidArchitecture):
            run(tmp_path / "t", ["8:8:8:8:8"])

    def test_accuracies_of_another_space(self, tmp_path):
        with pytest.raises(InvalidArchitecture):
            run(tmp_path / "t", accuracies=measured(["8:8:8:8:8", "8:8:8:8:16"]))

    def test_too_few_accuracies(self, tmp_path, computed):
        with pytest.raises(
            FusionError, match=r"own.csv: 1 architectures of 1 network; a model needs at least"
        ):
            run(tmp_path / "t", accuracies=measured(MEASURED[:1]))
        assert computed.keys == []

    def test_no_images(self, tmp_path):
        with pytest.raises(FusionError, match="nowhere"):
            run(tmp_path / "t", images=tmp_path / "nowhere.npz")

    @pytest.mark.parametrize("interval", [0.0, 1.0, "wide"])
    def test_an_interval_that_is_none(self, tmp_path, interval, computed):
        with pytest.raises(FusionError, match=r"interval|coverage"):
            run(tmp_path / "t", interval=interval)
        assert computed.keys == []

    def test_a_table_of_other_images(self, tmp_path, chosen):
        run(tmp_path / "t", OTHERS[:1])
        with pytest.raises(FusionError, match="holds a table of other settings"):
            run(tmp_path / "t", OTHERS[:1], images=load_images("digits").batch(5))
