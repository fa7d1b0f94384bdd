from __future__ import annotations

import pandas as pd
import pytest

from fusion.benchmarks import BENCHMARKS
from fusion.benchmarks.table import read_accuracies, read_archs, to_keys
from fusion.errors import FusionError, InvalidArchitecture
from fusion.spaces import make_space
from tests.tables.test_accuracies import ARCHS, SPACE, TWINS


def test_a_plain_table_as_a_benchmark(tmp_path):
    path = tmp_path / "a.csv"
    text = "cell;top1;top1_seed_0;top1_seed_1;seconds\nb;90,5;90;91;3\na;80;;;\nb;90,5;90;91;5\nc;;;;\n"
    path.write_text(text)
    benchmark = BENCHMARKS["table"](path, column="top1", arch_column="cell")
    found = benchmark.accuracies()
    assert found["accuracy"].to_dict() == {"b": 90.5, "a": 80.0}
    assert found["seeds"].fillna(0).tolist() == [4, 0]
    assert found["cost"].fillna(0).tolist() == [4, 0]
    assert found["spread"].fillna(0).tolist() == [pytest.approx(3**-0.5), 0]
    assert benchmark.notes == (
        f"{path}: 1 row without a value left out (line 5)",
        f"{path}: 1 architecture with several rows, averaged",
    )
    with pytest.raises(FusionError, match="has no split 'test'"):
        benchmark.accuracies(split="test")


def test_the_functions_for_strings_of_no_space(tmp_path):
    frame = pd.DataFrame({"arch": ARCHS, "accuracy": range(5)})
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert read_accuracies(tmp_path / "a.csv", "accuracy").to_dict() == dict(
        zip(ARCHS, range(5), strict=True)
    )
    assert read_archs(tmp_path / "a.csv") == (ARCHS, [2, 3, 4, 5, 6])
    (tmp_path / "a.txt").write_text("oops\n\nx\n")
    assert read_archs(tmp_path / "a.txt") == (["oops", "x"], [1, 3])


def test_keys_are_means_over_equal_networks():
    keys = to_keys(pd.Series([1.0, 2.0, 6.0, 50.0], index=[*TWINS, ARCHS[0]], name="test"), SPACE)
    assert keys.to_dict() == {SPACE.canonical(TWINS[0]): 3.0, SPACE.canonical(ARCHS[0]): 50.0}
    assert (keys.name, keys.index.name) == ("test", "key")


def test_keys_name_the_row_of_what_is_no_architecture():
    with pytest.raises(InvalidArchitecture, match=r"^accuracies, row 2: 'none' is no nats-tss"):
        to_keys(pd.Series([1.0, 2.0], index=[ARCHS[0], "none"]), make_space("nats-tss"))
