"""Search that measures what a model, learned from the measured so far, predicts to be best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Protocol

import numpy as np
import pandas as pd

from fusion.errors import FusionError
from fusion.search.base import Indicators, Measure, Measurements, SearchResult, random_keys
from fusion.search.proposers import PROPOSERS
from fusion.search.results import SearchSettings
from fusion.seeding import derive_seed
from fusion.spaces.base import Space


class Estimator(Protocol):
    """A scikit-learn regressor."""

    def fit(self, X: Any, y: Any) -> Any:
        """Learn from an indicator table and accuracies."""

    def predict(self, X: Any) -> Any:
        """Return the predicted accuracies of an indicator table."""


def _table(indicators: Indicators, keys: Sequence[str]) -> pd.DataFrame:
    """Return the indicators of `keys` in that order, whatever order the table has."""
    table = indicators(keys)
    missing = [key for key in keys if key not in table.index]
    if missing:
        raise FusionError(
            f"search: no indicators of {len(missing)} architectures, first {missing[0]}; extract them first"
        )
    return table.loc[list(keys)]


def _fit(model: Estimator, indicators: Indicators, accuracies: Mapping[str, float]) -> Estimator:
    table = _table(indicators, list(accuracies))
    try:
        model.fit(table, np.array(list(accuracies.values())))
    except FusionError:
        raise
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise FusionError(
            f"search: the model cannot be fitted on {len(table)} architectures ({reason}); "
            "raise the number of initial ones or take another model"
        ) from error
    return model


def _score(keys: Sequence[str], *, model: Estimator, indicators: Indicators) -> list[float]:
    """Return predicted accuracies; what is not finite ranks below everything."""
    if not keys:
        return []
    predicted = np.asarray(model.predict(_table(indicators, keys)), dtype=float)
    scores: list[float] = np.where(np.isfinite(predicted), predicted, -np.inf).tolist()
    return scores


def predictor_search(
    space: Space,
    measure: Measure,
    indicators: Indicators,
    make_model: Callable[[], Estimator],
    settings: SearchSettings,
    proposer: str,
    *,
    seed: int,
) -> SearchResult:
    """Measure random architectures, then in rounds what a freshly fitted model predicts to be best.

    Parameters
    ----------
    space : Space
        Where to search.
    measure : callable
        The accuracy of a key.
    indicators : callable
        The indicator table of keys. It is called again for the measured ones in every round.
    make_model : callable
        Returns an unfitted regressor; the search repeats exactly when its seed is fixed.
    settings : SearchSettings
        Budget (how many keys to measure; fewer when the space has fewer), how many of them are random and
        measured first, in how many equal parts the others are measured, each after fitting on all before,
        and how many unmeasured keys the model is asked about in a round.
    proposer : {"random", "evolution"}
        Where the candidates come from: uniform sampling, or regularised evolution.
    seed : int
        Of the initial architectures and of the proposals.

    Returns
    -------
    SearchResult
        With method `predictor-random` or `predictor-evolution`.

    Raises
    ------
    FusionError
        When a number is out of range, a key has no accuracy or no indicators, or the model cannot
        be fitted.
    """
    propose = PROPOSERS[proposer]
    budget, initial, rounds = settings.budget, settings.initial, settings.rounds
    measurements = Measurements(measure, budget)
    if not 1 <= initial <= budget or rounds < 1:
        raise FusionError(
            f"search: need 1 <= initial <= budget and 1 <= rounds, got initial {initial}, "
            f"budget {budget}, rounds {rounds}"
        )
    most = -(-(budget - initial) // rounds)
    if settings.candidates < most:
        raise FusionError(
            f"search: {most} are measured in a round; ask for as many candidates, not {settings.candidates}"
        )

    for key in islice(random_keys(space, seed), initial):
        measurements.add(key)
    for done in range(rounds):
        share = -(-measurements.left // (rounds - done))
        if share == 0:
            break
        model = _fit(make_model(), indicators, measurements.accuracies)
        score = partial(_score, model=model, indicators=indicators)
        proposal_seed = derive_seed("proposals", seed, done)
        proposals = propose(space, measurements.accuracies, score, settings.candidates, proposal_seed)
        # sorted is stable: of equal predictions the first proposed comes first
        for key in sorted(proposals, key=proposals.__getitem__, reverse=True)[:share]:
            measurements.add(key)
    return measurements.result(f"predictor-{proposer}", seed)
