"""Settings: dataclasses whose values are checked, from Python, a YAML file or `key=value` pairs.

A class of settings is a frozen dataclass derived from `Settings`, with the types of this module in its
annotations. Its defaults stand there and nowhere else.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from dataclasses import Field as DataclassField
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    Strict,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from fusion.errors import FusionError
from fusion.registry import suggest
from fusion.storage.bounded_yaml import parse_yaml

S = TypeVar("S", bound="Settings")


@dataclass(frozen=True)
class Expected:
    """In an annotation: what a value that does not fit is told to be."""

    what: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._check, handler(source))

    def _check(self, value: Any, check: core_schema.ValidatorFunctionWrapHandler) -> Any:
        try:
            return check(value)
        except ValidationError:
            raise _expected(self.what) from None


def _expected(what: str) -> PydanticCustomError:
    return PydanticCustomError("expected", "{what}", {"what": what})


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value  # YAML and JSON know only lists


Text = Annotated[str, BeforeValidator(_text), Expected("text")]
Flag = Annotated[bool, Strict(), Expected("true or false")]
Whole = Annotated[int, Strict(), Expected("a whole number")]
Count = Annotated[int, Strict(), Field(ge=1), Expected("an integer of at least 1")]
Positive = Annotated[float, Strict(), Field(gt=0, lt=float("inf")), Expected("a number above 0")]
Share = Annotated[float, Strict(), Field(ge=0, lt=1), Expected("a number from 0 to below 1")]
NotNegative = Annotated[float, Strict(), Field(ge=0, lt=float("inf")), Expected("a number of at least 0")]
Wholes = Annotated[tuple[Whole, ...], BeforeValidator(_tuple)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_tuple)]


def one_of(known: Mapping[str, Any]) -> BeforeValidator:
    """Return what makes an annotated text one of the names in `known`, as they are when it is checked."""

    def check(value: Any) -> Any:
        if not isinstance(value, str) or value not in known:
            raise _expected(f"one of {', '.join(known)}")
        return value

    return BeforeValidator(check)


def some_of(known: Mapping[str, Any]) -> BeforeValidator:
    """Return what makes an annotated tuple a list of names in `known`, as they are when it is checked."""

    def check(value: Any) -> Any:
        names = _tuple(value)
        if not isinstance(names, tuple) or not all(isinstance(name, str) and name in known for name in names):
            raise _expected(f"a list of {', '.join(known)}, or of none of them")
        return names

    return BeforeValidator(check)


class Settings:
    """Base of the classes of settings: values are checked when an instance is made.

    Raises
    ------
    FusionError
        For a value that its annotation does not allow, in one line.
    """

    kind: ClassVar[str]
    """What is set, for messages."""
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        for name, adapter in _adapters(type(self)).items():  # type: ignore[arg-type]
            value = getattr(self, name)
            try:
                checked = adapter.validate_python(value)
            except ValidationError as error:
                place, wrong = _first(error, value)
                where = ": ".join((self.kind, name, *place))
                told = f"is {_shown(wrong['input'])}, expected {_wanted(wrong)}"
                raise FusionError(f"{where} {_KEYS.get(wrong['type'], told)}") from None
            object.__setattr__(self, name, checked)


@cache
def _adapters(cls: type[Any]) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(cls, include_extras=True)
    return {item.name: TypeAdapter(hints[item.name]) for item in fields(cls)}


# characters of a value in a message
_LONGEST = 100
# pydantic's names of errors of keys
_UNKNOWN_KEY = ("unexpected_keyword_argument", "invalid_key")
_KEYS = {**dict.fromkeys(_UNKNOWN_KEY, "does not exist"), "missing": "is missing"}


def _first(error: ValidationError, values: Any) -> tuple[list[str], ErrorDetails]:
    """Return the place of what is wrong in `values`, and pydantic's details; unknown keys go before all."""
    found = min(error.errors(include_url=False), key=lambda one: one["type"] not in _UNKNOWN_KEY)
    place = []
    for part in found["loc"]:
        # pydantic also puts names of alternatives into the place, which no file has
        inside = values if isinstance(values, dict) else {}
        if isinstance(values, list | tuple):
            inside = dict(enumerate(values))
        named = {str(key): value for key, value in inside.items()}
        if str(part) in named:
            place.append(str(part))
            values = named[str(part)]
    return place, found


def _wanted(wrong: ErrorDetails) -> str:
    """Return what was expected."""
    of_containers = {"tuple_type": "a list", "dict_type": "a mapping", "dataclass_type": "a mapping of keys"}
    return of_containers.get(wrong["type"]) or wrong["msg"]


