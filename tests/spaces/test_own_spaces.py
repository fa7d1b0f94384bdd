"""A space of the user's own, named by its file: built, stored, resumed, and found again."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor

import fusion.extraction.verb
from fusion.cli import main
from fusion.errors import FusionError
from fusion.extraction.verb import extract
from fusion.images import load_images
from fusion.spaces import SPACES, make_space, restore_space
from fusion.storage.parts import read_meta
from fusion.work import Work
from tests.tables.reading import read_table

CODE = """
from torch import nn

from fusion.errors import InvalidArchitecture
from fusion.spaces import Space


class Plain(Space):
    name = "plain"
    summary = "one convolution of 1 to 60 channels"
    source = "this test"

    def __init__(self, kernel=3):
        if kernel % 2 == 0:
            raise ValueError("kernel must be odd")
        self.kernel = kernel

    @property
    def settings(self):
        return {"kernel": self.kernel}

    def __len__(self):
        return 60

    def enumerate(self):
        return map(str, range(1, 61))

    def canonical(self, arch):
        if arch not in self.enumerate():
            raise InvalidArchitecture(f"{arch!r} is not 1 to 60")
        return arch

    def neighbours(self, arch):
        return [str(n) for n in (int(arch) - 1, int(arch) + 1) if 1 <= n <= 60]

    def build(self, arch, *, in_channels=3, num_classes=10):
        width = int(arch)
        return nn.Sequential(
            nn.Conv2d(in_channels, width, self.kernel, padding="same"), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes),
        )

    def thin(self):
        return Plain(kernel=1)


class Unfinished(Space):
    name = "unfinished"


