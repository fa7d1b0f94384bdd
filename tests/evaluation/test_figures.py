"""What the figures say: their texts, labels and marks, read off the SVG."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd

from fusion.evaluation import figures
from fusion.evaluation.fronts import Front, FrontPoint
from fusion.evaluation.results import CurvePoint, Extent, Interval


def texts(svg):
    """Return the texts of a figure, in the order drawn."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def label(svg):
    return re.search(r'aria-label="([^"]*)"', svg)[1]


def curve(*sroccs):
    return tuple(
        CurvePoint(size, 4, Extent(9, 9), {"srocc": Interval(srocc, srocc - 0.1, srocc + 0.1)})
        for size, srocc in zip((25, 50, 100), sroccs, strict=False)
    )


LOOK = figures.styles(["lightgbm", "sum"])


def test_the_curve_names_its_models_and_the_best_indicator():
    drawn = figures.learning_curve({"sum": curve(0.5, 0.7, 0.8)}, ("meco", 0.6), LOOK)
    assert {"sum", "meco alone", "25", "50", "100", "training architectures"} <= set(texts(drawn))
    assert label(drawn).endswith("for sum, against the indicator meco alone.")
    assert "stroke-dasharray" in drawn


def test_a_curve_from_no_accuracies_starts_at_0_left_of_the_others():
    points = {"sum": curve(0.5, 0.7), "lightgbm": (replace(curve(0.4)[0], train_size=0), *curve(0.4, 0.6))}
    drawn = figures.learning_curve(points, None, LOOK)
    assert [text for text in texts(drawn) if text.isdigit()] == ["0", "25", "50"]


def test_without_a_best_indicator_no_line_is_drawn():
    drawn = figures.learning_curve({"sum": curve(0.5, 0.7), "lightgbm": curve(0.4, 0.6)}, None, LOOK)
    assert {"sum", "lightgbm"} <= set(texts(drawn))
    assert not [text for text in texts(drawn) if text.endswith("alone")]
    assert label(drawn).endswith("for sum and lightgbm.")


def test_each_point_of_a_scatter_names_its_architecture():
    rng = np.random.default_rng(0)
    measured = rng.normal(90, 1, 30)
    rows = pd.DataFrame(
        {"arch": [f"net-{i}" for i in range(30)], "measured": measured, "sum": measured + 0.1}
    )
    shown = {"sum": {"srocc": 1.0, "krocc": 1.0, "plcc": 1.0, "rmse": 0.1}}
    drawn = figures.scatter(rows, shown, LOOK)
    titles = re.findall(r"<title>([^<]*)</title>", drawn)
    assert [title.split(":")[0] for title in titles] == list(rows["arch"])
    assert titles[3] == f"net-3: measured {measured[3]:.6g}, predicted {measured[3] + 0.1:.6g}"
    assert "SROCC 1.000" in texts(drawn)


def test_similar_indicators_stand_side_by_side():
    names = ["a", "b", "c", "d"]
    alike = np.array([[1, 0.1, 0.9, 0.0], [0.1, 1, 0.0, 0.8], [0.9, 0.0, 1, 0.1], [0.0, 0.8, 0.1, 1]])
    drawn = texts(figures.heat_map(names, alike.tolist()))
    order = "".join(text for text in drawn if text in names)
    assert "ac" in order[:4] or "ca" in order[:4]
    assert "bd" in order[:4] or "db" in order[:4]
    assert drawn.count(".90") == 2


def test_fronts_name_their_costs_and_what_is_drawn():
    rows = pd.DataFrame(
        {
            "measured": [1.0, 2.0, 3.0],
            "sum": [1.5, 2.5, 2.0],
            "cost.ms": [1.0, 2.0, 3.0],
            "cost.flops": [1e6, 1e7, np.nan],
        }
    )
    points = (FrontPoint("a", 1.0, 1.5, 1.0), FrontPoint("b", 2.0, 2.5, 2.0))
    found = {name: Front("sum", points, 0, Interval(0.0)) for name in ("ms", "flops")}
    drawn = figures.fronts(rows, found)
    assert {"ms", "flops", "accuracy", "front of the measured", "front of the predicted"} <= set(texts(drawn))
    assert label(drawn) == "Accuracy against ms and flops, with the Pareto fronts."
    assert not [text for text in texts(drawn) if "$" in text]
    assert figures.fronts(rows, found) == drawn
