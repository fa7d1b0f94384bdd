"""The command as a user runs it, on the files that each step leaves for the next."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from fusion.cli import main
from fusion.regression import Predictor, fit
from fusion.tables import IndicatorTable
from fusion.tables.indicator_table import KEYS
from tests.integration.conftest import IMAGES, SPACE, training
from tests.tables.reading import read_rows, read_table

METRICS = ("plcc", "rmse", "srocc", "krocc")


def test_predict_writes_what_the_model_says(work, tmp_path):
    out = tmp_path / "out.csv"
    predict = ["predict", "--model", str(work / "model"), "--indicators", str(work / "indicators")]
    assert main([*predict, "--archs", str(work / "archs.csv"), "--out", str(out)]) == 0
    found = pd.read_csv(out)
    assert list(found.columns) == ["arch", "predicted", "rank", "source"]
    assert (found["source"] == "table").all()
    assert list(found["rank"]) == list((-found["predicted"]).rank(method="min").astype(int))
    archs = pd.read_csv(work / "archs.csv")["arch"]
    assert list(found["arch"]) == list(archs)
    expected = Predictor.load(work / "model").predict(IndicatorTable.open(work / "indicators"))
    assert (found["predicted"].to_numpy() == expected[archs].to_numpy()).all()


def test_predict_writes_intervals(work, tmp_path, capsys):
    predict = ["predict", "--model", str(work / "model"), "--archs", str(work / "archs.csv")]
    predict += ["--out", str(tmp_path / "out.csv"), "--indicators", str(work / "indicators")]
    assert main([*predict, "--interval", "0.8"]) == 0
    found = pd.read_csv(tmp_path / "out.csv").set_index("arch")
    table = IndicatorTable.open(work / "indicators")
    expected = Predictor.load(work / "model").predict(table, interval=0.8)
    assert list(expected.columns) == ["predicted", "low", "high"]
    assert list(found.columns) == ["predicted", "low", "high", "rank", "source"]
    assert (found[expected.columns] == expected.loc[found.index]).all(axis=None)
    capsys.readouterr()
    assert main([*predict, "--interval", "80"]) == 1
    assert "coverage 80.0 is not between 0 and 1" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_table_alone_is_ranked(work, tmp_path, capsys):
    table = ["--indicators", str(work / "indicators")]
    assert main(["fit", *table, "--out", str(tmp_path / "m")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"auto fitted on no accuracies: {tmp_path / 'm'}",
        "it predicts the score of auto, by which architectures are ranked",
    ]
    predict = ["predict", "--model", str(tmp_path / "m"), "--archs", str(work / "archs.csv"), *table]
    assert main([*predict, "--out", str(tmp_path / "p.csv")]) == 0
    assert "the predictions are no accuracies" in capsys.readouterr().err
    found = pd.read_csv(tmp_path / "p.csv").set_index("arch")["predicted"]
    expected = fit(IndicatorTable.open(work / "indicators")).predict(IndicatorTable.open(work / "indicators"))
    assert np.array_equal(found, expected[found.index])
    for model in ("weighted_sum", "lightgbm"):
        assert main(["fit", *table, "--model", model, "--out", str(tmp_path / "n")]) == 1
        assert "learns from accuracies, and the table has none" in capsys.readouterr().err
    assert main(["fit", *table, str(work / "indicators"), "--out", str(tmp_path / "n")]) == 1
    assert "2 tables, 0 files of accuracies" in capsys.readouterr().err


def test_auto_and_accuracy_go_without_saying(work, tmp_path, capsys):
    given = training(work)[:-2]
    assert main(["fit", *given, "--out", str(tmp_path / "m")]) == 0
    assert "auto mixed: " in capsys.readouterr().out
    assert Predictor.load(tmp_path / "m").spec.model == "auto"
    few = ["--budget", "6", "--initial", "4", "--rounds", "1", "--candidates", "4", "--repeats", "1"]
    assert main(["search", *given, *few, "--out", str(tmp_path / "s")]) == 0
    assert json.loads((tmp_path / "s" / "search.json").read_text())["predictor"] == "auto"


def test_predict_keeps_bad_rows_out_and_names_their_lines(work, tmp_path, capsys):
    archs = list(pd.read_csv(work / "archs.csv")["arch"][:3])
    bad = tmp_path / "archs.csv"
    bad.write_text("\n".join(["arch", archs[0], "|nonsense~0|", archs[1], "", archs[2] + "x"]) + "\n")
    predict = ["predict", "--model", str(work / "model"), "--indicators", str(work / "indicators")]
    assert main([*predict, "--archs", str(bad), "--out", str(tmp_path / "out.csv")]) == 0
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert "line 3" in told
    assert "line 6" in told
    assert list(pd.read_csv(tmp_path / "out.csv")["arch"]) == archs[:2]


def test_predict_extracts_what_it_needs_without_a_table(work, tmp_path):
    archs = pd.read_csv(work / "archs.csv")["arch"][:3]
    archs.to_csv(tmp_path / "few.csv", index=False)
    predict = [
        "predict",
        "--model",
        str(work / "model"),
        "--archs",
        str(tmp_path / "few.csv"),
        "--workers",
        "1",
    ]
    assert main([*predict, "--out", str(tmp_path / "new.csv")]) == 0
    with_table = [*predict, "--indicators", str(work / "indicators"), "--out", str(tmp_path / "old.csv")]
    assert main(with_table) == 0
    new, old = ((tmp_path / name).read_text() for name in ("new.csv", "old.csv"))
    assert new.replace(",extracted", ",table") == old


def test_predict_extracts_as_many_repeats_as_the_model_was_fitted_on(work, tmp_path):
    extract = ["extract", *SPACE, *IMAGES, "--archs", "sample:8", "--indicators", "os", "--repeats", "2"]
    assert main([*extract, "--out", str(tmp_path / "t")]) == 0
    keys = read_table(tmp_path / "t").index
    pd.DataFrame({"arch": keys, "y": np.arange(len(keys))}).to_csv(tmp_path / "y.csv", index=False)
    files = ["--indicators", str(tmp_path / "t"), "--accuracies", str(tmp_path / "y.csv"), "--target", "y"]
    assert main(["fit", *files, "--model", "weighted_sum", "--out", str(tmp_path / "m")]) == 0
    predict = [
        "predict",
        "--model",
        str(tmp_path / "m"),
        "--archs",
        str(tmp_path / "y.csv"),
        "--workers",
        "1",
    ]
    assert main([*predict, "--out", str(tmp_path / "o.csv")]) == 0
    again = read_rows(tmp_path / "o-indicators", KEYS)
    assert sorted(again["repeat"].unique()) == [0, 1]


def test_fit_prints_the_equation(work, tmp_path, capsys):
    assert main(["fit", *training(work), "--model", "weighted_sum", "--out", str(tmp_path / "m")]) == 0
    printed = capsys.readouterr().out
    assert "score = " in printed
    assert "terms with smaller weights" in printed
    assert len(printed) < 1000


def test_evaluate_alone(work, tmp_path, capsys):
    options = ["--model", "weighted_sum", "--train-size", "20", "--splits", "2", "--bootstrap", "10"]
    options += ["--out", str(tmp_path / "e")]
    assert main(["evaluate", *training(work), *options]) == 0
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert metrics["methods"]["weighted_sum"]["kind"] == "model"
    assert (tmp_path / "e" / "report.html").stat().st_size > 10_000
    assert "weighted_sum" in capsys.readouterr().out


def test_measure_trains_and_resumes(tmp_path, capsys):
    options = [
        *("measure", *SPACE, "--archs", "sample:3:1", "--images", "digits", "--workers", "1"),
        *("--set", "epochs=1", "train_images=64", "seeds=2", "--out", str(tmp_path / "m")),
    ]
    assert main(options) == 0
    assert "Split-half" not in capsys.readouterr().err
    first = pd.read_parquet(tmp_path / "m" / "accuracies.parquet")
    assert {"arch", "accuracy", "accuracy_seed_0", "accuracy_seed_1", "seconds"} == set(first.columns)
    assert main(options) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "m" / "accuracies.parquet"), first)
    options[options.index("sample:3:1")] = "sample:2:7"
    assert main(options) == 0
    both = pd.read_parquet(tmp_path / "m" / "accuracies.parquet")
    assert len(both) == 5
    pd.testing.assert_frame_equal(both[both["arch"].isin(first["arch"])].reset_index(drop=True), first)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A pipeline file and the folder of its run."""
    root = tmp_path_factory.mktemp("run")
    pipeline = root / "small.yaml"
    pipeline.write_text(
        """
title: A small run
space: {name: nats-tss, channels: 2, cells: 1}
images: digits
batch_size: 16
workers: 1
target: digits test accuracy
accuracies: {archive: data/digits-tss, benchmark: digits-tss}
architectures: {sample: 70, distinct: true}
indicators: params, cj, os, nlr, cnntk
models:
  weighted_sum: {model: weighted_sum}
  lightgbm: {model: lightgbm, params: {n_estimators: 20}}
evaluation: {train_size: 30, train_sizes: [15, 30, 1000], splits: 3, bootstrap: 20}
search: {budget: 8, initial: 4, rounds: 2, candidates: 6, repeats: 2}
"""
    )
    assert main(["run", str(pipeline), "--out", str(root / "out")]) == 0
    return pipeline, root / "out"


