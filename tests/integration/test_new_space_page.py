"""The page "How to add a search space", followed to the letter in an empty folder."""

import json
import re

import pandas as pd
import pytest

from fusion.evaluation import split_half_reliability
from fusion.extraction.check import check_space
from fusion.spaces import make_space
from fusion.tables.encoding import encode
from fusion.tables.indicator_table import KEYS
from tests.integration.pages import Page
from tests.tables.reading import read_rows

PAGE = Page("new-space.md")
ARCHITECTURES = 42


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The folder in which the page's files were written and its commands run; what they printed."""
    folder = tmp_path_factory.mktemp("page")
    PAGE.write(folder, "stacks.py", "stacks.yaml")
    return folder, PAGE.follow(folder)


def test_the_file_is_short():
    assert len(PAGE.files["stacks.py"].splitlines()) <= 60
    assert [line.split()[1] for line in PAGE.commands] == ["check-space", "measure", "run", "search"]


def test_the_space_has_every_property(followed):
    assert "space stacks.py:Stacks: every property holds" in followed[1].splitlines()


def test_what_it_says_to_models(own_folder):
    described = next(
        block for block in re.findall(r"```python\n(.*?)```", PAGE.text, re.DOTALL) if "Described" in block
    )
    (own_folder / "stacks.py").write_text(PAGE.files["stacks.py"] + "\n\n" + described)
    for name in ("Stacks", "Described"):
        space = make_space(f"stacks.py:{name}")
        assert [of for of in check_space(space, 4) if of.property == "features"] == []
    found = encode(space, ["3x8-1x4", "3x16"])
    assert found["encoding.depth"].tolist() == [2, 1]
    assert found["encoding.kernel.1=1"].tolist() == [1, 0]
    assert found["encoding.width.0"].tolist() == [8, 16]


def test_all_are_measured_and_differ_by_more_than_noise(followed):
    table = pd.read_parquet(followed[0] / "measured" / "accuracies.parquet")
    assert len(table) == ARCHITECTURES
    assert split_half_reliability(table.filter(like="accuracy_seed_").to_numpy()) > 0.5


def test_the_report_judges_the_model(followed):
    folder, _ = followed
    rows = read_rows(folder / "out" / "indicators", KEYS)
    assert (rows["key"].nunique(), rows["indicator"].nunique()) == (ARCHITECTURES, 5)
    assert (rows["status"] == "ok").all()
    metrics = json.loads((folder / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["protocol"]["networks"] == ARCHITECTURES
    assert metrics["methods"]["weighted_sum"]["scores"]["srocc"]["mean"] > 0.3
    report = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "Plain stacks on digits" in report


def test_the_searches_stay_in_their_budget(followed):
    found = json.loads((followed[0] / "found" / "search.json").read_text(encoding="utf-8"))
    assert {"random", "predictor-evolution"} <= found["methods"].keys()
    for method in found["methods"].values():
        assert [len(trajectory) for trajectory in method["trajectories"]] == [16, 16]