def _shown(value: Any) -> str:
    """Return a value for a message, the beginning of a long one."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _nested(hint: Any) -> type[Settings] | None:
    """Return the class of settings that an annotation names, within whatever containers."""
    if isinstance(hint, type) and issubclass(hint, Settings):
        return hint
    return next(filter(None, map(_nested, get_args(hint))), None)


def _at(cls: type[Settings], place: Sequence[str]) -> type[Settings]:
    """Return the class of settings of which a place in a file speaks."""
    for part in place:
        cls = _nested(get_type_hints(cls, include_extras=True).get(part)) or cls
    return cls


def check(cls: type[S], values: Any, where: str) -> S:
    """Return the settings that a mapping of keys, as in a file, says.

    Parameters
    ----------
    cls : type
        The class of settings.
    values : object
        Keys to values; nested settings are mappings too.
    where : str
        From where they are; the beginning of messages.

    Raises
    ------
    FusionError
        When `values` is no mapping, a key is unknown or missing, or a value does not fit; in one line.
    """
    try:
        return TypeAdapter(cls).validate_python(values)
    except FusionError as error:  # of what fits one by one, but not together
        raise FusionError(f"{where}: {error}") from None
    except ValidationError as error:
        place, wrong = _first(error, values)
        if wrong["type"] in _UNKNOWN_KEY:
            key = place.pop()
            known = [item.name for item in fields(_at(cls, place))]  # type: ignore[arg-type]
            hint = suggest(key, known) or f"known: {', '.join(known)}"
            told = f"key {key!r} does not exist; {hint}"
        elif wrong["type"] == "missing":
            told = f"key {wrong['loc'][-1]!r} is missing"
        elif wrong["type"] == "value_error":
            told = str(wrong["ctx"]["error"])
        else:
            told = f"expected {_wanted(wrong)}, got {_shown(wrong['input'])}"
        raise FusionError(": ".join((where, *place, told))) from None


@dataclass(frozen=True)
class Key:
    """What is to be known of one key.

    Attributes
    ----------
    name : str
    wanted : str
        Which values it takes, in words.
    required : bool
    default : str
        As in YAML; empty where it is required, or its own keys have theirs.
    text : str
        What it means, from the docstring of the class.
    nested : type or None
        The class of settings whose keys its value has, or the values in it.
    """

    name: str
    wanted: str
    required: bool
    default: str
    text: str
    nested: type[Settings] | None


def describe(cls: type[Settings]) -> list[Key]:
    """Return what is to be known of the keys of a class, from its annotations and docstrings."""
    texts: dict[str, str] = {}
    for base in cls.__mro__:
        about = (inspect.getdoc(base) or "").partition("Attributes\n----------\n")[2].partition("\n\n")[0]
        for name, text in re.findall(r"^(\w+) : .*((?:\n    .*)*)", about, re.MULTILINE):
            texts.setdefault(name, " ".join(text.split()))
    hints = get_type_hints(cls, include_extras=True)
    return [
        Key(
            item.name,
            _words(hints[item.name]),
            item.default is MISSING and item.default_factory is MISSING,
            _default(item),
            texts[item.name],
            _nested(hints[item.name]),
        )
        for item in fields(cls)  # type: ignore[arg-type]
    ]


def _words(hint: Any) -> str:
    """Return which values an annotation takes."""
    for note in getattr(hint, "__metadata__", ()):
        if isinstance(note, Expected):
            return note.what
    if isinstance(hint, type) and issubclass(hint, Settings):
        return "a mapping"
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _words(parts[0])
    if origin is tuple:
        return f"a list (each {_words(parts[0])})"
    if origin is dict:
        return "a mapping"
    return " or ".join("null" if part is type(None) else _words(part) for part in parts)


def _default(item: DataclassField[Any]) -> str:
    value = item.default if item.default_factory is MISSING else item.default_factory()
    if value is MISSING:
        return ""
    if isinstance(value, Settings):
        return ""  # its keys have theirs
    if isinstance(value, dict):
        return ", ".join(value) or "{}"
    return value if isinstance(value, str) else json.dumps(value)


def read_settings(pairs: Sequence[str], option: str) -> dict[str, Any]:
    """Return `key=value` pairs as a dictionary, values read as YAML.

    Raises
    ------
    FusionError
        For a pair of another form; `option` names it.
    """
    found = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise FusionError(f"{option} {pair}: expected key=value")
        try:
            found[name] = parse_yaml(text)
        except ValueError:
            raise FusionError(f"{option} {pair}: the value is not readable as YAML") from None
    return found


def override(values: dict[str, Any], pairs: Sequence[str], option: str) -> None:
    """Put `key=value` or `part.key=value` pairs into `values`; a part of a list is named by its number.

    Raises
    ------
    FusionError
        For a pair of another form, or a part that has no keys.
    """
    for name, value in read_settings(pairs, option).items():
        place: Any = values
        owner, *path = ["", *name.split(".")]
        for part in path[:-1]:
            key = _key(place, part, f"{option} {name}: {owner!r}")
            place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
            owner = part
        place[_key(place, path[-1], f"{option} {name}: {owner!r}")] = value


def _key(place: Any, part: str, where: str) -> Any:
    """Return what a part of a name is called in `place`, a mapping or a list."""
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return int(part)
    if not isinstance(place, dict):
        raise FusionError(f"{where} has no {part!r}")
    return part
