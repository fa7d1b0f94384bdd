"""The page "Fusion models", followed to the letter."""

import re

import numpy as np
import pytest

from fusion.extraction import extract
from fusion.images import load_images
from fusion.regression import Predictor
from fusion.work import Work
from tests.integration.pages import Page
from tests.tables.small import SPACE, distinct

PAGE = Page("models.md")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with what the page starts from."""
    monkeypatch.chdir(tmp_path)
    archs = distinct(24)
    batch = load_images("noise:1x8x8").batch(8, 0)
    extract(
        SPACE, archs, "params,flops,depth", images=batch, out="table", work=Work(workers=1, progress=False)
    )
    (tmp_path / "accuracies.csv").write_text(
        "arch,accuracy\n" + "".join(f"{arch},{60 + i}\n" for i, arch in enumerate(archs))
    )
    (tmp_path / "archs.csv").write_text("arch\n" + "\n".join(archs[:3]) + "\n")
    return tmp_path


def test_the_commands_of_the_page(folder):
    printed = PAGE.follow(folder)
    assert printed.count("3 architectures predicted (3 ") == 2
    assert (folder / "model" / "card.md").exists()
    assert (folder / "predicted-indicators" / "meta.json").exists()
    assert printed.count("What carries weighted_sum") == 2
    assert (folder / "explanation.png").exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_python_of_the_page(folder, capsys):
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.text, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(block, names)
    printed = capsys.readouterr().out
    assert "score = " in printed
    assert "24 architectures, 24 different networks" in printed
    assert np.array_equal(
        Predictor.load("model").predict(names["table"]), names["predictor"].predict(names["table"])
    )
