"""Several tables at once, as a user runs it."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fusion.cli import main
from fusion.regression import Predictor, make_model
from fusion.regression.groups import Group, fit_groups, within_group
from fusion.spaces import make_space
from fusion.tables import IndicatorTable
from tests.tables.reading import read_table

INDICATORS = ["params", "flops", "naswot", "grad_norm", "l2_norm"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Return a folder with tables tss, sss and small, and the files of their accuracies."""
    root = tmp_path_factory.mktemp("groups")
    images = ["--images", "digits", "--batch-size", "8", "--workers", "1"]
    spaces = {
        "tss": ["--space", "nats-tss", "--space-set", "channels=2", "cells=1", "--archs", "sample:50"],
        "sss": ["--space", "nats-sss", "--space-set", "divisor=8", "--archs", "sample:50"],
        "small": ["--space", "nats-tss", "--space-set", "channels=1", "cells=1", "--archs", "sample:50:1"],
    }
    for name, space in spaces.items():
        out = ["--out", str(root / name), "--indicators", ",".join(INDICATORS)]
        assert main(["extract", *space, *images, *out]) == 0
        table = read_table(root / name)
        noise = np.random.default_rng(0).normal(size=len(table))
        measured = stats.rankdata(table["params"]) + 5 * noise
        pd.DataFrame({"arch": table.index, "accuracy": measured}).to_csv(root / f"{name}.csv", index=False)
    return root


def options(root):
    return [
        *("--indicators", str(root / "tss"), str(root / "sss"), str(root / "small")),
        *("--accuracies", str(root / "tss.csv"), str(root / "sss.csv"), str(root / "small.csv")),
        *("--target", "accuracy"),
    ]


def test_a_model_of_two_tables_predicts_on_a_third(tables, tmp_path, capsys):
    fit = ["fit", "--indicators", str(tables / "sss"), str(tables / "small"), "--target", "accuracy"]
    fit += ["--accuracies", str(tables / "sss.csv"), str(tables / "small.csv"), "--model", "weighted_sum"]
    assert main([*fit, "--out", str(tmp_path / "model")]) == 0
    assert "of each group (measured: 50 of nats-sss, " in capsys.readouterr().out
    archs = pd.read_csv(tables / "tss.csv")["arch"]
    predict = ["predict", "--model", str(tmp_path / "model"), "--archs", str(tables / "tss.csv")]
    assert main([*predict, "--indicators", str(tables / "tss"), "--out", str(tmp_path / "p.csv")]) == 0
    assert "the predictions are no accuracies: each is the Gaussian score" in capsys.readouterr().err
    found = pd.read_csv(tmp_path / "p.csv").set_index("arch")["predicted"]
    expected = Predictor.load(tmp_path / "model").predict(IndicatorTable.open(tables / "tss"))
    np.testing.assert_allclose(found[archs], expected[archs], rtol=1e-12)
    assert main([*predict, "--out", str(tmp_path / "q.csv")]) == 1
    assert "give --indicators" in capsys.readouterr().err


