"""The page of indicators is the one that the registry makes, and it is valid Markdown."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from fusion.cli import main
from fusion.cli.catalogue import indicators_page
from fusion.indicators import INDICATORS, PRESETS, select

DOCS = Path(__file__).parents[1] / "docs"


def rows_of(page: str) -> list[list[str]]:
    """Return the cells of all rows of all tables."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_committed_page_is_what_the_registry_says():
    page = DOCS / "indicators.md"
    if not page.exists() or page.read_text(encoding="utf-8") != indicators_page():
        pytest.fail("outdated; run: fusion list indicators --markdown > docs/indicators.md", pytrace=False)


def test_the_command_prints_the_page(capsys):
    assert main(["list", "indicators", "--markdown"]) == 0
    assert capsys.readouterr().out == indicators_page()


def test_other_lists_have_no_page(capsys):
    assert main(["list", "models", "--markdown"]) == 1
    assert "--json" in capsys.readouterr().err


def test_tables_are_whole_and_name_every_indicator():
    page = indicators_page()
    for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        head, line, *rows = rows_of(table)
        assert set(line) == {"---"}
        assert {len(row) for row in (line, *rows)} == {len(head)}, head
        assert all(cell.count("`") % 2 == 0 for row in rows for cell in row), head
    for name in INDICATORS:
        assert f"`{name}`" in page, name
    for preset in PRESETS:
        assert [f"`{preset}`", str(len(select(preset)))] in [
            [row[0], row[1].split(":")[0]] for row in rows_of(page)
        ]


def test_large_families_are_joined_by_the_beginning_of_the_name(monkeypatch):
    def function(parameter_count):
        return float(parameter_count)

    function.__module__ = "fusion.indicators.structure"
    for kind in ("width", "depth"):
        for i in range(10):
            name = f"made_{kind}_{i}"
            made = replace(INDICATORS["params"], name=name, formula=f"{kind} | {i}", function=function)
            monkeypatch.setitem(INDICATORS._items, name, made)
    rows = rows_of(indicators_page())
    (width,) = (row for row in rows if row[0].startswith("`made_width_0`, `made_width_1`"))
    assert width[0].endswith("`made_width_9`")
    assert width[1:] == ["↑", "structure", r"`width \| 0`"]
    assert sum("made_depth_" in row[0] for row in rows) == 1


def test_json_says_family_and_presets(capsys):
    assert main(["list", "indicators", "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    keys = {"name", "summary", "formula", "source", "higher_is_better", "cost", "assumes", "needs", "version"}
    assert all(row.keys() == keys | {"family", "presets"} for row in found.values())
    assert found["cj"]["family"] == "jacobian"
    for preset in PRESETS:
        assert [name for name in found if preset in found[name]["presets"]] == sorted(
            select(preset), key=list(found).index
        )


def test_links_between_pages_lead_somewhere():
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([\w./-]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert (DOCS / target).exists(), (page.name, target)
