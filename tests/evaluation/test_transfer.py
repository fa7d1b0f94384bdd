"""What was learned elsewhere, beside what was learned here."""

import json
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression

from fusion.errors import FusionError
from fusion.evaluation import Judging, Plan, Transfer, evaluate, judge
from fusion.evaluation.runs import Beside
from fusion.evaluation.transfer import transfer
from fusion.evaluation.words import number
from fusion.regression import ModelSpec, fit
from fusion.work import Work
from tests.evaluation.made import Page, accuracies_of, labelled, table_of

QUIET = Work(workers=1, progress=False)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    quality = rng.normal(size=60)
    index = [f"a{i:02}" for i in range(60)]
    values = pd.DataFrame({"fair": quality + rng.normal(size=60), "noise": rng.normal(size=60)}, index=index)
    scores = pd.DataFrame({"transfer_sum": quality + 0.1 * rng.normal(size=60)}, index=index)
    return values, pd.Series(90 + quality, index=index), scores


def run(data):
    values, accuracy, scores = data
    return judge(
        values,
        accuracy,
        pd.Series(values.index, values.index),
        {"linear": LinearRegression},
        {"fair": True, "noise": True},
        Plan(20, (20,), 3, 20, 0),
        beside=Beside(scores),
        work=QUIET,
    )


@pytest.fixture(scope="module")
def result(data):
    return run(data)


def test_scores_are_judged_on_the_same_test_parts(data, result):
    _, accuracy, scores = data
    found = result.methods["transfer_sum"]
    assert found.kind == "transfer"
    tests = [list(rows["arch"]) for _, rows in result.predictions.groupby("split")]
    expected = [stats.spearmanr(scores["transfer_sum"][t], accuracy[t]).statistic for t in tests]
    assert len(tests) == 3
    assert found.scores["srocc"].mean == pytest.approx(np.mean(expected))


def test_models_and_indicators_are_as_without(data, result):
    without = run((*data[:2], None))
    assert result.best_indicator == without.best_indicator == "fair"
    assert result.correlations == without.correlations
    for name in ("linear", "fair"):
        assert result.methods[name].scores["srocc"].mean == without.methods[name].scores["srocc"].mean


def test_order_of_rows_does_not_matter(data, result):
    values, accuracy, scores = data
    assert run((values, accuracy, scores.iloc[::-1])).methods == result.methods


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


QUICK = Judging(splits=2, bootstrap=10, train_sizes=())


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    return [labelled(folder / "a", 40, "nats-sss"), labelled(folder / "b", 50, "nats-tss", seed=1)]


@pytest.fixture(scope="module")
def several(groups):
    return evaluate(groups, ("weighted_sum",), settings=QUICK, progress=False)


def test_each_group_is_judged_by_what_the_others_taught(groups, several):
    assert list(several.groups) == ["nats-sss", "nats-tss"]
    for name, other in (("nats-sss", 1), ("nats-tss", 0)):
        found = several.groups[name]
        assert found.protocol.transfer == ("transfer_weighted_sum",)
        assert found.protocol.learned_from == {groups[other].space.name: groups[other].networks}
        # all signal is in the indicators, and it is the same in both
        assert found.methods["transfer_weighted_sum"].scores["srocc"].mean > 0.9
        assert found.chosen_elsewhere == "good"


def test_what_was_learned_here_is_as_of_the_group_alone(groups, several):
    alone = evaluate(groups[0], ("weighted_sum",), settings=QUICK, progress=False)
    found = several.groups["nats-sss"]
    assert (
        found.methods["weighted_sum"].scores["srocc"].mean
        == alone.methods["weighted_sum"].scores["srocc"].mean
    )
    assert found.weights == alone.weights


def test_accuracies_of_the_judged_group_are_not_learned_from(groups, several):
    """With its accuracies upside down, the transferred scores are the same and rank upside down."""
    turned = replace(groups[0].accuracies, by_arch=-groups[0].accuracies.by_arch)
    swapped = [groups[0].table.labelled(turned), groups[1]]
    found = evaluate(swapped, ("weighted_sum",), settings=QUICK, progress=False).groups["nats-sss"]
    before = several.groups["nats-sss"].methods["transfer_weighted_sum"].scores["srocc"].mean
    assert found.methods["transfer_weighted_sum"].scores["srocc"].mean == pytest.approx(-before)
    assert any("transfer_weighted_sum, without these accuracies, ranks" in text for text in found.warnings)


