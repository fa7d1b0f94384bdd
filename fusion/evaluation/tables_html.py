"""The words and tables of a report, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fusion.evaluation.figures import decimals, number
from fusion.evaluation.metrics import METRICS

HEADLINE = ("srocc", "krocc", "plcc", "rmse")
TOP = ("ndcg", "precision_at_10", "regret_at_10")
TITLES = {
    "plcc": "PLCC",
    "rmse": "RMSE",
    "srocc": "SROCC",
    "krocc": "KROCC",
    "ndcg": "nDCG",
    "precision_at_10": "precision@10",
    "regret_at_10": "regret@10",
}
LONG_TITLES = {
    "plcc": "PLCC, linear correlation",
    "rmse": "RMSE, error",
    "srocc": "SROCC, rank correlation",
    "krocc": "KROCC, rank correlation",
}
_TAGS = {"model": "fusion model", "transfer": "learned elsewhere", "indicator": ""}
# what `evaluate` puts into the protocol; anything else was added by its caller
KNOWN = {
    *("architectures", "groups", "train_size", "train_size_reached", "test_size", "splits", "bootstrap"),
    *("seed", "use_pool", "pool", "indicators", "higher_is_better", "models", "train_sizes", "metrics"),
    *("descriptions", "transfer"),
}

Methods = Mapping[str, Mapping[str, Any]]


def summary(title: str, metrics: Mapping[str, Any]) -> str:
    """Return the heading, one paragraph in words and the four headline numbers.

    They are of the model with the highest mean SROCC, or of the best indicator without models.
    """
    heading = f"<h1>{escape(title)}</h1>"
    found: Methods = metrics["methods"]
    single = metrics["best_indicator"]
    models = _sorted([name for name in found if found[name]["kind"] == "model"], found)
    shown = models[0] if models else single
    if shown is None:
        return f'{heading}<p class="lead">No indicator varies enough to be judged.</p>'
    protocol = metrics["protocol"]
    others = extent(protocol["test_size"])
    of = found[shown]
    mean = {name: _value(name, of[name]["mean"], found) for name in HEADLINE}
    who = (
        f"From {protocol['train_size']:,} measured accuracies, the fusion model "
        f"<strong>{escape(shown)}</strong> ranks {others} other architectures"
        if models
        else f"The indicator <strong>{escape(shown)}</strong> ranks {others} architectures"
    )
    text = (
        f"{who} with a Spearman correlation (SROCC) of {mean['srocc']} and a Kendall correlation (KROCC) of "
        f"{mean['krocc']} with their measured accuracies. The linear correlation (PLCC) is {mean['plcc']}; "
        f"the root mean squared error (RMSE) is {mean['rmse']}, in the units of the accuracy."
    )
    if models and single is not None:
        text += " " + _verdict(metrics["advantage"][shown], single, found[single]["srocc"]["mean"])
    if transferred := _sorted(protocol["transfer"], found):
        srocc = _value("srocc", found[transferred[0]]["srocc"]["mean"], found)
        text += (
            f" Without any of these accuracies, <strong>{escape(transferred[0])}</strong>, learned "
            f"elsewhere, reaches {srocc}."
        )
    cells = "".join(
        f'<div><dt>{LONG_TITLES[name]}</dt><dd><span class="value">{mean[name]}</span>'
        f"{_interval(name, of[name], found)}</dd></div>"
        for name in HEADLINE
    )
    note = f"{escape(shown)}: mean over {protocol['splits']:,} splits, 95 % bootstrap interval below it"
    return f'{heading}<p class="lead">{text}</p><dl class="headline">{cells}</dl><p class="note">{note}.</p>'


def protocol(protocol: Mapping[str, Any]) -> str:
    """Return the table of the protocol: what the caller added, then what `evaluate` did."""
    texts = protocol["descriptions"]
    lower = [name for name, higher in protocol["higher_is_better"].items() if not higher]
    reached, wanted = protocol["train_size_reached"], protocol["train_size"]
    exact = reached["min"] == reached["max"] == wanted
    given = {
        name.replace("_", " ").capitalize(): str(value)
        for name, value in protocol.items()
        if name not in KNOWN and isinstance(value, str | int | float)
    }
    rows = {
        **given,
        "Architectures": f"{protocol['architectures']:,}, in {protocol['groups']:,} groups of twins",
        "Trained on": f"{wanted:,} architectures" + ("" if exact else f" (reached: {extent(reached)})"),
        "Tested on": f"{extent(protocol['test_size'])} other architectures",
        "Splits": f"{protocol['splits']:,} splits. {texts['splitting']}",
        "Means": texts["mean"],
        "Intervals": f"{protocol['bootstrap']:,} replicates: {texts['interval']}",
        "Seed": str(protocol["seed"]),
        "Fusion models": _list(protocol["models"]) + ". " + protocol["pool"],
        "Indicators": _list(protocol["indicators"]),
        "Lower is better for": _list(lower),
        **({"Learned elsewhere": texts["transfer"]} if protocol["transfer"] else {}),
        "Single indicators": texts["single_indicators"],
        "Undefined values": texts["undefined_values"],
    }
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>' for name, text in rows.items()
    )
    return f'<div class="scroll"><table class="protocol"><tbody>{body}</tbody></table></div>'


def methods(metrics: Mapping[str, Any]) -> str:
    """Return the table of all methods with the four metrics, best SROCC first."""
    found: Methods = metrics["methods"]
    caption = (
        "Sorted by SROCC; fusion models shaded. Below each mean its 95 % bootstrap interval. A triangle "
        "marks the best of each column."
    )
    return _numbers(caption, _sorted(found, found), HEADLINE, found)


def weakest(metrics: Mapping[str, Any], shown: int) -> list[str]:
    """Return the single indicators beyond the `shown` best by SROCC, best first."""
    found: Methods = metrics["methods"]
    return [name for name in _sorted(found, found) if found[name]["kind"] == "indicator"][shown:]


def top(metrics: Mapping[str, Any]) -> str:
    """Return the table of the metrics that look at the best architectures."""
    found: Methods = metrics["methods"]
    lines = "; ".join(f"{TITLES[name]}: {METRICS[name].formula}" for name in TOP)
    caption = f"In the same order. {escape(lines[0].lower() + lines[1:])}."
    return "<h3>Finding the best</h3>" + _numbers(caption, _sorted(found, found), TOP, found)


def advantage(metrics: Mapping[str, Any]) -> str:
    """Return the table of the models' paired differences from the best single indicator."""
    if not metrics["advantage"]:
        return ""
    found: Methods = metrics["methods"]
    single = escape(metrics["best_indicator"])
    body = "".join(
        f'<tr class="model"><th scope="row">{escape(name)}</th>'
        f"<td>{_signed(metrics['advantage'][name]['mean'])}</td>"
        f"<td>{_signed(metrics['advantage'][name]['low'])} to "
        f"{_signed(metrics['advantage'][name]['high'])}</td></tr>"
        for name in _sorted(metrics["advantage"], found)
    )
    caption = escape(metrics["protocol"]["descriptions"]["advantage"])
    return (
        f'<h3>Advantage over {single} alone</h3><p class="about">{caption}</p>'
        f'<div class="scroll"><table class="numbers"><thead><tr><th>Fusion model</th>'
        f"<th>Difference in SROCC</th><th>95 % interval</th></tr></thead><tbody>{body}</tbody></table></div>"
    )


