"""The Gaussian process against its formulas, written out."""

import numpy as np
import pytest
from scipy.stats import norm, rankdata

import fusion.regression.gaussian_process as module
from fusion.regression import GaussianProcess


def normal_scores(X):
    return norm.ppf((np.apply_along_axis(rankdata, 0, X) - 0.5) / len(X))


def made(n, seed=0, columns=4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, columns))
    return X, 80 + 3 * X[:, 0] + 2 * np.sin(2 * X[:, 1]) + 0.3 * rng.normal(size=n)


def kernel(a, b, model):
    """Return the covariance of rows, one pair at a time."""
    linear, smooth, length, _ = np.exp(model.parameters_)
    p = a.shape[1]
    found = np.empty((len(a), len(b)))
    for i, x in enumerate(a):
        for j, z in enumerate(b):
            s = np.sqrt(5) * np.linalg.norm(x - z) / (length * np.sqrt(p))
            found[i, j] = linear**2 * (x @ z) / p + smooth**2 * (1 + s + s**2 / 3) * np.exp(-s)
    return found


@pytest.mark.parametrize("target", ["gaussian", "accuracy"])
def test_mean_and_spread_are_those_of_the_textbook(target):
    X, y = made(25)
    model = GaussianProcess(target).fit(X, y)
    features = normal_scores(X)
    goal = y if target == "accuracy" else normal_scores(y[:, None])[:, 0]
    z = (features - features.mean(0)) / features.std(0)
    new = np.random.default_rng(1).normal(size=(7, 4))
    noise = np.exp(2 * model.parameters_[3])
    K = kernel(z, z, model) + (noise + 1e-6) * np.eye(25)
    across = kernel((new - features.mean(0)) / features.std(0), z, model)
    unit = goal.std()
    mean = goal.mean() + unit * across @ np.linalg.solve(K, (goal - goal.mean()) / unit)
    own = np.diag(kernel(*2 * [(new - features.mean(0)) / features.std(0)], model))
    variance = own + noise - np.diag(across @ np.linalg.solve(K, across.T))
    np.testing.assert_allclose(model._scores(new), mean, rtol=1e-8)
    np.testing.assert_allclose(model._spreads(new), unit * np.sqrt(variance), rtol=1e-6)


def gram(n=30):
    rows = np.random.default_rng(2).normal(size=(n, 3))
    return module._Gram.of(rows, rows), np.sin(rows[:, 0]) + rows[:, 1]


@pytest.mark.parametrize("at", [[-0.3, 0.2, 0.1, -0.7], [-3.0, 0.5, -1.5, -2.0], [0.5, -4.0, 2.0, 0.3]])
def test_the_gradient_is_that_of_the_loss(at):
    of, goal = gram()
    numeric = [
        (module._loss(at + step, of, goal)[0] - module._loss(at - step, of, goal)[0]) / 2e-5
        for step in 1e-5 * np.eye(4)
    ]
    np.testing.assert_allclose(module._loss(np.array(at), of, goal)[1], numeric, rtol=1e-4, atol=1e-4)


def test_the_loss_is_the_negative_log_of_likelihood_times_prior():
    of, goal = gram()
    at, other = np.array([-0.3, 0.2, 0.1, -0.7]), np.array([0.4, -0.2, 0.5, -1.0])

    def loss(parameters):
        a, b, length, c = np.exp(parameters)
        s = np.sqrt(5) * of.distance / length
        K = a**2 * of.linear + b**2 * (1 + s + s**2 / 3) * np.exp(-s) + (c**2 + 1e-6) * np.eye(30)
        likelihood = -0.5 * goal @ np.linalg.solve(K, goal) - 0.5 * np.linalg.slogdet(K)[1]
        return -likelihood - norm.logpdf(parameters, module._PRIOR_MEAN, module._PRIOR_SD).sum()

    found = module._loss(at, of, goal)[0] - module._loss(other, of, goal)[0]
    assert np.isclose(found, loss(at) - loss(other))


def test_no_start_nor_neighbour_is_more_likely():
    of, goal = gram()
    best = module._most_likely(of, goal)
    least = module._loss(best, of, goal)[0]
    near = best + np.random.default_rng(0).normal(scale=0.05, size=(20, 4))
    assert all(module._loss(other, of, goal)[0] > least for other in [*module._STARTS, *near])


def test_more_rows_than_are_compared_at_first(monkeypatch):
    X, y = made(90)
    whole = GaussianProcess().fit(X, y)
    monkeypatch.setattr(module, "_COMPARED", 40)
    part = GaussianProcess().fit(X, y)
    np.testing.assert_allclose(part.parameters_, whole.parameters_, atol=0.01)


def test_blocks_do_not_show(monkeypatch):
    X, y = made(40)
    model = GaussianProcess().fit(X, y)
    scores, spreads = model._scores(X), model._spreads(X)
    monkeypatch.setattr("fusion.regression.kernels._BLOCK", 7)
    np.testing.assert_allclose(model._scores(X), scores, rtol=1e-12)
    np.testing.assert_allclose(model._spreads(X), spreads, rtol=1e-9)


def test_it_is_less_sure_where_it_has_not_learned():
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(300, 2))
    near = pool[np.argsort(np.abs(pool).sum(1))[:60]]
    model = GaussianProcess().fit(near, near[:, 0] + np.sin(3 * near[:, 1]), pool=pool)
    far = pool[np.argsort(np.abs(pool).sum(1))[-60:]]
    spreads = [model._spreads(model._features(rows)).mean() for rows in (near, far)]
    assert spreads[1] > 2 * spreads[0]


def test_columns_that_say_nothing_are_left_out():
    X, y = made(30)
    alone = GaussianProcess().fit(X, y)
    padded = GaussianProcess().fit(np.column_stack([np.ones(30), X, np.full(30, 7.0)]), y)
    assert list(padded.columns_ - 1) == list(alone.columns_)
    assert np.array_equal(padded.predict(np.column_stack([np.zeros(30), X, X[:, 0]])), alone.predict(X))


def test_without_any_column_it_predicts_the_middle():
    model = GaussianProcess().fit(np.ones((9, 2)), np.arange(9.0))
    np.testing.assert_allclose(model.predict(np.zeros((3, 2))), 4, atol=1e-9)
    assert np.isfinite(model._spreads(model._features(np.zeros((3, 2))))).all()
    assert np.isfinite(GaussianProcess().fit([[1.0]], [5.0]).predict([[2.0]])).all()