nothing = 3
"""
IMAGES = ["--images", "digits", "--batch-size", "8", "--workers", "1"]
SPACE = ["--space", "own_plain.py:Plain"]
TABLE = ["--indicators", "table", "--accuracies", "accuracies.csv", "--target", "accuracy"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A current folder with `own_plain.py`; paths and modules are afterwards as before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "own_plain.py").write_text(CODE)
    yield tmp_path
    sys.modules.pop("own_plain", None)


def test_it_is_the_space_that_the_file_defines(folder):
    space = make_space("own_plain.py:Plain", {"kernel": 5})
    assert (space.name, space.settings, len(space)) == ("plain", {"kernel": 5}, 60)
    assert space.identity["space"] == "own_plain.py:Plain"
    assert space.identity["space_folder"] == str(folder)
    again = restore_space(space.identity, "own_plain.py:Plain")
    assert type(again) is type(space)
    assert again.settings == {"kernel": 5}
    assert "plain" not in SPACES


def test_the_identity_of_other_spaces(folder):
    for name in SPACES:
        assert make_space(name).identity == {"space": name, "space_settings": make_space(name).settings}
    (folder / "own_package").mkdir()
    (folder / "own_package" / "__init__.py").touch()
    (folder / "own_package" / "inner.py").write_text(CODE)
    inner = make_space("own_package.inner:Plain")
    assert inner.identity == {"space": "own_package.inner:Plain", "space_settings": inner.settings}
    assert type(restore_space(inner.identity, "own_package.inner:Plain")) is type(inner)


def test_a_table_is_not_added_to_after_the_class_changed(folder, capsys):
    extract = ["extract", "--space", "own_plain.py:Plain", "--archs", "sample:1", *IMAGES, "--out", "table"]
    extract += ["--indicators", "params"]
    assert main(extract) == 0
    changed = CODE.replace("nn.ReLU()", "nn.SiLU()")
    for text, code in ((f"{CODE}\n# a comment\n", 0), (f"{CODE}\n\nmore = 1\n", 0), (changed, 1)):
        del sys.modules["own_plain"]
        (folder / "own_plain.py").write_text(text)
        assert main(extract) == code
    assert "space_code is" in capsys.readouterr().err
    pd.DataFrame({"arch": ["1", "2"], "accuracy": [1.0, 2.0]}).to_csv("accuracies.csv", index=False)
    fit = ["fit", *TABLE, "--model", "weighted_sum", "--out", "model"]
    assert main([*fit, *SPACE]) == 1
    assert "its code has changed since table was made" in capsys.readouterr().err


REGISTERED = CODE.replace("import Space\n", "import SPACES, Space\n").replace(
    "class Plain", "@SPACES.register\nclass Plain"
)


def test_registered_in_its_own_file_it_is_still_found_by_the_file(folder):
    (folder / "own_plain.py").write_text(REGISTERED)
    try:
        assert make_space("own_plain.py:Plain").identity["space"] == "own_plain.py:Plain"
    finally:
        SPACES._items.pop("plain", None)


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("own_plain.py:Plane", {}, "has no 'Plane'; did you mean 'Plain'"),
        ("own_plane.py:Plain", {}, "no such file"),
        ("own_plain.py:nothing", {}, "expected a class derived from fusion.spaces.Space, got 3"),
        ("own_plain.py:nn", {}, "expected a class derived from fusion.spaces.Space"),
        ("own_plain.py:Unfinished", {}, "abstract"),
        ("own_plain.py:Plain", {"width": 3}, "unexpected keyword argument 'width'"),
        ("own_plain.py:Plain", {"kernel": 2}, "kernel must be odd"),
    ],
)
def test_what_is_no_space(name, settings, told):
    with pytest.raises(FusionError, match=told) as raised:
        make_space(name, settings)
    assert "\n" not in str(raised.value)


def test_workers_compute_the_same(folder):
    """Also those that were started before the file was named."""
    batch, names = load_images("digits").batch(8), ["params", "naswot", "nlr"]
    known = make_space("nats-sss", {"divisor": 8})
    one, two = Work("cpu", 1, progress=False), Work("cpu", 2, progress=False)
    extract(known, known.sample(2, 0), ["params"], images=batch, out="known", work=two)
    try:
        space = make_space("own_plain.py:Plain")
        table = extract(space, ["3", "7", "5"], names, images=batch, out="two", work=two).values()
    finally:
        get_reusable_executor().shutdown()  # its workers know folders of this test
    assert table["params"].tolist() == [9 * n + n + 10 * n + 10 for n in (3, 7, 5)]
    again = extract(space, ["3", "7", "5"], names, images=batch, out="one", work=one).values()
    pd.testing.assert_frame_equal(again, table)


def test_a_table_is_resumed_from_another_folder(folder, monkeypatch):
    extract_command = ["extract", *IMAGES, "--archs", "sample:4", "--indicators", "params", "--out"]
    assert main([*extract_command, "table", "--space", "own_plain.py:Plain"]) == 0
    assert read_meta(folder / "table")["space_folder"] == str(folder)

    def never(*arguments, **options):
        raise AssertionError("computed again")

    monkeypatch.setattr(fusion.extraction.verb, "compute", never)
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    assert main([*extract_command, "../table", "--space", "../own_plain.py:Plain"]) == 0


def test_what_was_moved_together_is_found_in_the_current_folder(folder, monkeypatch, capsys):
    extract_command = ["extract", *IMAGES, "--space", "own_plain.py:Plain", "--indicators", "params"]
    assert main([*extract_command, "--archs", "sample:4", "--out", "table"]) == 0
    archs = list(read_table(folder / "table", SPACE[1]).index)
    pd.DataFrame({"arch": archs, "accuracy": [1.0, 2.0, 3.0, 4.0]}).to_csv("accuracies.csv", index=False)
    moved = folder / "moved"
    moved.mkdir()
    for name in ("own_plain.py", "table", "accuracies.csv"):
        (folder / name).rename(moved / name)
    sys.modules.pop("own_plain")
    fit = ["fit", *TABLE, *SPACE, "--model", "weighted_sum", "--out", "model"]
    assert main(fit) == 1
    monkeypatch.chdir(moved)
    assert main(fit) == 0
    assert main([*extract_command, "--archs", "sample:5", "--out", "table"]) == 0


def test_models_and_searches_find_it_again(folder, monkeypatch, capsys):
    archs = [str(n) for n in range(1, 61)]
    pd.DataFrame({"arch": archs, "accuracy": [10 + n**0.5 for n in range(1, 61)]}).to_csv(
        "accuracies.csv", index=False
    )
    pd.DataFrame({"arch": archs[5:9]}).to_csv("archs.csv", index=False)
    space = ["--space", "own_plain.py:Plain", "--archs", "all", "--indicators", "params,flops"]
    assert main(["extract", *IMAGES, *space, "--out", "table"]) == 0
    assert main(["fit", *TABLE, *SPACE, "--model", "weighted_sum", "--out", "model"]) == 0
    sys.modules.pop("own_plain")  # as in a later process
    predict = ["predict", *SPACE, "--model", "model", "--archs", "archs.csv", "--out", "predicted.csv"]
    assert main([*predict, "--workers", "1"]) == 0
    assert pd.read_csv("predicted.csv")["predicted"].is_monotonic_increasing
    assert len(read_table(folder / "predicted-indicators", SPACE[1])) == 4
    sizes = ["--budget", "8", "--initial", "4", "--rounds", "1", "--candidates", "6", "--repeats", "1"]
    search = ["search", *TABLE, *SPACE, *sizes, "--model", "weighted_sum", "--workers", "1"]
    assert main([*search, "--out", "found"]) == 0
    assert json.loads((folder / "found" / "search.json").read_text())["best_known"] == 10 + 60**0.5


def listed_with(folder, code):
    """What `fusion list spaces` says where a package with this module is installed."""
    (folder / "own_package").mkdir()
    (folder / "own_package" / "__init__.py").touch()
    (folder / "own_package" / "spaces.py").write_text(code)
    installed = folder / "own_package-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[fusion.spaces]\nplain = own_package.spaces\n")
    return subprocess.run(
        [sys.executable, "-m", "fusion", "list", "spaces", "--json"],
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def test_an_installed_package_adds_its_spaces(folder):
    done = listed_with(folder, REGISTERED)
    assert done.returncode == 0, done.stderr
    (row,) = (row for row in json.loads(done.stdout) if row["name"] == "plain")
    assert (row["architectures"], row["settings"]) == (60, {"kernel": 3})


def test_a_package_that_cannot_be_imported_is_named(folder):
    done = listed_with(folder, "import nowhere_at_all")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "fusion: entry point 'plain = own_package.spaces' of the group fusion.spaces"
    )
    assert len(done.stderr.splitlines()) == 1


NETWORK = """
class Network(nn.Module):
    def __init__(self, width, channels, classes):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width)
        self.body = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x):
        x = self.body(self.norm(self.conv(x)).relu()).relu()
        x = nn.functional.adaptive_avg_pool2d(x, 2)
        return self.head(x.FLATTENED)


