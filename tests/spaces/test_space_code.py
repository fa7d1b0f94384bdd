"""Which edits of a file change the digests of a space in it."""

from __future__ import annotations

import pytest

from fusion.errors import FusionError
from fusion.spaces.code import class_digests, code_of

CODE = """
import itertools
import json
from torch import nn, optim

from fusion.errors import InvalidArchitecture
from fusion.spaces import SPACES, Space

WIDTHS = (2, 3)
DEPTH = 2
LABELS = ("a",)


def block(width):
    return nn.Conv2d(width, width, KERNEL)


def cell(arch):
    return {"cell": (arch, DEPTH)}


KERNEL = 3


class Head(nn.Module):
    def forward(self, x):
        return x


class Base(Space):
    def widths(self):
        return WIDTHS


@SPACES.register
class Mine(Base):
    name = "mine"
    summary = "a summary"
    source = "this test"
    stride = 1

    def __init__(self, scale=1):
        self.scale = scale

    @property
    def settings(self):
        return {"scale": self.scale}

    def __len__(self):
        return 4

    def enumerate(self):
        return map(json.dumps, itertools.product(WIDTHS, repeat=2))

    def canonical(self, arch):
        if arch not in LABELS:
            raise InvalidArchitecture(arch)
        return arch

    def neighbours(self, arch):
        return []

    def build(self, arch, *, in_channels=3, num_classes=10):
        return nn.Sequential(*(block(w * self.stride) for w in self.widths()), Head())

    def thin(self):
        return Mine()

    def graphs(self, arch):
        return cell(arch)
"""


