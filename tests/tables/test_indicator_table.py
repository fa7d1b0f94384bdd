"""The indicator table as a thing: what is seen of it, what it says of itself, when it grows."""

import json

import pandas as pd
import pytest

import fusion.storage.parts as parts
from fusion.errors import FusionError
from fusion.extraction import extract
from fusion.extraction.verb import unextracted
from fusion.images import load_images
from fusion.indicators import INDICATORS
from fusion.spaces import make_space
from fusion.tables import IndicatorTable
from fusion.work import Work

SPACE = make_space("nats-tss", {"channels": 2, "cells": 1})
BATCH = load_images("digits").batch(8)
ARCHS = SPACE.sample(6, 0)
KEYS = list(dict.fromkeys(map(SPACE.canonical, ARCHS)))
NAMES = ["params", "os", "flops", "cj"]
ALONE = Work("cpu", 1, progress=False)
OTHER = next(key for key in map(SPACE.canonical, SPACE.sample(40, 0)) if key not in KEYS)
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table") / "t"
    extract(SPACE, ARCHS, NAMES, images=BATCH, out=folder, repeats=2, work=ALONE)
    return folder


@pytest.fixture
def table(path):
    return IndicatorTable.open(path)


def test_values_are_means_over_the_repeats_and_spread_their_deviation(table):
    rows = table.store.read()
    for key in KEYS[:3]:
        of = rows[(rows["key"] == key) & (rows["indicator"] == "os")]["value"].astype(float)
        assert len(of) == 2
        assert table.values().loc[key, "os"] == pytest.approx(of.mean(), nan_ok=True)
        assert table.spread().loc[key, "os"] == pytest.approx(of.std(), nan_ok=True)
    assert table.repeats == 2
    assert (table.values().index.name, table.values().columns.name) == ("key", None)


def test_architectures_have_their_encoding_without_any_indicator(tmp_path):
    table = unextracted(SPACE, [*ARCHS, OTHER], BATCH, tmp_path / "new", seed=0, work=ALONE)
    assert (table.keys, table.repeats) == ((*KEYS, OTHER), 1)
    assert table.values().shape == (len(KEYS) + 1, 0)
    assert list(table.encoding().index) == [*KEYS, OTHER]
    with pytest.raises(FusionError, match="the table has no rows yet"):
        IndicatorTable.open(tmp_path / "new").values()
    # the same table is then extracted into
    assert (
        extract(SPACE, ARCHS, NAMES, images=BATCH, out=tmp_path / "new", work=ALONE)
        .values()
        .notna()
        .any()
        .any()
    )


def test_columns_are_in_order_of_registration_or_as_asked(table):
    assert list(table.values().columns) == [name for name in INDICATORS if name in NAMES]
    assert list(table.values(["os", "params"]).columns) == ["os", "params"]
    with pytest.raises(FusionError, match="has no indicator naswot"):
        table.values(["naswot"])


def test_a_view_sees_what_it_was_asked_for_in_that_order(table):
    some = table.only(KEYS[3:1:-1], ["os", "params"])
    assert list(some.values().index) == KEYS[3:1:-1]
    assert list(some.values().columns) == ["os", "params"]
    pd.testing.assert_frame_equal(some.values(), table.values().loc[KEYS[3:1:-1], ["os", "params"]])
    assert set(some.undefined()["key"]) <= set(KEYS[2:4])
    with pytest.raises(FusionError, match="lacks 1 of 2 architectures"):
        table.only([KEYS[0], OTHER])


def test_extract_returns_a_view_whatever_else_the_folder_holds(path):
    few = extract(SPACE, ARCHS[:2], ["params"], images=BATCH, out=path, repeats=2, work=ALONE)
    assert few.values().shape == (2, 1)
    assert IndicatorTable.open(path).values().shape == (len(KEYS), len(NAMES))


def test_a_table_that_extract_made_grows(tmp_path):
    table = extract(SPACE, ARCHS[:2], ["params"], images=BATCH, out=tmp_path / "t", work=ALONE)
    more = table.extend(ARCHS[:4])
    assert list(more.values().index) == KEYS[:4]
    assert list(table.values().index) == KEYS[:2]
    with pytest.raises(FusionError, match="cannot grow"):
        IndicatorTable.open(tmp_path / "t").extend(ARCHS[4:])


def test_indicators_without_any_value_are_told_with_their_reason(tmp_path):
    table = extract(SPACE, [DEAD], NAMES, images=BATCH, out=tmp_path / "t", work=ALONE)
    assert table.empty()["cj"] == "the output is the same for every input"
    assert "params" not in table.empty()


def test_what_it_says_of_itself(table):
    assert table.images == "digits"
    assert table.meta["batch_digest"] == BATCH.digest
    assert set(table.seconds().index) == set(NAMES)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "training-states"}, "holds training-states"),
        ({"batch_size": "8"}, "batch_size is '8'"),
        ({"space_settings": []}, "space_settings is"),
        ({"provenance": None}, "provenance is None"),
        ({"space": "nats-tsss"}, "did you mean 'nats-tss'"),
        ({"space_settings": {"colour": "red"}}, "colour"),
    ],
)
def test_metadata_are_checked(tmp_path, change, told):
    extract(SPACE, ARCHS[:1], ["params"], images=BATCH, out=tmp_path / "t", work=ALONE)
    file = tmp_path / "t" / "meta.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(FusionError, match=told) as raised:
        IndicatorTable.open(tmp_path / "t")
    assert "\n" not in str(raised.value)


def test_another_space_is_refused(path):
    with pytest.raises(FusionError, match="space_settings is"):
        IndicatorTable.open(path, make_space("nats-tss", {"channels": 4, "cells": 1}))


@pytest.fixture
def opened(monkeypatch):
    """Which parts were opened for reading, and which columns were read of them."""
    seen = []

    class Counting(parts.ParquetReader):
        def __init__(self, path):
            seen.append((path.name, "opened"))
            super().__init__(path)

        def read(self, columns=None):
            seen.append((self.path.name, tuple(columns or ())))
            return super().read(columns)

    monkeypatch.setattr(parts, "ParquetReader", Counting)
    return seen


def test_a_table_is_opened_once_whatever_is_asked_of_it(table, opened):
    for _ in range(2):
        table.values(), table.spread(), table.undefined(), table.repeats, table.seconds()
    assert [what for _, what in opened] == ["opened", ()]


def test_an_extraction_with_nothing_to_do_reads_keys_only(path, opened):
    extract(SPACE, ARCHS, NAMES, images=BATCH, out=path, repeats=2, work=ALONE)
    assert [what for _, what in opened] == ["opened", ("key", "indicator", "repeat")]


def test_an_extraction_opens_each_part_once(tmp_path, opened):
    extract(SPACE, ARCHS[:2], NAMES, images=BATCH, out=tmp_path / "t", work=ALONE).values()
    opened.clear()
    extract(SPACE, ARCHS, NAMES, images=BATCH, out=tmp_path / "t", work=ALONE).values()
    names = [name for name, what in opened if what == "opened"]
    assert len(names) == len(set(names)) == 1


def test_a_table_without_rows_says_so(tmp_path):
    made = extract(SPACE, ARCHS[:1], ["params"], images=BATCH, out=tmp_path / "t", work=ALONE)
    for part in (tmp_path / "t" / "parts").iterdir():
        part.unlink()
    with pytest.raises(FusionError, match="the table has no rows yet"):
        IndicatorTable.open(made.path).values()
