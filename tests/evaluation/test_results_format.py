"""docs/results-format.md documents every field of every result, and no other."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from fusion.evaluation import evaluation, fronts, results

PAGE = (Path(__file__).parents[2] / "docs" / "results-format.md").read_text(encoding="utf-8")
SECTIONS = {
    part.split("\n", 1)[0].strip(): re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", part, re.MULTILINE)
    for part in PAGE.split("\n## ")[1:]
}
CLASSES = {
    name: cls
    for module in (results, evaluation, fronts)
    for name, cls in vars(module).items()
    if isinstance(cls, type) and cls.__module__ == module.__name__ and hasattr(cls, "__dataclass_fields__")
}
# what `judge` hands on, which is in no file
del CLASSES["Judged"]


def test_every_class_has_a_section():
    assert set(SECTIONS) == set(CLASSES)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_section_has_every_field_in_order(name):
    assert SECTIONS[name] == [of.name for of in fields(CLASSES[name])]


def test_the_number_of_the_format_is_that_of_the_page():
    assert f"`format`, now {evaluation.FORMAT};" in PAGE
