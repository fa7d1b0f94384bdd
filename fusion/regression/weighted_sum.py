"""The weighted sum of indicators, weights by least squares: the Fusion Indicator."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fusion.errors import FusionError
from fusion.regression.base import MODELS, FusionModel, ModelState
from fusion.regression.checked import number, vector
from fusion.regression.columns import COLUMNS, Array

# For features of standard deviation about 1.
_PENALTIES = (0.0, *(10.0**i for i in range(-4, 2)))


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

    Notes
    -----
    With leverages h, the intercept's 1/n included, the error of architecture i when it is left out is
    its residual divided by 1 - h_i, so one singular value decomposition serves all. A penalty under
    which an architecture determines its own prediction (h_i = 1) has no such error and is passed over.
    """
    u, s, vt = np.linalg.svd(deviations, full_matrices=False)
    n = len(target)
    kept = s > s.max(initial=0.0) * max(deviations.shape) * np.finfo(np.float64).eps
    u, s, vt = u[:, kept], s[kept], vt[kept]
    projected = u.T @ target
    least, chosen = np.inf, penalties[-1]
    for penalty in penalties:
        shrink = s**2 / (s**2 + n * penalty)
        free = 1 - 1 / n - u**2 @ shrink
        if free.min() > 1e-8:
            error = float(np.mean(((target - u @ (shrink * projected)) / free) ** 2))
            if error < least:
                least, chosen = error, penalty
    weights: Array = vt.T @ (s / (s**2 + n * chosen) * projected)
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
        self, transformation: str = "quantile", penalty: str = "loo", target: str = "gaussian"
    ) -> None:
        self.transformation = transformation
        self.penalty = penalty
        self.target = target

    def _learn(self, features: Array, goal: Array) -> None:
        if self.penalty not in ("loo", "none"):
            raise FusionError(f"penalty {self.penalty!r} is not known; use 'loo' or 'none'")
        mean = features.mean(axis=0)
        deviations = features - mean
        # the mean of equal numbers may differ from them by rounding, which is no deviation
        deviations[:, features.min(axis=0) == features.max(axis=0)] = 0
        scale = np.ones_like(mean)
        if self.transformation == "none":
            largest = np.abs(deviations).max(axis=0)
            scale[largest > 0] = largest[largest > 0]
        penalties = _PENALTIES if self.penalty == "loo" else (0.0,)
        weights, self.penalty_ = _least_squares(deviations / scale, goal - goal.mean(), penalties)
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

    def equation(self, digits: int = 4) -> str:
        """Return the learned formula, and in the lines below it what its symbols mean.

        Terms without weight are left out.

        Parameters
        ----------
        digits : int
            Significant digits of the numbers.
        """
        check_is_fitted(self)
        kind = COLUMNS[self.transformation]
        name = "accuracy" if self.target == "accuracy" else "score"
        # what only rounding keeps from 0 is no weight; raw indicators may be so large that it is one
        raw = self.transformation == "none"
        least = 0.0 if raw else 1e-12 * float(np.abs([*self.coef_, self.intercept_]).max())
        formula = f"{name} = {self.intercept_ if abs(self.intercept_) > least else 0:.{digits}g}"
        for i, (name, weight) in enumerate(self.weights().items()):
            if abs(weight) <= least:
                continue
            transformed = kind.symbol and i < self.n_features_in_
            term = f"{kind.symbol}({name})" if transformed else name
            formula += f" {'-' if weight < 0 else '+'} {abs(weight):.{digits}g} {term}"
        reference = f"the {self.transformer_.n_reference_} architectures of the {self.reference_} table"
        lines = [formula, f"{kind.meaning} {reference}"]
        if self.target == "gaussian":
            lines.append("accuracy: the training accuracy whose rank has that Gaussian score")
        names = self.transformer_.get_feature_names_out(getattr(self, "feature_names_in_", None))
        there = [
            f"{kind.symbol}({names[j]}) = {self.transformer_.fill_[j]:.{digits}g}"
            for j, weight in zip(self.transformer_.flagged_, self.coef_[self.n_features_in_ :], strict=True)
            if abs(weight) > least
        ]
        if there:
            lines.append(f"missing(x): 1 where x is missing, otherwise 0; there {', '.join(there)}")
        return "\n".join(lines)

    def _state(self) -> ModelState:
        return ModelState(
            {"coef": self.coef_.tolist(), "penalty": self.penalty_, "intercept": self.intercept_}
        )

    def _restore(self, state: ModelState) -> None:
        values = state.values
        self.coef_ = vector(values["coef"], "coef", self.n_features_in_ + len(self.transformer_.flagged_))
        self.penalty_ = number(values["penalty"], "penalty")
        self.intercept_ = number(values["intercept"], "intercept")
