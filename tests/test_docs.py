"""Pages of indicators and pipelines are those that the code makes, and they are valid Markdown."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from fusion.cli import main
from fusion.cli.catalogue import catalogue, indicators_page, page
from fusion.evaluation import DEFAULT_MODELS
from fusion.indicators import INDICATORS, PRESETS, select
from fusion.pipeline.config import Pipeline, SearchSettings, load_pipeline
from fusion.regression import MODELS, ModelSpec, make_model, models_page

DOCS = Path(__file__).parents[1] / "docs"


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of all rows of all tables."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


PAGES = pytest.mark.parametrize(
    ("what", "file"),
    [("indicators", "indicators.md"), ("models", "known-models.md"), ("pipeline-keys", "pipelines.md")],
)


@PAGES
def test_the_committed_page_is_what_the_registry_says(what, file):
    committed = DOCS / file
    if not committed.exists() or committed.read_text(encoding="utf-8") != page(what):
        pytest.fail(f"outdated; run: fusion list {what} --markdown > docs/{file}", pytrace=False)


@PAGES
def test_the_command_prints_the_page(what, file, capsys):
    assert main(["list", what, "--markdown"]) == 0
    assert capsys.readouterr().out == page(what)


@PAGES
def test_tables_are_whole(what, file):
    for table in re.findall(r"(?:^\|.*\n)+", page(what), re.MULTILINE):
        head, line, *rows = rows_of(table)
        assert set(line) == {"---"}
        assert {len(row) for row in (line, *rows)} == {len(head)}, head
        assert all(cell.count("`") % 2 == 0 for row in rows for cell in row), head


def test_the_page_of_pipelines_names_every_key_and_its_example_is_a_pipeline(tmp_path):
    rows = {(row[0], row[2]) for row in rows_of(page("pipeline-keys"))}
    assert {
        ("`train_size`", "`null`"),
        ("`repeats`", "`1`"),
        ("`seed`", "`0`"),
        ("`device`", "`auto`"),
    } <= rows
    assert ("`title`", "(required)") in rows
    names = [row["name"] for row in catalogue("pipeline-keys")]
    assert len(set(names)) == len(names)
    for cls, prefix in ((Pipeline, ""), (ModelSpec, "models.NAME."), (SearchSettings, "search.")):
        assert {f"{prefix}{field.name}" for field in fields(cls)} <= set(names)
    (example,) = re.findall(r"```yaml\n(.*?)```", page("pipeline-keys"), re.DOTALL)
    (tmp_path / "example.yaml").write_text(example)
    assert load_pipeline(tmp_path / "example.yaml").models.keys() == {*DEFAULT_MODELS}


def test_other_lists_have_no_page(capsys):
    assert main(["list", "spaces", "--markdown"]) == 1
    assert "--json" in capsys.readouterr().err


def test_the_page_of_models_says_what_each_is_and_every_setting_of_it():
    text = models_page()
    for name, model in MODELS.items():
        (section,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert model.source in section
        settings = {row[0]: row for row in rows_of(section)}
        for setting, default in make_model(name).get_params().items():
            assert settings[f"`{setting}`"][1] == f"`{default!r}`"
        both = model.uses_labels and not model.needs_labels
        gives = "accuracy; score without accuracies" if both else model.gives
        assert f"| [`{name}`](#{name}) | {gives} |" in text
    assert all(row[2] for row in rows_of(text) if row[0] in ("`penalty`", "`n_members`", "`constraint`"))


def test_the_page_names_every_indicator():
    text = indicators_page()
    for name in INDICATORS:
        assert f"`{name}`" in text, name
    for preset in PRESETS:
        assert [f"`{preset}`", str(len(select(preset)))] in [
            [row[0], row[1].split(":")[0]] for row in rows_of(text)
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
