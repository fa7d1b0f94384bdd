"""The page "How to add something from a package of your own", with its package installed."""

import importlib
import re

import pytest

from fusion.cli.catalogue import REGISTRIES
from fusion.evaluation import METRICS
from tests.integration.pages import Page, run

PAGE = Page("plugins.md")


def test_the_table_names_every_registry():
    rows = re.findall(r"^\| `(\w+)` \| `([\w.]+)\.(\w+)` \|", PAGE.text, re.MULTILINE)
    found = {what: getattr(importlib.import_module(module), name) for what, module, name in rows}
    assert found == REGISTRIES


def test_its_package_adds_a_metric(tmp_path):
    PAGE.write(tmp_path, "my_package/mae.py")
    PAGE.install(tmp_path)
    printed = PAGE.follow(tmp_path)
    assert re.search(r"^mae +Mean absolute error", printed, re.MULTILINE)
    code = "from fusion.evaluation import METRICS; print(METRICS['mae'].function([1, 2], [2, 4]))"
    assert run(["-c", code], tmp_path).split() == ["1.5"]


def test_its_python_prints_what_is_listed(capsys):
    (code,) = re.findall(r"```python\n(from.*?)```", PAGE.text, re.DOTALL)[:1]
    exec(code)
    assert capsys.readouterr().out == f"{METRICS}\n"
    assert METRICS["srocc"].function([1, 2, 3], [1, 3, 2]) == pytest.approx(0.5)
