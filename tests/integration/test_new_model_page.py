"""The page "How to add a fusion model", followed to the letter with an installed package."""

import shlex

import numpy as np
import pandas as pd
import pytest

from tests.integration.pages import ROOT, Page, run
from tests.tables.reading import read_table

PAGE = Page("new-model.md")


@pytest.fixture(scope="module")
def folder(work, tmp_path_factory):
    """A folder with the installed package, a table and accuracies."""
    root = tmp_path_factory.mktemp("model")
    PAGE.write(root, "my_package/nearest.py")
    PAGE.install(root)
    (root / "table").symlink_to(work / "indicators")
    (root / "accuracies.csv").symlink_to(work / "accuracies.csv")
    return root


def test_every_command_of_the_page_works(folder):
    printed = PAGE.follow(folder)
    assert "nearest fitted on 40 architectures (" in printed
    # the mean accuracy of the five training architectures with the most similar ranks, the own one included
    found = pd.read_csv(folder / "predicted.csv").set_index("arch")["predicted"]
    accuracy = pd.read_csv(folder / "accuracies.csv").set_index("arch")["accuracy"]
    table = read_table(folder / "table")
    assert found.between(accuracy.min(), accuracy.max()).all()
    assert np.corrcoef(found, accuracy[found.index])[0, 1] > 0.2
    assert len(found) == 40 <= len(table)
    assert "nearest" in (folder / "judged" / "report.html").read_text(encoding="utf-8")


def test_the_tests_of_all_models_find_it(folder):
    (command,) = (shlex.split(line) for line in PAGE.commands if line.startswith("pytest "))
    printed = run(["-m", *command, "-v", "-p", "no:cacheprovider", "-p", "no:xdist"], folder, where=ROOT)
    assert "test_cross_val_score[nearest] PASSED" in printed
    assert "test_scikit_learns_own_checks[nearest] PASSED" in printed
