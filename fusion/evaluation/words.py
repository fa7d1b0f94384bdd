"""Results in words: the lines of a command, and the numbers of a report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import groupby

from fusion.evaluation.evaluation import Evaluation, Transfer
from fusion.evaluation.results import Extent, Interval, Judged, Method

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"

TITLES = {
    "plcc": "PLCC",
    "rmse": "RMSE",
    "srocc": "SROCC",
    "krocc": "KROCC",
    "ndcg": "nDCG",
    "precision_at_10": "precision@10",
    "regret_at_10": "regret@10",
    "precision_at_100": "precision@100",
    "regret_at_1": "regret@1",
    "regret_at_100": "regret@100",
    "krocc_best_tenth": "KROCC, best tenth",
}

# Single indicators that are printed, of perhaps a hundred.
_SHOWN = 10

NAMED = 6
"""Indicators of one kind that are named in a line."""


def number(value: float | None, digits: int = 3) -> str:
    """Return `value` with a true minus sign, a dash for None."""
    return DASH if value is None else f"{value:.{max(0, digits)}f}".replace("-", MINUS)


def signed(value: float | None) -> str:
    """Return `value` with its sign."""
    return ("+" if value is not None and value > 0 else "") + number(value)


def decimals(value: float | None) -> int:
    """Return how many decimals show three significant digits of `value`."""
    return 2 - math.floor(math.log10(abs(value))) if value else 3


def extent(sizes: Extent) -> str:
    """Return "90" or "88 to 90"."""
    return f"{sizes.min:,}" if sizes.min == sizes.max else f"{sizes.min:,} to {sizes.max:,}"


def listed(names: Iterable[str]) -> str:
    """Return the names in a row; "none" without any."""
    return ", ".join(names) or "none"


def digits(metric: str, methods: Mapping[str, Method]) -> int:
    """Return how many decimals a metric needs over these methods; errors depend on the units."""
    regret = metric.startswith("regret")
    if metric != "rmse" and not regret:
        return 3
    means = [of.scores[metric].mean for of in methods.values()]
    given = [mean for mean in means if mean]
    if not given:
        return 3
    if regret:  # may be next to nothing
        return decimals(max(given))
    # three significant digits of the smallest, but not many more than the largest needs
    return min(decimals(min(given)), max(3, decimals(max(given)) + 1))


def by_strength(methods: Mapping[str, Method]) -> list[str]:
    """Return the names by how strongly they rank, reversed ones too; undefined ones last."""

    def place(name: str) -> tuple[bool, float, str]:
        mean = methods[name].scores["srocc"].mean
        return mean is None, -abs(mean or 0.0), name

    return sorted(methods, key=place)


def best_of(metric: str, methods: Mapping[str, Method], *, higher_is_better: bool) -> float | None:
    """Return the best mean of a metric."""
    means = [of.scores[metric].mean for of in methods.values()]
    given = [mean for mean in means if mean is not None]
    if not given:
        return None
    return max(given) if higher_is_better else min(given)


def best_model(evaluation: Evaluation | Judged) -> str | None:
    """Return the model with the highest mean SROCC; None without models."""

    def srocc(name: str) -> float:
        mean = evaluation.methods[name].scores["srocc"].mean
        return -math.inf if mean is None else mean

    models = [name for name, of in evaluation.methods.items() if of.kind == "model"]
    return max(sorted(models), key=srocc) if models else None


def silent_line(unusable: Mapping[str, str], indicators: int) -> str:
    """Return one line about the indicators that say nothing here, by reason.

    Parameters
    ----------
    unusable : mapping of str to str
        Indicator -> reason; not empty.
    indicators : int
        How many there are in all.
    """
    reasons = sorted(unusable.items(), key=lambda item: (item[1], item[0]))
    parts = []
    for reason, items in groupby(reasons, key=lambda item: item[1]):
        names = [name for name, _ in items]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        parts.append(f"{reason}: {', '.join(names[:NAMED])}{more}")
    return f"{len(unusable)} of {indicators} indicators say nothing here ({'; '.join(parts)})"


def with_interval(of: Interval) -> str:
    """Return a mean and its interval in brackets."""
    mean = "undefined" if of.mean is None else f"{of.mean:.3f}"
    return mean if of.low is None else f"{mean} [{of.low:.3f}, {of.high:.3f}]"


def by_size(evaluation: Evaluation, metric: str) -> dict[str, dict[int, Interval]]:
    """Return model or baseline -> training size -> a metric, the strongest at the largest size first."""
    curves = {
        name: {point.train_size: point.scores[metric] for point in points}
        for name, points in evaluation.learning_curve.items()
        if points
    }

    def place(name: str) -> tuple[bool, float, str]:
        mean = curves[name][max(curves[name])].mean
        return mean is None, -(mean or 0.0), name

    return {name: curves[name] for name in sorted(curves, key=place)}


def size_lines(evaluation: Evaluation, metric: str = "krocc") -> tuple[str, ...]:
    """Return a metric as a table to print: a row per model and baseline, a column per training size."""
    curves, sizes = by_size(evaluation, metric), evaluation.protocol.train_sizes
    width = max(18, *(len(name) + 2 for name in curves), 0)
    head = f"{TITLES[metric] + ' by size':<{width}}" + "".join(f"{size:>8,}" for size in sizes)
    rows = [
        f"{name:<{width}}"
        + "".join("       -" if of is None else f"{of:8.3f}" for of in (means.get(size) for size in sizes))
        for name, points in curves.items()
        for means in [{size: point.mean for size, point in points.items()}]
    ]
    return (head, *rows)


def method_lines(methods: Mapping[str, Method]) -> list[str]:
    """Return a table to print: a row per method, a column per metric."""
    width = max(18, *(len(name) + 2 for name in methods))
    lines = [f"{'method':<{width}}{'PLCC':>8}{'RMSE':>8}{'SROCC':>8}{'KROCC':>8}"]
    for name, found in methods.items():
        values = [found.scores[metric].mean for metric in ("plcc", "rmse", "srocc", "krocc")]
        lines.append(f"{name:<{width}}" + "".join("       -" if v is None else f"{v:8.3f}" for v in values))
    return lines


def strength_lines(evaluation: Evaluation) -> list[str]:
    """Return such a table of the models and the best single indicators, the strongest first."""
    ranked = by_strength(evaluation.methods)
    weak = [name for name in ranked if evaluation.methods[name].kind == "indicator"][_SHOWN:]
    lines = method_lines({name: evaluation.methods[name] for name in ranked if name not in weak})
    return [*lines, f"and {len(weak)} other indicators, in the report"] if weak else lines


def held_lines(evaluation: Evaluation) -> tuple[str, ...]:
    """Return one line about each model's prediction intervals."""
    found = []
    for name, of in evaluation.prediction_intervals.items():
        covered, width = of.all.coverage.mean, of.all.width.mean
        share = number(None if covered is None else 100 * covered, 1)
        found.append(
            f"{name}: {100 * of.level:g} % intervals: cover {share} %, mean width "
            f"{number(width, decimals(width))}"
        )
    return tuple(found)


