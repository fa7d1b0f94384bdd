"""Indicator table and accuracies to a fusion model: scikit-learn estimators, and predictors made of them.

Every module that an installed package names in the entry point group `fusion.models` is imported
too, and registers its models.
"""

from fusion.regression.auto import Auto
from fusion.regression.base import MODELS, FusionModel, ModelState, make_model
from fusion.regression.consensus import Consensus
from fusion.regression.explanation import Explanation
from fusion.regression.extra_trees import ExtraTrees
from fusion.regression.fusion_indicator import FusionIndicator
from fusion.regression.gaussian_process import GaussianProcess
from fusion.regression.groups import Group, fit_groups, grouped
from fusion.regression.lambdarank import LambdaRank
from fusion.regression.lightgbm_model import LightGBM
from fusion.regression.log_rank_sum import LogRankSum
from fusion.regression.page import models_page
from fusion.regression.pairwise import Pairwise
from fusion.regression.predictor import Predictor
from fusion.regression.source import Source
from fusion.regression.spec import ModelSpec
from fusion.regression.subset import OnIndicators, WithinGroup
from fusion.regression.transform import IndicatorTransform
from fusion.regression.unlabelled import Unlabelled
from fusion.regression.verb import fit
from fusion.regression.weighted_sum import WeightedSum
from fusion.regression.within_time import Tonight, WithinSettings, predict_within

__all__ = [
    "MODELS",
    "Auto",
    "Consensus",
    "Explanation",
    "ExtraTrees",
    "FusionIndicator",
    "FusionModel",
    "GaussianProcess",
    "Group",
    "IndicatorTransform",
    "LambdaRank",
    "LightGBM",
    "LogRankSum",
    "ModelSpec",
    "ModelState",
    "OnIndicators",
    "Pairwise",
    "Predictor",
    "Source",
    "Tonight",
    "Unlabelled",
    "WeightedSum",
    "WithinGroup",
    "WithinSettings",
    "fit",
    "fit_groups",
    "grouped",
    "make_model",
    "models_page",
    "predict_within",
]

MODELS.load_entry_points()
