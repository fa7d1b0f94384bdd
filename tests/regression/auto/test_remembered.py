"""Networks that were measured: between the measurement and what is predicted of them."""

import json

import numpy as np
import pytest

from fusion.regression import Auto
from fusion.regression.auto.remembered import Remembered
from tests.regression.pools import pool_of

SEEN = np.array([[0.0, 1.0], [0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
GOAL = np.array([1.0, 1.2, -1.0, 0.5])
PREDICTED = np.array([0.6, 0.6, -0.2, 0.5])


def test_a_measurement_and_a_prediction_are_weighed_by_their_variances():
    noise = 0.01
    found = Remembered.learn(SEEN, GOAL, PREDICTED, np.ones(4), np.ones(4), noise)
    assert found.places(SEEN).tolist() == [0, 0, 1, 2]
    assert found.places(np.array([[0.0, 1.00001], [9.0, 9.0]])).tolist() == [0, -1]
    measured, expected, count = np.array([1.1, -1.0, 0.5]), np.array([0.6, -0.2, 0.5]), np.array([2, 1, 1])
    squares = (measured - expected) ** 2
    typical = np.median(squares) / 0.4549 - noise
    s2 = np.maximum(typical, squares - noise / count)
    weight = s2 / (s2 + noise / count)
    np.testing.assert_allclose(found.scores, expected + weight * (measured - expected))


def test_noise_is_what_repeated_measurements_differ_by_and_less_far_from_the_best():
    seen = np.repeat(np.arange(8.0)[:, None], 2, axis=0)
    slopes = np.repeat(np.linspace(2.0, 0.1, 8), 2)
    goal = np.repeat(np.arange(8.0), 2) + np.tile([0.1, -0.1], 8) * slopes
    found = Remembered.learn(seen, goal, np.zeros(16), np.ones(16), slopes, noise=100.0)
    # nearly no noise beside errors of several units: what was measured counts
    np.testing.assert_allclose(found.scores, np.arange(8.0), atol=0.05)
    assert (np.diff(found.spreads) <= 0).all()


def test_without_errors_there_is_nothing_to_weigh():
    found = Remembered.learn(SEEN, PREDICTED, PREDICTED, np.ones(4), np.ones(4), 0.1)
    np.testing.assert_array_equal(found.scores, [0.6, -0.2, 0.5])


def test_a_state_gives_the_same():
    found = Remembered.learn(SEEN, GOAL, PREDICTED, np.ones(4), np.ones(4), 0.02)
    again = Remembered.from_state(json.loads(json.dumps(found.to_state())), SEEN)
    assert again.rows == found.rows
    assert np.array_equal(again.scores, found.scores)
    with pytest.raises(ValueError, match="remembered"):
        Remembered.from_state({"scores": [1.0], "spreads": [1.0]}, SEEN)


def test_a_collapsed_network_is_predicted_where_it_was_measured():
    table, accuracies = pool_of()
    accuracies = np.array(accuracies, dtype=float)[:40]
    accuracies[3] = accuracies.min() - 60 * np.ptp(accuracies)
    model = Auto(effort="quick").fit(table[:40], accuracies, pool=table)
    off = np.abs(model.predict(table[:40]) - accuracies)
    assert off[3] < 0.05 * (np.median(accuracies) - accuracies[3])
    low, high = model.calibrate(table[:40], accuracies, pool=table).predict_interval(table[3:4])[0]
    assert low <= model.predict(table[3:4])[0] <= high
