"""Fusion: training-free indicators of neural architectures, fused into predicted accuracies.

Nouns: `IndicatorTable`, `Labelled`, `Predictor`. Verbs: `extract`, `measure`, `fit`, `evaluate`, `search`,
`score`. Ways in: `space`, `images`, `load`; what there is: `select`, `list_spaces`, `list_indicators`,
`list_models`, `list_benchmarks`, `list_shipped`. Each is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.3.0"

# name -> where it lives; `images` and `search` are folders that can be called, see `fusion.callable_folder`
_FACE = {
    "Accuracies": "fusion.tables",
    "FusionError": "fusion.errors",
    "IndicatorTable": "fusion.tables",
    "Judging": "fusion.evaluation",
    "Labelled": "fusion.tables",
    "ModelSpec": "fusion.regression",
    "Predictor": "fusion.regression",
    "Recipe": "fusion.training",
    "SearchSettings": "fusion.search",
    "Work": "fusion.work",
    "evaluate": "fusion.evaluation",
    "extract": "fusion.extraction",
    "fit": "fusion.regression",
    "images": "fusion.images",
    "list_benchmarks": "fusion.face",
    "list_indicators": "fusion.face",
    "list_models": "fusion.face",
    "list_shipped": "fusion.face",
    "list_spaces": "fusion.face",
    "load": "fusion.face",
    "measure": "fusion.training",
    "score": "fusion.extraction",
    "search": "fusion.search",
    "select": "fusion.indicators",
    "space": "fusion.face",
}

__all__ = [*_FACE]

if TYPE_CHECKING:
    from fusion import images as images
    from fusion import search as search
    from fusion.errors import FusionError as FusionError
    from fusion.evaluation import Judging as Judging
    from fusion.evaluation import evaluate as evaluate
    from fusion.extraction import extract as extract
    from fusion.extraction import score as score
    from fusion.face import list_benchmarks as list_benchmarks
    from fusion.face import list_indicators as list_indicators
    from fusion.face import list_models as list_models
    from fusion.face import list_shipped as list_shipped
    from fusion.face import list_spaces as list_spaces
    from fusion.face import load as load
    from fusion.face import space as space
    from fusion.indicators import select as select
    from fusion.regression import ModelSpec as ModelSpec
    from fusion.regression import Predictor as Predictor
    from fusion.regression import fit as fit
    from fusion.search import SearchSettings as SearchSettings
    from fusion.tables import Accuracies as Accuracies
    from fusion.tables import IndicatorTable as IndicatorTable
    from fusion.tables import Labelled as Labelled
    from fusion.training import Recipe as Recipe
    from fusion.training import measure as measure
    from fusion.work import Work as Work


def __getattr__(name: str) -> Any:
    try:
        module = import_module(_FACE[name])
    except KeyError:
        raise AttributeError(f"module 'fusion' has no attribute {name!r}") from None
    # a folder of the face's name is itself what is called
    found = module if module.__name__ == f"fusion.{name}" else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_FACE])
