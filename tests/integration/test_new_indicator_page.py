"""The page "How to add an indicator", followed to the letter in a copy of the package."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fusion.extraction.table import make_subject, read_table
from fusion.images import load_images
from fusion.probes import PROBES
from fusion.spaces import make_space

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "new-indicator.md").read_text(encoding="utf-8")
# a block belongs to the file whose name, with a colon, stands before it
FILES = dict(re.findall(r"`([\w./-]+)`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL))
NAME = "code_distance"


COMMANDS = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).splitlines()
# one process for all lines, since most of the time of each would go into importing torch
RUN = """
import contextlib, shlex, sys
from fusion.cli import main
for line in sys.stdin.read().splitlines():
    command, _, file = line.partition(" > ")
    with open(file or "printed.txt", "a", encoding="utf-8") as out, contextlib.redirect_stdout(out):
        if main(shlex.split(command)[1:]):
            sys.exit(line)
"""


def run(arguments: list[str], folder: Path, text: str = "") -> str:
    """Run Python in `folder`, whose packages come before all others; return what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        input=text,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout with the files of part A."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("fusion", "tests/indicators"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "tests/conftest.py", "data/digits-tss/accuracies.parquet"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / "docs").mkdir()
    for name in (f"fusion/indicators/{NAME}.py", "small.yaml"):
        assert not (root / name).exists()
        (root / name).write_text(FILES[name], encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def followed(checkout):
    """The checkout in which every `fusion` command of the page was run."""
    run(["-c", RUN], checkout, "\n".join(line for line in COMMANDS if line.startswith("fusion ")))
    return checkout


def test_it_is_in_the_list_and_on_the_page(followed):
    lines = (followed / "printed.txt").read_text(encoding="utf-8").splitlines()
    assert NAME in [line.split()[0] for line in lines]
    assert f"## {NAME}\n" in (followed / "docs" / "indicators.md").read_text(encoding="utf-8")


def test_it_is_in_the_table(followed):
    values = read_table(followed / "table")[NAME]
    assert values.notna().any()
    assert values.dropna().between(0, 1).all()


def test_it_is_in_the_report(followed):
    metrics = json.loads((followed / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["methods"][NAME]["kind"] == "indicator"
    assert metrics["methods"][NAME]["srocc"]["mean"] is not None
    assert NAME in metrics["equations"]["weighted_sum"]
    assert NAME in (followed / "out" / "report.html").read_text(encoding="utf-8")


def test_its_reference_and_the_contract_are_tested(checkout):
    references = "tests/indicators/test_indicator_references.py"
    with open(checkout / references, "a", encoding="utf-8") as file:
        file.write("\n\n" + FILES[references])
    (command,) = (line for line in COMMANDS if line.startswith("pytest "))
    told = run(["-m", *shlex.split(command), "-v", "-p", "no:cacheprovider"], checkout)
    assert f"test_equals_its_reference[{NAME}] PASSED" in told
    assert f"test_alone_equals_among_all_in_any_order[{NAME}] PASSED" in told


def test_a_package_with_the_entry_point_does_the_same(tmp_path):
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").touch()
    (tmp_path / "my_package" / f"{NAME}.py").write_text(FILES[f"fusion/indicators/{NAME}.py"])
    installed = tmp_path / "my_package-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    group, entry = re.fullmatch(
        r"\[project\.entry-points\.\"(.+)\"\]\n(.+)\n", FILES["pyproject.toml"]
    ).groups()
    (installed / "entry_points.txt").write_text(f"[{group}]\n{entry}\n".replace('"', ""))
    rows = json.loads(run(["-m", "fusion.cli", "list", "indicators", "--json"], tmp_path))
    (row,) = (row for row in rows if row["name"] == NAME)
    assert row["family"] == f"my_package.{NAME}"
    assert "fast" in row["presets"]


def test_the_new_observation_is_what_the_page_says():
    space = make_space("nats-tss", {"channels": 4, "cells": 1})
    arch = space.canonical(space.sample(1, 0)[0])
    subject = make_subject(space, arch, load_images("digits").batch(6), seed=0, repeat=0)
    try:
        exec(FILES["fusion/probes/evaluation_pass.py"], {"__name__": "evaluation_pass"})
        found = PROBES["evaluation_pass"].run(subject, frozenset({"evaluation_logits"}))
    finally:
        PROBES._items.pop("evaluation_pass", None)
    assert found["evaluation_logits"].shape == (6, 10)
    assert subject.network.training
