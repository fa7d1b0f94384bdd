"""`fusion check-space`: every mistake of a space's author is named, and none hides another."""

from __future__ import annotations

import pytest

from fusion.cli import main
from fusion.extraction.check import Finding, check_space, lines
from fusion.extraction.check.sample import PROPERTIES
from fusion.spaces import make_space

GOOD = """
import itertools

from torch import nn

from fusion.errors import InvalidArchitecture
from fusion.spaces import Space

WIDTHS = ("2", "3", "4")


class Stacks(Space):
    name = "stacks"
    summary = "two convolutions of 2 to 4 channels"
    source = "this test"

    def __init__(self, scale=2):
        self.scale = scale

    @property
    def settings(self):
        return {"scale": self.scale}

    def __len__(self):
        return len(WIDTHS) ** 2

    def enumerate(self):
        return ("-".join(pair) for pair in itertools.product(WIDTHS, repeat=2))

    def canonical(self, arch):
        widths = arch.split("-")
        if len(widths) != 2 or not set(widths) <= set(WIDTHS):
            raise InvalidArchitecture(f"{arch!r}: expected two widths of 2 to 4, such as 2-3")
        return arch

    def neighbours(self, arch):
        one, two = arch.split("-")
        return [f"{w}-{two}" for w in WIDTHS if w != one] + [f"{one}-{w}" for w in WIDTHS if w != two]

    def build(self, arch, *, in_channels=3, num_classes=10):
        one, two = (self.scale * int(width) for width in arch.split("-"))
        return nn.Sequential(
            nn.Conv2d(in_channels, one, 3, padding=1), nn.ReLU(),
            nn.Conv2d(one, two, 3, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(two, num_classes),
        )

    def thin(self):
        return type(self)(scale=1)
"""
# the five mistakes: what the file says instead, and the one finding that names it
MISTAKES = {
    "invalid_mutation": (
        "def neighbours(self, arch):",
        "def mutate(self, arch, rng):\n        return arch[:-1] + '5'\n\n    def neighbours(self, arch):",
        ("mutation", "-5, which is no architecture"),
    ),
    "key_collision": (
        "        return arch\n",
        "        return '-'.join(sorted(widths))\n",
        ("one network per key", "multiply-accumulates, and of "),
    ),
    "does_not_run": (
        "nn.Conv2d(one, two, 3, padding=1), nn.ReLU(),",
        "nn.Conv2d(two, two, 3, padding=1), nn.ReLU(),",
        ("training", "the network does not run in training mode on images 3x32x32: RuntimeError: "),
    ),
    "wrong_classes": (
        "nn.Linear(two, num_classes)",
        "nn.Linear(two, 10)",
        ("class count", "gives (4, 10) for 4 images and 7 classes, not (4, 7)"),
    ),
    "exception_in_build": (
        "        return nn.Sequential(",
        "        raise KeyError('padding')\n        return nn.Sequential(",
        ("build", "raised KeyError: 'padding'"),
    ),
}


@pytest.fixture(autouse=True)
def folder(own_folder):
    return own_folder


def written(*changes):
    """The space of a file that is the good one with some text in another way."""
    code = GOOD
    for old, new in changes:
        assert code.count(old) == 1
        code = code.replace(old, new)
    with open("mine.py", "w") as file:
        file.write(code)
    return "mine.py:Stacks"


def findings_of(*changes, sample=5):
    return check_space(make_space(written(*changes)), sample)


def test_a_good_space_has_every_property():
    passed = {}
    told = check_space(make_space(written()), 5, passed=lambda name, n, note: passed.update({name: n}))
    assert told == []
    assert list(passed) == list(PROPERTIES)
    assert passed["training"] == 5
    assert passed["one network per key"] == 0  # no two strings have the same key


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_what_is_wrong(mistake, capsys):
    old, new, (name, wrong) = MISTAKES[mistake]
    space = written((old, new))
    assert main(["check-space", space, "--sample", "6"]) == 1
    printed, told = capsys.readouterr()
    assert f"space {space} has " in told
    assert len(told.splitlines()) == 1
    found = [line for line in printed.splitlines() if line.startswith(f"{name}: ")]
    assert wrong in found[0]
    assert "bad strings          ok  6 checked" in printed.splitlines()


