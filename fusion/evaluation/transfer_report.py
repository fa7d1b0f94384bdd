"""The report over several groups: what was learned on the others, judged on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

import fusion
from fusion.evaluation import tables_html as tables
from fusion.evaluation.figures import number
from fusion.evaluation.template import CSS, PAGE
from fusion.storage.files import write_atomic

Groups = Mapping[str, Mapping[str, Any]]


def compared(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return the methods of a group's comparison, by what each was learned from.

    Parameters
    ----------
    metrics : dict
        `Evaluation.metrics` of the group, with `indicator_chosen_elsewhere`.
    """
    protocol = metrics["protocol"]
    rows = {f"{name}, no accuracy of this group": name for name in protocol["transfer"]}
    rows["best indicator of the other groups"] = metrics["indicator_chosen_elsewhere"]
    if metrics["best_indicator"] is not None:
        rows["best indicator of this group, with hindsight"] = metrics["best_indicator"]
    own = {f"{name}, {protocol['train_size']} accuracies of this group": name for name in protocol["models"]}
    return {**rows, **own}


def write_transfer_report(path: Path, groups: Groups) -> None:
    """Write one self-contained HTML file that holds each group against what the others taught.

    Parameters
    ----------
    path : Path
        The file; replaced atomically. Each group's own report lies in `NAME/report.html` beside it.
    groups : mapping of str to dict
        Group -> `Evaluation.metrics`, with `indicator_chosen_elsewhere`.
    """
    title = "Trained on the spaces you have, used on one you do not"
    body = [
        f"<h1>{title}</h1>",
        f'<p class="lead">{_lead(groups)}</p>',
        "<section><h2>Rank correlation (SROCC) on each group</h2>" + _summary(groups) + "</section>",
        *(_group(name, metrics) for name, metrics in groups.items()),
        "<section><h2>How to read this</h2><ul><li>Each group is left out in turn. Indicators become "
        "Gaussian scores of their ranks among the architectures of their own group, accuracies likewise; no "
        "accuracy of the group that is judged is seen, and no scale is shared. RMSE alone needs a scale: a "
        "score is mapped to accuracies by an increasing isotonic regression on the training parts.</li>"
        "<li>All groups count alike in training: each gives as many networks as the smallest has. Where two "
        "groups are of one space, networks that both measure are not learned from.</li>"
        "<li>The intervals cover which architectures are tested, not which groups there happen to be: a "
        "few groups say little about the next one.</li></ul></section>",
    ]
    page = PAGE.substitute(
        title=title,
        css=CSS,
        body="\n".join(body),
        footer=f"Made by Fusion {escape(fusion.__version__)}. Its numbers are in metrics.json.",
    )
    write_atomic(path, page.encode())


def _lead(groups: Groups) -> str:
    means = {name: float(np.mean(_sroccs(name, groups))) for name in _models(groups)}
    means = {name: mean for name, mean in means.items() if np.isfinite(mean)}
    if not means:
        return f"{len(groups)} groups, each left out in turn; on some, no rank correlation is defined."
    best = max(means, key=lambda name: means[name])
    return (
        f"Over {len(groups)} groups, each left out in turn, <strong>{escape(best)}</strong> ranks the "
        f"architectures of the group it has never seen with a mean Spearman correlation (SROCC) of "
        f"{number(means[best])}."
    )


def _models(groups: Groups) -> Sequence[str]:
    found: Sequence[str] = next(iter(groups.values()))["protocol"]["transfer"]
    return found


def _sroccs(method: str, groups: Groups) -> list[float]:
    means = [metrics["methods"][method]["srocc"]["mean"] for metrics in groups.values()]
    return [np.nan if mean is None else mean for mean in means]


def _summary(groups: Groups) -> str:
    rows = list(compared(next(iter(groups.values()))))
    head = "".join(f"<th>{escape(name)}</th>" for name in groups)
    body = []
    for row in rows:
        cells = []
        for metrics in groups.values():
            method = compared(metrics).get(row)
            of = {} if method is None else metrics["methods"][method]["srocc"]
            which = f'<span class="ci">{escape(method)}</span>' if method and row.startswith("best") else ""
            cells.append(f"<td>{number(of.get('mean'))}{which}</td>")
        kind = ' class="model"' if "no accuracy" in row else ""
        body.append(f'<tr{kind}><th scope="row">{escape(row)}</th>{"".join(cells)}</tr>')
    return (
        '<div class="scroll"><table class="numbers"><thead><tr><th>Learned from</th>'
        f"{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _group(name: str, metrics: Mapping[str, Any]) -> str:
    protocol = metrics["protocol"]
    shown = {method: metrics["methods"][method] for method in dict.fromkeys(compared(metrics).values())}
    about = (
        f"{escape(str(protocol['target']))}: {protocol['architectures']:,} architectures "
        f"({protocol['networks']:,} different networks), learned elsewhere from "
        f"{escape(protocol['learned_elsewhere_from'])}. {protocol['splits']} splits; the "
        f'<a href="{escape(name)}/report.html">report of this group</a> has all methods.'
    )
    table = tables.methods({**metrics, "methods": shown})
    return f"<section><h2>{escape(name)}</h2><p>{about}</p>{table}</section>"
