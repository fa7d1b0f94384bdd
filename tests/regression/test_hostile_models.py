"""Data never name code: what a model or a table says imports nothing and opens nothing elsewhere."""

import copy
import hashlib
import json
import os
import random
import re
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from fusion.errors import FusionError
from fusion.regression import ModelSpec, Predictor, fit
from fusion.tables import IndicatorTable
from tests.tables.small import labelled

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

KINDS = {
    "weighted_sum": ModelSpec("weighted_sum"),
    "lightgbm": ModelSpec("lightgbm", params={"n_estimators": 4, "n_members": 2}),
    "gaussian_process": ModelSpec("gaussian_process"),
    "extra_trees": ModelSpec("extra_trees", params={"n_estimators": 3}),
    "lambdarank": ModelSpec("lambdarank", params={"n_estimators": 4, "n_members": 1}),
    "pairwise": ModelSpec("pairwise"),
    "log_rank_sum": ModelSpec("log_rank_sum", "cj,os,nlr,cnntk,params,flops"),
    "consensus": ModelSpec("consensus", "cj,os,nlr,cnntk,params,flops"),
    "auto": ModelSpec("auto", params={"effort": "quick"}),
    "auto with trees": ModelSpec("auto"),
}
EVIL = "from pathlib import Path\nPath(__file__).with_name('imported').write_text('')\nclass S: pass\n"

_watchers = []


def _hook(event, args):
    for watcher in _watchers:
        watcher(event, args)


sys.addaudithook(_hook)


@contextmanager
def only_inside(folder):
    """Fail when the block opens a file outside `folder`, imports something or starts something."""
    wrong = []

    def watch(event, args):
        if event == "open" and isinstance(args[0], str | bytes):
            if not os.path.realpath(os.fsdecode(args[0])).startswith(f"{os.path.realpath(folder)}{os.sep}"):
                wrong.append((event, args[0]))
        elif event in ("import", "exec", "compile", "os.system", "subprocess.Popen", "socket.connect"):
            wrong.append((event, args[0]))

    _watchers.append(watch)
    try:
        yield
    finally:
        _watchers.remove(watch)
    assert wrong == []


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """One model of each kind on disk, and the table that they learned from."""
    folder = tmp_path_factory.mktemp("originals")
    data = labelled(folder / "table", n=30, measured=25)
    for name in KINDS:
        fit(data, KINDS[name]).save(folder / name)
        Predictor.load(folder / name)  # what is imported on first use has been imported
    return folder


@pytest.fixture
def stage(originals, tmp_path, monkeypatch):
    """A folder to load from, current and full of traps, with copies of the models and the table."""
    for source in sorted(originals.rglob("*")):
        target = tmp_path / "in" / source.relative_to(originals)
        if source.is_dir():
            target.mkdir(parents=True)
        else:
            target.write_bytes(source.read_bytes())
            (target.parent / "evil.py").write_text(EVIL)
    (tmp_path / "in" / "evil.py").write_text(EVIL)
    (tmp_path / "evil.py").write_text(EVIL)
    (tmp_path / "x").write_text("secret")
    monkeypatch.chdir(tmp_path / "in" / "weighted_sum")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "in"
    assert not list(tmp_path.rglob("imported"))
    assert "evil" not in sys.modules


def change(folder, edit, file="model.json"):
    """Edit what the folder's JSON says."""
    content = json.loads((folder / file).read_text())
    edit(content)
    (folder / file).write_text(json.dumps(content))


def refused(folder, words="", load=Predictor.load):
    """Loading says one line, opens nothing outside the folder and imports nothing."""
    with only_inside(folder), pytest.raises(FusionError, match=words) as caught:
        load(folder)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 1000
    return message


ADDRESSES = [
    *(
        "evil.py:S",
        "evil:S",
        "./evil.py:S",
        "../evil.py:S",
        "os:system",
        "../../x",
        "../../x:S",
        "/etc/passwd",
    ),
    *("/etc/passwd:S", "~/evil.py:S", "evil.py", "builtins:eval", "file:///x.py:S", "nats-tss:evil", ""),
]


