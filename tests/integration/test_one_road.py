"""The command, a pipeline and Python are one road: the same inputs give the same results, read once."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest

import fusion
import fusion.storage.parts as parts
from fusion.cli import main
from fusion.storage.bundled import bundled
from tests.integration.conftest import IMAGES, SPACE

TABLE = "data/nats-sss-cifar10/indicators"
FEW = ["params", "flops", "naswot", "synflow", "cj", "os", "nlr", "cnntk"]
QUICK = ["workers=1", "evaluation.splits=2", "evaluation.bootstrap=20", f"indicators={','.join(FEW)}"]
# without auto and trees, which would take most of the time
QUICK += ["models={fi: {model: fi}, weighted_sum: {model: weighted_sum}}"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Tables of 30, 60 and 200 own accuracies of the size space, made up."""
    folder = tmp_path_factory.mktemp("own")
    values = fusion.load(TABLE).values()
    rng = np.random.default_rng(0)
    keys = rng.permutation(values.index)[:200]
    accuracy = 90 + values.loc[keys, "params"].rank(pct=True) + 0.1 * rng.normal(size=200)
    table = pd.DataFrame({"arch": keys, "accuracy": accuracy.to_numpy()})
    for n in (30, 60, 200):
        table[:n].to_csv(folder / f"{n}.csv", index=False)
    return folder


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def run(own, n, out, *more):
    """Run README's command on a table of own accuracies."""
    settings = ["accuracies.archive=null", f"accuracies.table={own / f'{n}.csv'}", *QUICK, *more]
    assert main(["run", "nats-sss-cifar10", "--out", str(out), "--set", *settings]) == 0
    return metrics_of(out)


@pytest.mark.parametrize(("n", "trained"), [(30, 20), (60, 40), (200, 100)])
def test_all_own_accuracies_are_judged_and_all_ways_agree(own, tmp_path, capsys, n, trained):
    found = run(own, n, tmp_path / "run")
    assert f"{n} architectures ({n} different networks)" in capsys.readouterr().out
    protocol = found["protocol"]
    assert (protocol["architectures"], protocol["rows"], protocol["train_size"]) == (n, n, trained)
    assert set(pd.read_parquet(tmp_path / "run" / "predictions.parquet")["arch"]) <= set(
        pd.read_csv(own / f"{n}.csv")["arch"]
    )
    report = (tmp_path / "run" / "report.html").read_text()
    assert f"{n} architectures" in report
    if n < 120:
        assert any(f"of {n} architectures, {trained} are trained on" in note for note in found["notes"])
    assert any("intervals mean little" in warning for warning in found["warnings"]) == (n < 200)

    data = fusion.load(TABLE).only(indicators=FEW).labelled(own / f"{n}.csv")
    models = ["weighted_sum", "fi"]
    judged = fusion.evaluate(data, models, settings=fusion.Judging(splits=2, bootstrap=20), progress=False)
    for name in models:
        expected = found["methods"][name]["scores"]
        assert {m: of.mean for m, of in judged.methods[name].scores.items()} == {
            metric: of["mean"] for metric, of in expected.items()
        }


def test_evaluate_gives_the_metrics_of_a_run(own, tmp_path):
    """Byte for byte but for the words of the target, which only a pipeline has."""
    models = ["models={weighted_sum: {model: weighted_sum}, lightgbm: {model: lightgbm}}"]
    pipeline = tmp_path / "p.yaml"
    pipeline.write_text(
        f"""
title: Own accuracies
space: {{name: nats-sss}}
table: {TABLE}
target: accuracy
accuracies: {{table: {own / "60.csv"}}}
evaluation: {{splits: 2, bootstrap: 20}}
"""
    )
    assert main(["run", str(pipeline), "--out", str(tmp_path / "run"), "--set", *models]) == 0
    evaluate = [
        "evaluate",
        "--indicators",
        TABLE,
        "--accuracies",
        str(own / "60.csv"),
        "--target",
        "accuracy",
    ]
    evaluate += ["--model", "weighted_sum,lightgbm", "--splits", "2", "--bootstrap", "20"]
    assert main([*evaluate, "--out", str(tmp_path / "judged")]) == 0
    one, other = ((tmp_path / name / "metrics.json").read_bytes() for name in ("run", "judged"))
    assert one == other
    assert json.loads(one)["equations"].keys() == {"weighted_sum"}
    assert json.loads(one)["learning_curve"]["lightgbm"]


