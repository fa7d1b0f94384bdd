"""The JSON form of results, and the files that they are written to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd

from fusion.errors import FusionError
from fusion.evaluation.evaluation import FORMAT, Evaluation, Searched, Transfer
from fusion.evaluation.page import write_report, write_transfer_report
from fusion.storage.documents import read_json, write_json
from fusion.storage.files import make_folder, read_parquet, write_frame, write_parquet

METRICS_FILE, PREDICTIONS_FILE, REPORT_FILE = "metrics.json", "predictions.parquet", "report.html"
PROTOCOL_FILE = "protocol.csv"

_REPAIR = "evaluate again"


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return JSON values, `format` and `kind` first; without the predictions."""
    return {
        "format": FORMAT,
        "kind": "evaluation",
        **{name: _plain(getattr(evaluation, name)) for name in _names(Evaluation)},
    }


def evaluation_from_json(content: Mapping[str, Any], predictions: pd.DataFrame) -> Evaluation:
    """Return the evaluation that gave `content`; raises FusionError when it is none of this format."""
    _check(content, "evaluation")
    return Evaluation(**_fields(Evaluation, content), predictions=predictions)


def transfer_to_json(transfer: Transfer) -> dict[str, Any]:
    """Return JSON values, `format` and `kind` first; without the predictions."""
    return {
        "format": FORMAT,
        "kind": "transfer",
        "groups": {name: to_json(of) for name, of in transfer.groups.items()},
        "summary": _plain(transfer.summary),
    }


def transfer_from_json(content: Mapping[str, Any], predictions: Mapping[str, pd.DataFrame]) -> Transfer:
    """Return the result that gave `content`; raises FusionError when it is none of this format."""
    _check(content, "transfer")
    groups = content.get("groups")
    if not isinstance(groups, Mapping) or set(groups) != set(predictions):
        raise FusionError("the predictions are not those of the groups; give one table for each group")
    found = {name: evaluation_from_json(of, predictions[name]) for name, of in groups.items()}
    return Transfer(found, **_fields(Transfer, content, ("summary",)))


def write_evaluation(
    folder: Path, evaluation: Evaluation, *, title: str | None, search: Searched | None
) -> None:
    """Write metrics, predictions and report to a folder, which is made where there is none."""
    save_evaluation(folder, evaluation)
    write_report(folder / REPORT_FILE, evaluation, title=title, search=search)


def save_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write what `read_evaluation` reads to a folder, which is made where there is none."""
    make_folder(folder)
    write_parquet(folder / PREDICTIONS_FILE, evaluation.predictions)
    write_frame(folder / PROTOCOL_FILE, protocol_frame(evaluation))
    write_json(folder / METRICS_FILE, to_json(evaluation))


def protocol_frame(evaluation: Evaluation) -> pd.DataFrame:
    """Return the learning curve as a table: a row per method, training size and metric."""
    rows = [
        (name, point.train_size, metric, of.mean, of.low, of.high, point.splits)
        for name, points in evaluation.learning_curve.items()
        for point in points
        for metric, of in point.scores.items()
    ]
    return pd.DataFrame(rows, columns=["method", "size", "metric", "mean", "low", "high", "splits"])


def read_evaluation(folder: Path) -> Evaluation:
    """Return the evaluation that `save_evaluation` left; raises FusionError when there is none."""
    path = folder / METRICS_FILE
    try:
        content = read_json(path, repair=_REPAIR)
    except FileNotFoundError:
        raise FusionError(f"{path}: no such file; {_REPAIR}") from None
    return evaluation_from_json(content, read_parquet(folder / PREDICTIONS_FILE))


def write_transfer(folder: Path, transfer: Transfer) -> None:
    """Write metrics and report over all groups to a folder, and each group's files to one inside it."""
    make_folder(folder)
    for name, of in transfer.groups.items():
        write_evaluation(folder / name, of, title=None, search=None)
    write_json(folder / METRICS_FILE, transfer_to_json(transfer))
    write_transfer_report(folder / REPORT_FILE, transfer)


def _names(cls: type) -> list[str]:
    return [of.name for of in fields(cls) if of.name != "predictions"]


def _plain(value: Any) -> Any:
    """Return dataclasses, mappings and tuples as what JSON has."""
    if hasattr(value, "__dataclass_fields__"):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(of) for name, of in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(of) for of in value]
    return value


def _check(content: Mapping[str, Any], kind: str) -> None:
    if content.get("format") != FORMAT or content.get("kind") != kind:
        raise FusionError(
            f"not readable: {content.get('kind', 'something')} of format {content.get('format')!r}, expected "
            f"{kind} of format {FORMAT}; {_REPAIR}"
        )


def _fields(cls: type, content: Mapping[str, Any], names: tuple[str, ...] | None = None) -> dict[str, Any]:
    from pydantic import ValidationError

    found = {}
    for name in names or _names(cls):
        if name not in content:
            raise FusionError(f"not readable: {name} is missing; {_REPAIR}")
        try:
            found[name] = _reader(cls, name).validate_json(json.dumps(content[name]), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, (name, *first["loc"])))
            raise FusionError(f"not readable: {where}: {first['msg']}; {_REPAIR}") from None
    return found


@cache
def _reader(cls: type, name: str) -> Any:
    # heavy, and only needed to read
    from pydantic import TypeAdapter

    return TypeAdapter(get_type_hints(cls)[name])
