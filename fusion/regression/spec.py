"""Which model, on which indicators, with which settings: what is asked for before anything is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator

from fusion.errors import FusionError
from fusion.indicators import ENCODING, select
from fusion.regression.base import MODELS, FusionModel, make_model
from fusion.regression.subset import OnIndicators
from fusion.settings import Expected, Settings, Text
from fusion.tables.encoding import PREFIX, is_encoded, not_encoded


def _plain(value: Any) -> Any:
    """Return the Python number of a numpy one, as a grid search chooses them."""
    return value.item() if isinstance(value, np.generic) else value


ALL = "all"
"""Of `ModelSpec.indicators`: all indicators, without the encoding."""

Setting = Annotated[
    bool | int | float | str | None,
    BeforeValidator(_plain),
    Expected("true or false, a number, text or nothing"),
]
"""A value of a model's setting."""


@dataclass(frozen=True)
class ModelSpec(Settings):
    """A fusion model that is not fitted yet.

    Attributes
    ----------
    model : str
        Its name in `MODELS`.
    indicators : str or None
        Presets or names of indicators, separated by commas, that it reads; `encoding` stands for all columns
        of the encoding, and so does `structure`, beside its indicators; `all` alone is all indicators that
        there are, without the encoding. By default those that the model
        names itself, and else all columns that there are.
    params : dict
        Settings of the model, by name; each a bool, a number, a text or None.

    Examples
    --------
    >>> ModelSpec("weighted_sum", "params,flops").features(["flops", "cj", "params"])
    ['params', 'flops']
    >>> ModelSpec("weighted_sum", "all").features(["flops", "cj", "encoding.depth"])
    ['flops', 'cj']
    """

    kind = "model"

    model: Text
    indicators: Text | None = None
    params: dict[str, Setting] = field(default_factory=dict)

    @classmethod
    def of(cls, model: str | ModelSpec) -> ModelSpec:
        """Return `model` itself, or for a name the model of that name with its default settings."""
        return model if isinstance(model, ModelSpec) else cls(model)

    def features(self, columns: Sequence[str]) -> list[str]:
        """Return the columns that the model reads, of a table with these.

        Raises
        ------
        FusionError
            When the model or an indicator is not known, or one is not in the table, or there is no encoding
            and nothing else is read.
        """
        encoding = list(filter(is_encoded, columns))
        if self.indicators is not None and self.indicators.strip(" ,") == ENCODING and not encoding:
            raise FusionError(
                f"model {self.model!r} reads the encoding alone, and there is none: several tables share no "
                "encoding, and in one its architectures must differ; name indicators"
            )
        if self.indicators is None:
            names = MODELS[self.model].reads(columns)
        elif self.indicators == ALL:
            names = not_encoded(columns)
        else:
            names = select(self.indicators, encoding)
        if missing := [name for name in names if name not in columns]:
            raise FusionError(
                f"model {self.model!r} reads {', '.join(missing)}, which the table lacks; extract it, or "
                "name other indicators"
            )
        return names

    def estimator(self) -> FusionModel:
        """Return the unfitted model; raises FusionError for an unknown name or setting."""
        return make_model(self.model, **self.params)

    def make(self, columns: Sequence[str]) -> OnIndicators:
        """Return the unfitted model that reads its indicators from tables with these columns.

        Raises
        ------
        FusionError
            When the model, a setting or an indicator is not known, or one is not in the table.
        """
        return OnIndicators(self.estimator(), self.features(columns))

    def check(self, indicators: Sequence[str]) -> None:
        """Raise FusionError where `make` would, of a table with these indicators and any encoding."""
        self.make([*indicators, PREFIX])
