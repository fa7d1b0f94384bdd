"""What was learned elsewhere, beside what was learned here."""

import re

import numpy as np
import pandas as pd
import pytest
from fusion.evaluation.transfer_report import compared
from scipy import stats
from sklearn.linear_model import LinearRegression

from fusion.errors import FusionError
from fusion.evaluation import evaluate, write_report, write_transfer_report
from fusion.evaluation.figures import number


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    quality = rng.normal(size=60)
    index = [f"a{i:02}" for i in range(60)]
    values = pd.DataFrame({"fair": quality + rng.normal(size=60), "noise": rng.normal(size=60)}, index=index)
    transfer = pd.DataFrame({"transfer_sum": quality + 0.1 * rng.normal(size=60)}, index=index)
    return values, pd.Series(90 + quality, index=index), transfer


def run(data, **changed):
    values, accuracy, transfer = data
    settings = {
        "models": {"linear": LinearRegression},
        "higher_is_better": {"fair": True, "noise": True},
        "train_size": 20,
        "train_sizes": [20],
        "splits": 3,
        "bootstrap": 20,
        "transfer": transfer,
        "progress": False,
    }
    return evaluate(values, accuracy, pd.Series(values.index, values.index), **{**settings, **changed})


@pytest.fixture(scope="module")
def result(data):
    return run(data)


def test_scores_are_judged_on_the_same_test_parts(data, result):
    _, accuracy, transfer = data
    found = result.metrics["methods"]["transfer_sum"]
    assert found["kind"] == "transfer"
    tests = [list(rows["arch"]) for _, rows in result.predictions.groupby("split")]
    expected = [stats.spearmanr(transfer["transfer_sum"][t], accuracy[t]).statistic for t in tests]
    assert len(tests) == 3
    assert found["srocc"]["mean"] == pytest.approx(np.mean(expected))


def test_models_and_indicators_are_as_without(data, result):
    without = run(data, transfer=None).metrics
    assert result.metrics["best_indicator"] == without["best_indicator"] == "fair"
    assert result.metrics["correlations"] == without["correlations"]
    for name in ("linear", "fair"):
        assert result.metrics["methods"][name]["srocc"]["mean"] == without["methods"][name]["srocc"]["mean"]


def test_order_of_rows_does_not_matter(data, result):
    values, accuracy, transfer = data
    shuffled = run((values, accuracy, transfer.iloc[::-1]))
    assert shuffled.metrics["methods"] == result.metrics["methods"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[1:], "missing for some"),
        (lambda t: t.where(t < 1), "missing for some"),
        (lambda t: pd.concat([t, t[:1]]), "missing for some"),
        (lambda t: t.rename(columns={"transfer_sum": "linear"}), "'linear', like an indicator"),
        (lambda t: t.rename(columns={"transfer_sum": "noise"}), "'noise', like an indicator"),
    ],
)
def test_bad_scores_are_one_clear_line(data, change, message):
    with pytest.raises(FusionError, match=message):
        run((*data[:2], change(data[2])))


def test_report_of_one_group_names_them(tmp_path, result):
    write_report(
        tmp_path / "r.html",
        title="t",
        metrics=result.metrics,
        predictions=result.predictions,
        search=None,
        equations={},
    )
    html = (tmp_path / "r.html").read_text()
    srocc = result.metrics["methods"]["transfer_sum"]["srocc"]["mean"]
    assert f"<strong>transfer_sum</strong>, learned elsewhere, reaches {srocc:.3f}" in html
    assert "Learned elsewhere" in html


def test_report_over_groups(tmp_path, result):
    protocol = {
        **result.metrics["protocol"],
        "target": "acc",
        "networks": 60,
        "learned_elsewhere_from": "b<c",
    }
    metrics = {**result.metrics, "protocol": protocol, "indicator_chosen_elsewhere": "noise"}
    write_transfer_report(tmp_path / "r.html", {"one": metrics, "two": metrics})
    html = (tmp_path / "r.html").read_text()
    methods = compared(metrics)
    assert list(methods.values()) == ["transfer_sum", "noise", "fair", "linear"]
    for name in methods.values():
        assert number(result.metrics["methods"][name]["srocc"]["mean"]) in html
    assert set(re.findall(r'href="([^"]*)"', html)) == {"data:,", "one/report.html", "two/report.html"}
    assert "b&lt;c" in html
    srocc = result.metrics["methods"]["transfer_sum"]["srocc"]["mean"]
    assert f"mean Spearman correlation (SROCC) of {srocc:.3f}" in html
