"""The weighted sum of indicators, weights by least squares: the Fusion Indicator."""

from __future__ import annotations

import numpy as np
from scipy.linalg import svd
from scipy.optimize import nnls
from sklearn.utils.validation import check_is_fitted

from fusion.errors import FusionError
from fusion.indicators import INDICATORS
from fusion.regression.base import MODELS, FusionModel, ModelState
from fusion.regression.checked import number, vector
from fusion.regression.columns import COLUMNS, Array

# For features of standard deviation about 1.
_PENALTIES = (0.0, *(10.0**i for i in range(-4, 2)))


def _decomposed(deviations: Array) -> tuple[Array, Array, Array]:
    """Return the singular value decomposition without what is zero but for rounding."""
    try:
        u, s, vt = np.linalg.svd(deviations, full_matrices=False)
    except np.linalg.LinAlgError:  # LAPACK's faster method fails for some tables in which rows repeat
        u, s, vt = svd(deviations, full_matrices=False, lapack_driver="gesvd")
    kept = s > s.max(initial=0.0) * max(deviations.shape) * np.finfo(np.float64).eps
    return u[:, kept], s[kept], vt[kept]


def _left_out_error(u: Array, s: Array, target: Array, penalty: float) -> float:
    """Return the mean squared error when each architecture is left out in turn, infinite without one.

    Notes
    -----
    With leverages h, the intercept's 1/n included, the error of architecture i when it is left out is
    its residual divided by 1 - h_i, so one singular value decomposition serves all. A penalty under
    which an architecture determines its own prediction (h_i = 1) has no such error.
    """
    n = len(target)
    shrink = s**2 / (s**2 + n * penalty)
    free = 1 - 1 / n - u**2 @ shrink
    if free.min() <= 1e-8:
        return np.inf
    return float(np.mean(((target - u @ (shrink * (u.T @ target))) / free) ** 2))


def _least_squares(deviations: Array, target: Array, penalties: tuple[float, ...]) -> tuple[Array, float]:
    """Return weights under the penalty with the least leave-one-out error, and that penalty.

    Parameters
    ----------
    deviations : ndarray, shape (n, p)
        Columns of mean 0.
    target : ndarray, shape (n,)
        Of mean 0.
    penalties : tuple of float
        Of which one is chosen.
    """
    u, s, vt = _decomposed(deviations)
    least, chosen = np.inf, penalties[-1]
    for penalty in penalties:
        if (error := _left_out_error(u, s, target, penalty)) < least:
            least, chosen = error, penalty
    weights: Array = vt.T @ (s / (s**2 + len(target) * chosen) * (u.T @ target))
    return weights, chosen


def _signed_least_squares(
    deviations: Array, target: Array, penalties: tuple[float, ...], signs: Array
) -> tuple[Array, float]:
    """Return the same where a weight may only have its sign, or be 0; a sign of 0 leaves it free.

    The error of a penalty is that of the weights that are not 0, by themselves: those that the signs
    hold at 0 are taken to stay there when one architecture is left out.
    """
    least, chosen, weights = np.inf, penalties[-1], np.zeros(deviations.shape[1])
    free = signs == 0
    turned = np.hstack([deviations * np.where(free, 1, signs), -deviations[:, free]])
    for penalty in penalties:
        # a free weight is the difference of two that are not negative; no penalty at all would leave
        # open which of several solutions is found
        ridge = np.sqrt(len(target) * max(penalty, 1e-9)) * np.eye(turned.shape[1])
        parts, _ = nnls(np.vstack([turned, ridge]), np.append(target, np.zeros(len(ridge))))
        found = parts[: len(free)] * np.where(free, 1, signs)
        found[free] -= parts[len(free) :]
        u, s, _ = _decomposed(deviations[:, found != 0])
        error = _left_out_error(u, s, target, penalty)
        if error < least or penalty == penalties[0]:
            least, chosen, weights = error, penalty, found
    return weights, chosen


