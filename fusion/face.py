"""The ways in that belong to no folder: a space by name, what lies in a folder, lists of what there is."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from fusion.benchmarks import BENCHMARKS
from fusion.errors import FusionError
from fusion.indicators import INDICATORS
from fusion.regression import MODELS, Predictor
from fusion.regression.shipped import shipped_models
from fusion.spaces import SPACES, Space, make_space
from fusion.storage.bundled import find_model, is_model
from fusion.tables import IndicatorTable


def space(name: str, **settings: Any) -> Space:
    """Return a search space.

    Parameters
    ----------
    name : str
        Registered, see `list_spaces`; or a class of your own, as `file.py:Class` or `module:Class`.
    **settings
        Of the space, such as `channels` and `cells` of `nats-tss`.

    Raises
    ------
    FusionError
        For an unknown name or setting.

    Examples
    --------
    >>> import fusion
    >>> len(fusion.space("nats-tss", channels=8, cells=1))
    15625
    """
    return make_space(name, settings)


def load(path: Path | str, space: Space | str | None = None) -> IndicatorTable | Predictor:
    """Return the indicator table or the fitted model in a folder; neither runs code.

    Parameters
    ----------
    path : path
        That `extract`, `fit` or a pipeline wrote; or the name of a model that comes with the package, see
        `list_shipped`.
    space : Space or str, optional
        Needed of a space that is not registered: itself, or its class as `file.py:Class`.

    Raises
    ------
    FusionError
        When there is neither, or it is damaged.

    Examples
    --------
    >>> import fusion
    >>> fusion.load("data/nats-sss-cifar10/indicators").values().shape
    (2000, 98)
    """
    folder = find_model(path)
    if is_model(folder):
        return Predictor.load(folder, space)
    if (folder / "meta.json").exists():
        return IndicatorTable.open(folder, space)
    raise FusionError(f"{folder}: neither an indicator table (meta.json) nor a model (model.json) is here")


def list_spaces(pattern: str = "*") -> list[str]:
    """Return the names of search spaces that match a shell pattern.

    Examples
    --------
    >>> import fusion
    >>> fusion.list_spaces("nats-*")
    ['nats-sss', 'nats-tss']
    """
    return _matching(SPACES, pattern)


def list_indicators(pattern: str = "*") -> list[str]:
    """Return the names of indicators that match a shell pattern.

    Examples
    --------
    >>> import fusion
    >>> fusion.list_indicators("az_*")
    ['az_expressivity', 'az_progressivity', 'az_trainability']
    """
    return _matching(INDICATORS, pattern)


def list_models(pattern: str = "*") -> list[str]:
    """Return the names of fusion models that match a shell pattern.

    Examples
    --------
    >>> import fusion
    >>> fusion.list_models("l*")
    ['lambdarank', 'lightgbm', 'log_rank_sum']
    """
    return _matching(MODELS, pattern)


def list_benchmarks(pattern: str = "*") -> list[str]:
    """Return the names of benchmarks that match a shell pattern.

    Examples
    --------
    >>> import fusion
    >>> fusion.list_benchmarks("nats-*")
    ['nats-sss', 'nats-tss']
    """
    return _matching(BENCHMARKS, pattern)


def list_shipped(pattern: str = "*") -> list[str]:
    """Return the names of the fitted models that come with the package and match a shell pattern.

    Examples
    --------
    >>> import fusion
    >>> fusion.list_shipped("digits-*")
    ['digits-tss']
    """
    return _matching(shipped_models(), pattern)


def _matching(names: Iterable[str], pattern: str) -> list[str]:
    return sorted(name for name in names if fnmatchcase(name, pattern))
