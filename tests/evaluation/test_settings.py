import pytest

from fusion.errors import FusionError
from fusion.evaluation import Judging, Plan


@pytest.mark.parametrize(
    ("architectures", "train", "curve"),
    [
        (12, 2, (2,)),
        (30, 20, (10, 20)),
        (60, 40, (10, 25, 40, 50)),
        (119, 79, (10, 25, 50, 79, 100)),
        (120, 100, (25, 50, 100)),
        (200, 100, (25, 50, 100)),
        (219, 100, (25, 50, 100)),
        (220, 100, (25, 50, 100, 200)),
        (600, 100, (25, 50, 100, 200, 400)),
    ],
)
def test_sizes_fit_themselves_to_what_there_is(architectures, train, curve):
    plan, notes = Judging().fit(architectures)
    assert (plan.train_size, plan.train_sizes) == (train, curve)
    assert all(architectures - size >= 10 for size in plan.sizes)
    assert bool(notes) == (architectures < 120)
    assert all(f"{train} are trained on and {architectures - train} tested" in note for note in notes)


def test_a_size_that_fits_is_taken_without_a_word():
    assert Judging(50, (25, 400), 3, 7, 5).fit(600) == (Plan(50, (25, 400), 3, 7, 5), ())


def test_a_size_too_large_is_reduced_and_said():
    plan, (note,) = Judging(train_size=100, train_sizes=()).fit(60)
    assert plan.train_size == 50
    assert note == "training on 100 was asked; 60 architectures allow 50, to leave 10 for testing"


def test_curve_sizes_too_large_are_left_out_and_said():
    plan, (note,) = Judging(train_size=100, train_sizes=(25, 100, 200, 400)).fit(200)
    assert plan.train_sizes == (25, 100)
    assert note == "learning curve without 200, 400: 200 architectures allow 180, to leave 20 for testing"


@pytest.mark.parametrize(
    ("settings", "architectures", "message"),
    [
        ({}, 11, "11 architectures have indicators and an accuracy; judging needs at least 12"),
        ({"train_size": 1}, 100, "training on 1 architectures; choose at least 2"),
        ({"train_size": 0}, 100, "training on 0 architectures; choose at least 2"),
        ({"train_sizes": (0, 1)}, 100, "training on 1 architectures; choose at least 2"),
        ({"splits": 0}, 100, "at least 1 split"),
        ({"bootstrap": -1}, 100, "bootstrap -1"),
        ({"twins": "torn"}, 100, "twins is 'torn', expected one of together, apart, one"),
    ],
)
def test_what_cannot_be_is_one_clear_line(settings, architectures, message):
    with pytest.raises(FusionError, match=message) as error:
        Judging(**settings).fit(architectures)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("architectures", "sizes", "train"),
    [
        (9445, (0, 8, 16, 32, 64, 128, 256, 512, 1024), 128),
        (594, (0, 8, 16, 32, 64, 128, 256, 512), 128),
        (148, (0, 8, 16, 32, 64, 128), 128),
        (60, (0, 8, 16, 32), 50),
    ],
)
def test_the_publications_protocol_goes_as_far_as_there_are_architectures(architectures, sizes, train):
    plan, notes = Judging.literature().fit(architectures)
    assert plan == Plan(train, sizes, 20, 0, 0)
    assert bool(notes) == (architectures < 1044)


def test_single_settings_go_over_the_publications_protocol():
    assert Judging.literature(splits=3, twins="apart") == Judging(
        128, (0, 8, 16, 32, 64, 128, 256, 512, 1024), 3, 0, 0, "apart"
    )
