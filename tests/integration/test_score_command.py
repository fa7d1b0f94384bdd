"""`fusion score` on a user's own file, as a user runs it."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from fusion.cli import main
from fusion.extraction.scoring import score
from fusion.images import load_images
from fusion.indicators import select

CODE = """
from torch import nn

def mine(channels=4, activation="ReLU"):
    return nn.Sequential(
        *(nn.Conv2d(1, channels, 3), getattr(nn, activation)(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(channels, 10),
    )

ready = mine()
number = 3

def broken():
    return number
"""
OPTIONS = ["--images", "digits", "--batch-size", "8", "--device", "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with networks of the user's own."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_networks.py").write_text(CODE)
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    """The same as the current folder of this process."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield folder
    sys.modules.pop("own_networks", None)


def run(folder, *arguments):
    command = [sys.executable, "-m", "fusion", "score", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_table_of_a_function_in_a_file(folder):
    done = run(folder, "own_networks.py:mine", *OPTIONS)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    values = [line for line in printed if not line.startswith("no value: ")]
    reasons = [line for line in printed if line.startswith("no value: ")]
    found = dict(line.split() for line in values)
    assert found["params"] == "90"
    assert [name for name in select("standard") if name in found] == list(found)
    assert any("search space" in line and "nlr" in line for line in reasons)
    assert any("graph_" in line and "more" in line for line in reasons)
    assert len({len(line) for line in values}) == 1


def test_json_and_csv_of_a_function_of_a_module_with_arguments(folder):
    arguments = ["--args", "channels=8", "activation=SiLU", "--json", "--out", "scores.csv"]
    done = run(folder, "own_networks:mine", *OPTIONS, *arguments)
    assert done.returncode == 0, done.stderr
    rows = {row["indicator"]: row for row in json.loads(done.stdout)}
    assert list(rows) == select("standard")
    assert rows["params"]["value"] == 8 * 10 + 8 * 10 + 10
    assert rows["nlr"]["value"] is None
    assert "search space" in rows["nlr"]["status"]
    assert rows["naswot"]["status"].startswith("ok: codes are the signs of the inputs")
    assert all(set(row) == {"indicator", "value", "status", "assumes", "seconds"} for row in rows.values())
    table = pd.read_csv(folder / "scores.csv", index_col="indicator")
    for name, row in rows.items():
        assert row["value"] is None or table.loc[name, "value"] == row["value"]
        assert table.loc[name, "value"] == row["value"] or pd.isna(table.loc[name, "value"])
        assert table.loc[name, "status"] == row["status"]


def test_the_command_gives_what_python_gives(here, capsys):
    assert main(["score", "own_networks:ready", *OPTIONS, "--seed", "3", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    ready = sys.modules["own_networks"].ready
    expected = score(ready, load_images("digits").batch(8, 3), seed=3)
    for row in rows:
        value = expected.loc[row["indicator"], "value"]
        assert row["value"] is None if pd.isna(value) else row["value"] == value


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere:mine"], "no module 'nowhere'"),
        (["nowhere.py:mine"], "no such file"),
        (["own_networks"], "expected module:name"),
        (["own_networks:main"], "did you mean 'mine'"),
        (["own_networks:number"], "but got int"),
        (["own_networks:broken"], "returned int"),
        (["own_networks:ready", "--args", "channels=8"], "only a function takes arguments"),
        (["own_networks:mine", "--args", "channels"], "--args channels: expected key=value"),
        (["own_networks:mine", "--args", "depth=8"], "unexpected keyword argument 'depth'"),
        (["own_networks:mine", "--images", "noise:3x8x8"], "3 channels"),
        (["own_networks:mine", "--indicators", "naswott"], "did you mean 'naswot'"),
        (["own_networks:mine", "--device", "gpu"], "auto, cpu, cuda"),
        (["own_networks:mine", "--indicators", "params", "--out", "no/where.csv"], "no/where.csv"),
    ],
)
def test_bad_input_is_one_line(here, capsys, arguments, told):
    network, *more = arguments
    assert main(["score", network, *OPTIONS, *more]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("fusion: ")
    assert told in line


def test_the_documented_example_runs(here, capsys):
    page = (Path(__file__).parents[2] / "docs" / "score.md").read_text()
    (here / "tiny.py").write_text(re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1))
    command, printed = re.search(r"```\n\$ fusion (.*?)\n(.*?)```", page, re.DOTALL).groups()
    assert main(shlex.split(command)) == 0
    found, told = capsys.readouterr().out.splitlines(), printed.splitlines()
    assert len(found) == len(told)
    for line, expected in zip(found, told, strict=True):
        if line.startswith("no value: "):
            assert line == expected
            continue
        (name, value), (named, number) = line.split(), expected.split()
        assert name == named
        # another machine's kernels may round otherwise
        assert float(value) == pytest.approx(float(number), rel=0.05)
