"""A space, a predictor and a budget to architectures."""

from fusion.callable_folder import callable_folder
from fusion.search.base import Growing, Indicators, Measure, SearchResult
from fusion.search.compare import compare
from fusion.search.predictor_search import predictor_search
from fusion.search.proposers import PROPOSERS
from fusion.search.random_search import random_search
from fusion.search.results import Comparison, SearchMethod, SearchSettings
from fusion.search.verb import PREDICTOR, search

__all__ = [
    "PREDICTOR",
    "PROPOSERS",
    "Comparison",
    "Growing",
    "Indicators",
    "Measure",
    "SearchMethod",
    "SearchResult",
    "SearchSettings",
    "compare",
    "predictor_search",
    "random_search",
    "search",
]

PROPOSERS.load_entry_points()
callable_folder(__name__, search)
