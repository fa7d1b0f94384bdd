"""Predictions for any architectures of a space, each from the best that is known of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fusion.errors import FusionError
from fusion.images import Batch, ImageSet
from fusion.regression.predictor import Predictor
from fusion.regression.shipped import shipped_table, structure_of
from fusion.spaces import Space
from fusion.tables import IndicatorTable
from fusion.tables.choosing import find_rows
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


@dataclass(frozen=True)
class Answer:
    """Predictions for the rows of a file.

    Attributes
    ----------
    frame : DataFrame
        The file's columns, and those of `answer`, which take the place of columns of their names.
    told : tuple of str
        What a reader should know: rows that were left out, remarks on the predictions; a line each.
    """

    frame: pd.DataFrame
    told: tuple[str, ...]

    def __str__(self) -> str:
        counts = self.frame["source"].value_counts()
        by = ", ".join(f"{count} {_SAID[str(source)]}" for source, count in counts.items())
        return f"{len(self.frame)} architectures predicted ({by})"


_SAID = {"table": "from the table", "extracted": "extracted", "structure": "by structure alone"}


def answer_file(
    model: Path | str,
    archs: tuple[str, str | None],
    *,
    indicators: Path | str | None = None,
    space: Space | str | None = None,
    interval: float | None = None,
    images: str | None = None,
    out: Path | str | None = None,
    work: Work = Work(),  # noqa: B008  (frozen)
) -> Answer:
    """Return what a saved model predicts for the architectures that a file names.

    Parameters
    ----------
    model : path
        Folder; a model in a folder of this name with `-structure` at its end helps out, see `answer`.
    archs : tuple of str
        What names them, as of `fusion.tables.choosing.named_architectures`, and the column where a file has
        several.
    indicators : path, optional
        A table, in which all must lie; by default that of the package which was made as the model's, if any.
    space : Space or str, optional
        As of `Predictor.load`.
    interval, images, out, work
        As of `Predictor.predict`.

    Raises
    ------
    FusionError
        As of `Predictor.load`, `find_rows` and `answer`.
    """
    folder = Path(model)
    predictor, structure = Predictor.load(folder, space), structure_of(folder, space)
    given = None if indicators is None else IndicatorTable.open(indicators, space)
    own = predictor.space if given is None else given.space
    if own is None:
        raise FusionError(f"{model}: was fitted on several tables; give --indicators of the new one")
    rows = find_rows(own, *archs)
    if given is not None:
        predictor.check(given)
        rows = rows.within(given)
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always", UserWarning)
        found = answer(
            *(predictor, rows.archs),
            table=given or shipped_table(predictor),
            structure=structure,
            interval=interval,
            images=images,
            out=out,
            work=work,
        )
    frame = rows.columns.assign(**{str(name): column.to_numpy() for name, column in found.items()})
    return Answer(frame, (*rows.told, *(str(remark.message) for remark in remarks)))
