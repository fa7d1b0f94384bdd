"""Fitted models on disk: JSON and plain text, checked before use; nothing in them can name code."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from fusion.errors import FusionError
from fusion.regression.base import MODELS, FusionModel, ModelState
from fusion.regression.kin import Lesson
from fusion.regression.source import Line, Source
from fusion.regression.spec import ModelSpec, Setting
from fusion.storage.bundled import MODEL_FILE
from fusion.storage.documents import member, read_json, read_text
from fusion.storage.files import write_atomic

FORMAT = 3

_FIT = "fit the model again"
_DEEPEST = 32
_SIMPLE = (bool, int, float, str, type(None))


class Document(BaseModel):
    """What `model.json` says, but for the format, what was learned and its files.

    Attributes
    ----------
    model, indicators, params
        See `ModelSpec`.
    features : list of str
        Indicators, in the order of the model's columns.
    target, lower_is_better, sources, notes
        See `Predictor`.
    low, high : list of float or None
        Ends of each feature in the training table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    model: Line
    indicators: Line | None
    params: dict[Line, Setting]
    features: Annotated[list[Line], Field(min_length=1, max_length=10_000)]
    target: Line
    lower_is_better: bool
    sources: Annotated[list[Source], Field(min_length=1, max_length=1000)]
    low: list[float | None]
    high: list[float | None]
    notes: Annotated[list[Line], Field(max_length=10_000)]

    @model_validator(mode="after")
    def _features_agree(self) -> Document:
        if len(set(self.features)) < len(self.features):
            raise ValueError("a feature is named twice")
        if not len(self.low) == len(self.high) == len(self.features):
            raise ValueError(f"{len(self.low)} and {len(self.high)} ends for {len(self.features)} features")
        return self

    @property
    def spec(self) -> ModelSpec:
        """The model that was asked for."""
        return ModelSpec(self.model, self.indicators, self.params)

    @property
    def fitted_anew(self) -> bool:
        """Whether it learned nothing and is fitted in each table that it is given, see `WithinTable`."""
        return len(self.sources) > 1 and not MODELS[self.model].needs_labels


