"""Settings: what values are taken, from Python and from mappings, and what is told of others."""

import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict, dataclass, field, replace
from typing import Annotated, Any

import pytest

from fusion.errors import FusionError
from fusion.settings import (
    Count,
    Flag,
    Key,
    NotNegative,
    Positive,
    Settings,
    Share,
    Text,
    Texts,
    Whole,
    Wholes,
    check,
    describe,
    one_of,
    override,
    read_settings,
    some_of,
)

COLOURS = {"red": 1, "blue": 2}


@dataclass(frozen=True)
class Wheel(Settings):
    """A wheel.

    Attributes
    ----------
    size : int
        In inches,
        outside.
    spare : bool
        Whether it is one.
    """

    kind = "wheel"

    size: Whole
    spare: Flag = False


@dataclass(frozen=True)
class Car(Settings):
    """A car.

    Attributes
    ----------
    name : str
        Of the car.
    colour : str
        Outside.
    stripes : tuple of str
        Inside.
    doors : int
        Of all kinds.
    length : float
        In metres.
    fuel : float
        Of the tank.
    debt : float
        In euros.
    years : tuple of int
        In which it was repaired.
    owners : tuple of str
        By name.
    wheels : dict of str to Wheel
        By place.
    spare : Wheel or None
        In the boot.
    more : dict
        Whatever.
    """

    kind = "car"

    name: Text
    colour: Annotated[str, one_of(COLOURS)] = "red"
    stripes: Annotated[tuple[str, ...], some_of(COLOURS)] = ()
    doors: Count = 4
    length: Positive = 4.5
    fuel: Share = 0.5
    debt: NotNegative = 0.0
    years: Wholes = ()
    owners: Texts | None = None
    wheels: dict[Text, Wheel] = field(default_factory=dict)
    spare: Wheel | None = None
    more: dict[str, Any] = field(default_factory=dict)


GOOD = {
    "name": "A",
    "colour": "blue",
    "stripes": ["red", "red"],
    "doors": 3,
    "length": 4,
    "fuel": 0,
    "debt": 5e3,
    "years": [2001, 2002],
    "owners": ["x", 3],
    "wheels": {"left": {"size": 12}},
    "spare": {"size": 13, "spare": True},
    "more": {"anything": [1, None]},
}


def test_a_mapping_becomes_the_dataclass():
    car = check(Car, GOOD, "car.yaml")
    assert car == Car(
        *("A", "blue", ("red", "red"), 3, 4.0, 0.0, 5e3, (2001, 2002), ("x", "3")),
        wheels={"left": Wheel(12)},
        spare=Wheel(13, True),
        more={"anything": [1, None]},
    )
    assert (type(car.length), type(car.wheels["left"]), type(car.years)) == (float, Wheel, tuple)
    assert check(Car, {"name": "A"}, "car.yaml") == Car("A")
    assert pickle.loads(pickle.dumps(car)) == car
    assert asdict(car)["wheels"] == {"left": {"size": 12, "spare": False}}


def test_an_instance_is_checked_frozen_and_replaceable():
    wheel = Wheel(12)
    with pytest.raises(FrozenInstanceError):
        wheel.size = 3
    assert replace(wheel, spare=True) == Wheel(12, True)
    assert len({wheel, Wheel(12), Wheel(13)}) == 2
    with pytest.raises(FusionError, match=r"^wheel: size is 1.5, expected a whole number$"):
        replace(wheel, size=1.5)
    with pytest.raises(TypeError):
        Wheel()


WRONG = [
    ("name", None, "text"),
    ("name", True, "text"),
    ("colour", "green", "one of red, blue"),
    ("colour", ["red"], "one of red, blue"),
    ("colour", {}, "one of red, blue"),
    ("stripes", "red", "a list of red, blue, or of none of them"),
    ("stripes", ["red", "green"], "a list of red, blue, or of none of them"),
    ("stripes", [["red"]], "a list of red, blue, or of none of them"),
    *(("doors", value, "an integer of at least 1") for value in (0, -1, 1.0, "3", True, None)),
    *(("length", value, "a number above 0") for value in (0, -1, "1", float("nan"), float("inf"), True)),
    *(("fuel", value, "a number from 0 to below 1") for value in (-0.1, 1, float("nan"), None)),
    *(("debt", value, "a number of at least 0") for value in (-1e-9, float("inf"), float("nan"), "5e-4")),
    ("years", 3, "a list"),
    ("years", "ab", "a list"),
    ("wheels", [1], "a mapping"),
    ("more", 3, "a mapping"),
    ("spare", 3, "a mapping of keys"),
]


