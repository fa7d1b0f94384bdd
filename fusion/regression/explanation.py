"""What carries a prediction, as things with types, as lines to print and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

FORMAT = 1

Rows = Literal["held out", "training", "unknown", "predictions"]
"""On what importance was measured, see `Explanation.rows`."""

_SHOWN = 10  # rows of each table that are printed
_BAR = 24  # characters of the longest bar
_WIDEST = 44  # characters of a title


@dataclass(frozen=True)
class Importance:
    """How much the order of predictions owes to columns that say the same.

    Attributes
    ----------
    title : str
        The group: the member that is most like its mean rank, and how many others there are.
    columns : tuple of str
    fall : float
        By how much SROCC falls when the columns are permuted together, mean over permutations.
    spread : float
        Standard deviation over the permutations (divisor: their number).
    """

    title: str
    columns: tuple[str, ...]
    fall: float
    spread: float


@dataclass(frozen=True)
class Weight:
    """A weight of the model.

    Attributes
    ----------
    feature : str
    weight : float
        The model's own.
    mean, low, high : float or None
        Mean, 2.5 % and 97.5 % quantile over bootstrap refits; None without any.
    """

    feature: str
    weight: float
    mean: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Contribution:
    """What the values of one architecture in a group of columns add to its prediction.

    Attributes
    ----------
    title : str
        As of `Importance`.
    columns : tuple of str
    added : float
        The sampled Shapley value, in the unit of the prediction.
    """

    title: str
    columns: tuple[str, ...]
    added: float


@dataclass(frozen=True)
class Reasons:
    """Why one architecture is predicted as it is.

    Attributes
    ----------
    arch : str
        As it was given.
    predicted : float
    expected : float
        Mean prediction of the architectures that it is held against.
    against : int
        How many these are, drawn at random from the table.
    contributions : tuple of Contribution
        Largest first; they add up to `predicted - expected`.
    """

    arch: str
    predicted: float
    expected: float
    against: int
    contributions: tuple[Contribution, ...]

    def lines(self) -> list[str]:
        """Return what to print."""
        shown = self.contributions[:_SHOWN]
        lines = [
            f"{self.arch}: predicted {self.predicted:.6g}, where {self.against} architectures of the table "
            f"have a mean of {self.expected:.6g};",
            "what its values add, in place of theirs:",
            *_rows([(one.title, one.added, f"{one.added:+9.4g}") for one in shown]),
        ]
        if rest := self.contributions[_SHOWN:]:
            lines.append(f"  {sum(one.added for one in rest):+9.4g}  {len(rest)} other groups together")
        return lines


@dataclass(frozen=True)
class Explanation:
    """What carries the predictions of a model.

    Attributes
    ----------
    model : str
        Its registered name.
    target : str
        What it predicts.
    rows : {"held out", "training", "unknown", "predictions"}
        On what importance was measured: architectures with accuracies that the model did not learn from;
        those that it learned from too, which flatters what it learned by heart; such of which it does not
        know that; or, without accuracies, its own predictions, whatever these are worth.
    networks : int
        How many architectures these were, one of each network.
    srocc : float
        Spearman's correlation of the predictions of these with their accuracies; 1 without accuracies.
    permutations : int
    importances : tuple of Importance
        Largest first, one for each group of columns that vary in the table.
    weights : tuple of Weight
        Largest first; empty where the model has no weights.
    refits : int
        Bootstrap refits from which the weights' spread is; 0 where the architectures that it learned from
        were not at hand, or were too few.
    reasons : Reasons or None
        Of one architecture, where it was asked for.
    """

    model: str
    target: str
    rows: Rows
    networks: int
    srocc: float
    permutations: int
    importances: tuple[Importance, ...]
    weights: tuple[Weight, ...] = ()
    refits: int = 0
    reasons: Reasons | None = None

    @property
    def measured_on(self) -> str:
        """On what importance was measured, in words."""
        with_accuracies = f"SROCC {self.srocc:.3f} with the accuracies of {self.networks} networks"
        return {
            "held out": f"{with_accuracies} that it did not learn from",
            "training": f"{with_accuracies} that it learned from, which flatters it",
            "unknown": f"{with_accuracies}; whether it learned from them is not known",
            "predictions": f"SROCC with its own predictions of {self.networks} networks",
        }[self.rows]

    def lines(self) -> list[str]:
        """Return what to print: the groups that carry most, weights, and the reasons where there are any."""
        groups = len(self.importances)
        lines = [
            f"What carries {self.model}, {sum(len(one.columns) for one in self.importances)} columns in "
            f"{groups} groups: {self.measured_on}.",
            f"Its fall when a group is permuted, mean (standard deviation) of {self.permutations}:",
        ]
        shown = self.importances[:_SHOWN]
        lines += _rows([(one.title, one.fall, f"{one.fall:+.3f} ({one.spread:.3f})") for one in shown])
        if rest := self.importances[_SHOWN:]:
            lines.append(f"and {groups - len(shown)} other groups, none above {rest[0].fall:+.3f}")
        if used := [one for one in self.weights if one.weight]:
            told = (
                f"in brackets 2.5 % and 97.5 % of {self.refits} bootstrap refits"
                if self.refits
                else "without spread, which needs the accuracies that it learned from, and no others"
            )
            lines.append(f"The strongest of {len(used)} weights, {told}:")
            lines += _rows([(one.feature, one.weight, _with_ends(one)) for one in used[:_SHOWN]])
        return lines + (self.reasons.lines() if self.reasons else [])

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, with the version of their form."""
        return {"format": FORMAT, **asdict(self)}


def _with_ends(one: Weight) -> str:
    ends = "" if one.low is None else f" [{one.low:+.4g}, {one.high:+.4g}]"
    return f"{one.weight:+9.4g}{ends}"


def _rows(rows: Sequence[tuple[str, float, str]]) -> list[str]:
    """Return a line for each title, value and number: the number, a bar as long as the value, the title."""
    largest = max((abs(value) for _, value, _ in rows), default=0.0) or 1.0
    width = max((len(number) for _, _, number in rows), default=0)
    lines = []
    for title, value, number in rows:
        bar = ("-" if value < 0 else "#") * round(_BAR * abs(value) / largest)
        shown = title if len(title) <= _WIDEST else f"{title[: _WIDEST - 3]}..."
        lines.append(f"  {number:<{width}}  {bar:<{_BAR}}  {shown}")
    return lines
