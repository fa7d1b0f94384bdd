"""Models with settings so small that a test takes no time."""

from fusion.regression import make_model

SMALL = {
    "auto": {"effort": "quick"},
    "lightgbm": {"n_estimators": 20, "n_members": 2},
    "extra_trees": {"n_estimators": 10},
    "lambdarank": {"n_estimators": 20, "n_members": 1},
}


def small(name):
    """Return the unfitted model of this name; of other packages as it is."""
    return make_model(name, **SMALL.get(name, {}))
