"""The Fusion Indicator: the weighted sum of four indicators, by plain least squares."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fusion.errors import FusionError
from fusion.indicators import INDICATORS
from fusion.indicators.base import FI
from fusion.regression.base import MODELS
from fusion.regression.weighted_sum import WeightedSum


@MODELS.register
class FusionIndicator(WeightedSum):
    """accuracy = intercept + sum of weight times the Gaussian score of cj, os, nlr and cnntk.

    The same as `WeightedSum(penalty="none", target="accuracy")` on these four. Of a table of indicators it
    reads only them; of an array or a table of other things, all columns.

    Notes
    -----
    Source: L.-T. Tran, M. S. Ali, S.-H. Bae, "A Feature Fusion Based Indicator for Training-Free Neural
    Architecture Search", IEEE Access 9, 2021, doi 10.1109/ACCESS.2021.3115911.
    """

    name = "fi"
    summary = "the Fusion Indicator: weighted sum of cj, os, nlr and cnntk, by plain least squares"
    source = "Tran, Ali, Bae, IEEE Access 9, 2021, doi 10.1109/ACCESS.2021.3115911"
    indicators = FI

    def __init__(self) -> None:
        super().__init__(penalty="none", target="accuracy")

    def _own(self, X: Any) -> Any:
        if not isinstance(X, pd.DataFrame) or not any(name in INDICATORS for name in X.columns):
            return X
        if missing := [name for name in FI if name not in X]:
            raise FusionError(f"the Fusion Indicator reads {', '.join(missing)}, which the table lacks")
        return X[list(FI)]
