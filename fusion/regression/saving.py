"""Fitted models on disk: JSON and plain text, so that reading one runs no code."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.errors import FusionError
from fusion.regression.base import MODELS, FusionModel, ModelState, make_model
from fusion.regression.columns import Array
from fusion.regression.groups import within_group
from fusion.storage.files import write_atomic

FORMAT = 1
MODEL_FILE = "model.json"


@dataclass(frozen=True)
class SavedModel:
    """A fitted model together with the indicators that it reads.

    Parameters
    ----------
    name : str
        Its name in `MODELS`.
    model : FusionModel
    features : list of str
        Names of the indicators, in the order of the model's columns.
    metadata : dict
        What was said about it when it was saved.
    by_group : bool
        Whether it was fitted on several groups, see `fusion.regression.groups`.
    """

    name: str
    model: FusionModel
    features: list[str]
    metadata: dict[str, Any]
    by_group: bool = False

    def predict(self, table: pd.DataFrame, pool: pd.DataFrame | None = None) -> Array:
        """Return the predicted accuracies of the architectures in `table`, shape (n_architectures,).

        A model fitted on several groups predicts scores, `fusion.regression.groups.SCORE`.

        Parameters
        ----------
        table : DataFrame
            Index = architectures, columns = indicators; more than `features`, in any order, is fine.
        pool : DataFrame, optional
            For a model fitted on several groups: indicators of the architectures among which ranks are
            taken; by default `table`.

        Raises
        ------
        FusionError
            When an indicator that the model reads is not in the table, or is in it twice.
        """
        chosen = self._columns(table)
        if self.by_group:
            chosen = within_group(chosen, chosen if pool is None else self._columns(pool))
        return self.model.predict(chosen)

    def _columns(self, table: pd.DataFrame) -> pd.DataFrame:
        missing = [name for name in self.features if name not in table.columns]
        if missing:
            raise FusionError(
                f"the table lacks indicators that the model reads: {', '.join(missing)}; extract them first"
            )
        chosen = table[self.features]
        if chosen.shape[1] > len(self.features):
            twice = [str(name) for name in chosen.columns[chosen.columns.duplicated()].unique()]
            raise FusionError(f"the table has columns of one name: {', '.join(twice)}; keep one of each")
        return chosen


def save_model(
    directory: Path | str,
    model: FusionModel,
    *,
    features: list[str],
    metadata: dict[str, Any],
    by_group: bool = False,
) -> None:
    """Write a fitted model to `directory`, which is made when it does not exist.

    `model.json` holds the format's version, the model's name and settings, what it learned, the
    features, the metadata, and the SHA-256 of each further file (LightGBM's `model.txt`). Each file is
    written atomically, `model.json` last.

    Parameters
    ----------
    directory : Path
    model : FusionModel
        A fitted model of a class that is registered in `MODELS`.
    features : list of str
        Names of the indicators, in the order of the model's columns.
    metadata : dict
        JSON values: protocol, training set, versions, what a reader should know.
    by_group : bool
        Whether it was fitted on several groups.

    Raises
    ------
    FusionError
        When the model is not registered, the features are not those that it was fitted on, a setting
        or the metadata is no JSON value, or the directory cannot be written.
    sklearn.exceptions.NotFittedError
        When the model is not fitted.
    """
    directory, state = Path(directory), model.to_state()
    fitted_on = [str(name) for name in getattr(model, "feature_names_in_", features)]
    if len(features) != model.n_features_in_ or fitted_on != features:
        raise FusionError(
            f"{directory}: the model was fitted on {model.n_features_in_} indicators"
            f" that are not the {len(features)} features given; give those, in their order"
        )
    content = {
        "format": FORMAT,
        "model": _registered_name(model),
        "features": features,
        "params": model.get_params(deep=False),
        "metadata": metadata,
        "by_group": by_group,
        "files": {name: _digest(text.encode()) for name, text in state.files.items()},
        "state": state.values,
    }
    try:
        lines = [f" {json.dumps(key)}: {_json(value)}" for key, value in content.items()]
    except (TypeError, ValueError) as error:
        raise FusionError(
            f"{directory}: the model's settings or metadata cannot be saved ({error}); use JSON values"
        ) from None
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FusionError(f"{directory}: cannot be made ({error.strerror}); choose another") from None
    for name, text in state.files.items():
        write_atomic(directory / name, text.encode())
    write_atomic(directory / MODEL_FILE, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def load_model(directory: Path | str) -> SavedModel:
    """Read the model that `save_model` wrote; its predictions are the same to the last bit.

    Raises
    ------
    FusionError
        When the directory or a file is missing or damaged, of another format version, or holds a model
        that this version does not know.
    """
    directory = Path(directory)
    content = _read_json(directory)
    file = directory / MODEL_FILE
    try:
        name, features, params = content["model"], content["features"], content["params"]
        metadata, values, digests = content["metadata"], content["state"], content["files"]
        files = {text: _read_text(directory / text, digest) for text, digest in digests.items()}
        model = _unfitted(file, name, params)
        model.restore(ModelState(values, files))
        if model.n_features_in_ != len(features):
            raise ValueError(f"{len(features)} features for {model.n_features_in_} columns")
    except KeyError as error:
        raise FusionError(f"{file}: damaged ({error} is missing); fit the model again") from None
    except FusionError:
        raise
    except (AttributeError, TypeError, ValueError) as error:
        raise FusionError(f"{file}: damaged ({error}); fit the model again") from None
    model.feature_names_in_ = np.array(features, dtype=object)
    return SavedModel(name, model, features, metadata, content.get("by_group", False))


def _unfitted(file: Path, name: str, params: dict[str, Any]) -> FusionModel:
    try:
        return make_model(name, **params)
    except FusionError as error:
        raise FusionError(f"{file}: {error}") from None


def _registered_name(model: FusionModel) -> str:
    for name in MODELS:
        if MODELS[name] is type(model):
            return name
    raise FusionError(f"{type(model).__name__} cannot be saved: register it in MODELS")


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False, default=_python_scalar)


def _python_scalar(value: object) -> object:
    """Return the Python number of a numpy one, as in settings that a grid search chose."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} {value!r}")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_json(directory: Path) -> dict[str, Any]:
    """Return the content of `model.json`, of this format version."""
    file = directory / MODEL_FILE
    if not directory.is_dir():
        raise FusionError(f"{directory}: no such directory; fit a model and save it there first")
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise FusionError(f"{directory}: no model here ({MODEL_FILE} is missing)") from None
    except OSError as error:
        raise FusionError(f"{file}: not readable ({error.strerror})") from None
    except ValueError as error:
        raise FusionError(f"{file}: truncated or no JSON ({error}); fit the model again") from None
    if not isinstance(content, dict) or "format" not in content:
        raise FusionError(f"{file}: not a saved model (no format version); fit the model again")
    if content["format"] != FORMAT:
        raise FusionError(
            f"{directory}: has model format {content['format']}, this version reads {FORMAT}; fit it again"
        )
    return content


def _read_text(file: Path, digest: str) -> str:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise FusionError(f"{file}: missing beside {MODEL_FILE}; restore it or fit the model again") from None
    except OSError as error:
        raise FusionError(f"{file}: not readable ({error.strerror})") from None
    if _digest(data) != digest:
        raise FusionError(
            f"{file}: truncated or changed since it was saved; restore it or fit the model again"
        )
    return data.decode()
