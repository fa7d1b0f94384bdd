"""The page "How to add an indicator", followed to the letter in a copy of the package."""

import json
import shlex
import shutil

import pytest

from fusion.extraction.subject import make_subject
from fusion.images import load_images
from fusion.probes import PROBES
from fusion.spaces import make_space
from tests.integration.pages import ROOT, Page, run
from tests.tables.reading import read_table

PAGE = Page("new-indicator.md")
NAME = "code_distance"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout with the files of part A."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("fusion", "tests/indicators", "data/digits-tss"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "tests/conftest.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / "docs").mkdir()
    for name in (f"fusion/indicators/{NAME}.py", "small.yaml"):
        assert not (root / name).exists()
        PAGE.write(root, name)
    return root


@pytest.fixture(scope="module")
def followed(checkout):
    """The checkout in which every `fusion` command of the page was run, and what they printed."""
    return checkout, PAGE.follow(checkout)


def test_it_is_in_the_list_and_on_the_page(followed):
    folder, printed = followed
    assert NAME in [line.split()[0] for line in printed.splitlines() if line]
    assert f"## {NAME}\n" in (folder / "docs" / "indicators.md").read_text(encoding="utf-8")


def test_it_is_in_the_table(followed):
    values = read_table(followed[0] / "table")[NAME]
    assert values.notna().any()
    assert values.dropna().between(0, 1).all()


def test_it_is_in_the_report(followed):
    folder, _ = followed
    metrics = json.loads((folder / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["methods"][NAME]["kind"] == "indicator"
    assert metrics["methods"][NAME]["scores"]["srocc"]["mean"] is not None
    assert NAME in metrics["equations"]["weighted_sum"]
    assert NAME in (folder / "out" / "report.html").read_text(encoding="utf-8")


def test_its_reference_and_the_contract_are_tested(checkout):
    references = "tests/indicators/test_indicator_references.py"
    with open(checkout / references, "a", encoding="utf-8") as file:
        file.write("\n\n" + PAGE.files[references])
    (command,) = (line for line in PAGE.commands if line.startswith("pytest "))
    told = run(["-m", *shlex.split(command), "-v", "-p", "no:cacheprovider"], checkout)
    assert f"test_equals_its_reference[{NAME}] PASSED" in told
    assert f"test_alone_equals_among_all_in_any_order[{NAME}] PASSED" in told


def test_a_package_with_the_entry_point_does_the_same(tmp_path):
    PAGE.install(tmp_path)
    (tmp_path / "my_package" / f"{NAME}.py").write_text(PAGE.files[f"fusion/indicators/{NAME}.py"])
    rows = json.loads(run(["-m", "fusion", "list", "indicators", "--json"], tmp_path))
    (row,) = (row for row in rows if row["name"] == NAME)
    assert row["family"] == f"my_package.{NAME}"
    assert "fast" in row["presets"]


def test_the_new_observation_is_what_the_page_says():
    space = make_space("nats-tss", {"channels": 4, "cells": 1})
    arch = space.canonical(space.sample(1, 0)[0])
    subject = make_subject(space, arch, load_images("digits").batch(6), seed=0, repeat=0)
    try:
        exec(PAGE.files["fusion/probes/evaluation_pass.py"], {"__name__": "evaluation_pass"})
        found = PROBES["evaluation_pass"].run(subject, frozenset({"evaluation_logits"}))
    finally:
        PROBES._items.pop("evaluation_pass", None)
    assert found["evaluation_logits"].shape == (6, 10)
    assert subject.network.training
