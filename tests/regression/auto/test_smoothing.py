"""Smoothing over encodings against Gaussian process regression, written out with all rows."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import fusion.regression.auto.smoothing as module
from fusion.regression.auto.smoothing import Smoothing, kernel
from fusion.regression.kernels import matern, matern_and_slope, squared_distances


def made(n=40, p=3, seed=0):
    """Return encodings, and columns that are more and more noise."""
    rng = np.random.default_rng(seed)
    encoding = rng.normal(size=(n, p))
    exact = np.sin(encoding[:, 0]) + encoding[:, 1]
    columns = np.column_stack([exact + noise * rng.normal(size=n) for noise in (0, 0.3, 3)])
    return encoding, (columns - columns.mean(0)) / columns.std(0)


def pairs(a, b):
    """Return the kernel, one pair at a time."""
    p = a.shape[1]
    found = np.empty((len(a), len(b)))
    for i, x in enumerate(a):
        for j, z in enumerate(b):
            s = np.sqrt(5) * np.linalg.norm(x - z) / np.sqrt(p) / 1.5
            found[i, j] = 0.3 * (x @ z) / p + (1 + s + s**2 / 3) * np.exp(-s)
    return found


def signal(K, noise, column):
    """Return the variance of the process with the greatest likelihood."""
    return column @ np.linalg.solve(K + noise * np.eye(len(K)), column) / len(K)


def chosen(encoding, column):
    """Return the noise over signal with the greatest likelihood, and that variance of the process."""
    K = kernel(encoding, encoding)
    found = []
    for noise in module._NOISES:
        variance = signal(K, noise, column)
        density = multivariate_normal(cov=variance * (K + noise * np.eye(len(K))), allow_singular=True)
        found.append((density.logpdf(column), noise, variance))
    return max(found)[1:]


def test_the_kernel_is_the_formula():
    encoding, _ = made(9)
    np.testing.assert_allclose(kernel(encoding[:4], encoding), pairs(encoding[:4], encoding), rtol=1e-9)


def test_the_slope_of_the_kernel():
    squares = np.array([[0.0, 0.1, 2.0, 50.0]])
    for length in (0.3, 1.7):
        step = 1e-6
        numeric = (matern(squares + step, length) - matern(squares, length)) / step
        value, slope = matern_and_slope(squares, length)
        np.testing.assert_allclose(value, matern(squares, length), rtol=1e-12)
        np.testing.assert_allclose(slope, numeric, rtol=1e-3, atol=1e-8)
    assert squared_distances(np.ones((1, 3)), np.ones((2, 3))).min() == 0


@pytest.mark.parametrize("column", [0, 1, 2])
def test_it_is_gaussian_process_regression(column):
    encoding, columns = made()
    found = Smoothing.learn(encoding, columns)
    own = columns[:, column]
    noise, _ = chosen(encoding, own)
    K = kernel(encoding, encoding)
    new = np.random.default_rng(1).normal(size=(6, 3))
    expected = kernel(new, encoding) @ np.linalg.solve(K + noise * np.eye(40), own)
    values = np.arange(18.0).reshape(6, 3)
    share = found.shares[column]
    smoothed = found.apply(new, values)[:, column]
    # what is further off than two usual errors of the rows themselves is moved by that much
    off = own - K @ np.linalg.solve(K + noise * np.eye(40), own)
    reach = 2 * 1.4826 * np.median(np.abs(off))
    moved = np.clip(values[:, column] - expected, -reach, reach)
    np.testing.assert_allclose(smoothed, values[:, column] - (1 - share) * moved, atol=1e-3)
    near = expected + 0.9 * reach * np.linspace(-1, 1, 6)
    smoothed = found.apply(new, np.column_stack([near] * 3))[:, column]
    np.testing.assert_allclose(smoothed, expected + share * (near - expected), atol=1e-3)


def test_the_share_is_what_of_left_out_errors_is_not_noise():
    encoding, columns = made()
    shares = Smoothing.learn(encoding, columns).shares
    for own, share in zip(columns.T, shares, strict=True):
        noise, variance = chosen(encoding, own)
        errors = []
        for i in range(len(own)):  # fitted again without the row
            rest = np.arange(len(own)) != i
            K = kernel(encoding[rest], encoding[rest]) + noise * np.eye(rest.sum())
            errors.append(own[i] - kernel(encoding[[i]], encoding[rest])[0] @ np.linalg.solve(K, own[rest]))
        assert np.isclose(share, max(0, 1 - noise * variance / np.mean(np.square(errors))), atol=1e-3)


def test_the_likelihood_is_that_of_the_normal_density():
    encoding, columns = made()
    K, own = kernel(encoding, encoding), columns[:, 1]
    eigenvalues, u = np.linalg.eigh(K)
    for noise in (1e-3, 0.1):
        found = module._signal(u.T @ own, own, eigenvalues, noise)
        assert np.isclose(found, signal(K, noise, own))
    assert module._likeliest(u.T @ own, own, eigenvalues) == chosen(encoding, own)[0]
    # and with fewer directions than rows: what is left is noise alone
    few, v = eigenvalues[-10:], u[:, -10:]
    low = v @ np.diag(few) @ v.T
    densities = {}
    for noise in module._NOISES:
        variance = signal(low, noise, own)
        densities[noise] = multivariate_normal(cov=variance * (low + noise * np.eye(40))).logpdf(own)
    assert module._likeliest(v.T @ own, own, few) == max(densities, key=densities.get)


def test_noise_is_smoothed_and_what_is_exact_is_kept():
    encoding, columns = made(300)
    found = Smoothing.learn(encoding, columns)
    change = np.abs(found.apply(encoding, columns) - columns).mean(axis=0)
    assert change[0] < 0.02 < change[1] < change[2]
    # what the noise hid comes to light
    exact, noisy = columns[:, 0], found.apply(encoding, columns)[:, 1]
    assert np.corrcoef(noisy, exact)[0, 1] > np.corrcoef(columns[:, 1], exact)[0, 1] + 0.01


def test_where_the_encoding_says_nothing_values_stay():
    """No encoding is like another: all that is expected is the mean, and nothing looks like noise."""
    encoding = 1e4 * np.linalg.qr(np.random.default_rng(0).normal(size=(30, 30)))[0]
    columns = np.random.default_rng(1).normal(size=(30, 2))
    found = Smoothing.learn(encoding, columns)
    np.testing.assert_allclose(found.apply(encoding, columns), columns, atol=1e-2)
    assert (found.shares >= 0).all()


def test_a_constant_column_stays():
    encoding, columns = made()
    columns[:, 1] = 2.0
    found = Smoothing.learn(encoding, columns).apply(encoding, columns)
    np.testing.assert_allclose(found[:, 1], 2.0)


@pytest.mark.parametrize(("limit", "size"), [("_LANDMARKS", 15), ("_MOST", 25)])
def test_a_part_of_the_rows_is_the_same_in_any_order(monkeypatch, limit, size):
    encoding, columns = made(60)
    whole = Smoothing.learn(encoding, columns)
    monkeypatch.setattr(module, limit, size)
    found = Smoothing.learn(encoding, columns)
    order = np.random.default_rng(3).permutation(60)
    other = Smoothing.learn(encoding[order], columns[order])
    assert len(found.landmarks) == size
    assert np.array_equal(found.landmarks, other.landmarks)
    assert {*map(tuple, found.landmarks)} < {*map(tuple, encoding)}
    values = found.apply(encoding, columns)
    np.testing.assert_allclose(values, other.apply(encoding, columns), rtol=1e-6)
    # and about the same as with all of them
    assert np.corrcoef(values[:, 1], whole.apply(encoding, columns)[:, 1])[0, 1] > 0.95


def test_equal_encodings_are_one_landmark():
    encoding, columns = made()
    twice = Smoothing.learn(np.vstack([encoding, encoding]), np.vstack([columns, columns + 0.1]))
    assert len(twice.landmarks) == 40
    assert np.isfinite(twice.apply(encoding, columns)).all()


def test_blocks_do_not_show(monkeypatch):
    encoding, columns = made()
    found = Smoothing.learn(encoding, columns)
    before = found.apply(encoding, columns)
    monkeypatch.setattr("fusion.regression.kernels._BLOCK", 7)
    np.testing.assert_allclose(found.apply(encoding, columns), before, rtol=1e-12)


def test_a_state_gives_the_same_to_the_bit():
    encoding, columns = made()
    found = Smoothing.learn(encoding, columns)
    again = Smoothing.from_state(found.to_state(), 3, 3)
    assert np.array_equal(again.apply(encoding, columns), found.apply(encoding, columns))


@pytest.mark.parametrize(
    "change",
    [
        {"landmarks": []},
        {"landmarks": [[0.0, 0.0]] * 40},
        {"landmarks": [[0.0, 0.0, 0.0]] * 3000},
        {"landmarks": [[1e200, 0.0, 0.0]] * 40},
        {"coefficients": [[1e200, 0.0, 0.0]] * 40},
        {"means": [0.0, 0.0]},
        {"shares": [0.0, 0.0, 1.5]},
        {"shares": [0.0, 0.0, -0.5]},
    ],
    ids=str,
)
def test_a_state_that_is_none_is_refused(change):
    state = Smoothing.learn(*made()).to_state()
    with pytest.raises(ValueError, match=r"landmarks|coefficients|means|shares"):
        Smoothing.from_state(state | change, 3, 3)
    with pytest.raises(ValueError, match="landmarks of 0 numbers"):
        Smoothing.from_state(state | {"landmarks": [[]] * 40}, 0, 3)
