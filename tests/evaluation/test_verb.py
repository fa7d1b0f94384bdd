import json
from html import unescape

import numpy as np
import pandas as pd
import pytest

from fusion.errors import FusionError
from fusion.evaluation import Evaluation, Judging, evaluate
from fusion.evaluation.results import ModelUsed
from fusion.regression import OnIndicators, fit
from fusion.regression.spec import ModelSpec
from fusion.tables import Labelled
from tests.evaluation.made import accuracies_of, labelled

QUICK = Judging(splits=3, bootstrap=20, train_sizes=())


def run(data, models=("weighted_sum",), settings=QUICK):
    return evaluate(data, models, settings=settings, progress=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("table") / "t", 60)


@pytest.fixture(scope="module")
def result(data):
    return run(data)


def shuffled(data, seed=1):
    by_arch = data.accuracies.by_arch.sample(frac=1, random_state=seed)
    return Labelled.join(data.table, accuracies_of(by_arch))


@pytest.mark.parametrize(("n", "train", "warned"), [(30, 20, True), (60, 40, True), (200, 100, False)])
def test_all_rows_are_used_and_the_report_says_so(tmp_path, n, train, warned):
    found = run(labelled(tmp_path / "t", n))
    assert found.protocol.rows == found.protocol.architectures == n
    assert found.protocol.train_size == train
    assert found.predictions["arch"].nunique() <= n
    assert len(found.predictions) == 3 * (n - train)
    assert any("intervals mean little" in text for text in found.warnings) is warned
    found.report(tmp_path / "r.html")
    page = unescape((tmp_path / "r.html").read_text())
    assert f"{n} read; {n} architectures judged" in page
    for text in (*found.notes, *found.warnings):
        assert text in page
    assert any(f"{train} are trained on" in note for note in found.notes) is (n < 120)


def test_too_few_are_one_clear_line(tmp_path):
    with pytest.raises(FusionError, match="11 architectures have indicators and an accuracy") as error:
        run(labelled(tmp_path / "t", 11))
    assert "\n" not in str(error.value)


def test_twelve_are_enough(tmp_path):
    assert run(labelled(tmp_path / "t", 12)).protocol.test_size.min == 10


def test_order_of_rows_and_models_does_not_matter(data, result):
    text = json.dumps(result.to_json())
    assert json.dumps(run(shuffled(data)).to_json()) == text
    once = Judging(splits=1, bootstrap=20, train_sizes=())
    both = run(data, ("weighted_sum", "lightgbm"), once)
    other = run(shuffled(data), ("lightgbm", "weighted_sum"), once)
    assert json.dumps(other.to_json()) == json.dumps(both.to_json())
    pd.testing.assert_frame_equal(run(shuffled(data)).predictions, result.predictions)


def test_one_in_a_list_is_as_one_alone(data, result):
    assert run([data]) == result


def test_twins_never_straddle_a_split(tmp_path):
    data = labelled(tmp_path / "t", 150, "nats-tss")
    assert data.twins.nunique() < 150
    found = run(data, settings=Judging(splits=8, bootstrap=0))
    assert found.protocol.networks == data.networks
    for _, part in found.predictions.groupby("split"):
        tested = set(part["arch"])
        assert not set(data.twins[list(tested)]) & set(
            data.twins[[a for a in data.X.index if a not in tested]]
        )


def test_models_see_all_of_the_table_as_their_pool(data, monkeypatch):
    seen = []
    original = OnIndicators.fit

    def spy(self, X, y=None, pool=None, groups=None):
        seen.append((len(X), pool))
        return original(self, X, y, pool, groups)

    monkeypatch.setattr(OnIndicators, "fit", spy)
    run(data, settings=Judging(train_sizes=(), splits=2, bootstrap=0))
    judged = [pool for rows, pool in seen if rows == 40]
    assert len(judged) >= 2
    for pool in judged:
        assert sorted(pool.table.index) == sorted(data.table.values().index)


def test_equations_are_of_the_model_on_all_accuracies(data, result):
    first, *rest = result.equations["weighted_sum"].splitlines()
    expected, *others = fit(data, "weighted_sum").equation().splitlines()
    assert rest == others
    assert first.split("q(good)")[0][-10:] == expected.split("q(good)")[0][-10:]
    assert run(data, ("lightgbm",), Judging(train_sizes=(), splits=1, bootstrap=0)).equations == {}


def test_models_of_ones_own_are_named(data):
    models = {"plain": ModelSpec("weighted_sum", None, {"penalty": "none"}), "trees": "lightgbm"}
    found = run(data, models)
    assert found.protocol.models == {
        "plain": ModelUsed("weighted_sum", None, {"penalty": "none"}),
        "trees": ModelUsed("lightgbm", None, {}),
    }
    assert {"plain", "trees"} < set(found.methods)
    with pytest.raises(FusionError, match="nothing_like_it"):
        run(data, ("nothing_like_it",))


