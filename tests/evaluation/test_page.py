import re
from dataclasses import dataclass, replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from fusion.errors import FusionError
from fusion.evaluation import Evaluation, Interval, Judging, drawing, evaluate, figures
from fusion.evaluation.words import digits, number
from tests.evaluation.made import Page, labelled

HEADINGS = [
    "Predicted against measured accuracy",
    "How many measured architectures are needed",
    "What carries it",
    "Warnings and notes",
    "All methods",
    "How alike the indicators are",
    "Weights of the other fusion models",
    "Search",
    "Equations of the fusion models",
    "Limitations, and how to read the intervals",
    "What was measured",
]


@dataclass(frozen=True)
class Runs:
    trajectories: tuple


@dataclass(frozen=True)
class Searches:
    methods: dict
    best_known: float | None = 4.0
    networks: int = 400
    whole: bool = False


SEARCH = Searches(
    {
        "random": Runs(((1.0, 2.0, 3.0), (2.0, 2.0, 2.5, 2.6))),
        "guided": Runs(((2.0, 3.0, 3.5),)),
    }
)
MODELS = {"trees": "lightgbm", "linear": "weighted_sum", "other": "weighted_sum"}


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    data = labelled(tmp_path_factory.mktemp("table") / "t", 80)
    settings = Judging(train_size=30, train_sizes=(10, 30), splits=3, bootstrap=20)
    return evaluate(data, MODELS, settings=settings, progress=False)


def write(folder, evaluation, **changed):
    path = folder / "report.html"
    evaluation.report(path, **{"title": "A test", "search": SEARCH, **changed})
    return path.read_text()


@pytest.fixture(scope="module")
def html(tmp_path_factory, evaluation):
    return write(tmp_path_factory.mktemp("report"), evaluation)


def test_sections_in_order_the_answer_and_three_figures_first(html):
    page = Page(html)
    assert page.texts["h1"] == ["A test"]
    assert page.texts["h2"] == HEADINGS
    before = html[: html.index("Warnings and notes")]
    assert before.count("<svg") == 3


def test_nothing_is_fetched_and_no_script_is_needed(html):
    assert "http" not in html
    assert "<script" not in html
    assert "@import" not in html
    for tag, attributes in Page(html).tags:
        assert tag not in ("link", "img", "iframe", "object") or attributes["href"] == "data:,"
        assert not any(name.startswith("on") for name in attributes)


def test_ids_are_unique_and_every_reference_is_within_its_figure(html):
    ids = [attributes["id"] for _, attributes in Page(html).tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 50
    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) == 6
    for svg in drawings:
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= set(re.findall(r'id="([^"]+)"', svg))


def test_figures_have_alternative_texts_and_one_width(html):
    drawings = [attributes for tag, attributes in Page(html).tags if tag == "svg"]
    assert all(of["role"] == "img" and len(of["aria-label"]) > 30 for of in drawings)
    assert len({of["viewbox"].split()[2] for of in drawings}) == 1
    assert "linear, other and trees" in drawings[0]["aria-label"]


def test_points_name_their_architecture(html, evaluation):
    first = evaluation.predictions[evaluation.predictions["split"] == 0]
    texts = [text for text in Page(html).texts["title"] if "measured" in text]
    expected = [
        f"{row['arch']}: measured {row['measured']:.6g}, predicted {row[name]:.6g}"
        for name in ("linear", "other", "trees")
        for _, row in first.iterrows()
    ]
    assert texts == expected
    # each stands where its numbers say
    points = re.findall(r'<use [^>]*x="([^"]+)"[^>]*><title>[^:<]+(?::[^:<]+)*: measured ([^,]+),', html)
    assert len(points) == len(expected)
    x, y = np.array(points[: len(first)], dtype=float).T
    assert np.corrcoef(x, y)[0, 1] == pytest.approx(1, abs=1e-6)


def named(row, methods):
    """The method that a row of a table is about; None where it is about something else."""
    return next((name for name in methods if f"{row[0]} ".startswith(f"{name} ")), None)