def test_each_group_is_judged_by_what_the_others_taught(tables, tmp_path, capsys):
    evaluate = ["evaluate", *options(tables), "--model", "weighted_sum", "--train-size", "20"]
    assert main([*evaluate, "--splits", "2", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    metrics = json.loads((tmp_path / "metrics.json").read_text())["groups"]
    assert len(metrics) == 3
    assert "nats-sss" in " ".join(metrics)
    for name, of in metrics.items():
        assert (tmp_path / name / "report.html").exists()
        assert f'href="{name}/report.html"' in (tmp_path / "report.html").read_text()
        assert f"{of['methods']['transfer_weighted_sum']['scores']['srocc']['mean']:.3f}" in printed

    # the scores on the table `small`, from the files of the two others alone, without its own networks
    names = list(metrics)
    own = read_table(tables / "small")[INDICATORS]
    twins = {make_space("nats-tss").twins(key) for key in own.index}
    others = []
    for name, table in zip(names, ("tss", "sss"), strict=False):
        accuracy = pd.read_csv(tables / f"{table}.csv").set_index("arch")["accuracy"]
        if table == "tss":
            known = [make_space("nats-tss").twins(key) in twins for key in accuracy.index]
            assert any(known)
            accuracy = accuracy[~np.array(known)]
        values = read_table(tables / table)[INDICATORS]
        others.append(Group(name, values, accuracy, make_space("nats-tss")))
    order = [name for name in read_table(tables / "tss") if name in INDICATORS]
    fitted = fit_groups(make_model("weighted_sum"), others, order)
    scores = pd.Series(fitted.predict(within_group(own[order], own[order])), own.index)
    rows = pd.read_parquet(tmp_path / names[2] / "predictions.parquet")
    sroccs = [stats.spearmanr(scores[part["arch"]], part["measured"])[0] for _, part in rows.groupby("split")]
    found = metrics[names[2]]["methods"]["transfer_weighted_sum"]["scores"]["srocc"]["mean"]
    assert found == pytest.approx(np.mean(sroccs))


def test_the_same_networks_teach_nothing_about_themselves(tables, tmp_path, capsys):
    table = pd.read_csv(tables / "sss.csv")
    table.assign(other=np.random.default_rng(1).normal(size=len(table))).to_csv(tmp_path / "a.csv")
    same = ["--indicators", *[str(tables / "sss")] * 2, "--accuracies", *[str(tmp_path / "a.csv")] * 2]
    same += ["--target", "accuracy", "other", "--model", "weighted_sum", "--train-size", "20"]
    assert main(["evaluate", *same, "--out", str(tmp_path / "out")]) == 1
    assert "measure the same networks of one space, and 0 others are left" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_groups_that_are_too_small_are_named(tables, tmp_path, capsys):
    pd.read_csv(tables / "sss.csv")[:5].to_csv(tmp_path / "few.csv", index=False)
    few = ["--indicators", str(tables / "tss"), str(tables / "sss"), "--target", "accuracy"]
    few += ["--accuracies", str(tables / "tss.csv"), str(tmp_path / "few.csv"), "--model", "weighted_sum"]
    assert main(["fit", *few, "--out", str(tmp_path / "m")]) == 1
    assert "group nats-sss: 5 networks have indicators" in capsys.readouterr().err
    large = [*options(tables), "--model", "weighted_sum", "--train-size", "45"]
    assert main(["evaluate", *large, "--splits", "2", "--bootstrap", "5", "--out", str(tmp_path / "m")]) == 0
    assert "training on 45 was asked; 50 architectures allow 40" in capsys.readouterr().err


def test_what_has_no_indicators_is_told(tables, tmp_path, capsys):
    table = pd.read_csv(tables / "sss.csv")
    more = pd.DataFrame({"arch": ["64:64:64:64:64", "8:64:8:64:8"], "accuracy": [1.0, 2.0]})
    pd.concat([table, more[~more["arch"].isin(table["arch"])]]).to_csv(tmp_path / "more.csv", index=False)
    both = ["--indicators", str(tables / "tss"), str(tables / "sss"), "--target", "accuracy"]
    both += ["--accuracies", str(tables / "tss.csv"), str(tmp_path / "more.csv"), "--model", "weighted_sum"]
    assert main(["fit", *both, "--out", str(tmp_path / "m")]) == 0
    assert re.search("nats-sss: . architectures with an accuracy are not in", capsys.readouterr().out)


def test_indicators_of_different_versions_are_refused(tables, tmp_path, capsys):
    shutil.copytree(tables / "sss", tmp_path / "sss")
    meta = json.loads((tmp_path / "sss" / "meta.json").read_text())
    meta["indicator_versions"]["naswot"] += 1
    (tmp_path / "sss" / "meta.json").write_text(json.dumps(meta))
    two = ["--indicators", str(tables / "tss"), str(tmp_path / "sss"), "--target", "accuracy"]
    two += ["--accuracies", str(tables / "tss.csv"), str(tables / "sss.csv"), "--model", "weighted_sum"]
    for command in ("fit", "evaluate"):
        assert main([command, *two, "--out", str(tmp_path / "m")]) == 1
        assert "hold naswot of different versions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"--accuracies": ["a.csv"]}, "3 tables, 1 files of accuracies"),
        ({"--target": ["a", "b"]}, "2 targets; give one of each"),
        ({"--indicators": ["one"]}, "one table takes one file"),
    ],
)
def test_numbers_that_do_not_match_are_told(tables, tmp_path, capsys, changed, message):
    given = {
        "--indicators": [str(tables / "tss"), str(tables / "sss"), str(tables / "small")],
        "--accuracies": [str(tables / "tss.csv"), str(tables / "sss.csv"), str(tables / "small.csv")],
        "--target": ["accuracy"],
        **changed,
    }
    arguments = [text for option, values in given.items() for text in (option, *values)]
    assert main(["fit", *arguments, "--model", "weighted_sum", "--out", str(tmp_path / "m")]) == 1
    assert message in capsys.readouterr().err


def test_a_table_named_twice_is_told(tables, tmp_path, capsys):
    twice = ["--indicators", str(tables / "sss"), str(tables / "sss"), "--target", "accuracy"]
    twice += ["--accuracies", str(tables / "sss.csv"), str(tables / "sss.csv"), "--model", "weighted_sum"]
    assert main(["fit", *twice, "--out", str(tmp_path / "m")]) == 1
    assert "named twice" in capsys.readouterr().err