def digests(folder, *changes):
    code = CODE
    for old, new in changes:
        assert old in code
        code = code.replace(old, new)
    (folder / "mine.py").write_text(code)
    return class_digests(folder / "mine.py", "Mine")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\nWIDTHS", '\n"""A text."""\n# a comment\nWIDTHS'),
        ("\nKERNEL", "\n\nclass Second(Space):\n    pass\n\n\nSPACES.register(Second)\n\nKERNEL"),
        ("\nKERNEL", "\n\ndef unused():\n    return WIDTHS\n\n\nKERNEL"),
        ("    def thin", "    def more(self):\n        return 1\n\n    def thin"),
        ("    def thin", "    def random(self, rng):\n        return 'a'\n\n    def thin"),
        ("    def thin", "    def features(self, arch):\n        return {'a': KERNEL}\n\n    def thin"),
        ("repeat=2", "repeat=3"),
        ("return []", "return [arch]"),
        ("return 4", "return 5"),
        ("a summary", "another"),
        ("import json\n", "import json, csv\n"),
        ("nn, optim", "nn"),
        ("import itertools\nimport json\n", "import json\nimport itertools\n"),
        ("WIDTHS = (2, 3)\nDEPTH = 2\n", "DEPTH = 2\nWIDTHS = (2, 3)\n"),
        ("KERNEL = 3\n", 'KERNEL = 3\n\nif __name__ == "__main__":\n    print(WIDTHS)\n'),
    ],
)
def test_what_no_value_depends_on_may_be_edited(tmp_path, old, new):
    assert digests(tmp_path, (old, new)) == digests(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("WIDTHS = (2, 3)", "WIDTHS = (2, 4)"),
        ("KERNEL = 3", "KERNEL = 5"),
        ("KERNEL = 3", "KERNEL = 3\nKERNEL += 2"),
        ("KERNEL = 3", "KERNEL = 3\nif WIDTHS:\n    KERNEL = 5"),
        ("KERNEL = 3", "KERNEL = 3\nnn.Conv2d.bias = None"),
        ("KERNEL = 3", "KERNEL = 3\nWIDTHS.append(4)"),
        ("return nn.Conv2d(width", "return nn.Conv1d(width"),
        ("return x", "return -x"),
        ("return WIDTHS", "return WIDTHS[:1]"),
        ("LABELS = (", "LABELS = ('b', "),
        ("self.scale = scale", "self.scale = 2 * scale"),
        ('{"scale": self.scale}', '{"scale": 3}'),
        ("return Mine()", "return Mine(2)"),
        ("stride = 1", "stride = 2"),
        ("from torch import nn, optim", "from mytorch import nn, optim"),
        ("class Mine(Base)", "class Mine(Space)"),
        ("    def thin", "    def __getattr__(self, name):\n        return 1\n\n    def thin"),
    ],
)
def test_what_values_depend_on_may_not(tmp_path, old, new):
    assert digests(tmp_path, (old, new)).values != digests(tmp_path).values


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return cell(arch)", "return {}"),
        ("DEPTH = 2", "DEPTH = 3"),
        ("    def graphs(self, arch):\n        return cell(arch)\n", ""),
    ],
)
def test_graphs_have_a_digest_of_their_own(tmp_path, old, new):
    before, after = digests(tmp_path), digests(tmp_path, (old, new))
    assert before.values == after.values
    assert before.graphs != after.graphs


def test_a_method_that_values_use_matters_whatever_its_name(tmp_path):
    uses = ("if arch not in LABELS", "if arch not in self.enumerate()")
    assert digests(tmp_path, uses, ("repeat=2", "repeat=3")).values != digests(tmp_path, uses).values
    length = ("if arch not in LABELS", "if arch > len(self)")
    assert digests(tmp_path, length, ("return 4", "return 5")).values != digests(tmp_path, length).values
    in_graphs = ("nn.Sequential(", "self.graphs(arch) or nn.Sequential(")
    none = ("return cell(arch)", "return {}")
    assert digests(tmp_path, in_graphs, none).values != digests(tmp_path, in_graphs).values


def test_names_that_are_made_up_may_be_any(tmp_path):
    """Then every method counts, or the whole file."""
    more = ("    def thin", "    def op_1(self):\n        return 1\n\n    def thin")
    computed = ("self.stride", "getattr(self, f'op_{w}')()")
    assert digests(tmp_path, more, computed).values != digests(tmp_path, computed).values
    modules = ("self.stride", "getattr(nn, 'x')")
    assert digests(tmp_path, more, modules).values == digests(tmp_path, modules).values
    second = ("\nKERNEL", "\n\ndef other():\n    pass\n\n\nKERNEL")
    named = ("self.stride", "globals()['other']")
    assert digests(tmp_path, second, named).values != digests(tmp_path, named).values


def test_a_base_class_of_another_file_may_use_every_method(tmp_path):
    more = ("    def thin", "    def more(self):\n        return 1\n\n    def thin")
    other = ("class Base(Space)", "class Base(Other)"), ("SPACES, Space\n", "SPACES, Space, Other\n")
    assert digests(tmp_path, more, *other).values != digests(tmp_path, *other).values


def test_a_class_that_is_not_plainly_there_has_the_digest_of_the_file(tmp_path):
    (tmp_path / "mine.py").write_text("Mine = make()\n")
    before = class_digests(tmp_path / "mine.py", "Mine")
    (tmp_path / "mine.py").write_text("Mine = make()\nx = 1\n")
    assert class_digests(tmp_path / "mine.py", "Mine").values != before.values


def test_an_address_is_read_without_importing_it(tmp_path):
    (tmp_path / "mine.py").write_text("1 / 0\n" + CODE)
    found = code_of(f"{tmp_path}/mine.py:Mine")
    assert found is not None
    assert found.values != found.graphs
    assert code_of("package.module:Mine") is None
    with pytest.raises(FusionError, match="no such file"):
        code_of(f"{tmp_path}/nowhere.py:Mine")
    (tmp_path / "bad.py").write_text("def (")
    with pytest.raises(FusionError, match="no Python"):
        code_of(f"{tmp_path}/bad.py:Mine")