def test_a_model_that_can_do_without_accuracies_learns_none_of_unlike_spaces(groups):
    spec = ModelSpec("auto", params={"effort": "quick"})
    found = evaluate(groups, {"auto": spec, "weighted_sum": "weighted_sum"}, settings=QUICK, progress=False)
    for data in groups:
        of = found.groups[data.space.name]
        with pytest.warns(UserWarning, match="no accuracies"):
            scores = fit(data.table, spec).predict(data.table)
        tests = [list(rows["arch"]) for _, rows in of.predictions.groupby("split")]
        expected = [stats.spearmanr(scores[data.keys[t]], data.y[t]).statistic for t in tests]
        assert of.methods["transfer_auto"].scores["srocc"].mean == pytest.approx(np.mean(expected))
        assert [note.split()[0] for note in of.notes if "is fitted on this table" in note] == [
            "transfer_auto"
        ]
        assert any(note.startswith("transfer_auto: this space is like none") for note in of.notes)
    assert found.summary[0].name == "auto, no accuracy of this group"


def test_networks_that_both_measure_are_not_learned_from(tmp_path):
    one = labelled(tmp_path / "a", 60, "nats-tss")
    by_arch = one.accuracies.by_arch
    two = table_of(tmp_path / "b", one.table.values(), one.space).labelled(accuracies_of(by_arch[30:]))
    one = one.table.labelled(accuracies_of(by_arch[:40]))
    found = evaluate([one, two], ("weighted_sum",), settings=QUICK, progress=False)
    assert len(found.groups) == 2
    twins = one.space.twins
    for judged, other in zip((one, two), (two, one), strict=True):
        seen = {twins(key) for key in judged.by_key.index}
        kept = sum(twins(key) not in seen for key in other.by_key.index)
        counts = {count for of in found.groups.values() for count in of.protocol.learned_from.values()}
        assert kept in counts
        assert kept < len(other.by_key)


def test_a_group_too_small_is_named(tmp_path, groups):
    few = labelled(tmp_path / "t", 11, "nats-tss", seed=3)
    with pytest.raises(FusionError, match="group nats-tss: "):
        evaluate([groups[0], few], ("weighted_sum",), settings=QUICK, progress=False)
    with pytest.raises(FusionError, match="no table"):
        transfer([], {}, QUICK, QUIET)


def test_summary_has_every_way_of_learning(several):
    assert [(row.name, row.kind) for row in several.summary] == [
        ("weighted_sum, no accuracy of this group", "transfer"),
        ("best indicator of the other groups", "indicator"),
        ("best indicator of this group, with hindsight", "indicator"),
        ("weighted_sum, accuracies of this group", "model"),
    ]
    for row in several.summary:
        for name, cell in row.groups.items():
            assert cell.srocc == several.groups[name].methods[cell.method].scores["srocc"].mean
    assert several.summary[-1].groups["nats-sss"].train_size == 26


def test_json_and_back(several):
    content = json.loads(json.dumps(several.to_json(), allow_nan=False))
    predictions = {name: of.predictions for name, of in several.groups.items()}
    assert Transfer.from_json(content, predictions) == several
    with pytest.raises(FusionError, match="one table for each group"):
        Transfer.from_json(content, {})
    with pytest.raises(FusionError, match="evaluation of format 4, expected transfer"):
        Transfer.from_json(several.groups["nats-sss"].to_json(), predictions)


def test_files_and_report(tmp_path, several):
    several.write(tmp_path)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    own = ["metrics.json", "predictions.parquet", "protocol.csv", "report.html"]
    assert found == sorted(
        ["metrics.json", "report.html", *(f"{n}/{f}" for n in several.groups for f in own)]
    )
    html = unescape((tmp_path / "report.html").read_text())
    for row in several.summary:
        for cell in row.groups.values():
            assert number(cell.srocc) in html
    assert set(re.findall(r'href="([^"]*)"', html)) == {
        "data:,",
        *(f"{name}/report.html" for name in several.groups),
    }
    for text in several.warnings:
        assert text in html
    own_page = (tmp_path / "nats-sss" / "report.html").read_text()
    srocc = several.groups["nats-sss"].methods["transfer_weighted_sum"].scores["srocc"].mean
    assert f"<strong>transfer_weighted_sum</strong> reaches {srocc:.3f}" in own_page


def test_hostile_names_are_escaped(tmp_path, several):
    name = "<script>alert(1)</script>"
    of = several.groups["nats-sss"]
    protocol = replace(of.protocol, target=name, learned_from={name: 5})
    rows = tuple(
        replace(row, name=name + row.name, groups={name: row.groups["nats-sss"]}) for row in several.summary
    )
    Transfer({name: replace(of, protocol=protocol, warnings=(name,))}, rows).report(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "<script" not in page
    assert name in Page(page).texts["h2"]


def test_lines_for_a_command(several):
    lines = several.lines()
    assert lines[0].startswith("weighted_sum, no accuracy of this group: nats-sss 0.9")
    assert any(line.startswith("note: nats-sss: 2 of 5 indicators say nothing here") for line in lines)
    assert any(line.startswith("warning: nats-tss: ") for line in lines)