class TestSpace:
    @pytest.mark.parametrize("address", ADDRESSES)
    def test_of_a_model(self, stage, address):
        change(stage / "weighted_sum", lambda c: c["sources"][0].update(space=address))
        refused(stage / "weighted_sum", "not part of Fusion; name its class|unknown space")

    @pytest.mark.parametrize("address", ADDRESSES)
    def test_of_a_table(self, stage, address):
        change(stage / "table", lambda c: c.update(space=address), "meta.json")
        refused(stage / "table", "not part of Fusion; name its class|unknown space", IndicatorTable.open)

    def test_an_absolute_path(self, stage):
        for folder, load, file, inside in (
            (stage / "weighted_sum", Predictor.load, "model.json", lambda c: c["sources"][0]),
            (stage / "table", IndicatorTable.open, "meta.json", lambda c: c),
        ):
            change(folder, lambda c, of=inside, at=folder: of(c).update(space=f"{at}/evil.py:S"), file)
            refused(folder, "not part of Fusion", load)

    def test_code_that_is_named_is_compared_before_it_is_imported(self, stage):
        change(
            stage / "weighted_sum",
            lambda c: c["sources"][0].update(space="evil.py:S", space_code="0" * 64),
        )
        with pytest.raises(FusionError, match="code has changed"):
            Predictor.load(stage / "weighted_sum", space=f"{stage}/evil.py:S")

    @pytest.mark.parametrize(
        "settings", [{"channels": "many"}, {"channels": [1] * 9}, {"evil\nx": "evil.py:S"}]
    )
    def test_settings(self, stage, settings):
        change(stage / "weighted_sum", lambda c: c["sources"][0].update(space_settings=settings))
        refused(stage / "weighted_sum")
        change(stage / "table", lambda c: c.update(space_settings=settings), "meta.json")
        refused(stage / "table", load=IndicatorTable.open)

    def test_text_of_two_lines(self, stage):
        change(stage / "weighted_sum", lambda c: c["sources"][0].update(space="evil\n.py:S"))
        refused(stage / "weighted_sum", "damaged .sources.0.space")
        change(stage / "table", lambda c: c.update(space="evil\n.py:S"), "meta.json")
        refused(stage / "table", load=IndicatorTable.open)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "evil:S"},
        {"model": "evil.py:S"},
        {"model": "../lightgbm"},
        {"indicators": "evil.py:S", "model": "evil"},
        {"params": {"transformation": "evil:S"}},
        {"params": {"transformation": "../../x"}},
        {"params": {"transformation": ["quantile"]}},
        {"params": {"target": {"evil": "S"}}},
        {"params": {"penalty": 3}},
        {"params": {"self": 1}},
        {"files": {"../../x": hashlib.sha256(b"secret").hexdigest()}},
        {"files": {"/etc/passwd": "0" * 64}},
        {"files": {"evil.py": hashlib.sha256(EVIL.encode()).hexdigest()}},
        {"files": {"model.txt": "0" * 64}},
        {"code": "evil.py"},
        {"features": ["cj"] * 6},
        {"features": [f"f{i}" for i in range(10_001)]},
        {"features": [["cj"]] * 6},
        {"notes": ["one\ntwo"]},
        {"target": "x" * 2000},
        {"low": [0.0]},
        {"sources": []},
    ],
    ids=lambda changes: json.dumps(changes)[:60],
)
def test_other_names_in_a_model(stage, changes):
    change(stage / "weighted_sum", lambda c: c.update(changes))
    refused(stage / "weighted_sum")


def own(state):
    """Return what the model itself learned."""
    return state["learned"]


STATES = {
    "scores that do not increase": lambda s: s["levels"][0].reverse(),
    "accuracies that do not increase": lambda s: s["levels"][1].reverse(),
    "levels of two lengths": lambda s: s["levels"][1].pop(),
    "no levels": lambda s: s.update(levels=[[], []]),
    "three lists of levels": lambda s: s["levels"].append([1.0]),
    "a weight too few": lambda s: own(s)["coef"].pop(),
    "a weight that is none": lambda s: own(s).update(coef=["x"] * 6),
    "an intercept that is none": lambda s: own(s).update(intercept=True),
    "another reference": lambda s: s.update(reference="evil:S"),
    "values that do not increase": lambda s: s["transformer"]["columns"][0]["values"].reverse(),
    "no values": lambda s: s["transformer"]["columns"][0].update(values=[], counts=[]),
    "nested values": lambda s: s["transformer"]["columns"][0].update(values=[[0.0], [1.0]], counts=[1, 1]),
    "a count too few": lambda s: s["transformer"]["columns"][0]["counts"].pop(),
    "a count of none": lambda s: s["transformer"]["columns"][0]["counts"].__setitem__(0, 0),
    "a count that is no whole number": lambda s: s["transformer"]["columns"][0]["counts"].__setitem__(0, 0.5),
    "a column too few": lambda s: s["transformer"]["columns"].pop(),
    "a column of another kind": lambda s: s["transformer"]["columns"].__setitem__(0, {"mean": 1.0}),
    "a fill too few": lambda s: s["transformer"]["fill"].pop(),
    "a flag of no column": lambda s: s["transformer"].update(flagged=[999]),
    "a flag below": lambda s: s["transformer"].update(flagged=[-1]),
    "a flag twice": lambda s: s["transformer"].update(flagged=[1, 1]),
    "no reference": lambda s: s["transformer"].update(n_reference=0),
}


