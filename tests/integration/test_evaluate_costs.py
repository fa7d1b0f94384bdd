"""The command that judges predictions against costs, as a user types it."""

import json

import numpy as np
import pandas as pd

from fusion.cli import main
from tests.integration.conftest import training


def test_evaluate_against_costs(work, tmp_path, capsys):
    accuracies = pd.read_csv(work / "accuracies.csv")
    seconds = np.random.default_rng(0).uniform(1, 9, len(accuracies))
    pd.DataFrame({"arch": accuracies["arch"], "ms": seconds}).to_csv(tmp_path / "costs.csv", index=False)
    options = ["--model", "weighted_sum", "--splits", "2", "--bootstrap", "5", "--out", str(tmp_path / "e")]
    options += ["--costs", str(tmp_path / "costs.csv"), "ms"]
    assert main(["evaluate", *training(work), *options]) == 0
    assert "weighted_sum against ms: " in capsys.readouterr().out
    front = json.loads((tmp_path / "e" / "metrics.json").read_text())["fronts"]["ms"]
    rows = pd.read_parquet(tmp_path / "e" / "predictions.parquet").query("split == 0")
    for point in front["points"]:
        cheaper = rows[(rows["cost.ms"] < point["cost"])]
        assert (cheaper["weighted_sum"] < point["predicted"]).all()
    assert "Accuracy against cost" in (tmp_path / "e" / "report.html").read_text()
    assert main(["evaluate", *training(work), *options[:-2], str(tmp_path / "none.csv")]) == 1
    assert "none.csv" in capsys.readouterr().err
