"""The faults that are planted are those that they say, and no annotation is one of the places."""

import sys
from pathlib import Path

import pytest

cosmic_ray = pytest.importorskip("cosmic_ray", reason="pip install .[mutants]")
BENCHES = Path(__file__).parents[2] / "benches"


@pytest.fixture
def benches(monkeypatch):
    """The scripts as modules, for one test."""
    monkeypatch.syspath_prepend(str(BENCHES))
    before = set(sys.modules)
    import mutant_operators
    import mutants

    yield mutants, mutant_operators
    for name in {"mutants", "mutant_operators"} - before:
        sys.modules.pop(name, None)


def test_own_operators_make_what_their_examples_show(benches):
    from cosmic_ray.mutating import mutate_code

    _, operators = benches
    for operator in (operators.DropKeyword, operators.DropStep):
        for example in operator.examples():
            made = mutate_code(example.pre_mutation_code, operator(), example.occurrence)
            assert made == example.post_mutation_code
    assert mutate_code("f(a, strict=True)[b]\n", operators.DropKeyword(), 0) is None
    assert mutate_code("x = f(a)\nreturn f\n", operators.DropStep(), 0) is None


def test_annotations_and_what_is_for_eyes_alone_are_no_places(benches, tmp_path):
    mutants, _ = benches
    code = tmp_path / "code.py"
    code.write_text(
        "def f(a: int | None = 1 | 2, *, progress=True, sure=True) -> int | str:\n"
        "    b: int | str = a | 3\n"
        "    return g(b, alpha=0.5, beta=0.5)\n"
    )
    lines = code.read_text().splitlines()
    alive = [(1, "1 | 2"), (1, "True)"), (2, "3"), (3, "0.5)")]
    quiet = [(1, "int |"), (1, "*,"), (1, "True,"), (1, "int | str"), (2, "int |"), (3, "0.5,")]
    at = {mark: (mark[0], lines[mark[0] - 1].index(mark[1])) for mark in (*alive, *quiet)}
    assert mutants.inert(code, set(at.values())) == {at[mark] for mark in quiet}


def test_the_report_counts_and_lists_survivors(benches):
    mutants, _ = benches
    diff = "--- mutation diff ---\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a + b\n+a - b"
    tried = [mutants.Tried("x.py", 1, "Add_Sub", caught, diff) for caught in (True, True, False)]
    report = mutants.report(tried)
    assert report.startswith("2 of 3 mutants caught (66.7 %)")
    assert "| x.py | 3 | 2 | 1 |" in report
    assert "x.py:1 (Add_Sub)\n\n    -a + b\n    +a - b" in report