class _Learned(BaseModel):
    """What was learned: values, and the SHA-256 of each file beside `model.json`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    files: dict[Line, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]
    state: dict[Line, JsonValue]


def document(**content: Any) -> Document:
    """Return the document with this content; raises FusionError where something cannot be saved."""
    try:
        return Document(**content)
    except ValidationError as error:
        raise FusionError(f"the model cannot be saved ({_first(error)}); use JSON values") from None


def write_model(folder: Path, about: Document, model: FusionModel, lessons: Sequence[Lesson] = ()) -> None:
    """Write a fitted model to `folder`: the files that it learned, then `model.json`, each atomically.

    One that is fitted anew in each table is not fitted, and has learned `lessons` at most.

    Raises
    ------
    FusionError
        When it is not the registered model that `about` names, or not fitted on its features.
    sklearn.exceptions.NotFittedError
        When the model is not fitted.
    """
    if about.model not in MODELS or MODELS[about.model] is not type(model):
        raise FusionError(f"{type(model).__name__} cannot be saved: register it in MODELS")
    taught = {"lessons": [lesson.to_state() for lesson in lessons]} if lessons else {}
    state = ModelState(taught) if about.fitted_anew else model.to_state()
    if not about.fitted_anew and model.n_features_in_ != len(about.features):
        raise FusionError(
            f"{folder}: the model was fitted on {model.n_features_in_} indicators, not on "
            f"{len(about.features)}"
        )
    content = {
        "format": FORMAT,
        **about.model_dump(),
        "files": {name: _digest(text) for name, text in state.files.items()},
        "state": state.values,
    }
    try:
        lines = [
            f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in content.items()
        ]
    except (TypeError, ValueError) as error:
        raise FusionError(f"{folder}: what the model learned cannot be saved ({error})") from None
    for name, text in state.files.items():
        write_atomic(folder / name, text.encode())
    write_atomic(folder / MODEL_FILE, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def read_model(folder: Path) -> tuple[Document, FusionModel, tuple[Lesson, ...]]:
    """Return what is said about the fitted model in `folder`, the model, and lessons that it learned.

    A model that is fitted anew in each table is not fitted; others have no lessons.

    All of it is checked before use: sizes, types, shapes, finite numbers. No file is opened but
    `model.json` and those that the model's class names, in the folder itself.

    Raises
    ------
    FusionError
        When the folder or a file is missing or damaged, of another format, or holds a model that this
        version does not know.
    """
    content = _content(folder)
    file = folder / MODEL_FILE
    try:
        _check_values(content)
        learned = _Learned.model_validate({name: content.pop(name, None) for name in ("files", "state")})
        about = Document.model_validate(content)
        model = _unfitted(file, about)
        if about.fitted_anew:
            return about, model, _lessons(about, learned)
        if (named := sorted(learned.files)) != sorted(model.files):
            raise ValueError(f"a {about.model} has the files {sorted(model.files)}, not {named}")
        files = {name: _read_file(folder, name, learned.files[name]) for name in model.files}
        _restore(file, model, ModelState(learned.state, files))
        if model.n_features_in_ != len(about.features):
            raise ValueError(f"{len(about.features)} features for {model.n_features_in_} columns")
    except FusionError:
        raise
    except ValidationError as error:
        raise FusionError(f"{file}: damaged ({_first(error)}); {_FIT}") from None
    except KeyError as error:
        raise FusionError(f"{file}: damaged ({error} is missing); {_FIT}") from None
    except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError) as error:
        raise FusionError(f"{file}: damaged ({_line(str(error))}); {_FIT}") from None
    model.feature_names_in_ = np.array(about.features, dtype=object)
    return about, model, ()


def _lessons(about: Document, learned: _Learned) -> tuple[Lesson, ...]:
    """Return what a model that is fitted anew in each table learned of the tables."""
    lessons = learned.state.pop("lessons", [])
    if learned.files or learned.state or (lessons and not MODELS[about.model].uses_kin):
        raise ValueError(f"a {about.model} of several tables has learned nothing else than lessons, if any")
    if not isinstance(lessons, list):
        raise ValueError("lessons are no list")
    return tuple(Lesson.from_state(lesson) for lesson in lessons)


def _content(folder: Path) -> dict[str, Any]:
    """Return the content of `model.json`, of this format, without the format."""
    try:
        content = read_json(member(folder, MODEL_FILE), repair=_FIT)
    except FileNotFoundError:
        raise FusionError(f"{folder}: no model here ({MODEL_FILE} is missing)") from None
    if "format" not in content:
        raise FusionError(f"{folder / MODEL_FILE}: not a saved model (no format version); {_FIT}")
    if (found := content.pop("format")) != FORMAT:
        shown = found if isinstance(found, int) else "unknown"
        raise FusionError(f"{folder}: has model format {shown}, this version reads {FORMAT}; {_FIT}")
    return content


def _check_values(content: Any) -> None:
    """Raise ValueError where a number is not finite, or values are nested deeper than any model's."""
    level, depth = [content], 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        following: list[Any] = []
        for value in level:
            parts = list(value.values()) if isinstance(value, dict) else value
            kinds = set(map(type, parts))
            numbers = parts if kinds <= {int, float} else [x for x in parts if type(x) in (int, float)]
            if not all(map(math.isfinite, numbers)):
                raise ValueError("a number is not finite")
            if kinds & {dict, list}:
                following += [x for x in parts if isinstance(x, dict | list)]
        level = following


def _restore(file: Path, model: FusionModel, state: ModelState) -> None:
    try:
        model.restore(state)
    except FusionError as error:  # says what, not where
        raise FusionError(f"{file}: {error}") from None


def _unfitted(file: Path, about: Document) -> FusionModel:
    """Return the model before it learned; raises ValueError for a setting of another type than it has."""
    try:
        model = about.spec.estimator()
    except FusionError as error:
        raise FusionError(f"{file}: {error}") from None
    known = inspect.signature(type(model)).parameters
    for name, value in about.params.items():
        if type(value).__name__ not in _kinds(known[name]):
            raise ValueError(f"setting {name} is {str(value)[:50]!r}")
    return model


def _kinds(setting: inspect.Parameter) -> set[str]:
    """Return the names of the simple types that a setting may have: as annotated, else as its default."""
    simple = {kind.__name__ for kind in _SIMPLE}
    if setting.annotation is not setting.empty:
        annotation = setting.annotation
        text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
        kinds = {{"None": "NoneType"}.get(part, part) for part in text.split(" | ")}
    elif setting.default in (None, setting.empty):
        kinds = simple
    else:
        kinds = {type(setting.default).__name__}
    return kinds & simple | ({"int"} if "float" in kinds else set())


def _read_file(folder: Path, name: str, digest: str) -> str:
    try:
        text = read_text(member(folder, name), repair=f"restore it or {_FIT}")
    except FileNotFoundError:
        raise FusionError(f"{folder / name}: missing beside {MODEL_FILE}; restore it or {_FIT}") from None
    if _digest(text) != digest:
        raise FusionError(f"{folder / name}: truncated or changed since it was saved; restore it or {_FIT}")
    return text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _first(error: ValidationError) -> str:
    """Return the first thing that is wrong, in one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    return _line(": ".join([".".join(map(str, first["loc"])), first["msg"]]).removeprefix(": "))


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:200]} ..."
