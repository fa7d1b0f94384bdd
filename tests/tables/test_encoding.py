"""The encoding against its definition, written out cell by cell; and where a table hands it on."""

import string

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.errors import FusionError
from fusion.spaces import make_space
from fusion.tables.encoding import encode, not_encoded
from tests.tables.small import NAMES, SPACE, accuracies_of, distinct, labelled, table_of, values_of


class Said:
    """A space that says of an architecture what it is given."""

    name = "said"

    def __init__(self, features):
        self.of = {f"arch {i}": one for i, one in enumerate(features)}

    def features(self, arch):
        return self.of[arch]


def encoded(features, names=None):
    space = Said(features)
    return encode(space, list(space.of), names)


def text_of(value):
    """A choice in the name of a column: whole numbers without a point."""
    return value if isinstance(value, str) else f"{value:.0f}" if value == round(value) else repr(value)


def cell(features, column):
    """What one column says of one architecture."""
    name, chosen, choice = column.removeprefix("encoding.").partition("=")
    value = features.get(name, 0 if "count" in name.split(".") else None)
    if chosen:
        return float(value is not None and text_of(value) == choice)
    return float("nan") if value is None or isinstance(value, str) else float(value)


def columns_of(features):
    """All columns that there may be, those in which architectures agree left out."""
    found = set()
    for name in {name for one in features for name in one}:
        absent = 0 if "count" in name.split(".") else None
        values = {one.get(name, absent) for one in features} - {None}
        texts = all(isinstance(value, str) for value in values)
        found |= set() if texts else {f"encoding.{name}"}
        found |= {f"encoding.{name}={text_of(v)}" for v in values} if texts or len(values) <= 8 else set()
    return {c for c in found if len({str(cell(one, c)) for one in features}) > 1}


NUMBERS = st.integers(0, 12) | st.floats(-5, 5).map(lambda x: round(x, 2) + 0.0)
TEXTS = st.text(string.printable, min_size=1, max_size=3)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={"width": NUMBERS, "count.op": st.integers(0, 3), "op": TEXTS, "a.count": st.just(1)},
        ),
        min_size=1,
        max_size=19,
    )
)
def test_every_cell_is_what_its_column_says(features):
    found = encoded(features)
    assert list(found.columns) == sorted(columns_of(features))
    assert list(found.index) == [f"arch {i}" for i in range(len(features))]
    for i, one in enumerate(features):
        for column in found.columns:
            assert np.array_equal(found.iloc[i][column], cell(one, column), equal_nan=True), (one, column)


def test_names_carry_all_that_is_needed():
    features = [{"op": "a", "width": 1.5}, {"op": "b=c", "width": 2}, {"count.x": 2}]
    names = ["encoding.width", "encoding.op=b=c", "encoding.op=z", "encoding.none", "encoding.none=1"]
    names += ["encoding.count.x", "encoding.count.x=0", "encoding.count.y", "encoding.count.y=0"]
    found = encoded(features, names)
    assert list(found.columns) == names
    nan = np.nan
    expected = [
        [1.5, 0, 0, nan, 0, 0, 1, 0, 1],
        [2, 1, 0, nan, 0, 0, 1, 0, 1],
        [nan, 0, 0, nan, 0, 2, 0, 0, 1],
    ]
    assert np.array_equal(found.to_numpy(), expected, equal_nan=True)
    assert encoded([], names).shape == (0, len(names))


def test_an_architecture_is_described_alike_among_any_others():
    space = make_space("nas-bench-101")
    keys = space.sample(60, 0)
    whole = encode(space, keys)
    some = keys[40:20:-3]
    pd.testing.assert_frame_equal(encode(space, some, list(whole.columns)), whole.loc[some])


def test_what_one_architecture_of_many_has_is_left_out():
    """Else a space of names would have a column for each."""
    features = [{"name": f"net {i}", "kind": "ab"[i % 2], "size": float(i)} for i in range(3000)]
    assert list(encoded(features[:20]).columns) == ["encoding.kind=a", "encoding.kind=b", "encoding.size"]
    assert "encoding.name=net 3" in encoded(features[:19]).columns
    rare = [{**one, "rare": "xy"[i < 2], "seldom": "xy"[i < 3]} for i, one in enumerate(features)]
    assert [c for c in encoded(rare).columns if "=y" in c] == ["encoding.seldom=y"]
    assert "encoding.rare=y" in encoded(rare[:100]).columns


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_missing(value):
    found = encoded([{"width": 1.0}, {"width": value}, {"width": 2.0}])
    assert np.isnan(found.loc["arch 1", "encoding.width"])
    assert found.loc["arch 1", ["encoding.width=1", "encoding.width=2"]].tolist() == [0, 0]


def test_a_space_that_describes_badly_is_told():
    with pytest.raises(FusionError, match=r"`features` gives op the value None; give a number or a text"):
        encoded([{"op": None}])

    class Broken(Said):
        def features(self, arch):
            raise KeyError("lacking\nlines")

    with pytest.raises(FusionError, match=r"`features` of a failed \(KeyError: .*\); repair it"):
        encode(Broken([]), ["a"])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("encoding") / "t")


class TestTable:
    def test_columns_of_both_kinds_by_name(self, data):
        table = data.table
        pd.testing.assert_frame_equal(table.encoding(), encode(SPACE, list(table.values().index)))
        column = "encoding.edge.0-1=none"
        found = table.values([column, "cj", "encoding.count.none"])
        assert list(found.columns) == [column, "cj", "encoding.count.none"]
        assert found["cj"].equals(table.values()["cj"])
        assert found[column].tolist() == [float(key.startswith("|none")) for key in found.index]
        assert list(table.values([column]).columns) == [column]
        with pytest.raises(FusionError, match="has no indicator depth"):
            table.values([column, "depth"])

    def test_of_what_is_seen_and_never_stored(self, data):
        few = data.table.only(list(data.X.index[:5]))
        assert list(few.encoding().index) == list(few.values().index) == list(data.X.index[:5])
        assert not any(name.startswith("encoding") for name in data.table.store.read()["indicator"])

    def test_after_the_indicators_in_what_models_read(self, data):
        indicators = list(data.table.values().columns)
        columns = [*indicators, *data.table.encoding().columns]
        assert list(data.X.columns) == list(data.pool.table.columns) == columns
        assert len(columns) > 100
        assert data.indicators == indicators == not_encoded(columns)
        assert sorted(data.directions) == sorted(NAMES)
        pd.testing.assert_frame_equal(
            data.X[columns[6:]].rename_axis(index="key"), data.table.encoding().loc[data.X.index]
        )

    def test_twins_are_described_alike(self, tmp_path):
        values, quality = values_of(distinct(30))
        key = next(k for k in values.index if "none" in k)
        twin = next(arch for arch in SPACE.enumerate() if SPACE.canonical(arch) == key and arch != key)
        measured = pd.concat([quality, pd.Series({twin: quality[key]})])
        data = table_of(tmp_path / "t", values).labelled(accuracies_of(measured))
        assert data.X.loc[twin].equals(data.X.loc[key])
