from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.benchmarks import BENCHMARKS
from fusion.errors import FusionError, InvalidArchitecture
from fusion.spaces import make_space
from fusion.storage.bundled import bundled
from fusion.tables import Accuracies, read_accuracies

SPACE = make_space("nats-tss")
ARCHS = SPACE.sample(5, seed=0)
# one convolution on one path, written in three ways, and a dead one beside it
TWINS = [
    "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
    "|none~0|+|nor_conv_1x1~0|none~1|+|none~0|none~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
]
TABLE = pd.DataFrame({"arch": ARCHS, "test": [90.1, 91.25, 10.0, 1 / 3, 93.0], "val": range(5)})
SUFFIXES = pytest.mark.parametrize("suffix", [".csv", ".parquet"])


def save(path, frame):
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path, index=False)
    return path


def accuracies(by_arch, seeds=None, spread=None, **options):
    by_arch = pd.Series(by_arch, dtype="float64").rename_axis("arch")
    return Accuracies(
        by_arch,
        pd.Series(seeds if seeds is not None else pd.NA, by_arch.index, dtype="Int64"),
        pd.Series(np.nan, by_arch.index),
        pd.Series(spread if spread is not None else np.nan, by_arch.index, dtype="float64"),
        "own.csv",
        len(by_arch),
        **options,
    )


# --- reading ---------------------------------------------------------------------------------