def test_the_saved_model_is_fitted_on_all_accuracies(own, tmp_path):
    run(own, 60, tmp_path / "run")
    assert fusion.load(tmp_path / "run" / "model").spec.model == "fi"
    saved = fusion.load(tmp_path / "run" / "models" / "weighted_sum")
    assert (saved.architectures, saved.networks) == (60, 60)
    data = fusion.load(TABLE).only(indicators=FEW).labelled(own / "60.csv")
    ours = fusion.fit(data, "weighted_sum").predict(data.table)
    pd.testing.assert_series_equal(saved.predict(data.table), ours, check_names=False, check_exact=True)


def test_a_pipeline_of_several_tables_is_the_command_of_several_tables(own, tmp_path):
    other = "data/darts-cifar10/indicators"
    archs = fusion.load(other).values().index[:60]
    made_up = np.random.default_rng(1).normal(size=60)
    pd.DataFrame({"arch": archs, "accuracy": made_up}).to_csv(tmp_path / "darts.csv", index=False)
    (tmp_path / "p.yaml").write_text(
        f"""
title: Two spaces
space: {{name: nats-sss}}
tables: [{TABLE}, {other}]
target: accuracy
accuracies: [{{table: {own / "60.csv"}}}, {{table: {tmp_path / "darts.csv"}}}]
indicators: {", ".join(FEW)}
models: {{weighted_sum: {{model: weighted_sum}}}}
evaluation: {{splits: 2, bootstrap: 10}}
"""
    )
    assert main(["run", str(tmp_path / "p.yaml"), "--out", str(tmp_path / "run")]) == 0
    groups = metrics_of(tmp_path / "run")["groups"]
    assert set(groups) == {"nats-sss", "darts"}
    assert fusion.load(tmp_path / "run" / "model").by_group


@pytest.fixture
def opened(monkeypatch):
    """How often each part of a store was opened for reading."""
    counts = Counter()

    class Counting(parts.ParquetReader):
        def __init__(self, path):
            counts[path] += 1
            super().__init__(path)

    monkeypatch.setattr(parts, "ParquetReader", Counting)
    return counts


def test_no_command_opens_a_store_twice(own, tmp_path, opened):
    """Nor does a run that goes on where another was."""
    table, model = str(tmp_path / "t"), str(tmp_path / "m")
    archs = str(tmp_path / "archs.csv")
    measured = pd.read_parquet(bundled("data/digits-tss/accuracies.parquet")).iloc[:40]
    measured.to_csv(archs, index=False)
    extract = ["extract", *SPACE, *IMAGES, "--archs", archs, "--indicators", "params,nlr,cnntk,cj,os"]
    trained = ["--indicators", table, "--accuracies", archs, "--target", "accuracy"]
    few = ["--budget", "6", "--initial", "4", "--rounds", "1", "--candidates", "4", "--repeats", "1"]
    predict = ["predict", "--model", model, "--archs", archs, "--workers", "1"]
    pipeline = tmp_path / "p.yaml"
    pipeline.write_text(
        f"""
title: T
space: {{name: nats-tss, channels: 2, cells: 1}}
images: digits
batch_size: 16
workers: 1
target: accuracy
accuracies: {{table: {archs}}}
indicators: params, flops, cj, os
models: {{weighted_sum: {{model: weighted_sum}}}}
evaluation: {{splits: 2, bootstrap: 5}}
search: {{budget: 8, initial: 4, rounds: 2, candidates: 6, repeats: 1}}
"""
    )
    commands = [
        [*extract, "--out", table],
        [*extract, "--repeats", "2", "--out", table],
        ["fit", *trained, "--model", "weighted_sum", "--out", model],
        [*predict, "--indicators", table, "--out", str(tmp_path / "p.csv")],
        [*predict, "--out", str(tmp_path / "q.csv")],
        ["evaluate", *trained, "--model", "weighted_sum", "--splits", "2", "--out", str(tmp_path / "e")],
        ["search", *trained, "--model", "weighted_sum", *few, "--out", str(tmp_path / "s")],
        [
            "search",
            *trained,
            "--model",
            "weighted_sum",
            *few,
            "--images",
            "digits",
            "--out",
            str(tmp_path / "s"),
        ],
        ["run", str(pipeline), "--out", str(tmp_path / "out")],
        ["run", str(pipeline), "--out", str(tmp_path / "out")],
    ]
    for command in commands:
        opened.clear()
        assert main(command) == 0
        assert not opened or max(opened.values()) == 1, (command, opened)