@pytest.mark.parametrize("what", list(STATES))
def test_what_it_learned_must_fit_together(stage, what):
    change(stage / "weighted_sum", lambda c: STATES[what](c["state"]))
    refused(stage / "weighted_sum", "damaged")


class TestSizes:
    def test_a_file_of_ten_gigabytes(self, stage):
        for folder, file in (
            ("weighted_sum", "model.json"),
            ("lightgbm", "model.txt"),
            ("table", "meta.json"),
        ):
            with open(stage / folder / file, "r+b") as handle:
                handle.truncate(10 * 2**30)  # takes no room
            load = IndicatorTable.open if folder == "table" else Predictor.load
            refused(stage / folder, "10,737,418,240 bytes are too many", load)

    @pytest.mark.parametrize("depth", [40, 900, 5_000, 100_000, 1_000_000])
    @pytest.mark.parametrize("kind", ["[]", '{"a":}'])
    def test_nesting(self, stage, depth, kind):
        value = "[" * depth + "]" * depth if kind == "[]" else '{"a":' * depth + "1" + "}" * depth
        places = [
            *((stage / "weighted_sum" / "model.json", key) for key in ("state", "params", "format", "new")),
            *((stage / "table" / "meta.json", key) for key in ("space", "space_settings", "format")),
        ]
        for file, key in places:
            before = file.read_text()
            text = json.dumps({**json.loads(before), key: "HERE"}).replace('"HERE"', value)
            file.write_text(text)
            refused(file.parent, load=IndicatorTable.open if file.name == "meta.json" else Predictor.load)
            file.write_text(before)

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, "9" * 5000])
    def test_numbers_without_end(self, stage, number):
        text = (stage / "weighted_sum" / "model.json").read_text()
        for name in ("intercept", "coef", "n_reference"):
            changed = re.sub(rf'("{name}": \[?)[-\d.e]+', rf"\g<1>{number}", text)
            assert changed != text
            (stage / "weighted_sum" / "model.json").write_text(changed)
            refused(stage / "weighted_sum", "not finite|too large|limit")


class TestLinks:
    @pytest.mark.parametrize("file", ["model.json", "model.txt"])
    def test_out_of_the_folder(self, stage, file):
        path = stage / "lightgbm" / file
        path.rename(stage / "moved")
        path.symlink_to("../moved")
        refused(stage / "lightgbm", "not a plain file of this folder")
        path.unlink()
        path.symlink_to(file)  # in a circle
        refused(stage / "lightgbm")
        path.unlink()
        os.mkfifo(path)  # opening it would wait for ever
        refused(stage / "lightgbm", "not a plain file")
        path.unlink()
        path.mkdir()
        refused(stage / "lightgbm", "not a plain file")

    def test_a_folder_that_is_a_link_itself(self, stage):
        (stage / "link").symlink_to("lightgbm")
        assert Predictor.load(stage / "link").features


def retext(folder, text):
    """Put another text in the place of the trees, with its digest."""
    (folder / "model.txt").write_bytes(text.encode())
    digest = hashlib.sha256(text.encode()).hexdigest()
    change(folder, lambda c: c["files"].update({"model.txt": digest}))


