"""A report: one HTML file with the numbers, the figures and how to read them; nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

import fusion
from fusion.errors import FusionError
from fusion.evaluation import figures
from fusion.evaluation.figures import number
from fusion.evaluation.metrics import METRICS
from fusion.evaluation.protocol import COLUMNS
from fusion.evaluation.template import CSS, PAGE
from fusion.extraction.store import write_atomic

MAIN = ("srocc", "krocc", "plcc", "rmse")
TITLES = {
    "plcc": "PLCC",
    "rmse": "RMSE",
    "srocc": "SROCC",
    "krocc": "KROCC",
    "ndcg": "nDCG",
    "precision_at_10": "precision@10",
    "regret_at_10": "regret@10",
}
LABELS = {
    "train_size": "Trained on",
    "test_size": "Tested on",
    "bootstrap": "Bootstrap replicates",
    "pool": "Unlabelled architectures",
    "higher_is_better": "Lower is better for",
    "train_sizes": "Learning curve at",
    "single_indicators": "Single indicators",
    "undefined_values": "Undefined values",
}


def write_report(
    path: Path,
    *,
    title: str,
    metrics: dict[str, Any],
    predictions: pd.DataFrame,
    search: dict[str, Any] | None,
    equations: dict[str, str],
) -> None:
    """Write one self-contained HTML file.

    Parameters
    ----------
    path : Path
        The file; replaced atomically.
    title : str
        Heading of the report.
    metrics : dict
        `Evaluation.metrics`. Further texts or numbers under `metrics["protocol"]` (which accuracy,
        how many epochs and seeds, ...) become rows of the protocol table.
    predictions : DataFrame
        `Evaluation.predictions`.
    search : dict or None
        `{"methods": {name: {"trajectories": [[best accuracy after 1, 2, ... measured], ...]}},
        "optimum": float | None}`; None leaves the figure out.
    equations : dict of str to str
        Model -> its equation as text; may be empty.

    Raises
    ------
    FusionError
        When metrics and predictions do not fit together or the file cannot be written.

    Notes
    -----
    The same input gives the same bytes.

    """
    shown = predictions[predictions["split"] == metrics["shown_split"]["split"]]
    missing = sorted(set(metrics["shown_split"]["models"]) - set(predictions.columns))
    if missing or (shown.empty and metrics["shown_split"]["models"]):
        lacks = missing[0] if missing else "the split that the metrics show"
        raise FusionError(f"the predictions lack {lacks}; use the metrics and predictions of one evaluation")
    sections = [
        _summary(title, metrics),
        _protocol(metrics["protocol"]),
        _methods(metrics),
        _scatter(metrics, shown),
        _learning_curve(metrics),
        _correlations(metrics["correlations"]),
        _weights(metrics),
        _search(search),
        _equations(equations),
        _limitations(metrics["protocol"]),
    ]
    page = PAGE.substitute(
        title=escape(title),
        css=CSS,
        body="\n".join(section for section in sections if section),
        footer=f"Made by Fusion {escape(fusion.__version__)}. All numbers here are in metrics.json, the "
        "points of the scatter plots in predictions.parquet.",
    )
    write_atomic(path, page.encode())


def _summary(title: str, metrics: dict[str, Any]) -> str:
    protocol, methods = metrics["protocol"], metrics["methods"]
    best, single = _best_model(methods), metrics["best_indicator"]
    shown = best or single
    if shown is None:
        return f"<h1>{escape(title)}</h1><p class='lead'>No indicator is defined well enough to be judged.</p>"
    text = (
        f"Trained on {protocol['train_size']:,} measured architectures and tested on the other "
        f"{_extent(protocol['test_size'])}, the fusion model <strong>{escape(shown)}</strong>"
        if best
        else f"Tested on {_extent(protocol['test_size'])} architectures, the indicator "
        f"<strong>{escape(shown)}</strong>"
    )
    found = methods[shown]
    text += (
        f" ranks them with a Spearman correlation (SROCC) of {number(found['srocc']['mean'])} and a Kendall "
        f"correlation (KROCC) of {number(found['krocc']['mean'])}; its values correlate linearly (PLCC) with "
        f"the accuracies at {number(found['plcc']['mean'])} and miss them by {_rmse(found['rmse']['mean'])} "
        "(RMSE, in the units of the accuracy)."
    )
    if best and single:
        text += " " + _verdict(metrics["advantage"][best], single, methods[single]["srocc"]["mean"])
    cells = "".join(
        f"<div><dt>{TITLES[name]}</dt><dd><span class='value'>{_value(name, found[name]['mean'])}</span>"
        f"{_interval(name, found[name])}</dd></div>"
        for name in MAIN
    )
    return (
        f"<p class='kicker'>Evaluation of training-free indicators</p><h1>{escape(title)}</h1>"
        f"<p class='lead'>{text}</p><dl class='headline'>{cells}</dl>"
    )


def _verdict(advantage: Mapping[str, float | None], single: str, srocc: float | None) -> str:
    low, high = advantage["low"], advantage["high"]
    text = (
        f"The best single indicator, {escape(single)}, reaches an SROCC of {number(srocc)}; the difference is "
        f"{number(advantage['mean'])}"
    )
    if low is None or high is None:
        return text + "."
    meaning = (
        "the model is ahead" if low > 0 else "the indicator is ahead" if high < 0 else "neither is clearly ahead"
    )
    return f"{text} (95 % interval {number(low)} to {number(high)}): {meaning}."


def _protocol(protocol: dict[str, Any]) -> str:
    texts = protocol["descriptions"]
    lower = [name for name, higher in protocol["higher_is_better"].items() if not higher]
    reached, wanted = protocol["train_size_reached"], protocol["train_size"]
    exact = reached["min"] == reached["max"] == wanted
    rows = {
        "Architectures": f"{protocol['architectures']:,} in {protocol['groups']:,} groups of isomorphic twins",
        "Trained on": f"{wanted:,} architectures" + ("" if exact else f" (reached: {_extent(reached)})"),
        "Tested on": f"the other {_extent(protocol['test_size'])} architectures",
        "Splits": f"{protocol['splits']:,}. {texts['splitting']}",
        "Means": texts["mean"],
        "Intervals": f"{protocol['bootstrap']:,} replicates. {texts['interval']}",
        "Seed": str(protocol["seed"]),
        "Unlabelled architectures": protocol["pool"],
        "Models": ", ".join(protocol["models"]) or "none",
        "Indicators": ", ".join(protocol["indicators"]),
        "Lower is better for": ", ".join(lower) or "none",
        "Single indicators": texts["single_indicators"],
        "Undefined values": texts["undefined_values"],
    }
    known = {
        *("architectures", "groups", "train_size", "train_size_reached", "test_size", "splits", "bootstrap"),
        *("seed", "use_pool", "pool", "indicators", "higher_is_better", "models", "train_sizes", "metrics"),
        "descriptions",
    }
    given = {
        name.replace("_", " ").capitalize(): str(value)
        for name, value in protocol.items()
        if name not in known and isinstance(value, str | int | float)
    }
    body = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(text)}</td></tr>"
        for name, text in {**given, **rows}.items()
    )
    return f"<h2>What was measured</h2><div class='scroll'><table class='protocol'><tbody>{body}</tbody></table></div>"
