"""How faithful predictions are: each metric is a function (measured, predicted) -> float."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from fusion.errors import FusionError
from fusion.evaluation.values import MAX_RELEVANCE, Array, Values, discount
from fusion.registry import Registry, about

K = 10
"""How many architectures `precision_at_10` and `regret_at_10` look at."""

FEWEST_BEST = 10
"""Architectures that the measured best tenth must hold for `krocc_best_tenth`."""

# Architectures up to which all pairs are compared, which is faster than counting inversions.
_PAIRS = 200
# Without SciPy's checks of axes and missing values, which take twice as long as a hundred numbers do.
_KENDALL = inspect.unwrap(stats.kendalltau)


def plcc(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Pearson's linear correlation coefficient, in [-1, 1].

    Parameters
    ----------
    measured, predicted : array-like, shape (architectures,)
        Accuracies and predictions, in any units.

    Returns
    -------
    float
        NaN when either is constant, holds a non-finite value or has fewer than two entries.

    Raises
    ------
    FusionError
        When the lengths differ.

    Notes
    -----
    cov(y, p) / (sd(y) sd(p)).
    """
    y, p = _pair(measured, predicted)
    return _pearson(y.centred, p.centred) if y.vary and p.vary else np.nan


def rmse(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Root mean squared error, in the units of the measured accuracy.

    Parameters, returns and errors as for `plcc`, but defined for constant input and for one entry.

    Notes
    -----
    sqrt(mean((y - p)^2)).
    """
    y, p = _pair(measured, predicted)
    return float(np.sqrt(np.mean((y.bare - p.bare) ** 2))) if y.finite and p.finite else np.nan


def srocc(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Spearman's rank-order correlation coefficient, in [-1, 1].

    Parameters, returns and errors as for `plcc`.

    Notes
    -----
    Pearson's correlation of the ranks; ties share their mean rank.
    """
    y, p = _pair(measured, predicted)
    return _pearson(y.centred_ranks, p.centred_ranks) if y.vary and p.vary else np.nan


def krocc(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Kendall's rank-order correlation coefficient, in [-1, 1].

    Parameters, returns and errors as for `plcc`.

    Notes
    -----
    tau-b: (concordant - discordant) / sqrt((pairs - ties in y) (pairs - ties in p)).
    """
    y, p = _pair(measured, predicted)
    if not (y.vary and p.vary):
        return np.nan
    if len(y) > _PAIRS:
        return float(_KENDALL(y.bare, p.bare).statistic)
    pairs = len(y) * (len(y) - 1) // 2
    # whole numbers below 2^24, as `_PAIRS` is small enough: exact in single precision
    agreement = float(np.vdot(y.signs, p.signs)) / 2
    tau = agreement / np.sqrt(pairs - y.ties) / np.sqrt(pairs - p.ties)
    return float(np.clip(tau, -1, 1))


def krocc_best_tenth(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Kendall's correlation among the tenth of the architectures with the highest measured accuracy.

    Parameters and errors as for `plcc`. NaN also when the tenth holds fewer than 10 architectures.

    Notes
    -----
    `krocc` of the ceil(n / 10) that measured best, with what ties with the last of them: ranking all may
    come from telling bad from mediocre, and a search is about the best.
    """
    y, p = _pair(measured, predicted)
    if not (y.finite and p.finite):
        return np.nan
    best, among = y.best
    return krocc(among, p.bare[best]) if len(among) >= FEWEST_BEST else np.nan


def ndcg(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Normalised discounted cumulative gain over all architectures, in [0, 1].

    Parameters and errors as for `plcc`. NaN when `measured` is constant or anything is not finite.

    Notes
    -----
    DCG is sum(gain / log2(1 + position)) with positions by descending prediction, divided by the
    DCG of the perfect order (Järvelin and Kekäläinen, 2002). The gain is 2^relevance - 1 (Burges et
    al., 2005) with relevance 0 for the worst measured rank .. 10 for the best, linear in the rank: it
    doubles with each tenth of the architectures. Gains linear in the accuracy would make all methods
    look perfect where a few architectures fail. Tied predictions share the mean discount of
    their positions (McSherry and Najork, 2008).
    """
    y, p = _pair(measured, predicted)
    if not (y.vary and p.finite):
        return np.nan
    place, count = p.places
    count = count[::-1]  # the highest first
    shared = np.add.reduceat(discount(len(y)), np.cumsum(count) - count) / count
    gain, most = y.gains
    return float(gain @ shared[len(count) - 1 - place] / most)


def precision_at_k(measured: ArrayLike, predicted: ArrayLike, k: int = K) -> float:
    """Share of the `k` architectures with the highest prediction that are among the `k` best.

    Parameters
    ----------
    measured, predicted : array-like, shape (architectures,)
        Accuracies and predictions.
    k : int
        How many to take.

    Returns
    -------
    float
        In [0, 1]. NaN when there are fewer than 2 `k` architectures, of which half could not but be
        taken, `measured` is constant or anything is not finite.

    Notes
    -----
    Among the `k` best is what measured at least as much as the `k`-th best. Where tied predictions
    straddle the `k`-th place, this is the expected value over the orders of the tied ones.
    """
    y, p = _pair(measured, predicted)
    if not (y.vary and p.finite) or not 1 <= k <= len(y) / 2:
        return np.nan
    good = y.bare >= y.descending[k - 1]
    above, tied, open_places = _top(p, k)
    return float((good[above].sum() + open_places * good[tied].mean()) / k)


def regret_at_k(measured: ArrayLike, predicted: ArrayLike, k: int = K) -> float:
    """Best measured accuracy minus the best among the `k` architectures with the highest prediction.

    Parameters as for `precision_at_k`.

    Returns
    -------
    float
        0 or more, in the units of `measured`. NaN when there are fewer than 2 `k` architectures or
        anything is not finite.

    Notes
    -----
    Where tied predictions straddle the `k`-th place, this is the expected value over the orders of
    the tied ones.
    """
    y, p = _pair(measured, predicted)
    if not (y.finite and p.finite) or not 1 <= k <= len(y) / 2:
        return np.nan
    above, tied, r = _top(p, k)
    best = y.bare[above].max(initial=-np.inf)
    candidates = np.sort(y.bare[tied])
    t = len(candidates)
    # P(the best of r out of t is the i-th smallest) = C(i-1, r-1) / C(t, r), i = r .. t
    i = np.arange(r, t + 1)
    probability = np.exp(_log_comb(i - 1, r - 1) - _log_comb(np.array(t), r)) if t > r else np.ones(1)
    # the sum is over the regrets, so that a regret of zero comes out as exactly zero
    return float(probability @ (y.descending[0] - np.maximum(candidates[r - 1 :], best)))


@dataclass(frozen=True)
class Metric:
    """One way of judging predictions.

    Attributes
    ----------
    name : str
        As in results.
    function : callable
        (measured, predicted) -> float, NaN when undefined.
    higher_is_better : bool
        False for errors and regrets.
    formula : str
        The definition in one line.
    source : str
        Where it is described; empty for what every textbook has.
    """

    name: str
    function: Callable[[ArrayLike, ArrayLike], float]
    higher_is_better: bool
    formula: str
    source: str = ""

    @property
    def summary(self) -> str:
        """What it is, in one line: the first of the function's docstring."""
        return about(self.function).summary


METRICS: Registry[Metric] = Registry("metric", "fusion.metrics")


def _precision(k: int) -> Metric:
    formula = f"share of the {k} highest predicted among the {k} best measured; undefined under {2 * k}"
    return Metric(f"precision_at_{k}", partial(precision_at_k, k=k), True, formula)


def _regret(k: int) -> Metric:
    formula = f"best measured - best measured among the {k} highest predicted; undefined under {2 * k}"
    return Metric(f"regret_at_{k}", partial(regret_at_k, k=k), False, formula)


for _metric in (
    Metric("plcc", plcc, True, "Pearson's linear correlation"),
    Metric("rmse", rmse, False, "sqrt(mean((measured - predicted)^2))"),
    Metric("srocc", srocc, True, "Spearman's rank correlation, mean ranks for ties"),
    Metric("krocc", krocc, True, "Kendall's rank correlation, tau-b"),
    Metric(
        "ndcg",
        ndcg,
        True,
        "sum(gain / log2(1 + position)) / its maximum, gain = 2^relevance - 1, relevance = 0 (worst rank) to "
        f"{MAX_RELEVANCE} (best)",
        "Järvelin and Kekäläinen, 2002; gains: Burges et al., 2005",
    ),
    _precision(K),
    _precision(100),
    _regret(1),
    _regret(K),
    _regret(100),
    Metric(
        "krocc_best_tenth",
        krocc_best_tenth,
        True,
        f"Kendall's tau-b among the measured best tenth; undefined where that is under {FEWEST_BEST}",
    ),
):
    METRICS.register(_metric)


def _pair(measured: ArrayLike, predicted: ArrayLike) -> tuple[Values, Values]:
    y, p = Values.of(measured), Values.of(predicted)
    if len(y) != len(p):
        raise FusionError(f"{len(y)} measured accuracies but {len(p)} predictions; give one for each")
    return y, p


def _pearson(y: Array, p: Array) -> float:
    return float(np.clip(y @ p / np.sqrt((y @ y) * (p @ p)), -1, 1))


def _top(p: Values, k: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    """Return who is surely among the k highest, who is tied for the rest, and how many of those."""
    threshold = p.descending[k - 1]
    above = p.bare > threshold
    return above, p.bare == threshold, k - int(above.sum())


def _log_comb(n: NDArray[np.int_], k: int) -> Array:
    result: Array = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return result
