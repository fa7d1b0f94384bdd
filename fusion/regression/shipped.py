"""Models and indicator tables that come with the package, and which belongs to which."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from fusion.errors import FusionError
from fusion.regression.predictor import Predictor
from fusion.spaces import Space
from fusion.storage.bundled import bundled_models, bundled_tables, is_model
from fusion.storage.documents import read_json, read_text
from fusion.tables import IndicatorTable

_AGAIN = "install the package again"
STRUCTURE = "-structure"
"""At the end of the name of a model that reads the encoding alone."""


def shipped_models() -> dict[str, str]:
    """Return the name of each model that comes with the package, and the title of its card, sorted."""
    cards = {folder.name: read_text(folder / "card.md", repair=_AGAIN) for folder in bundled_models()}
    return {name: card.splitlines()[0].lstrip("# ") for name, card in cards.items()}


def structure_of(folder: Path, space: Space | str | None = None) -> Predictor | None:
    """Return the model of the same accuracies that needs no pass over images; None where there is none."""
    other = folder.with_name(f"{folder.name}{STRUCTURE}")
    return Predictor.load(other, space) if is_model(other) else None


def shipped_table(predictor: Predictor) -> IndicatorTable | None:
    """Return the table that comes with the package and was made as that of the model; None without one."""
    if predictor.by_group:
        return None
    (source,) = predictor.sources
    for file in bundled_tables():
        meta = read_json(file, repair=_AGAIN)
        same = [meta.get(name) == getattr(source, name) for name in ("space", "batch_digest", "seed")]
        if all(same) and meta.get("kind") == "indicators":
            table = IndicatorTable.open(file.parent)
            with suppress(FusionError):  # of other settings after all
                predictor.check(table)
                return table
    return None
