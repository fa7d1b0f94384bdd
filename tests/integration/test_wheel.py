"""The wheel, unpacked into an empty folder: what it brings predicts the architectures of its spaces."""

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
PREDICT = """
import sys
import pandas as pd
import fusion
from fusion.cli import main
for name in sys.argv[1:]:
    archs = fusion.load(name).space.sample(10, seed=7)
    pd.DataFrame({"arch": archs}).to_csv(f"{name}-archs.csv", index=False)
    predict = ["predict", "--model", name, "--archs", f"{name}-archs.csv", "--interval", "0.9"]
    if main([*predict, "--out", f"{name}.csv"]):
        sys.exit(name)
print(fusion.__file__)
print(*fusion.list_shipped())
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A folder that holds what the wheel holds."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "from setuptools import build_meta; print(build_meta.build_wheel(__import__('sys').argv[1]))"
    source = folder / "source"
    source.mkdir()
    for name in ("fusion", "pipelines", "models", "data"):
        (source / name).symlink_to(ROOT / name)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_ten_strings_of_each_space_are_predicted_in_an_empty_folder(unpacked, tmp_path):
    names = sorted(folder.name for folder in (ROOT / "models").iterdir() if folder.is_dir())
    apart = ("zero", "digits-tss", "zoo-imagenet")
    names = [name for name in names if not name.endswith("-structure") and name not in apart]
    assert len(names) >= 12
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, *names],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    *_, where, listed = done.stdout.splitlines()
    assert Path(where).is_relative_to(unpacked)
    assert {*names, *apart} <= {*listed.split()}
    for name in names:
        found = pd.read_csv(tmp_path / f"{name}.csv")
        assert list(found.columns) == ["arch", "predicted", "low", "high", "rank", "source"]
        assert len(found) == 10
        assert set(found["source"]) <= {"table", "structure"}
        assert ((found["low"] <= found["predicted"]) & (found["predicted"] <= found["high"])).all()
        assert found["predicted"].between(0, 100).all()


@pytest.mark.skipif(find_spec("timm") is not None, reason="timm is installed")
def test_real_networks_are_predicted_with_their_library_alone(unpacked, tmp_path):
    (tmp_path / "a.csv").write_text("arch\ntimm:resnet18\n")
    command = ["predict", "--model", "zoo-imagenet", "--archs", "a.csv", "--out", "p.csv"]
    done = subprocess.run(
        [sys.executable, "-m", "fusion", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "pip install 'fusion-nas[zoo]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