@MODELS.register
class WeightedSum(FusionModel):
    """Score = intercept + sum of weight times transformed indicator; the accuracy is a function of it.

    The weights minimise the mean squared error over the training architectures plus a penalty times
    their squared norm, the intercept not counted in it. With penalty 0, where several weights reach the
    minimum (more indicators than architectures, or indicators that repeat each other), those of least
    norm are taken. With `transformation="none"` each weight counts in that norm times its indicator's
    largest deviation from the mean, as raw weights have no common unit.

    Parameters
    ----------
    transformation : {"quantile", "signed_log", "standard", "none"}
        What is done to each indicator first, see `IndicatorTransform`; "none" is the paper's literal form.
    penalty : {"loo", "none"}
        "loo" takes, from 0 and powers of ten, the penalty with the least squared error when each
        training architecture is left out in turn: indicators say much the same, and plain least
        squares ("none", the paper's form) then gives them large weights of opposite signs.
    target : {"gaussian", "accuracy"}
        What the score is fitted to, see `fusion.regression.target`; "accuracy" is the paper's form.
    constraint : {"none", "non_negative", "signs"}
        "non_negative": no indicator's weight is negative. "signs": each indicator's weight has the sign
        that its source expects, or is 0; those of columns that are no indicator are free. The weights of
        columns that mark missing values are free always.

    Attributes
    ----------
    coef_ : ndarray of float, shape (n_indicators + n_flags,)
        Weights of the indicators, then of the columns that mark missing values.
    intercept_ : float
    penalty_ : float
        The penalty taken.

    Notes
    -----
    Source: L.-T. Tran, M. S. Ali, S.-H. Bae, "A Feature Fusion Based Indicator for Training-Free Neural
    Architecture Search", IEEE Access 9, 2021, doi 10.1109/ACCESS.2021.3115911. The transformation in
    front and the indicators' number are this library's; the paper sums four indicators.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"params": [1.0, 2.0, 3.0, 4.0]}, index=["a", "b", "c", "d"])
    >>> model = WeightedSum(transformation="none", target="accuracy").fit(table, [52.0, 54.0, 56.0, 58.0])
    >>> print(model.equation().splitlines()[0])
    accuracy = 50 + 2 params
    """

    name = "weighted_sum"
    summary = "weighted sum of the transformed indicators, weights by least squares"
    source = "Tran, Ali, Bae, IEEE Access 9, 2021, doi 10.1109/ACCESS.2021.3115911"

    def __init__(
        self,
        transformation: str = "quantile",
        penalty: str = "loo",
        target: str = "gaussian",
        constraint: str = "none",
    ) -> None:
        self.transformation = transformation
        self.penalty = penalty
        self.target = target
        self.constraint = constraint

    def _signs(self) -> Array:
        """Return the sign of each feature's weight, 0 where it is free."""
        signs = np.zeros(self.n_features_in_ + len(self.transformer_.flagged_))
        if self.constraint == "non_negative":
            signs[: self.n_features_in_] = 1
        else:
            for j, name in enumerate(getattr(self, "feature_names_in_", ())):
                if name in INDICATORS:
                    signs[j] = 1 if INDICATORS[name].higher_is_better else -1
        return signs

    def _learn(self, features: Array, goal: Array) -> None:
        if self.penalty not in ("loo", "none"):
            raise FusionError(f"penalty {self.penalty!r} is not known; use 'loo' or 'none'")
        if self.constraint not in ("none", "non_negative", "signs"):
            raise FusionError(
                f"constraint {self.constraint!r} is not known; use 'none', 'non_negative' or 'signs'"
            )
        mean = features.mean(axis=0)
        deviations = features - mean
        # the mean of equal numbers may differ from them by rounding, which is no deviation
        deviations[:, features.min(axis=0) == features.max(axis=0)] = 0
        scale = np.ones_like(mean)
        if self.transformation == "none":
            largest = np.abs(deviations).max(axis=0)
            scale[largest > 0] = largest[largest > 0]
        penalties = _PENALTIES if self.penalty == "loo" else (0.0,)
        scaled, wanted = deviations / scale, goal - goal.mean()
        if self.constraint == "none":
            weights, self.penalty_ = _least_squares(scaled, wanted, penalties)
        else:
            weights, self.penalty_ = _signed_least_squares(scaled, wanted, penalties, self._signs())
        self.coef_ = weights / scale
        self.intercept_ = float(goal.mean() - (self.coef_ * mean).sum())

    def _scores(self, features: Array) -> Array:
        # each row is summed by itself: a matrix product's rounding depends on how many rows it has
        scores: Array = (features * self.coef_).sum(axis=1) + self.intercept_
        return scores

    def weights(self) -> dict[str, float]:
        """Return feature -> weight: each indicator's, then `missing(<indicator>)` for those with gaps."""
        check_is_fitted(self)
        names = self.transformer_.get_feature_names_out(getattr(self, "feature_names_in_", None))
        return dict(zip(map(str, names), self.coef_.tolist(), strict=True))

    def equation(self, digits: int = 4, largest: int | None = None) -> str:
        """Return the learned formula, and in the lines below it what its symbols mean.

        Terms without weight are left out.

        Parameters
        ----------
        digits : int
            Significant digits of the numbers.
        largest : int, optional
            Of more terms than these, so many of the largest weights are written, and how many are not.
        """
        check_is_fitted(self)
        kind = COLUMNS[self.transformation]
        name = "accuracy" if self.target == "accuracy" else "score"
        # what only rounding keeps from 0 is no weight; raw indicators may be so large that it is one
        raw = self.transformation == "none"
        least = 0.0 if raw else 1e-12 * float(np.abs([*self.coef_, self.intercept_]).max())
        formula = f"{name} = {self.intercept_ if abs(self.intercept_) > least else 0:.{digits}g}"
        terms = int(np.sum(np.abs(self.coef_) > least))
        written = {*np.argsort(-np.abs(self.coef_), kind="stable")[: min(terms, largest or terms)].tolist()}
        for i, (name, weight) in enumerate(self.weights().items()):
            if i not in written:
                continue
            transformed = kind.symbol and i < self.n_features_in_
            term = f"{kind.symbol}({name})" if transformed else name
            formula += f" {'-' if weight < 0 else '+'} {abs(weight):.{digits}g} {term}"
        if len(written) < terms:
            formula += f" + {terms - len(written)} terms with smaller weights"
        reference = f"the {self.transformer_.n_reference_} architectures of the {self.reference_} table"
        lines = [formula, f"{kind.meaning} {reference}"]
        if self.target == "gaussian":
            lines.append("accuracy: the training accuracy whose rank has that Gaussian score")
        names = self.transformer_.get_feature_names_out(getattr(self, "feature_names_in_", None))
        there = [
            f"{kind.symbol}({names[j]}) = {self.transformer_.fill_[j]:.{digits}g}"
            for i, j in enumerate(self.transformer_.flagged_, self.n_features_in_)
            if i in written
        ]
        if there:
            lines.append(f"missing(x): 1 where x is missing, otherwise 0; there {', '.join(there)}")
        return "\n".join(lines)

    def _state(self) -> ModelState:
        return ModelState(
            {"coef": self.coef_.tolist(), "penalty": self.penalty_, "intercept": self.intercept_}
        )

    def _restore(self, state: ModelState, width: int) -> None:
        values = state.values
        self.coef_ = vector(values["coef"], "coef", width)
        self.penalty_ = number(values["penalty"], "penalty")
        self.intercept_ = number(values["intercept"], "intercept")
