"""The bar chart of what carries a prediction."""

import re

import pytest

from fusion.errors import FusionError
from fusion.evaluation.explanation_figure import MAX_BARS, write_explanation_figure
from fusion.regression.explanation import Contribution, Explanation, Importance, Reasons

MANY = tuple(Importance(f"group_{i} + 1 more", (f"a{i}", f"b{i}"), 1 / (i + 1), 0.01) for i in range(40))
REASONS = Reasons(
    "an$arch", 93.5, 90.0, 64, (Contribution("up", ("up",), 4.5), Contribution("down", ("down",), -1.0))
)


def explanation(reasons=None):
    return Explanation("lightgbm", "accuracy", "held out", 120, 0.9, 5, MANY, reasons=reasons)


def texts(path):
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())


def test_the_largest_bars_and_on_what_they_were_measured(tmp_path):
    write_explanation_figure(tmp_path / "one.svg", explanation())
    write_explanation_figure(tmp_path / "two.svg", explanation(REASONS))
    found = texts(tmp_path / "one.svg")
    assert {one.title for one in MANY[:MAX_BARS]} <= set(found)
    assert MANY[MAX_BARS].title not in found
    assert "SROCC 0.900 with the accuracies of 120 networks" in " ".join(found)
    assert "up" not in found
    assert {"up", "down", "Why 93.5 is predicted", "an$arch"} <= set(texts(tmp_path / "two.svg"))


@pytest.mark.parametrize(("name", "starts"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml")])
def test_the_same_bytes_in_either_form(tmp_path, name, starts):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write_explanation_figure(tmp_path / folder / name, explanation(REASONS))
    first = (tmp_path / "x" / name).read_bytes()
    assert first.startswith(starts)
    assert first == (tmp_path / "y" / name).read_bytes()


def test_another_form_is_refused(tmp_path):
    with pytest.raises(FusionError, match=r"must end in \.png or \.svg"):
        write_explanation_figure(tmp_path / "a.jpg", explanation())
