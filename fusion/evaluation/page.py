"""A report: one HTML file with the answer, the figures and the numbers; it fetches nothing.

Words, layout and style are the files in `templates`, which escape what they are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import fusion
from fusion.errors import FusionError
from fusion.evaluation import drawing, figures, words
from fusion.evaluation.evaluation import Evaluation, Searched, Transfer
from fusion.evaluation.fronts import PREFIX
from fusion.evaluation.protocol_table import protocol_rows
from fusion.evaluation.results import Interval, Method, MetricUsed
from fusion.storage.files import write_atomic

# Single indicators that stand open in tables, and in the heat map; a preset may hold a hundred.
OPEN = 10
IN_HEAT_MAP = 30
# Characters of an equation that is folded.
LONG = 600

HEADLINE = {
    "srocc": "SROCC, rank correlation",
    "krocc": "KROCC, rank correlation",
    "plcc": "PLCC, linear correlation",
    "rmse": "RMSE, error",
}


@dataclass(frozen=True)
class _Numbers:
    """How the numbers of a table are written, which depends on all that stand in it."""

    methods: Mapping[str, Method]
    metrics: Mapping[str, MetricUsed]

    def title(self, metric: str) -> str:
        return words.TITLES.get(metric, metric)

    def higher(self, metric: str) -> bool:
        return self.metrics[metric].higher_is_better

    def value(self, metric: str, value: float | None) -> str:
        return words.number(value, words.digits(metric, self.methods))

    def is_best(self, metric: str, value: float | None) -> bool:
        # what reads the same as the best is marked like it
        best = words.best_of(metric, self.methods, higher_is_better=self.higher(metric))
        return best is not None and self.value(metric, value) == self.value(metric, best)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("fusion.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": words.number, "signed": words.signed, "extent": words.extent}
    return environment


def _render(path: Path, template: str, title: str, content: Mapping[str, Any]) -> None:
    environment = _templates()
    css = Markup(environment.get_template("page.css").render())
    page = environment.get_template(template).render(
        title=title, css=css, version=fusion.__version__, **content
    )
    write_atomic(path, page.encode())


def write_report(path: Path, evaluation: Evaluation, *, title: str | None, search: Searched | None) -> None:
    """Write the report of one evaluation; see `Evaluation.report`."""
    methods = {name: of for name, of in evaluation.methods.items() if name not in evaluation.unusable}
    order = words.by_strength(methods)
    singles = [name for name in order if methods[name].kind == "indicator"]
    hidden = set(singles[OPEN:])
    models = [name for name in order if methods[name].kind == "model"]
    best = words.best_model(evaluation)
    answer = evaluation.best_indicator if best is None else best
    content: dict[str, Any] = {
        "e": evaluation,
        "answer": answer,
        "model": best is not None,
        "single": evaluation.best_indicator if best is not None and evaluation.advantage else None,
        "ahead": "" if best is None else _ahead(evaluation.advantage.get(best, Interval(None))),
        "transferred": next((name for name in order if methods[name].kind == "transfer"), None),
        "headline": HEADLINE,
        "top": [name for name in evaluation.protocol.metrics if name not in HEADLINE],
        "models": models,
        "numbers": _Numbers(methods, evaluation.protocol.metrics),
        "digits": words.digits("rmse", methods),
        "baselines": any(of.kind == "baseline" for of in methods.values()),
        "by_size": {metric: words.by_size(evaluation, metric) for metric in ("krocc", "srocc")},
        "shown": {name: methods[name] for name in order if name not in hidden},
        "folded": {name: methods[name] for name in order if name in hidden},
        "partly": any(of.defined < 1 for of in methods.values()),
        "any_reversed": any(of.reversed for of in methods.values()),
        "strongest": words.listed(
            f"{name} ({words.number(methods[name].scores['srocc'].mean)}"
            f"{', reversed' if methods[name].reversed else ''})"
            for name in singles[:5]
        ),
        "named_at_most": words.NAMED,
        "most": figures.MAX_WEIGHTS,
        "long": LONG,
        "protocol_rows": protocol_rows(evaluation),
        **_scatter(evaluation),
        "curve": _curve(evaluation),
        "fronts": _fronts(evaluation),
        **_carries(evaluation, singles),
        **_heat_map(evaluation, singles),
        **_search(search),
    }
    protocol = evaluation.protocol
    _render(path, "evaluation.html", title or f"{protocol.target} on {protocol.space}", content)


def _ahead(advantage: Interval) -> str:
    if advantage.low is None or advantage.high is None:
        return ""
    if advantage.low > 0:
        return "the model is"
    return "the indicator is" if advantage.high < 0 else "neither is"


def _scatter(evaluation: Evaluation) -> dict[str, Any]:
    shown = evaluation.shown_split
    if not shown.scores:
        return {"scatter": None, "named": ""}
    predictions = evaluation.predictions
    if not {"split", "arch", "measured", *shown.scores} <= set(predictions.columns):
        raise FusionError("the predictions lack a model of the evaluation; use the two results of one")
    rows = predictions[predictions["split"] == shown.split]
    if rows.empty:
        raise FusionError("the predictions lack the split of the evaluation; use the two results of one")
    svg = figures.scatter(rows, shown.scores, drawing.styles(shown.scores))
    named = "" if len(rows) > figures.MAX_VECTOR_POINTS else "; point at one for its name"
    return {"scatter": Markup(svg), "named": named}


def _fronts(evaluation: Evaluation) -> Markup | None:
    found = {
        name: of for name, of in evaluation.fronts.items() if f"{PREFIX}{name}" in evaluation.predictions
    }
    if not found:
        return None
    rows = evaluation.predictions[evaluation.predictions["split"] == evaluation.shown_split.split]
    return Markup(figures.fronts(rows, found))


def _curve(evaluation: Evaluation) -> Markup | None:
    curves = {name: points for name, points in evaluation.learning_curve.items() if points}
    if not curves:
        return None
    name = evaluation.best_indicator
    mean = None if name is None else evaluation.methods[name].scores["srocc"].mean
    best = None if name is None or mean is None else (name, mean)
    return Markup(figures.learning_curve(curves, best, _look(evaluation)))


def _look(evaluation: Evaluation) -> dict[str, drawing.Style]:
    """Return a look for everything that has a learning curve: colours for models, grey for baselines."""
    grey = [
        name
        for name in evaluation.learning_curve
        if name in evaluation.methods and evaluation.methods[name].kind == "baseline"
    ]
    models = [name for name in evaluation.learning_curve if name not in grey]
    return {**drawing.styles(models), **drawing.muted_styles(grey)}


def _carries(evaluation: Evaluation, singles: list[str]) -> dict[str, Any]:
    """Return the figure of what carries the best model that has weights, else of the best indicators."""
    weights = {
        name: {
            feature: of
            for feature, of in found.items()
            # the weight of what does not vary is rounding
            if any((of.mean, of.low, of.high)) and feature not in evaluation.unusable
        }
        for name, found in evaluation.weights.items()
    }
    weights = {name: found for name, found in weights.items() if found}
    look = _look(evaluation)
    models = {name: of for name, of in evaluation.methods.items() if name in weights}
    first = next(iter(words.by_strength(models)), None)
    found: dict[str, Any] = {"weighted": first, "carries": None, "other_weights": None}
    if first is not None:
        found["carries"] = Markup(figures.weights({first: weights.pop(first)}, look))
        if weights:
            found["other_weights"] = Markup(figures.weights(weights, look, "others"))
        return found
    srocc = {name: evaluation.methods[name].scores["srocc"] for name in singles}
    srocc = {name: of for name, of in srocc.items() if of.mean is not None}
    if srocc:
        found["carries"] = Markup(figures.strengths(srocc))
    return found


def _heat_map(evaluation: Evaluation, singles: list[str]) -> dict[str, Any]:
    shown = set(singles[:IN_HEAT_MAP])
    names, table = evaluation.correlations.indicators, evaluation.correlations.srocc
    kept = [i for i, name in enumerate(names) if name in shown]
    if len(kept) < 2:
        return {"heat_map": None}
    svg = figures.heat_map([names[i] for i in kept], [[table[i][j] for j in kept] for i in kept])
    left = len(singles) > len(shown)
    return {"heat_map": Markup(svg), "heat_map_shown": len(kept), "heat_map_left": left}


def _search(search: Searched | None) -> dict[str, Any]:
    if search is None:
        return {"search": None}
    empty = sorted(
        name for name, of in search.methods.items() if not of.trajectories or not all(of.trajectories)
    )
    if empty or not search.methods:
        raise FusionError(f"search method {empty[0] if empty else '(none)'} has an empty run; leave it out")
    counts = sorted({len(of.trajectories) for of in search.methods.values()})
    best_of = "optimum of the space" if search.whole else f"best of the {search.networks:,} searched"
    known = search.best_known is not None
    return {
        "search": Markup(figures.search_trajectories(search.methods, search.best_known, best_of)),
        "runs": f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}",
        "best_of": f"the {best_of}" if known else None,
    }


TRANSFER_TITLE = "Trained on the spaces you have, used on one you do not"


def write_transfer_report(path: Path, transfer: Transfer) -> None:
    """Write one file that holds each group against what the others taught; see `Transfer.report`."""
    means = {}
    for row in transfer.summary:
        if row.kind == "transfer":
            found = [np.nan if cell.srocc is None else cell.srocc for cell in row.groups.values()]
            if np.isfinite(mean := float(np.mean(found))):
                means[next(iter(row.groups.values())).method] = mean
    best = max(means, key=lambda name: means[name]) if means else None
    groups = {}
    for name, evaluation in transfer.groups.items():
        compared = dict.fromkeys(row.groups[name].method for row in transfer.summary if name in row.groups)
        methods = {method: evaluation.methods[method] for method in compared}
        groups[name] = {
            "e": evaluation,
            "shown": {method: methods[method] for method in words.by_strength(methods)},
            "numbers": _Numbers(methods, evaluation.protocol.metrics),
            "partly": any(of.defined < 1 for of in methods.values()),
            "link": f"{quote(name)}/report.html",
            "learned_from": words.listed(
                f"{other} ({count:,} networks)" for other, count in evaluation.protocol.learned_from.items()
            ),
        }
    content = {
        "t": transfer,
        "best": best,
        "mean": None if best is None else means[best],
        "groups": groups,
    }
    _render(path, "transfer.html", TRANSFER_TITLE, content)
