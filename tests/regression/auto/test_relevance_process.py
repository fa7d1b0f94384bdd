"""The process that learns relevances against its formulas, written out."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

import fusion.regression.auto.relevance_process as module
from fusion.regression.auto.relevance_process import RelevanceProcess, Rows


def made(n=25, p=3, e=4, seed=0):
    """Return rows and goals that depend on the prior score and the first feature."""
    rng = np.random.default_rng(seed)
    rows = Rows(rng.normal(size=n), rng.normal(size=(n, p)), rng.normal(size=(n, e)))
    own = np.sin(2 * rows.features[:, 0]) if p else 0
    goal = 0.6 * rows.prior + own + 0.1 * rng.normal(size=n)
    return rows, (goal - goal.mean()) / (goal.std() or 1)


def k(distance, length):
    s = np.sqrt(5) * distance / length
    return (1 + s + s**2 / 3) * np.exp(-s)


def covariance(parameters, a, b):
    """Return the covariance, one pair at a time."""
    v1, v2, v3, v4, l1, l2 = np.exp(parameters[:6])
    p, e = a.features.shape[1], a.encoding.shape[1]
    w = np.exp(parameters[7:]) / np.sqrt(max(1, p))
    found = np.empty((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            x, z = w * a.features[i], w * b.features[j]
            found[i, j] = v1 * a.prior[i] * b.prior[j] + v2 * x @ z + v3 * k(np.linalg.norm(x - z), l1)
            if e:
                apart = np.linalg.norm(a.encoding[i] - b.encoding[j]) / np.sqrt(e)
                found[i, j] += v4 * k(apart, l2)
    return found


def drawn(p, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal([0.0, -1.0, -1.0, -1.0, 0.5, 0.5, -2.0, *[0.0] * p], 0.5)


SHAPES = [(3, 4), (3, 0), (0, 4), (0, 0)]


@pytest.mark.parametrize(("p", "e"), SHAPES)
def test_mean_and_spread_are_those_of_the_textbook(p, e):
    rows, goal = made(p=p, e=e)
    new, _ = made(n=7, p=p, e=e, seed=1)
    at = drawn(p)
    process = RelevanceProcess.given(at, rows, goal)
    K = covariance(at, rows, rows) + (np.exp(at[6]) + 1e-8) * np.eye(25)
    across = covariance(at, new, rows)
    mean = 0.5 * new.prior + across @ np.linalg.solve(K, goal - 0.5 * rows.prior)
    own = np.diag(covariance(at, new, new)) + np.exp(at[6])
    variance = own - np.diag(across @ np.linalg.solve(K, across.T))
    np.testing.assert_allclose(process.predict(new), mean, rtol=1e-8)
    np.testing.assert_allclose(process.spread(new), np.sqrt(variance), rtol=1e-7)
    np.testing.assert_allclose(process.relevance, np.exp(at[7:]))


@pytest.mark.parametrize(("p", "e"), SHAPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradient_is_that_of_the_loss(p, e, seed):
    rows, goal = made(p=p, e=e)
    posterior = module._Posterior.of(rows, goal, 0.7)
    at = drawn(p, seed)
    numeric = [
        (posterior.loss(at + step)[0] - posterior.loss(at - step)[0]) / 2e-5 for step in 1e-5 * np.eye(7 + p)
    ]
    np.testing.assert_allclose(posterior.loss(at)[1], numeric, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("p", "e"), SHAPES)
def test_the_loss_is_the_negative_log_of_likelihood_times_prior(p, e):
    rows, goal = made(p=p, e=e)
    posterior = module._Posterior.of(rows, goal, 0.7)

    def loss(at):
        K = covariance(at, rows, rows) + (np.exp(at[6]) + 1e-8) * np.eye(25)
        expected = np.array([0.0, -1.0, -1.0, -1.0, 0.5, 0.5, -2.0, *[0.0] * p])
        prior = norm.logpdf(at, expected, [1.0] * 7 + [0.7] * p).sum()
        return -multivariate_normal(cov=K).logpdf(goal) - prior

    at, other = drawn(p), drawn(p, 1)
    found = posterior.loss(at)[0] - posterior.loss(other)[0]
    assert np.isclose(found, loss(at) - loss(other))


def test_what_is_settled_on_is_more_likely_than_what_is_near():
    rows, goal = made()
    process = RelevanceProcess.learn(rows, goal, 0.7)
    posterior = module._Posterior.of(rows, goal - 0.5 * rows.prior, 0.7)
    least = posterior.loss(process.parameters)[0]
    near = process.parameters + np.random.default_rng(0).normal(scale=0.05, size=(20, 10))
    assert all(posterior.loss(other)[0] > least for other in [posterior.centre, *near])


def test_where_it_begins_hardly_matters():
    rows, goal = made(n=40)
    new, _ = made(n=30, seed=3)
    found = RelevanceProcess.learn(rows, goal, 0.7)
    rng = np.random.default_rng(0)
    for start in (found.parameters, found.parameters + rng.normal(scale=0.3, size=10)):
        again = RelevanceProcess.learn(rows, goal, 0.7, start)
        np.testing.assert_allclose(again.predict(new), found.predict(new), atol=0.01)
    # not even that of a process that was given other goals
    other = RelevanceProcess.learn(rows, rng.permutation(goal), 0.7).parameters
    again = RelevanceProcess.learn(rows, goal, 0.7, other)
    np.testing.assert_allclose(again.predict(new), found.predict(new), atol=0.01)


def test_what_tells_of_the_goal_becomes_relevant_and_noise_does_not():
    rows, goal = made(n=80, p=6)
    found = RelevanceProcess.learn(rows, goal, 0.7).relevance
    assert found[0] > 1.5
    assert found[0] > 2 * found[1:].max()
    # with less freedom nothing stands out so far
    tied = RelevanceProcess.learn(rows, goal, 0.05).relevance
    assert 1 < tied[0] < 1.2
    # and with one accuracy nothing does
    few = RelevanceProcess.learn(rows.take(slice(0, 1)), goal[:1], 0.7).relevance
    np.testing.assert_allclose(few, 1, atol=0.1)


@pytest.mark.parametrize(("p", "e"), SHAPES)
def test_one_row(p, e):
    rows, _ = made(n=1, p=p, e=e)
    new, _ = made(n=5, p=p, e=e, seed=1)
    process = RelevanceProcess.learn(rows, np.zeros(1), 0.7)
    assert np.isfinite(process.predict(new)).all()
    assert (process.spread(new) > 0).all()
    assert abs(process.predict(rows)[0]) < abs(0.5 * rows.prior[0])  # drawn to what was seen


def test_a_constant_goal_is_what_is_predicted():
    rows, _ = made(n=60)
    process = RelevanceProcess.learn(rows, np.zeros(60), 0.7)
    new, _ = made(n=20, seed=1)
    assert np.abs(process.predict(new)).max() < 0.3
    assert np.abs(process.predict(rows)).max() < 0.05


def test_with_nothing_but_equal_rows_the_goal_is_their_mean():
    rows = Rows(np.zeros(30), np.zeros((30, 2)), np.zeros((30, 2)))
    goal = np.random.default_rng(0).normal(0.8, 0.3, 30)
    process = RelevanceProcess.learn(rows, goal, 0.7)
    np.testing.assert_allclose(process.predict(rows), goal.mean(), atol=0.05)


def test_it_is_less_sure_where_it_has_not_learned():
    rows, goal = made(n=60)
    process = RelevanceProcess.learn(rows, goal, 0.7)
    far = Rows(rows.prior, rows.features + 6, rows.encoding + 6)
    assert process.spread(far).min() > 1.5 * process.spread(rows).max()


def test_more_rows_than_settle_the_parameters(monkeypatch):
    rows, goal = made(n=90)
    whole = RelevanceProcess.learn(rows, goal, 0.7)
    monkeypatch.setattr(module, "_SETTLING", (60, 60))
    part = RelevanceProcess.learn(rows, goal, 0.7)
    assert not np.array_equal(part.parameters, whole.parameters)
    assert len(part.solved) == 90  # all of them say what is predicted
    np.testing.assert_allclose(part.predict(rows), whole.predict(rows), atol=0.2)


def test_what_few_rows_settle_more_rows_settle_further(monkeypatch):
    rows, goal = made(n=90)
    found = {}
    for settling in [(30, 30), (30, 80), (80, 80)]:
        monkeypatch.setattr(module, "_SETTLING", settling)
        found[settling] = RelevanceProcess.learn(rows, goal, 0.7).parameters
    some = np.sort(np.random.default_rng(0).permutation(90)[:80])
    posterior = module._Posterior.of(rows.take(some), (goal - module._SLOPE * rows.prior)[some], 0.7)
    losses = {settling: posterior.loss(parameters)[0] for settling, parameters in found.items()}
    assert losses[30, 80] < losses[30, 30]
    assert losses[30, 80] == pytest.approx(losses[80, 80], abs=0.1)


def test_given_a_start_the_first_number_of_rows_is_enough(monkeypatch):
    rows, goal = made(n=90)
    start = RelevanceProcess.learn(rows, goal, 0.7).parameters
    counts = []
    monkeypatch.setattr(module, "_SETTLING", (30, 80))
    of = module._Posterior.of.__func__

    def counted(cls, rows, rest, freedom):
        counts.append(len(rows))
        return of(cls, rows, rest, freedom)

    monkeypatch.setattr(module._Posterior, "of", classmethod(counted))
    RelevanceProcess.learn(rows, goal, 0.7, start)
    RelevanceProcess.learn(rows, goal, 0.7)
    assert counts == [30, 30, 80]


def test_blocks_do_not_show(monkeypatch):
    rows, goal = made(n=40)
    process = RelevanceProcess.learn(rows, goal, 0.7)
    means, spreads = process.predict(rows), process.spread(rows)
    monkeypatch.setattr("fusion.regression.kernels._BLOCK", 7)
    np.testing.assert_allclose(process.predict(rows), means, rtol=1e-9)
    np.testing.assert_allclose(process.spread(rows), spreads, rtol=1e-9)


def test_a_state_gives_the_same_to_the_bit():
    rows, goal = made()
    process = RelevanceProcess.learn(rows, goal, 0.7)
    again = RelevanceProcess.from_state(process.to_state(), rows)
    new, _ = made(n=7, seed=1)
    assert np.array_equal(again.predict(new), process.predict(new))
    assert np.array_equal(again.spread(new), process.spread(new))


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": [0.0] * 9},
        {"parameters": [7.0] * 10},
        {"parameters": [-11.0] * 10},
        {"solved": [0.0]},
        {"solved": [1e200] * 25},
        {"solved": None},
    ],
    ids=str,
)
def test_a_state_that_is_none_is_refused(change):
    rows, goal = made()
    state = RelevanceProcess.given(drawn(3), rows, goal).to_state()
    with pytest.raises(ValueError, match=r"parameters|solved"):
        RelevanceProcess.from_state(state | change, rows)


def test_rounding_that_leaves_no_factor_is_outdone():
    """Equal rows, next to no noise, and entries of 1e20: what is added to the diagonal is lost in them."""
    rng = np.random.default_rng(0)
    features = 1e4 * rng.integers(1, 4, (60, 1)).astype(float)
    rows = Rows(rng.normal(size=60), features, features)
    parameters = np.array([-10.0, 6.0, 6.0, -10.0, 0.5, 0.5, -10.0, 6.0])
    own = module._covariance(parameters, rows, rows)
    own[np.diag_indices(60)] += np.exp(-10.0)
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(own)
    goal = rng.normal(size=60)
    process = RelevanceProcess.given(parameters, rows, goal)
    assert np.isfinite(process.predict(rows)).all()
    loss, slope = module._Posterior.of(rows, goal, 0.5).loss(parameters)
    assert np.isfinite(loss)
    assert np.isfinite(slope).all()
