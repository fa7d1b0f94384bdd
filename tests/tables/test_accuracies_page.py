"""What docs/accuracies.md shows is read as it says."""

from __future__ import annotations

import re
from pathlib import Path

from fusion.spaces import make_space
from fusion.tables import read_accuracies
from fusion.tables.architectures import _NAMES

PAGE = (Path(__file__).parents[2] / "docs" / "accuracies.md").read_text(encoding="utf-8")


def test_the_table_at_the_top(tmp_path):
    space = make_space("nats-tss")
    (tmp_path / "a.csv").write_text(PAGE.split("```\n")[1])
    found = read_accuracies(tmp_path / "a.csv", space).by_arch
    assert found.tolist() == [93.63, 90.5, 91.25]
    assert found.index[1:].tolist() == [space.read("12839"), space.read("(4, 0, 3, 1, 4, 3)")]


def test_every_notation():
    rows = re.findall(r"^\| `(nats-\w+)` \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    examples = [(space, text, meant) for space, texts, meant in rows for text in re.findall("`(.*?)`", texts)]
    assert len(examples) == 7
    for name, text, meant in examples:
        space = make_space(name)
        arch = space.read(text)
        if match := re.fullmatch("`(.*)`", meant):
            assert arch == match[1]
        elif "official" in meant:
            assert arch == list(space.enumerate())[int(float(text))]


def test_names_of_the_column():
    named = PAGE.partition("**Architectures**")[2].partition(";")[0]
    assert tuple(re.findall("`(.*?)`", named)) == _NAMES
