"""Tables as people have them, and what the command says of them."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fusion.cli import main
from fusion.spaces import make_space
from fusion.tables.indicator_table import KEYS
from tests.integration.conftest import IMAGES, SPACE
from tests.integration.test_bad_input import fails
from tests.tables.reading import read_rows

DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def extract(out, *more, archs="sample:2"):
    return ["extract", *SPACE, *IMAGES, "--archs", archs, "--out", str(out), *more]


@pytest.fixture
def numbered(work, tmp_path):
    """Errors by official number, in a column of another name, with a decimal comma."""
    space = make_space("nats-tss")
    numbers = {arch: i for i, arch in enumerate(space.enumerate())}
    table = pd.read_csv(work / "accuracies.csv")
    frame = pd.DataFrame(
        {
            "net": [numbers[arch] for arch in table["arch"]],
            "error": [f"{100 - accuracy:.3f}".replace(".", ",") for accuracy in table["accuracy"]],
        }
    )
    frame.to_csv(tmp_path / "errors.csv", sep=";", index=False)
    return tmp_path / "errors.csv"


def test_errors_by_number_give_the_ranking_of_the_accuracies(work, numbered, tmp_path):
    read = ["--accuracies", str(numbered), "--target", "error", "--arch-column", "net", "--lower-is-better"]
    fit = ["fit", "--indicators", str(work / "indicators"), *read, "--model", "weighted_sum"]
    assert main([*fit, "--out", str(tmp_path / "m")]) == 0
    predicted = {}
    for name, model in (("error", tmp_path / "m"), ("accuracy", work / "model")):
        out = tmp_path / f"{name}.csv"
        predict = ["predict", "--model", str(model), "--indicators", str(work / "indicators")]
        assert main([*predict, "--archs", str(work / "archs.csv"), "--out", str(out)]) == 0
        predicted[name] = pd.read_csv(out)["predicted"].to_numpy()
    np.testing.assert_allclose(100 - predicted["error"], predicted["accuracy"], atol=0.01)


def test_search_and_evaluate_take_errors_too(work, numbered, tmp_path, capsys):
    read = ["--indicators", str(work / "indicators"), "--accuracies", str(numbered), "--target", "error"]
    read += ["--arch-column", "net", "--lower-is-better", "--model", "weighted_sum"]
    few = ["--budget", "6", "--initial", "4", "--rounds", "1", "--candidates", "4", "--repeats", "1"]
    assert main(["search", *read, *few, "--out", str(tmp_path / "s")]) == 0
    printed = capsys.readouterr().out
    least = pd.read_csv(numbered, sep=";", decimal=",")["error"].min()
    assert f"best of the 40 searched {least:.6g}" in printed
    assert main(["evaluate", *read, "--splits", "2", "--bootstrap", "5", "--out", str(tmp_path / "e")]) == 0


def test_predict_keeps_columns_and_writes_what_the_name_says(work, tmp_path, capsys):
    archs = pd.read_csv(work / "archs.csv")[:4].assign(note=["a", "b", "c", "d"], cost=[1.5, 2.0, 3.0, 4.0])
    archs.rename(columns={"arch": "network"}).to_csv(tmp_path / "in.csv", index=False)
    predict = ["predict", "--model", str(work / "model"), "--indicators", str(work / "indicators")]
    predict += ["--archs", str(tmp_path / "in.csv"), "--arch-column", "network"]
    assert main([*predict, "--out", str(tmp_path / "o.csv")]) == 0
    assert main([*predict, "--out", str(tmp_path / "o.parquet")]) == 0
    text, binary = pd.read_csv(tmp_path / "o.csv"), pd.read_parquet(tmp_path / "o.parquet")
    assert list(text.columns) == ["network", "note", "cost", "predicted", "rank", "source"]
    assert list(text["note"]) == ["a", "b", "c", "d"]
    assert text["predicted"].tolist() == binary["predicted"].tolist()
    assert main([*predict, "--out", str(tmp_path / "f.csv"), "--front", "cost"]) == 0
    found = pd.read_csv(tmp_path / "f.csv")
    best = found["predicted"].cummax().shift(fill_value=-np.inf)  # costs rise
    assert found["front_cost"].tolist() == (found["predicted"] > best).tolist()
    for column, told in (("ms", "no column 'ms' beside the architectures"), ("note", "has no numbers")):
        assert main([*predict, "--out", str(tmp_path / "g.csv"), "--front", column]) == 1
        assert told in capsys.readouterr().err
        assert len(pd.read_csv(tmp_path / "g.csv")) == 4  # the predictions are kept


def test_predict_takes_all_that_are_in_a_table_and_tells_the_others_in_one_line(work, tmp_path, capsys):
    predict = ["predict", "--model", str(work / "model"), "--indicators", str(work / "indicators")]
    assert main([*predict, "--archs", "sample:3000", "--out", str(tmp_path / "o.csv")]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert len(told) == 1
    assert 0 < len(pd.read_csv(tmp_path / "o.csv")) < 3000
    line = fails(capsys, *predict, "--archs", "sample:3", "--out", str(tmp_path / "o.xls"))
    assert "must end in .csv or .parquet" in line


def test_an_estimate_computes_nothing(tmp_path, capsys):
    assert (
        main(extract(tmp_path / "t", "--estimate", "--indicators", "params,naswot", archs="sample:50")) == 0
    )
    printed = capsys.readouterr().out
    assert "architectures to compute, about" in printed
    assert "naswot" in printed
    assert not (tmp_path / "t").exists()
    assert main(extract(tmp_path / "t", "--indicators", "params")) == 0
    capsys.readouterr()
    assert "nothing is left" in fails(
        capsys, *extract(tmp_path / "t", "--estimate", "--indicators", "params")
    )


def test_an_indicator_without_any_value_is_told_with_the_reason(tmp_path, capsys):
    (tmp_path / "dead.txt").write_text(DEAD)
    archs = str(tmp_path / "dead.txt")
    assert main(extract(tmp_path / "t", "--indicators", "params,cj,os", archs=archs)) == 0
    told = capsys.readouterr().out
    assert "no architecture has a value of 2 indicators (cj, os): the output is the same for every" in told
    assert main(extract(tmp_path / "u", "--indicators", "cj,os", archs=archs)) == 1
    assert "no indicator has a value for any architecture" in capsys.readouterr().err.splitlines()[-1]
    assert len(read_rows(tmp_path / "u", KEYS)) == 2


def test_a_reader_that_has_seen_enough_is_no_error(work, tmp_path):
    command = [sys.executable, "-m", "fusion", "list", "indicators"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, told = process.communicate(timeout=120)
    assert (process.returncode, told) == (0, b"")