@SUFFIXES
def test_accuracies_come_back_exactly(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", TABLE)
    read = read_accuracies(path, SPACE, "test")
    pd.testing.assert_series_equal(read.by_arch, TABLE.set_index("arch")["test"])
    assert read_accuracies(path, SPACE, "val").by_arch.dtype == np.float64
    assert (read.source, read.rows, read.notes, read.lower_is_better) == (str(path), 5, (), False)
    for series in (read.seeds, read.cost, read.spread):
        assert series.isna().all()
        assert series.index.equals(read.by_arch.index)
    assert (read.seeds.dtype, read.cost.dtype, read.spread.dtype) == ("Int64", "float64", "float64")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_any_finite_number_survives(tmp_path_factory, values):
    archs = SPACE.sample(len(values), seed=1)
    frame = pd.DataFrame({"arch": archs, "x": [repr(value) for value in values]})
    path = save(tmp_path_factory.getbasetemp() / "numbers.csv", frame)
    assert read_accuracies(path, SPACE, "x").by_arch.to_dict() == dict(zip(archs, values, strict=True))


def test_strings_of_no_space_in_particular(tmp_path):
    path = save(tmp_path / "a.csv", pd.DataFrame({"arch": [" a ", "b"], "accuracy": [1, 2]}))
    assert read_accuracies(path, None).by_arch.to_dict() == {"a": 1.0, "b": 2.0}


def test_rows_without_a_value_are_left_out_and_counted(tmp_path):
    frame = TABLE.assign(test=["", "90", "NaN", "-", "na"])
    path = save(tmp_path / "a.csv", frame)
    read = read_accuracies(path, SPACE, "test")
    assert read.by_arch.to_dict() == {ARCHS[1]: 90.0}
    assert read.notes == (f"{path}: 4 rows without a value left out (lines 2, 4, 5 and 1 more)",)
    assert read.rows == 5
    path = save(tmp_path / "a.parquet", TABLE.assign(test=[1.0, np.nan, 3.0, 4.0, 5.0]))
    assert read_accuracies(path, SPACE, "test").notes == (f"{path}: 1 row without a value left out (row 2)",)


def test_several_rows_of_one_architecture_are_measurements(tmp_path):
    frame = pd.DataFrame({"arch": [*ARCHS[:2], ARCHS[0], ARCHS[0]], "accuracy": [90.0, 80, 91, 95]})
    path = save(tmp_path / "a.csv", frame)
    read = read_accuracies(path, SPACE)
    assert read.by_arch.to_dict() == {ARCHS[0]: 92.0, ARCHS[1]: 80.0}
    assert read.seeds.tolist() == [3, 1]
    assert read.spread.iloc[0] == pytest.approx(np.std([90, 91, 95], ddof=1))
    assert np.isnan(read.spread.iloc[1])
    assert read.notes == (f"{path}: 1 architecture with several rows, averaged",)


def test_one_architecture_in_two_notations_is_one(tmp_path):
    number = list(SPACE.enumerate()).index(ARCHS[0])
    frame = pd.DataFrame({"arch": [ARCHS[0], str(number)], "accuracy": [90.0, 92.0]})
    assert read_accuracies(save(tmp_path / "a.csv", frame), SPACE).by_arch.to_dict() == {ARCHS[0]: 91.0}


def test_copies_of_a_row_are_no_measurements(tmp_path):
    frame = pd.DataFrame({"arch": [*ARCHS[:2], *ARCHS[:2], ARCHS[1]], "accuracy": [0.1, 1, 0.1, 1, 1]})
    read = read_accuracies(save(tmp_path / "a.csv", frame), SPACE)
    assert read.by_arch.to_dict() == {ARCHS[0]: 0.1, ARCHS[1]: 1.0}
    assert read.seeds.isna().all()
    assert read.spread.isna().all()


def test_seeds_and_seconds_beside_the_mean(tmp_path):
    frame = pd.DataFrame(
        {
            "arch": ARCHS[:3],
            "accuracy": [91.0, 80.0, 70.0],
            "accuracy_seed_0": [90.0, 80.0, np.nan],
            "accuracy_seed_10": [92.0, np.nan, np.nan],
            "accuracy_seed_x": ["other", "", ""],
            "seconds": [1.5, np.nan, 3],
        }
    )
    read = read_accuracies(save(tmp_path / "a.parquet", frame), SPACE)
    assert read.by_arch.tolist() == [91.0, 80.0, 70.0]
    assert read.seeds.fillna(0).tolist() == [2, 1, 0]
    assert read.spread.iloc[0] == pytest.approx(2**0.5)
    assert read.spread.iloc[1:].isna().all()
    assert read.cost.fillna(-1).tolist() == [1.5, -1, 3]
    assert read.cost.index.equals(read.by_arch.index)


def test_costs_of_kept_rows_and_of_several_rows(tmp_path):
    frame = pd.DataFrame(
        {"arch": [ARCHS[2], *ARCHS[:2], ARCHS[0]], "accuracy": [np.nan, 1, 2, 3], "cost": [100, 2, 7, 4]}
    )
    read = read_accuracies(save(tmp_path / "a.csv", frame), SPACE)
    assert read.cost.to_dict() == {ARCHS[0]: 3.0, ARCHS[1]: 7.0}


def test_costs_that_are_no_numbers_are_unknown(tmp_path):
    path = save(tmp_path / "a.csv", TABLE.assign(seconds=["3 h"] * 5))
    read = read_accuracies(path, SPACE, "test")
    assert read.cost.isna().all()
    assert len(read.notes) == 1
    assert "'3 h' in line 2" in read.notes[0]
    assert read.notes[0].endswith("costs are taken as unknown")


def test_errors_are_turned_round(tmp_path):
    read = read_accuracies(save(tmp_path / "a.csv", TABLE), SPACE, "test", lower_is_better=True)
    assert read.lower_is_better
    assert read.by_arch.tolist() == [-value for value in TABLE["test"]]


def test_bad_architectures_are_one_error_and_rows_without_a_value_do_not_matter(tmp_path):
    frame = pd.DataFrame({"arch": ["oops", "", ARCHS[0]], "accuracy": ["", "", "1"]})
    assert len(read_accuracies(save(tmp_path / "a.csv", frame), SPACE).by_arch) == 1
    with pytest.raises(InvalidArchitecture, match=r"a.csv, line 2: 'oops' .*; likewise line 3 ''$"):
        read_accuracies(save(tmp_path / "a.csv", frame.assign(accuracy=1)), SPACE)


def test_what_measure_writes(tmp_path):
    """The bundled table: accuracies of eight seeds, and seconds."""
    path = bundled("data/digits-tss") / "accuracies.parquet"
    read, frame = read_accuracies(path, SPACE), pd.read_parquet(path).set_index("arch")
    assert read.by_arch.tolist() == frame["accuracy"].tolist()
    assert set(read.seeds) == {8}
    assert read.cost.tolist() == frame["seconds"].tolist()
    seeds = frame.filter(like="accuracy_seed_")
    assert read.spread.tolist() == pytest.approx(seeds.std(axis=1).tolist())
    benchmark = Accuracies.from_frame(BENCHMARKS["digits-tss"]().accuracies(), "digits-tss")
    for name in ("by_arch", "seeds", "cost", "spread"):
        same, other = getattr(read, name).to_dict(), getattr(benchmark, name).to_dict()
        assert same == pytest.approx(other)
    assert read.disagreeing(SPACE) == ()


@pytest.mark.shared
def test_published_tables(shared_data):
    read = read_accuracies(shared_data / "nats-tss" / "accuracies.parquet", SPACE, "cifar10_test_200")
    assert len(read.by_arch) == 15_625
    assert read.by_arch.max() == pytest.approx(94.373, abs=5e-4)
    assert read.notes == ()
    keys = read.by_key(SPACE)
    assert len(keys) == 5_260
    key = SPACE.canonical(TWINS[0])
    members = [arch for arch in read.by_arch.index if SPACE.canonical(arch) == key]
    assert keys[key] == pytest.approx(np.mean([read.by_arch[arch] for arch in members]))
    # twins that were trained one by one agree
    assert read.disagreeing(SPACE) == ()
    assert read.disagreement(SPACE) is None
    cells = make_space("nas-bench-101")
    found = read_accuracies(shared_data / "nas-bench-101" / "accuracies.parquet", cells, "val_108")
    assert len(found.by_arch) == 23_973


# --- what is made of them --------------------------------------------------------------------


def test_keys_are_means_over_equal_networks():
    found = accuracies({TWINS[0]: 1.0, ARCHS[0]: 50.0, TWINS[1]: 2.0, TWINS[2]: 6.0})
    keys = found.by_key(SPACE)
    assert keys.to_dict() == {SPACE.canonical(TWINS[0]): 3.0, SPACE.canonical(ARCHS[0]): 50.0}
    assert keys.index.tolist() == [SPACE.canonical(TWINS[0]), SPACE.canonical(ARCHS[0])]
    assert keys.index.name == "key"


def test_keys_are_computed_once_for_a_space():
    class Counting(type(SPACE)):
        calls = 0

        def canonical(self, arch):
            self.calls += 1
            return super().canonical(arch)

    space, found = Counting(), accuracies({TWINS[0]: 1.0, ARCHS[0]: 50.0})
    found.by_key(space)
    found.by_key(space)
    found.disagreeing(space)
    assert space.calls == 2
    assert found.by_key(make_space("nats-tss")).tolist() == [1.0, 50.0]


def test_an_architecture_has_its_own_accuracy_or_else_its_networks():
    found = accuracies({TWINS[0]: 1.0, TWINS[1]: 2.0, ARCHS[0]: 50.0})
    asked = [TWINS[2], ARCHS[1], TWINS[1], ARCHS[0]]
    assert found.of(SPACE, asked).to_dict() == {TWINS[2]: 1.5, TWINS[1]: 2.0, ARCHS[0]: 50.0}
    assert found.of(SPACE, asked).index.tolist() == [TWINS[2], TWINS[1], ARCHS[0]]


def test_accuracies_of_a_benchmark():
    frame = pd.DataFrame(
        {
            "accuracy": [1.0, 2.0],
            "seeds": pd.array([3, None], dtype="Int64"),
            "cost": [5.0, np.nan],
            "spread": [0.5, np.nan],
        },
        index=pd.Index(ARCHS[:2], name="arch"),
    )
    found = Accuracies.from_frame(frame, "archive", notes=("a note",))
    assert found.by_arch.to_dict() == dict(zip(ARCHS[:2], [1.0, 2.0], strict=True))
    assert found.seeds.fillna(0).tolist() == [3, 0]
    assert found.cost.fillna(0).tolist() == [5, 0]
    assert found.spread.fillna(0).tolist() == [0.5, 0]
    assert (found.source, found.rows, found.notes) == ("archive", 2, ("a note",))
    turned = Accuracies.from_frame(frame, "archive", lower_is_better=True)
    assert turned.by_arch.tolist() == [-1.0, -2.0]
    assert turned.spread.iloc[0] == 0.5


# --- twins -----------------------------------------------------------------------------------


def spelled(n):
    """Return n networks with two strings each."""
    strings = {}
    for arch in SPACE.enumerate():
        strings.setdefault(SPACE.canonical(arch), []).append(arch)
    return [both[:2] for both in strings.values() if len(both) > 1][:n]


def measured(noise, seeds, wrong=0.0):
    """Accuracies of 100 networks with two strings each, the second of the first network wrong."""
    rng = np.random.default_rng(0)
    by_arch, spread = {}, []
    for i, both in enumerate(spelled(100)):
        truth = rng.uniform(60, 95)
        for j, arch in enumerate(both):
            runs = truth + noise * rng.standard_normal(seeds) + (wrong if i == 0 and j == 1 else 0)
            by_arch[arch] = runs.mean()
            spread.append(runs.std(ddof=1) if seeds > 1 else np.nan)
    return accuracies(by_arch, [seeds] * 200 if seeds > 1 else None, spread)


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_twins_that_differ_as_seeds_do(seeds):
    assert measured(1.0, seeds).disagreeing(SPACE) == ()


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_twins_that_differ_by_more_than_seeds_do(seeds):
    found = measured(0.5, seeds, wrong=8.0)
    key = SPACE.canonical(spelled(1)[0][0])
    assert found.disagreeing(SPACE) == (key,)
    line = found.disagreement(SPACE)
    assert line.startswith(
        "own.csv: twins differ by more than seeds do in 1 of 100 networks with several str"
    )
    assert line.endswith("is `canonical` right?")
    assert "\n" not in line


def test_twins_without_seeds_are_compared_by_rank():
    assert measured(1.0, 1).disagreeing(SPACE) == ()
    key = SPACE.canonical(spelled(1)[0][0])
    assert measured(1.0, 1, wrong=-40.0).disagreeing(SPACE) == (key,)


def test_few_architectures_without_seeds_say_nothing():
    assert accuracies({TWINS[0]: 1.0, TWINS[1]: 90.0, ARCHS[0]: 50.0}).disagreeing(SPACE) == ()


def test_the_worst_twins_are_named_first_and_errors_as_they_were_given():
    first, second, third = spelled(3)
    by_arch = {first[0]: -10, first[1]: -10.2, second[0]: -10, second[1]: -30, third[0]: -10, third[1]: -60}
    found = accuracies(by_arch, [3] * 6, [0.5] * 6, lower_is_better=True)
    assert found.disagreeing(SPACE) == (SPACE.canonical(third[0]), SPACE.canonical(second[0]))
    assert "2 of 3 networks" in found.disagreement(SPACE)
    assert " with 10 and " in found.disagreement(SPACE)
    assert " with 60: is" in found.disagreement(SPACE)


def test_a_noisier_network_is_judged_by_its_own_noise():
    first, second = spelled(2)
    by_arch = {first[0]: 50.0, first[1]: 62.0, second[0]: 90.0, second[1]: 90.2}
    quiet = accuracies(by_arch, [3] * 4, [0.2] * 4)
    noisy = accuracies(by_arch, [3] * 4, [9.0, 9.0, 0.2, 0.2])
    assert quiet.disagreeing(SPACE) == (SPACE.canonical(first[0]),)
    assert noisy.disagreeing(SPACE) == ()


def test_no_spread_at_all(tmp_path):
    first = spelled(1)[0]
    found = accuracies({first[0]: 1.0, first[1]: 1.0}, [2, 2], [0.0, 0.0])
    assert found.disagreeing(SPACE) == ()
    assert accuracies({first[0]: 1.0, first[1]: 1.1}, [2, 2], [0.0, 0.0]).disagreeing(SPACE)


def test_errors_name_the_file(tmp_path):
    with pytest.raises(FusionError, match=r"none.csv: no such file$"):
        read_accuracies(tmp_path / "none.csv", SPACE)