def test_methods_are_sorted_by_strength_with_the_best_marked(html, evaluation):
    methods = {name: of for name, of in evaluation.methods.items() if name not in evaluation.unusable}
    rows = [[named(row, methods), *row] for row in Page(html).rows if named(row, methods)]
    by_strength = sorted(methods, key=lambda name: (-abs(methods[name].scores["srocc"].mean), name))
    assert "wrong" in by_strength[:4]
    assert [row[0] for row in rows[: len(methods)]] == by_strength
    for name, head, *_ in rows[: len(methods)]:
        assert ("fusion model" in head) == (name in MODELS)
        assert ("reversed" in head) == (name == "wrong")
    best = max(of.scores["krocc"].mean for of in methods.values())
    assert f'<span class="best">{best:.3f}</span>' in html


def test_indicators_that_say_nothing_stand_in_one_line_only(html, evaluation):
    page = Page(html)
    assert not any(row[0].split()[:1] in (["empty"], ["flat"]) for row in page.rows if row)
    assert [text for text in page.texts["li"] if "flat" in text] == [
        "2 of 5 indicators say nothing here (the same value for all architectures: flat; the space has no "
        "cells: empty)"
    ]
    assert "empty" not in "".join(page.texts["pre"])
    assert not any(f">{name}</text>" in html for name in ("empty", "flat", "missing(empty)"))


def test_every_number_of_the_tables_is_in_the_metrics(html, evaluation):
    def numbers(value):
        if isinstance(value, dict | list):
            parts = value.values() if isinstance(value, dict) else value
            return [found for part in parts for found in numbers(part)]
        return [] if isinstance(value, str) or value is None else [float(value)]

    content = evaluation.to_json()
    known = np.array(
        [
            *numbers(content["methods"]),
            *numbers(content["advantage"]),
            *numbers(content["ranges"]),
            *numbers(content["learning_curve"]),
            *numbers(content["prediction_intervals"]),
            *(100 * share for share in numbers(content["prediction_intervals"])),
        ]
    )
    cells = " ".join(" ".join(row[1:]) for row in Page(html).rows if named(row, evaluation.methods))
    written = re.findall(r"[+−]?\d+\.\d+", cells)  # noqa: RUF001
    assert len(written) > 100
    for text in written:
        value = float(text.replace("−", "-"))  # noqa: RUF001
        rounding = 0.5 * 10 ** -len(text.split(".")[1])
        assert np.abs(known - value).min() <= rounding + 1e-12, text


def test_summary_names_the_best_model_and_the_difference(html, evaluation):
    lead, more, *_ = Page(html).texts["p"]
    models = {name: evaluation.methods[name].scores["srocc"].mean for name in sorted(MODELS)}
    best = max(models, key=lambda name: models[name])
    assert f"From 30 measured accuracies, the fusion model {best} ranks 50 other architectures" in lead
    assert f"(SROCC) of {models[best]:.3f}" in lead
    low, high = evaluation.advantage[best].low, evaluation.advantage[best].high
    who = "the model is" if low > 0 else "the indicator is" if high < 0 else "neither is"
    assert more.endswith(f"{who} clearly ahead.")


@pytest.mark.parametrize(
    ("low", "high", "who"),
    [(0.01, 0.02, "the model is"), (-0.2, 0.1, "neither is"), (-0.2, -0.1, "the indicator is")],
)
def test_summary_claims_no_more_than_the_interval(tmp_path, evaluation, low, high, who):
    changed = replace(evaluation, advantage=dict.fromkeys(MODELS, Interval(0.0, low, high)))
    assert Page(write(tmp_path, changed)).texts["p"][1].endswith(f"{who} clearly ahead.")


def test_same_input_same_bytes_whatever_the_users_matplotlib_settings(tmp_path, evaluation, html):
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.hashsalt": None}):
        before = dict(mpl.rcParams)
        assert write(tmp_path, evaluation) == html
        assert dict(mpl.rcParams) == before


