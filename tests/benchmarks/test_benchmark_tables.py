from __future__ import annotations

import pytest

from fusion.benchmarks import BENCHMARKS
from fusion.errors import FusionError


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
