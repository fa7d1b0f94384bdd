"""Predictions for any architectures of a space, each from the best that is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fusion.errors import FusionError
from fusion.images import Batch, ImageSet
from fusion.regression.predictor import Predictor
from fusion.tables import IndicatorTable
from fusion.tables.encoding import not_encoded
from fusion.work import Work


def answer(
    predictor: Predictor,
    archs: Sequence[str],
    *,
    table: IndicatorTable | None = None,
    structure: Predictor | None = None,
    interval: float | None = None,
    images: str | ImageSet | Batch | None = None,
    out: Path | str | None = None,
    work: Work = Work(),  # noqa: B008  (frozen)
) -> pd.DataFrame:
    """Return what is predicted for architectures, and from what.

    Parameters
    ----------
    predictor : Predictor
    archs : sequence of str
        Architectures of the model's space, or of the table's for a model of several tables.
    table : IndicatorTable, optional
        Made as that of the model; its architectures need no computation. A model of several tables ranks
        within it.
    structure : Predictor, optional
        Reads the encoding alone; predicts what is not in the table where the model's images are not at hand.
    interval, images, out, work
        As in `Predictor.predict`.

    Returns
    -------
    DataFrame
        Index: `archs`. Columns `predicted`, with `interval` also `low` and `high`; `rank`, 1 is best; and
        `source`: "table", "extracted" or "structure".

    Raises
    ------
    InvalidArchitecture
        For a string that is no architecture of the space.
    FusionError
        As of `Predictor.predict`.

    Examples
    --------
    >>> import fusion
    >>> model = fusion.fit(fusion.load(digits).labelled("data/digits-tss/accuracies.parquet"), "weighted_sum")
    >>> some = fusion.load(digits).values().index[:2]
    >>> answer(model, some, table=fusion.load(digits))["source"].tolist()
    ['table', 'table']
    """
    space = predictor.space if table is None else table.space
    if space is None:
        raise FusionError("a model of several tables ranks within a table; give one")
    keys = [space.canonical(arch) for arch in archs]
    order = list(dict.fromkeys(keys))
    alone = not not_encoded(predictor.features)
    known = set() if table is None or alone else {*table.values([]).index}
    there = [key for key in order if key in known]
    rest = [key for key in order if key not in known]
    parts = []
    if there:
        assert table is not None
        found = predictor.predict(table.only(there), interval=interval, pool=table)
        parts.append(_framed(found, "table"))
    if rest:
        by, source = predictor, "structure" if alone else "extracted"
        if structure is not None and not alone and not _at_hand(predictor, images):
            by, source = structure, "structure"
        found = by.predict(rest, interval=interval, images=images, out=out, work=work)
        parts.append(_framed(found, source))
    frame = pd.concat(parts).loc[keys].set_axis(pd.Index(archs, name="arch"))
    better = frame["predicted"] if predictor.lower_is_better else -frame["predicted"]
    frame.insert(len(frame.columns) - 1, "rank", better.rank(method="min").astype(int))
    return frame


def _at_hand(predictor: Predictor, images: str | ImageSet | Batch | None) -> bool:
    """Return whether the model's images can be read; those that are given must be."""
    if images is not None:
        return True
    try:
        predictor.sources[0].batch()
    except FusionError:
        return False
    return True


def _framed(predicted: pd.Series[float] | pd.DataFrame, source: str) -> pd.DataFrame:
    frame = predicted.to_frame("predicted") if isinstance(predicted, pd.Series) else predicted
    return frame.assign(source=source)