class Spelled(Plain):
    def build(self, arch, *, in_channels=3, num_classes=10):
        return Network(int(arch), in_channels, num_classes)

    def thin(self):
        return self
"""


@pytest.mark.parametrize("images", ["digits", "noise:3x8x8"])
def test_a_network_that_views_its_features_gets_what_another_spelling_gets(folder, images):
    batch, one, found = load_images(images).batch(8), Work("cpu", 1, progress=False), {}
    for name, spelling in (("viewed", "view(x.size(0), -1)"), ("flat", "flatten(1)")):
        (folder / f"own_{name}.py").write_text(CODE + NETWORK.replace("FLATTENED", spelling))
        space = make_space(f"own_{name}.py:Spelled")
        table = extract(space, ["4", "6"], "full", images=batch, out=name, work=one)
        found[name] = table.values()
        sys.modules.pop(f"own_{name}")
    assert found["viewed"].notna().sum(axis=1).min() >= 34
    pd.testing.assert_frame_equal(found["viewed"], found["flat"], rtol=1e-3, atol=5e-5)


def test_an_added_method_for_graphs_recomputes_the_graph_indicators_alone(folder, capsys):
    command = ["extract", *SPACE, "--archs", "sample:2", *IMAGES, "--out", "table"]
    command += ["--indicators", "params,graph_count_conv"]
    assert main(command) == 0
    before = read_table(folder / "table", SPACE[1])
    assert before["graph_count_conv"].isna().all()
    graphs = "    def graphs(self, arch):\n        return {'cell': CellGraph(2, ((0, 1, 'conv'),))}\n\n"
    code = CODE.replace("    def thin", f"{graphs}    def thin", 1)
    code = f"from fusion.spaces.graph import CellGraph\n{code}"
    del sys.modules["own_plain"]
    (folder / "own_plain.py").write_text(code)
    assert main(command) == 0, capsys.readouterr().err
    after = read_table(folder / "table", SPACE[1])
    assert after["graph_count_conv"].tolist() == [1.0, 1.0]
    pd.testing.assert_series_equal(after["params"], before["params"])


def test_a_file_without_a_class_says_what_it_defines():
    with pytest.raises(FusionError, match=r"own_plain.py defines Plain, Unfinished: say own_plain.py:Plain"):
        make_space("own_plain.py")