def test_run_leaves_all_its_files(finished):
    _, out = finished
    for name in ("metrics.json", "report.html", "predictions.parquet", "search.json", "model/model.json"):
        assert (out / name).stat().st_size > 0, name
    assert len(read_rows(out / "indicators", KEYS)) >= 70 * 5
    assert Predictor.load(out / "models" / "lightgbm").spec.model == "lightgbm"


def test_metrics_have_the_promised_form(finished):
    metrics = json.loads((finished[1] / "metrics.json").read_text())
    protocol = metrics["protocol"]
    assert protocol["space"] == "nats-tss"
    assert protocol["train_size"] == 30
    assert protocol["train_sizes"] == [15, 30]
    kinds = {name: found["kind"] for name, found in metrics["methods"].items()}
    assert kinds.pop("parameters") == "baseline"
    assert {name: kind for name, kind in kinds.items() if kind != "baseline"} == {
        **dict.fromkeys(("params", "cj", "os", "nlr", "cnntk"), "indicator"),
        **dict.fromkeys(("weighted_sum", "lightgbm"), "model"),
    }
    for name, found in metrics["methods"].items():
        for metric in METRICS:
            values = [found["scores"][metric][k] for k in ("mean", "low", "high")]
            assert all(v is None or np.isfinite(v) for v in values), (name, metric)
    assert "score = " in metrics["equations"]["weighted_sum"]
    search = json.loads((finished[1] / "search.json").read_text())
    assert search["methods"].keys() == {"random", "predictor-random", "predictor-evolution"}