HOSTILE = '<script>alert(1)</script><b x="y">&\'$\\${{7*7}}{%'


def hostile(evaluation):
    """The evaluation in which every name and every text is one that breaks out of what does not escape."""

    def renamed(value):
        if isinstance(value, dict):
            return {key if key in fixed else HOSTILE + key: renamed(of) for key, of in value.items()}
        if isinstance(value, list):
            return [renamed(of) for of in value]
        return HOSTILE + value if isinstance(value, str) and value not in kinds else value

    kinds = {"model", "baseline", "indicator", "transfer", "evaluation"}
    fixed = {
        *evaluation.to_json(),
        *evaluation.to_json()["protocol"],
        *evaluation.protocol.metrics,
        *evaluation.protocol.descriptions,
        *("kind", "defined", "scores", "mean", "low", "high", "min", "max", "train_size", "test_size"),
        *("architectures", "rmse", "mae", "srocc", "indicators", "split", "model", "params"),
        *(
            "splits",
            "level",
            "all",
            "tenths",
            "coverage",
            "width",
            "higher_is_better",
            "formula",
            "best_tenth",
            "best_fifth",
            "worst_tenth",
        ),
    }
    content = evaluation.to_json()
    predictions = evaluation.predictions.rename(columns={name: HOSTILE + name for name in MODELS})
    predictions = predictions.assign(arch=HOSTILE + predictions["arch"])
    return Evaluation.from_json(renamed(content), predictions)


def test_hostile_names_and_texts_are_escaped_everywhere(tmp_path, evaluation):
    search = Searches({HOSTILE + name: of for name, of in SEARCH.methods.items()})
    changed = hostile(replace(evaluation, warnings=("careful",), notes=("left out",)))
    page = write(tmp_path, changed, title=HOSTILE, search=search)
    assert "<script" not in page
    assert "<b x" not in page
    parsed = Page(page)
    assert parsed.texts["h1"] == [HOSTILE]
    assert HOSTILE + "careful" in parsed.texts["li"]
    assert any(text.startswith(HOSTILE) and "measured" in text for text in parsed.texts["title"])
    assert all(text.startswith(HOSTILE) for text in parsed.texts["pre"])
    assert any(HOSTILE + "good" in row[0] for row in parsed.rows)
    for name, _ in parsed.tags:
        assert name not in ("script", "b")


def test_search_says_of_what_it_is_the_best(tmp_path, evaluation, html):
    assert "Dotted: the best of the 400 searched." in html
    assert "optimum" not in html
    whole = write(tmp_path, evaluation, search=replace(SEARCH, whole=True))
    assert "Dotted: the optimum of the space." in whole
    assert "Dotted: the" not in write(tmp_path, evaluation, search=replace(SEARCH, best_known=None))


def test_parts_without_content_are_left_out(tmp_path, evaluation):
    bare = replace(
        evaluation, weights={}, learning_curve={"linear": ()}, equations={}, notes=(), warnings=(), ranges={}
    )
    page = write(tmp_path, bare, search=None)
    assert Page(page).texts["h2"] == [HEADINGS[i] for i in (0, 2, 4, 5, 9, 10)]
    assert "SROCC of single indicators" in page
    assert "Where the errors are" not in page


def test_long_equations_are_folded(tmp_path, evaluation):
    long = replace(evaluation, equations={"linear": "accuracy = 1 + 2 x", "other": "y = " + "+ 1 x " * 200})
    page = Page(write(tmp_path, long))
    assert "other" in page.texts["summary"]
    assert "linear" not in page.texts["summary"]
    assert len(page.texts["pre"]) == 2


def test_indicators_alone(tmp_path_factory, tmp_path):
    data = labelled(tmp_path_factory.mktemp("table") / "t", 30)
    settings = Judging(train_size=10, train_sizes=(), bootstrap=0)
    alone = evaluate(data, (), settings=settings, progress=False)
    page = Page(write(tmp_path, alone, search=None))
    assert "The indicator good ranks 20 other architectures" in page.texts["p"][0]
    assert "fusion model" not in page.texts["p"][0]