class TestTrees:
    """LightGBM's parser believes its input; out of range, it reads elsewhere in memory or never ends."""

    @pytest.mark.parametrize(
        ("pattern", "replacement"),
        [
            (r"num_leaves=\d+", "num_leaves=1000000000"),
            (r"num_leaves=\d+", "num_leaves=-1"),
            (r"num_leaves=\d+", "num_leaves=0"),
            (r"num_cat=0", "num_cat=1"),
            (r"split_feature=\d+", "split_feature=1000000"),
            (r"split_feature=\d+", "split_feature=-1"),
            (r"left_child=-?\d+", "left_child=0"),
            (r"left_child=-?\d+", "left_child=99999"),
            (r"left_child=-?\d+", "left_child=-99999"),
            (r"decision_type=\d+", "decision_type=1"),
            (r"threshold=\S+", "threshold=nan"),
            (r"leaf_value=\S+", "leaf_value="),
            (r"leaf_const=\S+", "leaf_const=1 2 3 4 5 6 7"),
            (r"num_features=\d+", "num_features=77"),
            (r"num_features=\d+", "num_features=-1"),
            (r"leaf_features=.*", "leaf_features=500 500"),
            (r"(leaf_features=)\d+", r"\g<1>-1"),
            (r"tree_sizes=\d+", "tree_sizes=99999999"),
            (r"tree_sizes=\d+", "tree_sizes=-5"),
            (r"tree_sizes=.*", "tree_sizes="),
            (r"max_feature_idx=\d+", "max_feature_idx=100000"),
            (r"feature_names=\S+", "feature_names="),
            (r"objective=regression", "objective=custom"),
            (r"num_class=1", "num_class=1000000"),
            (r"num_tree_per_iteration=1", "num_tree_per_iteration=9"),
            (r"\[forcedsplits_filename: \]", "[forcedsplits_filename: x]"),
            (r"\[data: \]", "[data: /etc/passwd]"),
            (r"\[machine_list_filename: \]", "[machine_list_filename: evil.py]"),
            (r"\[max_bin: 255\]", "[max_bin: evil.py:S/../x]"),
            (r"pandas_categorical:null", "pandas_categorical:[[1]]"),
            (r"^tree\n", "tree\ninclude=evil.py\n"),
            (r"Tree=0", "Tree=1"),
            (r"shrinkage=\S+", "shrinkage=inf"),
            (r"end of trees", "end of tree"),
        ],
    )
    def test_that_are_none(self, stage, pattern, replacement):
        text = (stage / "lightgbm" / "model.txt").read_text()
        changed = re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)
        assert changed != text
        # sizes as they should be, so that only the change itself is wrong
        if "tree_sizes" not in pattern:
            changed = self.sized(changed)
        retext(stage / "lightgbm", changed)
        refused(stage / "lightgbm", "damaged")

    def sized(self, text):
        """Return the text with the sizes of its first member's trees put right."""
        first, mark, rest = text.partition("end of trees")
        head, blank, trees = first.partition("\n\n")
        sizes = " ".join(str(len(tree)) for tree in re.split(r"^(?=Tree=)", trees, flags=re.MULTILINE)[1:])
        head = re.sub(r"tree_sizes=.*", f"tree_sizes={sizes}", head)
        return head + blank + trees + mark + rest

    def test_resizing_is_right(self, stage):
        text = (stage / "lightgbm" / "model.txt").read_text()
        assert self.sized(text) == text

    def test_other_numbers_of_members(self, stage):
        text = (stage / "lightgbm" / "model.txt").read_text()
        for other in ("", text * 2, "x" + text, text.replace("tree\n", "treee\n", 1)):
            retext(stage / "lightgbm", other)
            refused(stage / "lightgbm", "damaged")

    @pytest.mark.parametrize("threads", [10**9, -2, 1.5, "all", None])
    def test_threads(self, stage, threads):
        change(stage / "lightgbm", lambda c: c["params"].update(n_jobs=threads))
        refused(stage / "lightgbm", "damaged .*n_jobs")

    def test_lines_at_random(self, stage, originals):
        """Whatever line is another: refused in one line, or it predicts numbers."""
        table = IndicatorTable.open(originals / "table")
        lines = (stage / "lightgbm" / "model.txt").read_text().split("\n")
        draw = random.Random(0)
        for _ in range(150):
            changed = list(lines)
            place = draw.randrange(60)
            name, equals, value = changed[place].partition("=")
            junk = draw.choice(["0", "-1", "7 7 7", "nan", "", value * 2, value[::-1], "9" * 12, "x"])
            changed[place] = name + equals + junk
            retext(stage / "lightgbm", self.sized("\n".join(changed)))
            loads_or_refuses(stage / "lightgbm", table)


def loads_or_refuses(folder, table):
    told = ""
    try:
        loaded = Predictor.load(folder)
    except FusionError as error:
        told = str(error)
    if told:
        assert len(told.splitlines()) == 1
        return False
    # an indicator that the table lacks is refused by `predict`, and is all missing here
    values = table.values().reindex(columns=loaded.features)
    assert np.isfinite(loaded.model.predict(values)).all()
    return True


def paths(value, at=()):
    """Yield the way to each value inside."""
    yield at
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from paths(part, (*at, name))


@pytest.mark.parametrize("name", list(KINDS))
def test_anything_in_the_json_at_random(stage, originals, name):
    """Whatever value is another: refused in one line, or it predicts numbers."""
    table = IndicatorTable.open(originals / "table")
    content = json.loads((stage / name / "model.json").read_text())
    places = [path for path in paths(content) if path]
    draw = random.Random(0)
    loaded = 0
    outer = [path for path in places if len(path) <= 4]
    chosen = draw.sample(outer, min(120, len(outer))) + draw.sample(places, 60)
    for path in chosen:
        changed = copy.deepcopy(content)
        inner = changed
        for step in path[:-1]:
            inner = inner[step]
        junk = [None, True, -1, 0, 3, 1.5, 2**70, "x", "", [], [1], {}, {"a": []}, [[0.0]]]
        inner[path[-1]] = draw.choice(junk)
        (stage / name / "model.json").write_text(json.dumps(changed))
        loaded += loads_or_refuses(stage / name, table)
    assert loaded < len(chosen) / 2
