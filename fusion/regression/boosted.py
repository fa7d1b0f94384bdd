"""What models of LightGBM's trees have in common: grown from several seeds, averaged, saved as text."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from sklearn.utils import check_random_state

from fusion.errors import FusionError
from fusion.regression.base import FusionModel, ModelState
from fusion.regression.columns import Array
from fusion.regression.lightgbm_text import members
from fusion.work.threads import in_threads

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


class Boosted(FusionModel):
    """A model of the mean of a few boosters that differ in their random seed.

    A subclass has the settings below, and says in `_params` how they grow.

    Attributes
    ----------
    boosters_ : list of lightgbm.Booster
        The members.
    """

    files = (TEXT_FILE,)
    fewest = 2
    objective: ClassVar[str]
    """Of LightGBM."""

    n_estimators: int
    n_members: int
    random_state: int | np.random.RandomState | None
    n_jobs: int

    @abstractmethod
    def _params(self, rows: int) -> dict[str, Any]:
        """Return LightGBM's parameters for so many rows, but for the objective and what is technical."""

    def _grow(self, features: Array, label: Array, **query: Any) -> list[Any]:
        """Return a booster per member; `query` goes to LightGBM's data set."""
        lightgbm = _lightgbm()
        for name in ("n_estimators", "n_members"):
            if getattr(self, name) < 1:
                raise FusionError(f"{name} is {getattr(self, name)}; give at least 1")
        grown = []
        for seed in check_random_state(self.random_state).randint(2**31 - 1, size=self.n_members):
            params = {
                "objective": self.objective,
                **self._params(len(features)),
                "min_data_in_bin": 1,
                "feature_pre_filter": False,
                "seed": int(seed),
                "deterministic": True,
                "force_row_wise": True,
                "num_threads": self.n_jobs,
                "verbosity": -1,
            }
            data = lightgbm.Dataset(features, label, params=params, **query)
            try:
                booster = lightgbm.train(params, data, self.n_estimators, keep_training_booster=True)
                grown.append(booster.free_dataset())
            except lightgbm.basic.LightGBMError as error:
                reason = str(error).split(" at /")[0].strip()  # without the place in its source
                raise FusionError(f"LightGBM refuses: {reason}; change that setting") from None
        return grown

    def _mean(self, boosters: list[Any], features: Array) -> Array:
        """Return the mean of what the boosters predict, shape (n_architectures,)."""
        predicted = in_threads(lambda booster: booster.predict(features, num_threads=self.n_jobs), boosters)
        mean: Array = np.mean(predicted, axis=0)
        return mean

    def _state(self) -> ModelState:
        return ModelState({}, {TEXT_FILE: "".join(booster.model_to_string() for booster in self.boosters_)})

    def _restore(self, state: ModelState, width: int) -> None:
        lightgbm = _lightgbm()
        if not -1 <= self.n_jobs <= _MOST_THREADS:
            raise ValueError(f"n_jobs is {self.n_jobs}")
        texts = members(state.files[TEXT_FILE], width, self.objective)
        if len(texts) != self.n_members:
            raise ValueError(f"{TEXT_FILE} has {len(texts)} members, not {self.n_members}")
        try:
            self.boosters_ = [lightgbm.Booster(model_str=text) for text in texts]
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(f"{TEXT_FILE}: {error}") from None
