"""Gradient-boosted trees (LightGBM) with defaults for tens to a few thousand architectures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fusion.errors import FusionError
from fusion.regression.base import MODELS, REFERENCES, FusionModel, ModelState
from fusion.regression.checked import one_of
from fusion.regression.columns import Array
from fusion.regression.lightgbm_text import members
from fusion.regression.target import learn_target, levels_from_state, to_accuracies
from fusion.regression.transform import IndicatorTransform
from fusion.tables import Pool

TEXT_FILE = "model.txt"
# A model from elsewhere must not start more.
_MOST_THREADS = 1024


def _lightgbm() -> Any:
    """Return the module: imported on use, so that the other models work without it."""
    try:
        import lightgbm
    except ImportError:
        raise FusionError("LightGBM is not installed; pip install lightgbm") from None
    return lightgbm


@MODELS.register
class LightGBM(FusionModel):
    """The mean of a few LightGBM regressions that differ in their random seed.

    The indicators are first replaced by the Gaussian scores of their ranks (`IndicatorTransform`,
    "quantile"): LightGBM takes all of |x| < 1e-35 for zero, and linear leaves need one scale. Missing
    values stay missing; each split sends them to the better side.

    Parameters
    ----------
    n_estimators : int
        Trees per member.
    learning_rate : float
    num_leaves : int
        Leaves per tree.
    min_child_samples : int, optional
        Fewest training architectures in a leaf; by default a twentieth of them, at least 2, at most 20.
    feature_fraction : float
        Share of the indicators that each tree may use.
    bagging_fraction : float
        Share of the training architectures, drawn without replacement, that each tree sees.
    linear_lambda : float
        Ridge penalty of the linear function in each leaf.
    n_members : int
        Regressions averaged.
    target : {"gaussian", "accuracy"}
        What the trees are fitted to, see `fusion.regression.target`.
    random_state : int, RandomState or None
    n_jobs : int
        Threads. The result does not depend on it.

    Attributes
    ----------
    boosters_ : list of lightgbm.Booster
        The members.
    levels_ : ndarray of float, shape (2, n_levels), or None
        With target "gaussian": scores and the accuracies that they stand for, both increasing.
    reference_ : {"pool", "training"}
        From which architectures the ranks were learned.
    transformer_ : IndicatorTransform
    n_features_in_ : int
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Only when fitted on a DataFrame.

    Notes
    -----
    Source: G. Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS 2017;
    leaves that hold a ridge regression on the indicators along their branch: Y. Shi et al., "Gradient
    Boosting With Piece-Wise Linear Regression Trees", IJCAI 2019; split thresholds drawn at random:
    P. Geurts, D. Ernst, L. Wehenkel, "Extremely randomized trees", Machine Learning 63, 2006.

    Constant leaves are coarse when there are few architectures, and greedy thresholds follow their
    noise. The defaults were chosen on the Friedman functions, scikit-learn's diabetes table and noisy
    monotone views of a few latent variables, with 16 to 1,024 training rows: random thresholds helped
    up to 256 rows, linear leaves on top of them at every size, averaging members a little at every
    size. With 16 rows a ridge regression had the higher Kendall's tau, and these trees the lower RMSE.
    """

    name = "lightgbm"
    summary = "gradient-boosted trees with linear leaves on the indicators' ranks, averaged over seeds"
    source = "Ke et al., LightGBM, NeurIPS 2017"
    uses_pool = True
    files = (TEXT_FILE,)

    def __init__(
        self,
        n_estimators: int = 300,
        learning_rate: float = 0.05,
        num_leaves: int = 4,
        min_child_samples: int | None = None,
        feature_fraction: float = 0.8,
        bagging_fraction: float = 0.8,
        linear_lambda: float = 1.0,
        n_members: int = 5,
        target: str = "gaussian",
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int = 1,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.feature_fraction = feature_fraction
        self.bagging_fraction = bagging_fraction
        self.linear_lambda = linear_lambda
        self.n_members = n_members
        self.target = target
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, pool: Pool | npt.ArrayLike | None = None) -> LightGBM:
        """Grow the trees.

        Parameters
        ----------
        X : DataFrame or array, shape (n_architectures, n_indicators)
            At least two architectures.
        y : array, shape (n_architectures,)
            Accuracies in percent.
        pool : Pool, DataFrame or array, shape (n_pool, n_indicators), optional
            Indicators of the space's architectures, unlabelled; ranks are taken among them instead of
            among `X`.

        Raises
        ------
        FusionError
            When LightGBM is not installed or refuses a setting, or `target` is not known.
        ValueError
            When `X`, `y` or `pool` are no numbers, do not match, or `y` is not finite.
        """
        lightgbm = _lightgbm()
        for name in ("n_estimators", "n_members"):
            if getattr(self, name) < 1:
                raise FusionError(f"{name} is {getattr(self, name)}; give at least 1")
        values, accuracies = self._check_training(X, y, rows=2)
        goal, self.levels_ = learn_target(self.target, accuracies)
        self._learn_transform("quantile", values, accuracies, pool)
        scores = self.transformer_.transform(values)
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=self.n_members)
        self.boosters_ = []
        for seed in seeds:
            params = self._params(len(values), int(seed))
            data = lightgbm.Dataset(scores, goal, params=params)
            try:
                self.boosters_.append(lightgbm.train(params, data, self.n_estimators))
            except lightgbm.basic.LightGBMError as error:
                reason = str(error).split(" at /")[0].strip()  # without the place in its source
                raise FusionError(f"LightGBM refuses: {reason}; change that setting") from None
        return self

    def _params(self, rows: int, seed: int) -> dict[str, Any]:
        smallest = self.min_child_samples
        return {
            "objective": "regression",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_child_samples": max(2, min(20, rows // 20)) if smallest is None else smallest,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "extra_trees": True,
            "linear_tree": True,
            "linear_lambda": self.linear_lambda,
            "min_data_in_bin": 1,
            "feature_pre_filter": False,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.n_jobs,
            "verbosity": -1,
        }

    def predict(self, X: npt.ArrayLike) -> Array:
        values = self._check_table(X)
        scores = self.transformer_.transform(values)
        members = [booster.predict(scores, num_threads=self.n_jobs) for booster in self.boosters_]
        return to_accuracies(np.mean(members, axis=0), self.levels_)

    def to_state(self) -> ModelState:
        check_is_fitted(self)
        values = {
            "levels": None if self.levels_ is None else self.levels_.tolist(),
            "reference": self.reference_,
            "transformer": self.transformer_.to_state(),
        }
        texts = [booster.model_to_string() for booster in self.boosters_]
        return ModelState(values, {TEXT_FILE: "".join(texts)})

    def restore(self, state: ModelState) -> None:
        lightgbm = _lightgbm()
        self.levels_ = levels_from_state(state.values["levels"])
        self.reference_ = one_of(state.values["reference"], REFERENCES, "reference")
        self.transformer_ = IndicatorTransform("quantile").restore(state.values["transformer"])
        self.n_features_in_ = self.transformer_.n_features_in_
        if not -1 <= self.n_jobs <= _MOST_THREADS:
            raise ValueError(f"n_jobs is {self.n_jobs}")
        texts = members(state.files[TEXT_FILE], self.n_features_in_ + len(self.transformer_.flagged_))
        if len(texts) != self.n_members:
            raise ValueError(f"{TEXT_FILE} has {len(texts)} members, not {self.n_members}")
        try:
            self.boosters_ = [lightgbm.Booster(model_str=text) for text in texts]
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(f"{TEXT_FILE}: {error}") from None