def test_title_by_default(tmp_path, evaluation):
    evaluation.report(tmp_path / "r.html")
    assert Page((tmp_path / "r.html").read_text()).texts["h1"] == ["accuracy on nats-sss"]


def test_units_decide_the_decimals_of_rmse(tmp_path, evaluation):
    def small(of):
        scores = {**of.scores, "rmse": Interval(*(x / 100 for x in vars(of.scores["rmse"]).values()))}
        return replace(of, scores=scores)

    changed = replace(evaluation, methods={name: small(of) for name, of in evaluation.methods.items()})
    value = changed.methods["linear"].scores["rmse"].mean
    found = digits("rmse", changed.methods)
    assert found >= 4
    assert f">{number(value, found)}<" in write(tmp_path, changed)


def test_errors_by_range_and_the_ceiling_are_shown(tmp_path, evaluation, html):
    rows = [row for row in Page(html).rows if len(row) > 1 and row[1].strip() == "best tenth"]
    assert len(rows) == len(MODELS)
    assert rows[0][2].strip() == "5"
    assert "How far a prediction could get" not in html
    from fusion.evaluation.results import Ceiling

    known = replace(evaluation, ceiling=Ceiling(80, 0.9025, 0.95, 0.931, 0.25))
    page = write(tmp_path, known)
    assert "SROCC of about 0.931 and a PLCC of 0.950" in page


def test_many_points_are_drawn_as_an_image():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(6000, 2)), columns=["measured", "m"]).assign(arch="a")
    shown = {"m": dict.fromkeys(("srocc", "krocc", "plcc", "rmse"))}
    svg = figures.scatter(table, shown, drawing.styles("m"))
    assert "data:image/png;base64" in svg
    assert "<title>" not in svg
    assert len(svg) < 300_000


def test_heat_map_puts_similar_indicators_side_by_side():
    near, far = 0.9, -0.1
    table = [[1, far, near, None], [far, 1, far, near], [near, far, 1, far], [None, near, far, 1]]
    svg = figures.heat_map(["a1", "b1", "a2", "b2"], table)
    names = re.findall(r">([ab][12])</text>", svg)[:4]
    assert {"".join(sorted(name[0] for name in names[:2]))} <= {"aa", "bb"}


def test_colours_do_not_depend_on_the_order():
    assert drawing.styles(["b", "a"]) == drawing.styles(["a", "b"])


@pytest.mark.parametrize(
    ("predictions", "search", "message"),
    [
        (pd.DataFrame({"split": [0], "measured": [1.0]}), SEARCH, "use the two results of one"),
        (
            pd.DataFrame({"split": [9], "arch": "a", "measured": 1, **dict.fromkeys(MODELS, 1)}),
            SEARCH,
            "split of",
        ),
        (None, Searches({"none": Runs(())}), "none has an empty run"),
        (None, Searches({"none": Runs(((),))}), "none has an empty run"),
        (None, Searches({}), "empty run"),
    ],
)
def test_bad_input_is_one_clear_line_and_no_file(tmp_path, evaluation, predictions, search, message):
    changed = evaluation if predictions is None else replace(evaluation, predictions=predictions)
    with pytest.raises(FusionError, match=message) as error:
        write(tmp_path, changed, search=search)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_of_many_indicators_the_weakest_are_folded(tmp_path, monkeypatch, evaluation):
    monkeypatch.setattr("fusion.evaluation.page.OPEN", 1)
    page = write(tmp_path, evaluation)
    assert "2 weaker indicators" in Page(page).texts["summary"]
    opened = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    names = [row[0].split()[0] for row in Page(opened).rows if row]
    assert "fair" not in names
    assert "fair" in [row[0].split()[0] for row in Page(page).rows if row]