@pytest.mark.parametrize("mistake", ["invalid_mutation", "key_collision", "wrong_classes"])
def test_only_what_is_wrong_is_found(mistake):
    old, new, (name, _) = MISTAKES[mistake]
    found = findings_of((old, new), sample=9)
    assert {finding.property for finding in found} == {name}


def test_no_mistake_hides_another():
    """Exceptions in the methods for strings leave the networks to be examined, and the other way round."""
    changes = [MISTAKES[name][:2] for name in ("invalid_mutation", "exception_in_build")]
    broken = ("        return type(self)(scale=1)", "        return type(self)(width=1)")
    listed = ("return len(WIDTHS) ** 2", "raise OSError('disk')")
    found = {finding.property: finding for finding in findings_of(*changes, broken, listed)}
    assert {"mutation", "build", "thin", "listing"} == set(found)
    assert str(found["listing"]) == "listing: the space: raised OSError: disk"
    assert "unexpected keyword argument 'width'" in found["thin"].wrong


@pytest.mark.parametrize(
    ("name", "old", "new", "wrong"),
    [
        ("metadata", 'source = "this test"', 'source = ""', "`source` is ''"),
        ("listing", "return len(WIDTHS) ** 2", "return 8", "yields 9 strings, `__len__` says 8"),
        ("settings", 'return {"scale": self.scale}', "return {}", "lacks 'scale'"),
        ("settings", 'return {"scale": self.scale}', 'return {"scale": 1}', "another key or network"),
        ("key", "        return arch\n", "        return arch[::-1]\n", "has another key, "),
        ("key", "        return arch\n", "        return arch + '-'\n", "its key is "),
        ("neighbours", "if w != one]", "]", "lists itself"),
        (
            "mutation",
            "def thin",
            "def mutate(self, arch, rng):\n        return arch\n\n    def thin",
            "unchanged",
        ),
        ("bad strings", "raise InvalidArchitecture(", "raise ValueError(", "raised ValueError: "),
        ("bad strings", "        if len(widths) != 2 or", "        if", "takes "),
        (
            "graphs",
            "def thin",
            "def graphs(self, arch):\n        return {'a': 1}\n\n    def thin",
            "a int, not",
        ),
        *(
            (
                "features",
                "def thin",
                f"def features(self, arch):\n        return {said}\n\n    def thin",
                wrong,
            )
            for said, wrong in (
                ("{}", "says nothing"),
                ("{'a': float('nan')}", "`features` gives a the value nan; give a finite number or a text"),
                ("{'a': None}", "gives a the value None"),
                ("{'a': 'two\\nlines'}", "give a line of text"),
                ("{'a=b': 1}", "has the name 'a=b'"),
                ("{'a': 1 if arch[0] == '2' else 'x'}", "gives a a number here and a text elsewhere"),
                (
                    "{'a': next(vars(type(self)).get('n') or setattr(type(self), 'n', itertools.count())"
                    " or type(self).n)}",
                    "says something else",
                ),
                ("{'a': 1 / 0}", "raised ZeroDivisionError"),
            )
        ),
        (
            "graphs",
            "def thin",
            "def graphs(self, arch):\n        from fusion.spaces.graph import CellGraph\n"
            "        return {'cell': CellGraph(2, ((0, 1, ''),))}\n\n    def thin",
            "has the edge (0, 1, '')",
        ),
        ("training", "nn.Flatten(), ", "nn.Flatten(), nn.Threshold(9, float('nan')), ", "not finite"),
        ("evaluation", "nn.Flatten(), ", "nn.Flatten(), Noise(), ", "other logits for the same images"),
        ("seed", "        one, two = (", "        manual_seed(0)\n        one, two = (", "same weights"),
        ("seed", "nn.Flatten(), ", "nn.Flatten(), Frozen(two), ", "gives other weights"),
        ("thin", "(scale=1)", "(scale=3)", "more than the "),
        ("thin", "nn.AdaptiveAvgPool2d(1)", "nn.MaxPool2d(4), nn.AdaptiveAvgPool2d(1)", "images 1x3x3"),
    ],
)
def test_other_mistakes(name, old, new, wrong):
    modules = (
        "\nimport random\nfrom torch import manual_seed, randn_like, tensor\n"
        "class Noise(nn.Module):\n    def forward(self, x): return x + randn_like(x)\n"
        "class Frozen(nn.Module):\n"
        "    def __init__(self, n): super().__init__(); self.w = nn.Parameter(tensor(random.random()))\n"
        "    def forward(self, x): return x * self.w\n"
    )
    found = findings_of((old, new), ("\nWIDTHS", modules + "\nWIDTHS"))
    assert any(finding.property == name and wrong in finding.wrong for finding in found), found