def front_lines(evaluation: Evaluation) -> tuple[str, ...]:
    """Return one line about each cost against which the best model's predictions have a front."""
    return tuple(
        f"{front.model} against {cost}: {len(front.points)} on the front of the first split; mean regret "
        f"{number(front.regret.mean, decimals(front.regret.mean))} against the best at no higher cost"
        for cost, front in evaluation.fronts.items()
    )


def _srocc(evaluation: Evaluation, name: str | None) -> str:
    return "-" if name is None else f"{name} {with_interval(evaluation.methods[name].scores['srocc'])}"


def lines(evaluation: Evaluation) -> tuple[str, ...]:
    """Return what a command prints of an evaluation."""
    protocol = evaluation.protocol
    usable = len(protocol.indicators) - len(evaluation.unusable)
    return (
        f"{protocol.target} on {protocol.space}: {protocol.architectures} architectures "
        f"({protocol.networks} different networks), {usable} indicators, trained on {protocol.train_size}, "
        f"{protocol.splits} splits, twins {protocol.twins}",
        "SROCC of fusion models: " + listed(_srocc(evaluation, name) for name in protocol.models),
        "SROCC of the best single indicator: " + _srocc(evaluation, evaluation.best_indicator),
        *held_lines(evaluation),
        *_remarks(evaluation.notes, evaluation.warnings),
    )


def transfer_lines(transfer: Transfer) -> tuple[str, ...]:
    """Return what a command prints of several groups: SROCC by group, then notes and warnings."""
    found = []
    for row in transfer.summary:
        cells = [f"{name} {_cell(row.kind, of.method, of.srocc)}" for name, of in row.groups.items()]
        found.append(f"{row.name}: {', '.join(cells)}")
    return (*found, *_remarks(transfer.notes, transfer.warnings))


def _cell(kind: str, method: str, srocc: float | None) -> str:
    value = "undefined" if srocc is None else f"{srocc:.3f}"
    return f"{value} ({method})" if kind == "indicator" else value


def _remarks(notes: Iterable[str], warnings: Iterable[str]) -> list[str]:
    return [*(f"note: {note}" for note in notes), *(f"warning: {warning}" for warning in warnings)]
