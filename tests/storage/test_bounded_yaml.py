"""YAML from anywhere: what is read as meant, and what is refused in one line, at once."""

import pytest

from fusion.errors import FusionError
from fusion.storage.bounded_yaml import MAX_BYTES, MAX_DEPTH, parse_yaml, read_yaml

BOMB = "a: &a [x, x, x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}, *{before}, *{before}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-4", 5e-4),
        ("5E3", 5e3),
        ("-.5e+3", -500.0),
        ("1.5e3", 1500.0),
        ("0.1", 0.1),
        ("3", 3),
        ("5e4x", "5e4x"),
        ("e5", "e5"),
        ("2026-01-31", "2026-01-31"),
        ("2026-13-45", "2026-13-45"),
        ("true", True),
        ("null", None),
        ("'5e-4'", "5e-4"),
        ("{a: [1, {b: x}], c: }", {"a": [1, {"b": "x"}], "c": None}),
        ("", None),
    ],
)
def test_values(text, value):
    found = parse_yaml(text)
    assert (found, type(found)) == (value, type(value))


def test_nesting_up_to_the_limit():
    assert str(parse_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH)) == "[" * MAX_DEPTH + "]" * MAX_DEPTH


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, "an alias; write the value out"),
        ("a: &a [*a]", "an alias"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ("{a: " * 1000, "nested too deeply"),
        ("a: 1\nb: 2\na: 3", "the key 'a' twice"),
        ("x: {a: 1, a: 3}", "the key 'a' twice"),
        ("9" * 5000, "digits"),
        ("a: [", "expected"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("? [a]\n: 1", "unhashable"),
        (b"\xff\xfe\x00", "truncated"),
        (b"a: \xc3", "unexpected end of data"),
        ("a: \x00", "special characters"),
    ],
)
def test_what_is_refused(text, told):
    with pytest.raises(ValueError, match=told) as raised:
        parse_yaml(text)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


def test_files(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("a: 5e-4\n# é\n", encoding="utf-8")
    assert read_yaml(file, "recipe") == {"a": 5e-4}
    file.write_text("#" * (MAX_BYTES - 5) + "\na: 1", encoding="utf-8")
    assert read_yaml(file, "recipe") == {"a": 1}
    file.write_text("#" * MAX_BYTES + "\na: 1", encoding="utf-8")
    with pytest.raises(FusionError, match=rf"^recipe {file}: more than 1,048,576 bytes are too many"):
        read_yaml(file, "recipe")
    file.write_text("a: [", encoding="utf-8")
    with pytest.raises(FusionError, match=rf"^recipe {file}: not readable as YAML \("):
        read_yaml(file, "recipe")
    with pytest.raises(FusionError, match=r"^recipe .*: cannot be read \(Is a directory\)$"):
        read_yaml(tmp_path, "recipe")
    with pytest.raises(FusionError, match=r"^recipe .*b\.yaml: cannot be read \(No such file"):
        read_yaml(tmp_path / "b.yaml", "recipe")
