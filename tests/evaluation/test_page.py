import copy
import re
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from fusion.errors import FusionError
from fusion.evaluation import evaluate, figures, write_report
from fusion.evaluation import tables_html as tables

SEARCH = {
    "methods": {
        "random": {"trajectories": [[1.0, 2.0, 3.0], [2.0, 2.0, 2.5, 2.6]]},
        "guided": {"trajectories": [[2.0, 3.0, 3.5]]},
    },
    "optimum": 4.0,
}
HEADINGS = [
    "What was measured",
    "All methods",
    "Predicted against measured accuracy",
    "How many measured architectures are needed",
    "How alike the indicators are",
    "Weights of the fusion model",
    "Search",
    "Equation of the fusion model",
    "Limitations, and how to read the intervals",
]


class Page(HTMLParser):
    """Tags with their attributes, and the text of cells and headings."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.stack, self.rows = [], {}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("h1", "h2", "th", "td", "pre", "p"):
            self.stack.append(tag)
            self.texts.setdefault(tag, []).append("")
            if tag in ("th", "td"):
                self.rows[-1].append("")

    def handle_endtag(self, tag):
        if self.stack and self.stack[-1] == tag:
            self.stack.pop()

    def handle_data(self, data):
        if self.stack:
            self.texts[self.stack[-1]][-1] += data
            if self.stack[-1] in ("th", "td"):
                self.rows[-1][-1] += data + " "


class Rough(LinearRegression):
    def fit(self, X, y):
        return super().fit(X[["noise"]], y)

    def predict(self, X):
        return super().predict(X[["noise"]])


@pytest.fixture(scope="module")
def evaluation():
    rng = np.random.default_rng(0)
    quality = rng.normal(size=80)
    index = [f"a{i}" for i in range(80)]
    columns = {
        "good": quality + 0.3 * rng.normal(size=80),
        "fair": quality + rng.normal(size=80),
        "noise": rng.normal(size=80),
    }
    return evaluate(
        pd.DataFrame(columns, index=index),
        pd.Series(90 + quality, index=index),
        pd.Series(index, index=index),
        models={"linear": LinearRegression, "rough": Rough},
        higher_is_better={"good": True, "fair": True, "noise": False},
        train_size=30,
        train_sizes=[10, 30],
        splits=3,
        bootstrap=20,
        progress=False,
    )


def write(folder, evaluation, **changed):
    path = folder / "report.html"
    settings = {
        "title": "A test",
        "metrics": evaluation.metrics,
        "predictions": evaluation.predictions,
        "search": SEARCH,
        "equations": {"linear": "accuracy = 90 + 1 good"},
    }
    write_report(path, **{**settings, **changed})
    return path.read_text()


@pytest.fixture(scope="module")
def html(tmp_path_factory, evaluation):
    return write(tmp_path_factory.mktemp("report"), evaluation)


def test_sections_in_order(html):
    page = Page(html)
    assert page.texts["h1"] == ["A test"]
    assert page.texts["h2"] == HEADINGS
    assert page.texts["pre"] == ["accuracy = 90 + 1 good"]


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
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', html)) <= set(ids)
    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) == 5
    for drawing in drawings:
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', drawing)) <= set(
            re.findall(r'id="([^"]+)"', drawing)
        )


def test_figures_have_alternative_texts_and_one_width(html):
    drawings = [attributes for tag, attributes in Page(html).tags if tag == "svg"]
    assert all(of["role"] == "img" and len(of["aria-label"]) > 30 for of in drawings)
    assert len({of["viewbox"].split()[2] for of in drawings}) == 1
    assert "linear and rough" in drawings[0]["aria-label"]


def test_methods_are_sorted_with_the_best_marked(html, evaluation):
    methods = evaluation.metrics["methods"]
    rows = [row for row in Page(html).rows if row[0].split()[0] in methods]
    by_srocc = sorted(methods, key=lambda name: -methods[name]["srocc"]["mean"])
    assert [row[0].split()[0] for row in rows[:5]] == by_srocc
    assert [len(row) for row in rows[:5]] == [5] * 5
    assert ["fusion model" in row[0] for row in rows[:5]] == [
        name in ("linear", "rough") for name in by_srocc
    ]
    best = max(of["krocc"]["mean"] for of in methods.values())
    assert f'<span class="best">{best:.3f}</span>' in html


def test_every_number_of_the_tables_is_in_the_metrics(html, evaluation):
    def numbers(value):
        if isinstance(value, dict):
            return [found for part in value.values() for found in numbers(part)]
        return [] if isinstance(value, str) or value is None else [float(value)]

    metrics = evaluation.metrics
    known = np.array([*numbers(metrics["methods"]), *numbers(metrics["advantage"])])
    cells = " ".join(" ".join(row[1:]) for row in Page(html).rows if row[0].split()[0] in metrics["methods"])
    written = re.findall(r"[+−]?\d+\.\d+", cells)  # noqa: RUF001
    assert len(written) > 100
    for text in written:
        value = float(text.replace("−", "-"))  # noqa: RUF001
        rounding = 0.5 * 10 ** -len(text.split(".")[1])
        assert np.abs(known - value).min() <= rounding + 1e-12, text


def test_summary_names_the_best_model_and_the_difference(html, evaluation):
    text = Page(html).texts["p"][0]
    metrics = evaluation.metrics
    assert "linear ranks 50 other architectures" in text
    assert f"(SROCC) of {metrics['methods']['linear']['srocc']['mean']:.3f}" in text
    low, high = metrics["advantage"]["linear"]["low"], metrics["advantage"]["linear"]["high"]
    who = "the model" if low > 0 else "the indicator" if high < 0 else "neither"
    assert text.endswith(f"{who} is clearly ahead.")


@pytest.mark.parametrize(
    ("low", "high", "who"), [(0.01, 0.02, "the model"), (-0.2, 0.1, "neither"), (-0.2, -0.1, "the indicator")]
)
def test_summary_claims_no_more_than_the_interval(evaluation, low, high, who):
    metrics = copy.deepcopy(evaluation.metrics)
    metrics["advantage"]["linear"] = {"mean": 0.0, "low": low, "high": high}
    text = Page(tables.summary("A test", metrics)).texts["p"][0]
    assert text.endswith(f"{who} is clearly ahead.")


def test_same_input_same_bytes_whatever_the_users_matplotlib_settings(tmp_path, evaluation, html):
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.hashsalt": None}):
        before = dict(mpl.rcParams)
        assert write(tmp_path, evaluation) == html
        assert dict(mpl.rcParams) == before


def test_names_and_texts_are_escaped(tmp_path, evaluation):
    metrics = copy.deepcopy(evaluation.metrics)
    metrics["protocol"]["data_set"] = "<i>x</i> & $y$"
    page = write(tmp_path, evaluation, title="<b>&", metrics=metrics, equations={"<m>": "a < b"})
    assert "<i>x" not in page
    assert "<b>" not in page
    parsed = Page(page)
    assert parsed.texts["h1"] == ["<b>&"]
    assert parsed.texts["pre"] == ["a < b"]
    assert ["Data set ", "<i>x</i> & $y$ "] in parsed.rows


def test_parts_without_content_are_left_out(tmp_path, evaluation):
    metrics = copy.deepcopy(evaluation.metrics)
    metrics["weights"], metrics["learning_curve"] = {}, {"linear": []}
    page = write(tmp_path, evaluation, metrics=metrics, search=None, equations={})
    assert Page(page).texts["h2"] == [HEADINGS[i] for i in (0, 1, 2, 4, 8)]


def test_indicators_alone(tmp_path):
    rng = np.random.default_rng(0)
    values = pd.DataFrame({"one": rng.normal(size=30), "flat": 1.0})
    alone = evaluate(
        values,
        values["one"] + 90,
        pd.Series(range(30)),
        models={},
        higher_is_better={"one": True, "flat": True},
        train_size=10,
        train_sizes=[],
        bootstrap=0,
        progress=False,
    )
    page = Page(write(tmp_path, alone, search=None, equations={}))
    assert "The indicator one ranks 20 architectures" in page.texts["p"][0]
    flat = next(row for row in page.rows if row[0].startswith("flat"))
    assert flat[1].strip() == figures.DASH


def test_units_decide_the_decimals_of_rmse(evaluation):
    metrics = copy.deepcopy(evaluation.metrics)
    for of in metrics["methods"].values():
        of["rmse"] = {key: value / 100 for key, value in of["rmse"].items()}
    value = metrics["methods"]["linear"]["rmse"]["mean"]
    assert f">{value:.5f}<" in tables.methods(metrics)


def test_many_points_are_drawn_as_an_image():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(6000, 2)), columns=["measured", "m"])
    shown = {"m": dict.fromkeys(("srocc", "krocc", "plcc", "rmse"))}
    drawing = figures.scatter(table, shown, figures.styles("m"))
    assert "data:image/png;base64" in drawing
    assert len(drawing) < 300_000


def test_heat_map_puts_similar_indicators_side_by_side():
    near, far = 0.9, -0.1
    table = [[1, far, near, None], [far, 1, far, near], [near, far, 1, far], [None, near, far, 1]]
    drawing = figures.heat_map(["a1", "b1", "a2", "b2"], table)
    names = re.findall(r">([ab][12])</text>", drawing)[:4]
    assert {"".join(sorted(name[0] for name in names[:2]))} <= {"aa", "bb"}


def test_colours_do_not_depend_on_the_order():
    assert figures.styles(["b", "a"]) == figures.styles(["a", "b"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictions": pd.DataFrame({"split": [0], "measured": [1.0]})}, "two results of one evaluation"),
        ({"predictions": pd.DataFrame({"split": [9], "linear": 1, "rough": 1})}, "two results of one"),
        ({"search": {"methods": {"none": {"trajectories": []}}, "optimum": None}}, "none has an empty run"),
        ({"search": {"methods": {}, "optimum": None}}, "empty run"),
    ],
)
def test_bad_input_is_one_clear_line_and_no_file(tmp_path, evaluation, change, message):
    with pytest.raises(FusionError, match=message) as error:
        write(tmp_path, evaluation, **change)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_of_many_indicators_the_weakest_are_only_named(tmp_path, monkeypatch, evaluation):
    monkeypatch.setattr("fusion.evaluation.report.SHOWN", 1)
    page = Page(write(tmp_path, evaluation))
    first_cells = [row[0].split()[0] for row in page.rows if row]
    assert "good" in first_cells
    assert "fair" not in first_cells
    assert any("metrics.json: fair, noise" in text for text in page.texts["p"])