def test_predictions_reproduce_the_metrics(finished):
    _, out = finished
    predictions = pd.read_parquet(out / "predictions.parquet")
    metrics = json.loads((out / "metrics.json").read_text())
    by_split = predictions.groupby("split")[["measured", "weighted_sum"]]
    rho = by_split.apply(lambda d: d["measured"].corr(d["weighted_sum"], method="spearman")).mean()
    assert metrics["methods"]["weighted_sum"]["scores"]["srocc"]["mean"] == pytest.approx(rho)


def test_a_run_on_an_existing_table_needs_no_images(finished, tmp_path):
    pipeline, out = finished
    settings = ["images=", f"table={out / 'indicators'}"]
    assert main(["run", str(pipeline), "--out", str(tmp_path / "out"), "--set", *settings]) == 0
    first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (out, tmp_path / "out"))
    assert second == first
    # among the networks that have indicators; none is computed
    search = json.loads((tmp_path / "out" / "search.json").read_text())
    assert (search["networks"], search["whole"]) == (len(read_table(out / "indicators")), False)
    assert not (tmp_path / "out" / "indicators").exists()


def test_a_search_is_done_again_when_its_table_has_grown(finished, tmp_path):
    pipeline, out = finished
    shutil.copytree(out / "indicators", tmp_path / "table")
    run = [
        "run",
        str(pipeline),
        "--out",
        str(tmp_path / "out"),
        "--set",
        "images=",
        f"table={tmp_path}/table",
        "models={weighted_sum: {model: weighted_sum}}",
        "evaluation.splits=2",
    ]
    assert main(run) == 0
    archs = pd.read_parquet("data/digits-tss/accuracies.parquet")["arch"]
    new = archs[~archs.isin(read_table(tmp_path / "table").index)][:5]
    pd.DataFrame({"arch": new}).to_csv(tmp_path / "new.csv", index=False)
    extract = ["extract", *SPACE, *IMAGES, "--archs", str(tmp_path / "new.csv"), "--workers", "1"]
    indicators = ["--indicators", "params,cj,os,nlr,cnntk", "--out", str(tmp_path / "table")]
    before = json.loads((tmp_path / "out" / "search.json").read_text())["networks"]
    assert main([*extract, *indicators]) == 0
    assert main(run) == 0
    assert json.loads((tmp_path / "out" / "search.json").read_text())["networks"] == before + 5