def extent(sizes: Mapping[str, int]) -> str:
    """Return "90" or "88 to 90"."""
    low, high = sizes["min"], sizes["max"]
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _numbers(caption: str, names: Sequence[str], columns: Sequence[str], found: Methods) -> str:
    best = {column: _best(column, found) for column in columns}
    partly = columns == HEADLINE and any(found[name]["defined"] < 1 for name in names)
    head = "".join(
        f"<th>{TITLES[column]} {'↑' if METRICS[column].higher_is_better else '↓'}</th>" for column in columns
    )
    body = []
    for name in names:
        of = found[name]
        cells = []
        for column in columns:
            value = _value(column, of[column]["mean"], found)
            # what reads the same as the best is marked like it
            mark = ' class="best"' if best[column] is not None and value == best[column] else ""
            cells.append(f"<td><span{mark}>{value}</span>{_interval(column, of[column], found)}</td>")
        if partly:
            cells.append(f"<td>{100 * of['defined']:.1f} %</td>")
        tag = _TAGS[of["kind"]] and f' <span class="tag">{_TAGS[of["kind"]]}</span>'
        kind = ' class="model"' if tag else ""
        row = "".join(cells)
        body.append(f'<tr{kind}><th scope="row">{escape(name)}{tag}</th>{row}</tr>')
    defined = "<th>Defined</th>" if partly else ""
    return (
        f'<p class="about">{caption}</p><div class="scroll"><table class="numbers">'
        f"<thead><tr><th>Method</th>{head}{defined}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _sorted(names: Sequence[str] | Methods | Mapping[str, Any], found: Methods) -> list[str]:
    """Return the names by descending mean SROCC, undefined ones last."""

    def place(name: str) -> tuple[bool, float, str]:
        mean = found[name]["srocc"]["mean"]
        return mean is None, -(mean or 0.0), name

    return sorted(names, key=place)


def _best(column: str, found: Methods) -> str | None:
    """Return the best value of a column as it is written."""
    means = [of[column]["mean"] for of in found.values() if of[column]["mean"] is not None]
    if not means:
        return None
    return _value(column, max(means) if METRICS[column].higher_is_better else min(means), found)


def _value(column: str, value: float | None, found: Methods) -> str:
    return number(value, _digits(column, found))


def _digits(column: str, found: Methods) -> int:
    """Return how many decimals a column needs; in units of accuracy, that depends on the units."""
    if column not in ("rmse", "regret_at_10"):
        return 3
    means = [of[column]["mean"] for of in found.values() if of[column]["mean"]]
    if not means:
        return 3
    if column == "regret_at_10":  # may be next to nothing
        return decimals(max(means))
    # three significant digits of the smallest, but not many more than the largest needs
    return min(decimals(min(means)), max(3, decimals(max(means)) + 1))


def _interval(column: str, of: Mapping[str, float | None], found: Methods) -> str:
    if of["low"] is None:
        return ""
    low, high = (_value(column, of[end], found) for end in ("low", "high"))
    return f'<span class="ci">{low} to {high}</span>'


def _verdict(advantage: Mapping[str, float | None], single: str, srocc: float | None) -> str:
    low, high = advantage["low"], advantage["high"]
    text = (
        f"The best single indicator, {escape(single)}, reaches an SROCC of {number(srocc)}, a difference of "
        f"{_signed(advantage['mean'])}"
    )
    if low is None or high is None:
        return text + "."
    ahead = "the model is" if low > 0 else "the indicator is" if high < 0 else "neither is"
    return f"{text} (95 % interval {_signed(low)} to {_signed(high)}): {ahead} clearly ahead."


def _signed(value: float | None) -> str:
    return ("+" if value is not None and value > 0 else "") + number(value)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
