"""The verb `search`, on a tiny made-up table: among what it searches, and with what it asks for more."""

import numpy as np
import pandas as pd
import pytest

from fusion.errors import FusionError
from fusion.regression import ModelSpec, WeightedSum
from fusion.search import Growing, SearchSettings, proposers, search
from fusion.tables import IndicatorTable, Labelled
from fusion.tables.encoding import encode
from tests.tables.small import SPACE, accuracies_of, distinct, table_of, values_of

SETTINGS = SearchSettings(budget=8, initial=4, rounds=2, candidates=6, repeats=1)
KEYS = distinct(40, seed=2)


@pytest.fixture
def made(tmp_path):
    """Return a table of 25 networks, their values and those of 15 others, and all accuracies."""
    values, quality = values_of(KEYS)
    table = table_of(tmp_path / "t", values[:25])
    return Labelled.join(table, accuracies_of(80 + 5 * quality)), values, 80 + 5 * quality


def test_only_what_is_in_the_table_is_searched(made):
    data, _, accuracy = made
    found = search(data, "weighted_sum", SETTINGS, progress=False)
    assert (found.networks, found.whole, found.predictor) == (25, False, "weighted_sum")
    assert found.best_known == accuracy[:25].max()
    assert list(found.methods) == ["random", "predictor-random", "predictor-evolution"]
    for method in found.methods.values():
        (best,) = method.best
        assert best.arch in KEYS[:25]
        assert best.accuracy == accuracy[best.arch] == method.mean_best
        assert len(method.trajectories[0]) == SETTINGS.budget
    assert found.space == "nats-tss"
    assert found.space_settings == SPACE.settings


def test_by_default_it_is_auto_without_its_slow_members(made):
    data, _, _ = made
    found = search(data, settings=SETTINGS, progress=False)
    quick = ModelSpec("auto", params={"effort": "quick"})
    assert found == search(data, quick, SETTINGS, progress=False)
    assert found.predictor == "auto"


def test_beyond_the_table_indicators_are_asked_for_once_each(made):
    data, values, accuracy = made
    asked = []

    def more(keys):
        asked.extend(keys)
        return values.loc[list(keys)]

    found = search(data, "weighted_sum", SETTINGS, more=more, progress=False)
    assert (found.networks, found.best_known) == (40, accuracy.max())
    assert asked
    assert len(asked) == len(set(asked))
    assert set(asked) <= set(KEYS[25:])


def test_the_budget_must_be_there(made):
    data, _, _ = made
    with pytest.raises(FusionError, match="25 networks have an accuracy and indicators; the budget, 26"):
        search(data, settings=SearchSettings(budget=26, initial=4), progress=False)
    assert search(data, "fi", SearchSettings(budget=25, initial=4, repeats=1), progress=False).networks == 25


def test_costs_are_of_the_networks_that_were_measured(made):
    data, _, _ = made
    with_cost = Labelled.join(
        data.table, accuracies_of(data.accuracies.by_arch.rename("accuracy"), cost=data.y * 0 + 3.0)
    )
    found = search(with_cost, settings=SETTINGS, progress=False)
    assert {method.cost for method in found.methods.values()} == {SETTINGS.budget * 3.0}
    unknown = search(data, settings=SETTINGS, progress=False)
    assert {method.cost for method in unknown.methods.values()} == {None}


def test_an_unknown_model_is_told_before_anything_is_asked(made):
    data, _, _ = made

    def never(keys):
        raise AssertionError("asked")

    with pytest.raises(FusionError, match="did you mean 'lightgbm'"):
        search(data, "lightgb", SETTINGS, more=never, progress=False)


def test_a_growing_table_is_made_once_and_gives_what_is_asked(tmp_path):
    values, _ = values_of(KEYS)
    made = []

    def table(keys):
        made.append(list(keys))
        (tmp_path / f"{len(made)}").mkdir()
        found = table_of(tmp_path / f"{len(made)}" / "t", values)
        compute = lambda keys, names: made.append(list(keys))  # noqa: E731
        return IndicatorTable(found.store, SPACE, tuple(keys), None, compute)

    growing = Growing(table)
    pd.testing.assert_frame_equal(growing(KEYS[:2]), values[:2], check_like=True, check_names=False)
    assert list(growing(KEYS[4:6]).index) == KEYS[4:6]
    assert made == [KEYS[:2], KEYS[4:6]]


def test_a_tournament_is_among_different_members(monkeypatch):
    """Of two members, both take part, so the better one always wins."""
    parents = []
    monkeypatch.setattr(SPACE, "mutate", lambda arch, rng: parents.append(arch) or arch, raising=False)
    rng = np.random.default_rng(0)
    for _ in range(40):
        proposers._child(SPACE, KEYS[:2], {KEYS[0]: 1.0, KEYS[1]: 2.0}, rng)
    assert set(parents) == {KEYS[1]}


class Few(type(SPACE)):
    """Twelve strings of the cells."""

    name = "few"

    def __init__(self):
        super().__init__(channels=4, cells=1)
        self.archs = [*distinct(11, seed=5), "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"]

    def __len__(self):
        return len(self.archs)

    def enumerate(self):
        return iter(self.archs)

    def neighbours(self, arch):
        return [other for other in self.archs if other != arch]


def test_where_all_networks_have_an_accuracy_the_space_itself_is_searched(tmp_path):
    space = Few()
    keys = list(dict.fromkeys(map(space.canonical, space.archs)))
    values, quality = values_of(keys)
    found = table_of(tmp_path / "t", values)
    data = Labelled.join(IndicatorTable(found.store, space), accuracies_of(80 + 5 * quality))
    settings = SearchSettings(budget=30, initial=4, rounds=2, candidates=30, repeats=1)
    compared = search(data, settings=settings, progress=False)
    assert (compared.whole, compared.networks) == (True, len(keys))
    assert compared.best_of == "optimum of the space"
    # fewer than the budget are measured, for there are no more
    assert {len(method.trajectories[0]) for method in compared.methods.values()} == {len(keys)}


def test_models_read_the_encoding_also_of_what_is_asked_for(made, monkeypatch):
    data, values, _ = made
    seen = []

    class Watched(WeightedSum):
        def fit(self, X, y, pool=None):
            seen.append(X)
            return super().fit(X, y, pool)

    monkeypatch.setattr(ModelSpec, "estimator", lambda self: Watched())
    search(data, "weighted_sum", SETTINGS, more=lambda keys: values.loc[list(keys)], progress=False)
    (table,) = {tuple(X.columns) for X in seen}
    assert table == tuple(data.X.columns)
    for X in seen:
        encoded = encode(SPACE, list(X.index), [name for name in table if name.startswith("encoding.")])
        assert np.array_equal(X[encoded.columns], encoded)
    assert any(key not in data.table.values().index for X in seen for key in X.index)