def test_a_run_without_bootstrap_has_intervals_over_the_splits(finished, tmp_path, capsys):
    pipeline, out = finished
    settings = ["images=", f"table={out / 'indicators'}", "evaluation.bootstrap=0", "search="]
    assert main(["run", str(pipeline), "--out", str(tmp_path / "out"), "--set", *settings]) == 0
    assert re.search(r"lightgbm [\d.]+ \[[\d.]+, [\d.]+\], weighted_sum", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["table=INDICATORS"], "either images"),
        (["images="], "either images"),
        (["images=", "table=nowhere"], "no table here"),
        (["images=", "table=INDICATORS", "space.channels=4"], "space_settings is"),
        (["images=", "table=INDICATORS", "indicators=params,naswot"], "no indicator naswot"),
        (["images=", "table=INDICATORS", "architectures.sample=900"], "lacks"),
    ],
)
def test_a_table_that_does_not_fit_is_told(finished, tmp_path, capsys, settings, told):
    pipeline, out = finished
    settings = [setting.replace("INDICATORS", str(out / "indicators")) for setting in settings]
    assert main(["run", str(pipeline), "--out", str(tmp_path / "out"), "--set", *settings]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_a_second_run_computes_nothing(finished, monkeypatch, capsys):
    pipeline, out = finished
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    for name in ("extraction.verb.compute", "pipeline.run.evaluate", "pipeline.run.search"):
        monkeypatch.setattr(f"fusion.{name}", None)
    assert main(["run", str(pipeline), "--out", str(out)]) == 0
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed <= {"report.html"}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Report: {out / 'report.html'}"
    assert lines[-1].startswith("Best accuracy found by search: random ")


def test_set_overrides_a_key_and_recomputes_what_depends_on_it(finished, tmp_path):
    pipeline, out = finished
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    assert main(["run", str(pipeline), "--out", str(copy), "--set", "evaluation.train_size=40"]) == 0
    assert json.loads((copy / "metrics.json").read_text())["protocol"]["train_size"] == 40
    assert (copy / "search.json").stat().st_mtime_ns == (out / "search.json").stat().st_mtime_ns


def test_search_alone(finished, tmp_path, capsys):
    _, out = finished
    table = pd.read_parquet("data/digits-tss/accuracies.parquet")
    table.to_csv(tmp_path / "a.csv", index=False)
    shutil.copytree(out / "indicators", tmp_path / "indicators")
    options = [
        *("--indicators", str(tmp_path / "indicators"), "--accuracies", str(tmp_path / "a.csv")),
        *("--target", "accuracy", "--model", "weighted_sum", "--budget", "6", "--initial", "4"),
        *(
            "--rounds",
            "1",
            "--candidates",
            "4",
            "--repeats",
            "1",
            "--workers",
            "1",
            "--out",
            str(tmp_path / "s"),
        ),
    ]
    assert main(["search", *options, "--images", "digits"]) == 0
    found = json.loads((tmp_path / "s" / "search.json").read_text())
    assert found["whole"]
    assert len(read_table(tmp_path / "indicators")) > len(read_table(out / "indicators"))
    assert all(len(m["trajectories"][0]) == 6 for m in found["methods"].values())

    few = table[table["arch"].isin(read_table(out / "indicators").index[:10])]
    few.to_csv(tmp_path / "a.csv", index=False)
    assert main(["search", *options]) == 0
    found = json.loads((tmp_path / "s" / "search.json").read_text())
    assert (found["space"], found["networks"], found["whole"]) == ("nats-tss", 10, False)
    assert found["best_known"] == few["accuracy"].max()
    assert {m["best"][0]["arch"] for m in found["methods"].values()} <= set(few["arch"])
    few[:5].to_csv(tmp_path / "a.csv", index=False)
    assert main(["search", *options]) == 1
    assert "5 networks have an accuracy" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["spaces", "indicators", "models", "benchmarks"])
def test_list(what, capsys):
    assert main(["list", what]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert main(["list", what, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == names
    if what == "indicators":
        assert all({"formula", "source", "higher_is_better", "cost"} <= row.keys() for row in rows)


def test_images_extraction_options_are_the_documented_ones(work, tmp_path):
    """The same options in another order and by preset give the same table."""
    extract = ["extract", "--out", str(tmp_path / "t"), *IMAGES, *SPACE, "--indicators", "fi"]
    assert main([*extract, "--archs", str(work / "archs.csv")]) == 0
    names = ["cj", "os", "nlr", "cnntk"]
    pd.testing.assert_frame_equal(read_table(tmp_path / "t")[names], read_table(work / "indicators")[names])
