"""`fusion explain` as a user runs it."""

import json

import pandas as pd

from fusion.cli import main
from fusion.regression import Predictor
from fusion.storage.bundled import bundled
from fusion.tables import IndicatorTable
from tests.integration.conftest import training


def test_it_prints_and_writes_what_the_predictor_says(work, tmp_path, capsys):
    arch = pd.read_csv(work / "archs.csv")["arch"][50]
    files = ["--out", str(tmp_path / "e.json"), "--figure", str(tmp_path / "e.png")]
    explain = ["explain", "--model", str(work / "model"), *training(work)]
    assert main([*explain, "--arch", arch, *files]) == 0
    data = IndicatorTable.open(work / "indicators").labelled(work / "accuracies.csv")
    found = Predictor.load(work / "model").explain(data, arch)
    assert capsys.readouterr().out.splitlines() == found.lines()
    assert json.loads((tmp_path / "e.json").read_text()) == json.loads(json.dumps(found.to_json()))
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")
    assert (found.rows, found.refits) == ("training", 20)


def test_accuracies_that_it_did_not_learn_from_and_none(work, capsys):
    explain = ["explain", "--model", str(work / "model"), "--indicators", str(work / "indicators")]
    assert main([*explain, "--accuracies", str(bundled("data/digits-tss/accuracies.parquet"))]) == 0
    assert "20 networks that it did not learn from" in capsys.readouterr().out
    assert main(explain) == 0
    assert "its own predictions of 60 networks" in capsys.readouterr().out


def test_what_is_wrong_is_told_before_anything_is_computed(work, capsys):
    explain = ["explain", "--model", str(work / "nowhere"), "--indicators", str(work / "indicators")]
    assert main([*explain, "--figure", "a.jpg"]) == 1
    assert "must end in .png or .svg" in capsys.readouterr().err
    assert main(explain) == 1
    assert "nowhere" in capsys.readouterr().err