def test_silent_indicators_are_named_with_their_reason(result):
    assert result.unusable == {
        "empty": "the space has no cells",
        "flat": "the same value for all architectures",
    }
    line = "\n".join(result.lines())
    assert (
        "note: 2 of 5 indicators say nothing here (the same value for all architectures: flat; "
        "the space has no cells: empty)"
    ) in line


def test_a_strong_indicator_that_is_upside_down_is_told(result):
    assert result.methods["wrong"].reversed
    assert result.best_indicator == "good"
    assert any("upside down" in text and "wrong -0.9" in text for text in result.warnings)


def test_protocol_says_what_was_measured(data, result):
    protocol = result.protocol
    assert (protocol.target, protocol.space, protocol.images) == ("accuracy", "nats-sss", "digits")
    assert (protocol.batch_size, protocol.repeats, protocol.networks) == (8, 1, 60)
    assert protocol.dead_edges is None
    assert not protocol.higher_is_better.keys() ^ set(data.indicators)


def test_twins_that_disagree_are_told(tmp_path):
    data = labelled(tmp_path / "t", 200, "nats-tss")
    assert not any("twins differ" in text for text in run(data).warnings)
    twin = data.keys[data.keys.duplicated()].index[0]
    by_arch = data.accuracies.by_arch.copy()
    by_arch[twin] = by_arch.max() if by_arch.rank(pct=True)[twin] < 0.5 else by_arch.min()
    (told,) = [text for text in run(data.table.labelled(accuracies_of(by_arch))).warnings if "twins" in text]
    assert "in 1 of" in told


def test_dead_edges_are_counted_where_a_space_has_edges(tmp_path):
    data = labelled(tmp_path / "t", 40, "nats-tss")
    expected = sum(data.space.has_dead_edge(arch) for arch in data.X.index)
    assert run(data).protocol.dead_edges == expected > 0


def test_seeds_of_the_accuracies_give_a_ceiling(data, result):
    assert result.ceiling is None
    index = data.accuracies.by_arch.index
    seeds, spread = pd.Series(3, index, dtype="Int64"), pd.Series(0.5, index)
    given = accuracies_of(data.accuracies.by_arch, seeds=seeds, spread=spread)
    found = run(Labelled.join(data.table, given))
    assert found.ceiling.rmse == pytest.approx(0.5 / np.sqrt(3))
    assert found.methods == result.methods


def test_json_and_back_and_files_and_back(tmp_path, result):
    text = json.dumps(result.to_json(), allow_nan=False)
    assert Evaluation.from_json(json.loads(text), result.predictions) == result
    result.write(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "metrics.json",
        "predictions.parquet",
        "protocol.csv",
        "report.html",
    ]
    again = Evaluation.read(tmp_path / "out")
    assert again == result
    pd.testing.assert_frame_equal(again.predictions, result.predictions)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2, expected evaluation of format 4"),
        ({"kind": "transfer"}, "transfer of format 4, expected evaluation"),
        ({"methods": {"a": {"kind": "model"}}}, r"methods\.a\.defined: Field required"),
        ({"best_indicator": 3}, "best_indicator: Input should be a valid string"),
        ({"warnings": None}, "warnings: "),
    ],
)
def test_other_json_is_one_clear_line(result, change, message):
    with pytest.raises(FusionError, match=message) as error:
        Evaluation.from_json({**result.to_json(), **change}, result.predictions)
    assert "\n" not in str(error.value)


def test_a_missing_part_is_named(result, tmp_path):
    content = result.to_json()
    del content["protocol"]
    with pytest.raises(FusionError, match="protocol is missing; evaluate again"):
        Evaluation.from_json(content, result.predictions)
    with pytest.raises(FusionError, match="no such file"):
        Evaluation.read(tmp_path)


def test_the_encoding_feeds_models_and_is_no_indicator(data, result):
    columns = [name for name in data.X.columns if name.startswith("encoding.")]
    assert len(columns) > 50
    for names in (
        result.methods,
        result.protocol.indicators,
        result.correlations.indicators,
        result.unusable,
    ):
        assert not set(columns) & set(names)
    assert sum(of.kind == "indicator" for of in result.methods.values()) == 5
    assert set(columns) <= set(result.weights["weighted_sum"])
    assert "2 of 5 indicators say nothing here" in "".join(result.notes)
    models = {"both": "weighted_sum", "alone": ModelSpec("weighted_sum", "encoding")}
    scores = {name: of.scores["srocc"].mean for name, of in run(data, models).methods.items()}
    assert scores["both"] > scores["alone"] + 0.2  # the values are made up, and not from the widths
