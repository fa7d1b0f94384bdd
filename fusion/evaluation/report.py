"""A report: one HTML file with the numbers, the figures and how to read them; it fetches nothing."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

import fusion
from fusion.errors import FusionError
from fusion.evaluation import figures
from fusion.evaluation import tables_html as tables
from fusion.evaluation.template import CSS, PAGE
from fusion.storage.files import write_atomic

# Single indicators in tables and heat map; a preset may hold a hundred.
SHOWN = 30

LIMITATIONS = (
    "<strong>What the intervals cover.</strong> Which architectures happen to be tested, and which split "
    "happens to be drawn. They do not cover other data sets, other spaces, other seeds of the indicators, or "
    "the noise of the measured accuracies themselves, which also sets a ceiling to every correlation here.",
    "<strong>Comparing methods.</strong> Two intervals may overlap although one method is ahead on nearly "
    "every replicate. The paired difference from the best single indicator is the number to look at.",
    "<strong>The best single indicator is chosen with hindsight</strong>, on the test parts. Without the "
    "accuracies nobody would have known which it is, so a model's advantage is understated.",
    "<strong>PLCC and RMSE of single indicators.</strong> Raw values may span many orders of magnitude, "
    "which PLCC punishes and the rank correlations do not. RMSE needs accuracies, so an indicator is first "
    "mapped to them on the training part and is then no longer free of training.",
    "<strong>Ranking all is not finding the best.</strong> A high SROCC may come from telling bad from "
    "mediocre; nDCG, precision@10 and regret@10 look at the top.",
    "<strong>Weights are not importance.</strong> Indicators that say the same share their weight, in a way "
    "that varies from split to split.",
)


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
        `Evaluation.metrics`. Further texts and numbers put into `metrics["protocol"]` (which accuracy,
        how many epochs and seeds, ...) become the first rows of the protocol table.
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
        When metrics and predictions are not of one evaluation, a search method has no runs, or the
        file cannot be written.

    Notes
    -----
    The same input gives the same bytes.
    """
    hidden = tables.weakest(metrics, SHOWN)
    metrics = _without(metrics, set(hidden))
    sections = [
        tables.summary(title, metrics),
        _section("What was measured", tables.protocol(metrics["protocol"])),
        _section(
            "All methods" if not hidden else f"All models, and the {SHOWN} best indicators",
            tables.methods(metrics),
            _hidden(hidden),
            tables.advantage(metrics),
            tables.top(metrics),
        ),
        _scatter(metrics["shown_split"], predictions),
        _learning_curve(metrics),
        _correlations(metrics["correlations"]),
        _weights(metrics),
        _search(search),
        _equations(equations),
        _section(
            "Limitations, and how to read the intervals",
            "<ul>" + "".join(f"<li>{text}</li>" for text in LIMITATIONS) + "</ul>",
        ),
    ]
    page = PAGE.substitute(
        title=escape(title),
        css=CSS,
        body="\n".join(sections),
        footer=f"Made by Fusion {escape(fusion.__version__)}. Its numbers are in metrics.json, "
        "the points of the scatter plots in predictions.parquet.",
    )
    write_atomic(path, page.encode())


def _without(metrics: dict[str, Any], hidden: set[str]) -> dict[str, Any]:
    """Return metrics without these single indicators."""
    names = metrics["correlations"]["indicators"]
    kept = [i for i, name in enumerate(names) if name not in hidden]
    table = metrics["correlations"]["srocc"]
    return {
        **metrics,
        "methods": {name: of for name, of in metrics["methods"].items() if name not in hidden},
        "correlations": {
            "indicators": [names[i] for i in kept],
            "srocc": [[table[i][j] for j in kept] for i in kept],
        },
    }


def _hidden(names: list[str]) -> str:
    if not names:
        return ""
    listed = ", ".join(escape(name) for name in names)
    return f'<p class="about">Not shown, lower SROCC, numbers in metrics.json: {listed}.</p>'


def _scatter(shown: dict[str, Any], predictions: pd.DataFrame) -> str:
    if not shown["models"]:
        return ""
    rows = predictions[predictions["split"] == shown["split"]]
    if rows.empty or not set(shown["models"]) <= set(predictions.columns):
        raise FusionError(
            "the predictions lack a model or split of the metrics; use the two results of one evaluation"
        )
    return _section(
        "Predicted against measured accuracy",
        _figure(
            figures.scatter(rows, shown["models"], figures.styles(shown["models"])),
            "Test architectures of the first split, one point each. On the diagonal, prediction and "
            "measurement agree. The numbers are of this split; those above are means over all splits. "
            "Predictions far outside are drawn on the frame.",
        ),
    )


def _learning_curve(metrics: dict[str, Any]) -> str:
    curves = {name: points for name, points in metrics["learning_curve"].items() if points}
    if not curves:
        return ""
    name = metrics["best_indicator"]
    best = None if name is None else (name, metrics["methods"][name]["srocc"]["mean"])
    return _section(
        "How many measured architectures are needed",
        _figure(
            figures.learning_curve(curves, best, figures.styles(metrics["learning_curve"])),
            "Mean SROCC over the splits; the bands are the 95 % bootstrap intervals. "
            + escape(metrics["protocol"]["descriptions"]["learning_curve"])
            + ("" if best is None else " Dashed: the best single indicator, which needs none."),
        ),
    )


def _correlations(correlations: dict[str, Any]) -> str:
    return _section(
        "How alike the indicators are",
        _figure(
            figures.heat_map(correlations["indicators"], correlations["srocc"]),
            "Spearman's correlation between indicators, each negated where lower is better, over the "
            "architectures for which both are defined. Similar indicators stand side by side.",
        ),
    )


def _weights(metrics: dict[str, Any]) -> str:
    if not metrics["weights"]:
        return ""
    return _section(
        "Weights of the fusion model",
        _figure(
            figures.weights(metrics["weights"], figures.styles(metrics["learning_curve"])),
            "Weight of each feature: mean over the splits; line: 2.5 to 97.5 percentile. "
            f"Largest first, at most {figures.MAX_WEIGHTS} of a model.",
        ),
    )


def _search(search: dict[str, Any] | None) -> str:
    if search is None:
        return ""
    trajectories = {name: method["trajectories"] for name, method in search["methods"].items()}
    empty = sorted(name for name, runs in trajectories.items() if not runs or not all(runs))
    if empty or not trajectories:
        raise FusionError(f"search method {empty[0] if empty else '(none)'} has an empty run; leave it out")
    counts = sorted({len(runs) for runs in trajectories.values()})
    runs = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    dotted = "" if search.get("optimum") is None else " Dotted: the best accuracy in the space."
    return _section(
        "Search",
        _figure(
            figures.search_trajectories(trajectories, search.get("optimum")),
            "Best accuracy among the architectures measured so far. Line: median over runs; band: from the "
            f"25 to the 75 percentile. Number of runs: {runs}.{dotted}",
        ),
    )


def _equations(equations: dict[str, str]) -> str:
    if not equations:
        return ""
    blocks = "".join(
        f"<h3>{escape(name)}</h3><pre>{escape(equations[name])}</pre>" for name in sorted(equations)
    )
    return _section("Equation of the fusion model" + ("s" if len(equations) > 1 else ""), blocks)


def _figure(svg: str, caption: str) -> str:
    return f'<figure><div class="scroll" tabindex="0">{svg}</div><figcaption>{caption}</figcaption></figure>'


def _section(heading: str, *parts: str) -> str:
    return f"<section>\n<h2>{heading}</h2>\n" + "\n".join(parts) + "\n</section>"