def test_a_space_that_draws():
    """Without `enumerate` the sample comes from `random`."""
    random = (
        "enumerable = False\n\n    def random(self, rng):\n        return '-'.join(rng.choice(WIDTHS, 2))\n"
    )
    draws = ('    source = "this test"\n', f'    source = "this test"\n    {random}')
    lists = ("def __len__", "def _len"), ("def enumerate", "def _enumerate")
    assert findings_of(draws, *lists, sample=6) == []


@pytest.mark.parametrize(
    ("drawn", "wrong"),
    [
        ("'2-2'", "drew 2-2 5 times"),
        ("random.choice(['2-2', '2-3', '4-4'])", "depend on its generator alone"),
    ],
)
def test_a_space_that_draws_badly(drawn, wrong):
    random = (
        f"enumerable = False\n\n    def random(self, rng):\n        import random\n        return {drawn}\n"
    )
    draws = ('    source = "this test"\n', f'    source = "this test"\n    {random}')
    found = findings_of(draws, ("import itertools", "import itertools, random; random.seed(3)"))
    assert any(finding.property == "listing" and wrong in finding.wrong for finding in found), found


def test_other_spellings_of_an_architecture_must_have_its_key():
    spelled = "def relabellings(self, arch, rng):\n        return [arch.replace('2', '3')]\n\n    def thin"
    found = findings_of(("def thin", spelled), sample=9)
    assert {finding.property for finding in found} == {"key"}
    assert {finding.arch for finding in found} == {"2-2", "2-3", "2-4", "3-2", "4-2"}


def test_many_findings_of_a_property_are_counted():
    found = [Finding("key", str(i), "is\nodd") for i in range(5)] + [Finding("seed", "", "is odd")]
    assert lines(found) == [
        *("key: 0: is odd", "key: 1: is odd", "key: 2: is odd", "key: and 2 more", "seed: the space: is odd")
    ]


@pytest.mark.parametrize("space", ["nats-tss", "nats-sss"])
def test_the_spaces_of_nats_bench_have_every_property(space, capsys):
    small = {"nats-tss": ["channels=2", "cells=1"], "nats-sss": ["divisor=8"]}[space]
    assert main(["check-space", space, "--space-set", *small, "--sample", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"space {space}: every property holds"


def test_operations_of_kinds_that_the_indicators_do_not_know(tmp_path):
    graphs = (
        "def thin",
        "def graphs(self, arch):\n        from fusion.spaces.graph import CellGraph\n"
        "        return {'cell': CellGraph(3, ((0, 1, 'attention'), (1, 2, 'conv')))}\n\n    def thin",
    )
    assert findings_of(graphs) == []