@pytest.mark.parametrize(("key", "value", "wanted"), WRONG)
def test_a_wrong_value_is_told_with_what_was_expected(key, value, wanted):
    with pytest.raises(FusionError) as raised:
        check(Car, {**GOOD, key: value}, "car.yaml")
    assert str(raised.value) == f"car.yaml: {key}: expected {wanted}, got {value!r}"
    with pytest.raises(FusionError) as raised:
        Car(**{**check(Car, GOOD, "").__dict__, key: value})
    assert str(raised.value) == f"car: {key} is {value!r}, expected {wanted}"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"years": [1, "x"]}, "years: 1: expected a whole number, got 'x'"),
        ({"wheels": {"left": {"size": "x"}}}, "wheels: left: size: expected a whole number, got 'x'"),
        ({"wheels": {"left": {"sice": 1}}}, "wheels: left: key 'sice' does not exist; did you mean 'size'?"),
        ({"wheels": {3: {}}}, "wheels: 3: key 'size' is missing"),
        ({"spare": {"size": 1, "colour": "red"}}, "spare: key 'colour' does not exist; known: size, spare"),
        ({"coler": "red", "doors": "x"}, "key 'coler' does not exist; did you mean 'colour'?"),
        ({3: "red"}, "key '3' does not exist; known: name, colour, "),
    ],
)
def test_the_place_of_a_wrong_key_or_value_is_told(change, told):
    with pytest.raises(FusionError) as raised:
        check(Car, {**GOOD, **change}, "car.yaml")
    assert str(raised.value).startswith(f"car.yaml: {told}")


def test_a_long_value_is_cut():
    with pytest.raises(FusionError) as raised:
        check(Car, {**GOOD, "doors": ["x"] * 10_000}, "car.yaml")
    assert len(str(raised.value)) < 200


def test_names_that_are_registered_later_count():
    COLOURS["green"] = 3
    try:
        assert Car("A", "green").colour == "green"
    finally:
        del COLOURS["green"]
    with pytest.raises(FusionError):
        Car("A", "green")


def test_what_is_known_of_keys():
    keys = {key.name: key for key in describe(Car)}
    assert list(keys) == list(GOOD)
    assert keys["name"] == Key("name", "text", True, "", "Of the car.", None)
    assert keys["doors"] == Key("doors", "an integer of at least 1", False, "4", "Of all kinds.", None)
    assert (keys["spare"].wanted, keys["spare"].default, keys["spare"].nested) == (
        "a mapping or null",
        "null",
        Wheel,
    )
    assert (keys["wheels"].wanted, keys["wheels"].default, keys["wheels"].nested) == (
        "a mapping",
        "{}",
        Wheel,
    )
    assert keys["owners"].wanted == "a list (each text) or null"
    assert [(key.text, key.default) for key in describe(Wheel)] == [
        ("In inches, outside.", ""),
        ("Whether it is one.", "false"),
    ]


def test_pairs():
    pairs = ["a=1", "b=5e-4", "c=x=y", "d=", "e=[1, 2]", "a=2"]
    assert read_settings(pairs, "--set") == {"a": 2, "b": 5e-4, "c": "x=y", "d": None, "e": [1, 2]}
    with pytest.raises(FusionError, match=r"^--set a: expected key=value$"):
        read_settings(["a"], "--set")
    with pytest.raises(FusionError, match=r"^--set a=\[: the value is not readable as YAML$"):
        read_settings(["a=["], "--set")


def test_pairs_over_values():
    values = {"a": {"b": 1, "c": 2}, "d": [{"e": 1}, 5], "f": None}
    override(values, ["a.b=3", "d.0.e=4", "d.1=6", "f=7", "g.h.i=8"], "--set")
    assert values == {"a": {"b": 3, "c": 2}, "d": [{"e": 4}, 6], "f": 7, "g": {"h": {"i": 8}}}
    for name, told in (("f.x", "'f' has no 'x'"), ("d.2", "'d' has no '2'"), ("d.x.y", "'d' has no 'x'")):
        with pytest.raises(FusionError, match=f"^--set {name}: {told}$"):
            override(values, [f"{name}=1"], "--set")


def test_passes_need_no_settings_library():
    """Extraction must import where only torch and what it needs are installed."""
    code = (
        "import sys\n"
        "for name in ('pydantic', 'lightgbm', 'nats_bench'):\n"
        "    sys.modules[name] = None\n"
        "import fusion.extraction, fusion.extraction.planner, fusion.indicators, fusion.images\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
