"""One function over many tasks in threads: results in order, errors as they are, one torch thread each."""

import threading
import time

import numpy as np
import pytest
import torch

from fusion.errors import FusionError
from fusion.regression import ExtraTrees, GaussianProcess, LightGBM
from fusion.regression.auto.mixture import Auto
from fusion.work.devices import single_thread
from fusion.work.threads import in_threads


@pytest.fixture
def two():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_are_in_the_order_of_the_tasks(two):
    def slow(task):
        time.sleep(0.02 if task == 0 else 0)
        return task, threading.get_ident(), torch.get_num_threads()

    found = in_threads(slow, range(6))
    assert [task for task, _, _ in found] == [*range(6)]
    assert len({thread for _, thread, _ in found}) == 2
    assert {threads for _, _, threads in found} == {1}
    assert torch.get_num_threads() == 2


def test_one_thread_or_task_is_done_here(two):
    here = threading.get_ident()
    assert in_threads(lambda _: threading.get_ident(), [0]) == [here]
    assert in_threads(lambda _: threading.get_ident(), []) == []
    with single_thread():
        assert in_threads(lambda _: threading.get_ident(), range(3)) == [here] * 3


def test_of_several_calls_at_once_one_changes_the_numbers_of_threads(two):
    begun, go = threading.Event(), threading.Event()

    def waits(task):
        begun.set()
        assert go.wait(20)
        return task

    found = []
    other = threading.Thread(target=lambda: found.extend(in_threads(waits, range(3))))
    other.start()
    assert begun.wait(20)
    here = threading.get_ident()
    assert in_threads(lambda _: threading.get_ident(), range(3)) == [here] * 3
    go.set()
    other.join(20)
    assert found == [0, 1, 2]
    # nor does a call within another wait for it
    assert in_threads(lambda task: in_threads(lambda each: each + task, range(2)), range(2)) == [
        [0, 1],
        [1, 2],
    ]
    assert torch.get_num_threads() == 2


def test_errors_are_those_of_the_function(two):
    def fails(task):
        if task == 2:
            raise FusionError("no")
        return task

    with pytest.raises(FusionError, match="no"):
        in_threads(fails, range(5))


@pytest.mark.parametrize("kind", [Auto, ExtraTrees, GaussianProcess, LightGBM])
def test_predictions_do_not_depend_on_how_many_there_are(two, kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 6))
    y = X[:40, 0] + 0.1 * rng.normal(size=40)
    model = kind().fit(X[:40], y, pool=X).calibrate(X[:40], y, pool=X)
    both = model.predict(X), model.predict_interval(X)
    with single_thread():
        np.testing.assert_array_equal(model.predict(X), both[0])
        np.testing.assert_array_equal(model.predict_interval(X), both[1])
