"""README and the pages of its doors: short, their commands are commands, their Python runs."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from fusion.cli.arguments import parser
from fusion.storage.bundled import bundled

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# with commands that name files which nobody has here, so that they are read and not run
READ = ["README.md", "docs/night.md", "docs/results.md", "CONTRIBUTING.md"]


def commands(page: str) -> list[str]:
    """Return the lines of a page's blocks that start with `fusion`, continued lines joined."""
    blocks = "".join(re.findall(r"^```(?:sh)?\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    lines = blocks.replace("\\\n", " ").splitlines()
    return [line.partition(" #")[0] for line in lines if line.startswith("fusion ")]


def test_readme_is_short():
    assert len(README.splitlines()) <= 110


@pytest.mark.parametrize("name", READ)
def test_every_command_has_the_options_that_it_is_shown_with(name, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    for line in commands((ROOT / name).read_text(encoding="utf-8")):
        try:
            words = shlex.split(line)[1:]
            parser(words[0]).parse_args(words)
        except SystemExit:
            pytest.fail(f"{line}: {capsys.readouterr().err}", pytrace=False)


def test_every_door_has_command_and_python_side_by_side():
    doors = README.split("\n## ")[1:4]
    assert [(len(commands(door)) > 1, door.count("```python")) for door in doors] == [(True, 1)] * 3


def row(page: str, start: str) -> list[str]:
    """Return the cells of the one row of a page's tables that starts so, but for the first."""
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_the_small_table_says_what_the_page_of_results_says():
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    sections = {text.splitlines()[0]: text for text in results.split("\n## ")}
    spaces = ["NATS-Bench, topology", "NATS-Bench, sizes", "NAS-Bench-101", "DARTS"]
    rows = {"`auto`, 100": "auto", "`lightgbm`": "lightgbm", "`weighted_sum`": "weighted_sum"}
    for start, model in rows.items():
        sroccs = [row(sections[name], f"**`{model}`**")[2].split()[0] for name in spaces]
        assert row(README, start) == sroccs
    transfer = sections["Trained on the spaces you have, used on one you do not"]
    assert row(README, "`auto`, no accuracies") == row(transfer, "`auto` |")[:4]
    for cell, name in zip(row(README, "best of 98"), spaces, strict=True):
        srocc, indicator = cell.rstrip(")").split(" (")
        assert row(sections[name], indicator)[2].split()[0] == srocc


def door(title: str) -> str:
    """Return the Python of the door whose title begins so."""
    return re.search(rf"^## {title}.*?```python\n(.*?)```", README, re.DOTALL | re.MULTILINE).group(1)


def page_file(page: str, name: str) -> str:
    """Return the block of a page of docs that belongs to the name before it."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.search(rf"`{re.escape(name)}`:\n\n```\w+\n(.*?)```", text, re.DOTALL).group(1)


@pytest.fixture
def one_process(monkeypatch):
    """Work as README has it, without the time that it takes to start processes."""
    monkeypatch.setattr("fusion.work.devices.default_workers", lambda: 1)


@pytest.mark.usefixtures("one_process")
def test_the_door_of_a_new_space(own_folder, capsys):
    (own_folder / "stacks.py").write_text(page_file("new-space.md", "stacks.py"))
    code = door("A new search space")
    for full, few in [
        ("epochs=4, seeds=2", "epochs=1, seeds=1, train_images=32"),
        ("enumerate(), images", 'enumerate(), "params,flops", images'),
    ]:
        assert full in code
        code = code.replace(full, few)
    exec(code, {})
    assert "params" in capsys.readouterr().out


@pytest.mark.usefixtures("one_process")
def test_the_doors_of_the_night_and_of_the_report(own_folder):
    measured = pd.read_parquet(bundled("data/digits-tss/accuracies.parquet"))
    measured[["arch", "accuracy"]].to_csv("accuracies.csv", index=False)
    code = door("Ten thousand")
    for full, few in [
        ('"nats-tss"', '"nats-tss", channels=4, cells=1'),
        ("10_000", "40"),
        ('"fast"', '"params,flops,naswot"'),
        ('"cifar-10-batches-py"', 'fusion.images("digits").batch(8)'),
    ]:
        assert full in code
        code = code.replace(full, few)
    names: dict = {}
    exec(code, names)
    assert len(names["table"].values()) > 30
    code = door("How far")
    for full, few in [("evaluate(data)", 'evaluate(data, ["weighted_sum"])'), ("budget=50", "budget=20")]:
        assert full in code
        code = code.replace(full, few)
    exec(code, {})
    assert "<svg" in (own_folder / "report.html").read_text(encoding="utf-8")
