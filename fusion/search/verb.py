"""The verb `search`: a space, a predictor and a budget to architectures."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from tqdm import tqdm

from fusion.errors import FusionError
from fusion.regression.spec import ModelSpec
from fusion.search.base import Indicators
from fusion.search.compare import compare
from fusion.search.results import Comparison, SearchSettings
from fusion.spaces import Space
from fusion.spaces.subset import Subset
from fusion.tables import Labelled
from fusion.tables.encoding import encode, is_encoded

PREDICTOR = ModelSpec("auto", params={"effort": "quick"})
"""The predictor of a search that names none: quick, for it is fitted anew in every round."""


def search(
    data: Labelled,
    predictor: str | ModelSpec = PREDICTOR,
    settings: SearchSettings = SearchSettings(),  # noqa: B008  (frozen)
    *,
    more: Indicators | None = None,
    progress: bool = True,
) -> Comparison:
    """Search among the networks whose accuracy is known, with a predictor and without one.

    The predictor is fitted anew in each round on what was measured so far. Accuracies are looked up.

    Parameters
    ----------
    data : Labelled
        All its accuracies count, also of networks that are not in `data.X`.
    predictor : str or ModelSpec
        By default `PREDICTOR`, `auto` without its trees.
    settings : SearchSettings
    more : callable, optional
        Canonical architectures -> their indicators, for those that are not in the table; without it,
        only what is in the table is searched.
    progress : bool
        Show on standard error how many accuracies were looked up.

    Returns
    -------
    Comparison

    Raises
    ------
    FusionError
        When fewer networks have an accuracy than the budget, a setting is out of range, or the predictor
        cannot be fitted.

    Examples
    --------
    >>> import fusion
    >>> data = fusion.load(digits).labelled("data/digits-tss/accuracies.parquet")
    >>> settings = fusion.SearchSettings(budget=8, initial=4, rounds=2, candidates=6, repeats=2)
    >>> found = fusion.search(data, "weighted_sum", settings)
    >>> found.best_of
    'best of the 24 searched'
    """
    spec = ModelSpec.of(predictor)
    values = data.pool.table
    columns = [str(name) for name in values.columns]
    by_key = data.accuracies.by_key(data.space)
    if more is None:
        by_key = by_key[by_key.index.isin(values.index)]
    space = data.space
    whole = space.enumerable and all(space.canonical(arch) in by_key.index for arch in space.enumerate())
    if not whole and len(by_key) < settings.budget:
        raise FusionError(
            f"search: {len(by_key)} networks have an accuracy and indicators; the budget, "
            f"{settings.budget}, must not be more"
        )
    spec.make(columns)  # unknown names are told before any computation
    known = _Known(values, space, more)
    with tqdm(desc="search", unit="measured", delay=2, disable=not progress) as bar:

        def measure(key: str) -> float:
            bar.update()
            return float(by_key[key])

        methods = compare(
            space if whole else Subset(space, by_key.index),
            measure,
            known.of,
            lambda: spec.make(columns),
            settings,
            cost=_cost(data),
        )
    return Comparison(
        space.name, space.settings, spec.model, settings, len(by_key), whole, float(by_key.max()), methods
    )


class _Known:
    """Indicators and encoding, remembered: a search asks hundreds of times, mostly for what it knows."""

    def __init__(self, values: pd.DataFrame, space: Space, more: Indicators | None) -> None:
        self.values = values
        self.space = space
        self.more = more

    def of(self, keys: Sequence[str]) -> pd.DataFrame:
        missing = [key for key in keys if key not in self.values.index]
        if missing and self.more is not None:
            names = list(map(str, self.values.columns))
            encoded = encode(self.space, missing, list(filter(is_encoded, names)))
            self.values = pd.concat([self.values, self.more(missing).join(encoded)[names]])
        return self.values.loc[list(keys)]


def _cost(data: Labelled) -> dict[str, float]:
    cost = data.accuracies.cost.dropna()
    return {data.space.canonical(str(arch)): float(seconds) for arch, seconds in cost.items()}
