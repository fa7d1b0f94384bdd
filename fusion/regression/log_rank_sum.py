"""The sum of the logarithms of ranks: a score of architectures without any accuracy."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from fusion.regression.base import MODELS
from fusion.regression.columns import Array, Quantile
from fusion.regression.unlabelled import Unlabelled


@MODELS.register
class LogRankSum(Unlabelled):
    """Score = sum over indicators of log(rank / N), ranks from 1, the worst, among the N of the pool.

    The logarithm lets one bad rank weigh more than one good rank: high are architectures that all
    indicators find good. Equal values share their mean rank; between the pool's values ranks are linear.
    Indicators without any value are left out.

    Notes
    -----
    Sources: J. Lee, B. Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR
    2024, arXiv:2403.19232, with the four indicators named first; more of them: O. Tybl,
    L. Neumann, "Training-free Neural Architecture Search through Variance of Knowledge of Deep Network
    Weights", CVPR 2025, arXiv:2502.04975. The choice of indicators is this library's.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"flops": [1.0, 2.0, 3.0, 4.0], "zen": [5.0, 7.0, 6.0, 8.0]})
    >>> LogRankSum().fit(table).predict(table).round(2)
    array([-2.77, -0.98, -0.98,  0.  ])
    """

    name = "log_rank_sum"
    summary = "sum of the logarithms of the indicators' ranks, without any accuracy"
    source = "Lee, Ham, AZ-NAS, CVPR 2024, arXiv:2403.19232"
    indicators = (
        *("az_expressivity", "az_progressivity", "az_trainability", "flops"),
        *("zen", "zico", "meco", "swap_regularised", "naswot"),
    )

    def _scores(self, features: Array) -> Array:
        columns = [self.transformer_.columns_[j] for j in self.known_]
        sizes = np.array([column.counts.sum() for column in columns if isinstance(column, Quantile)])
        scores: Array = np.log(ndtr(features) + 0.5 / sizes).sum(axis=1)
        return scores
