"""Indicator table and accuracies to a fusion model: scikit-learn estimators.

Every module that an installed package names in the entry point group `fusion.models` is imported
too, and registers its models.
"""

from fusion.regression.base import MODELS, FusionModel, ModelState, make_model
from fusion.regression.lightgbm_model import LightGBM
from fusion.regression.saving import FORMAT, SavedModel, load_model, save_model
from fusion.regression.subset import OnIndicators
from fusion.regression.transform import IndicatorTransform
from fusion.regression.weighted_sum import WeightedSum

__all__ = [
    "FORMAT",
    "MODELS",
    "FusionModel",
    "IndicatorTransform",
    "LightGBM",
    "ModelState",
    "OnIndicators",
    "SavedModel",
    "WeightedSum",
    "load_model",
    "make_model",
    "save_model",
]

MODELS.load_entry_points()
