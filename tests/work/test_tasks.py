"""Tasks in worker processes: what they find, what the bar says, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor

from fusion.errors import FusionError
from fusion.plugins import load_object
from fusion.work.tasks import has_deadline, run_tasks, until

SCRIPT = """
import sys
import time

from fusion.work.tasks import run_tasks


class Store:
    def add(self, rows):
        print(len(rows), flush=True)


def work(task):
    time.sleep(0.05)
    return [{"key": task}]


try:
    run_tasks(work, list(range(3000)), Store(), workers=2, description="wait")
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    sys.exit(130)
"""


class Store:
    """Keeps what is added."""

    def __init__(self):
        self.frames = []

    def add(self, rows):
        self.frames.append(rows)

    @property
    def rows(self):
        return pd.concat(self.frames)["key"].tolist()


def row(task):
    return [{"key": task}]


def fail(task):
    if task == 2:
        raise KeyboardInterrupt
    return row(task)


def slow(task):
    time.sleep(0.05)
    return row(task)


def test_the_bar_starts_with_what_was_found(capsys):
    store = Store()
    run_tasks(row, [3, 4], store, description="extract", found=169)
    assert store.rows == [3, 4]
    printed, told = capsys.readouterr()
    assert printed == ""
    assert "extract, 169 of 171 found" in told
    assert "169/171" in told
    assert "171/171" in told


def test_nothing_is_said_of_what_was_found_where_nothing_was(capsys):
    run_tasks(row, [3], Store(), description="extract")
    assert "found" not in capsys.readouterr().err


def test_what_was_computed_is_stored_when_interrupted():
    store = Store()
    with pytest.raises(KeyboardInterrupt):
        run_tasks(fail, range(5), store, progress=False)
    assert store.rows == [0, 1]


def test_nothing_is_begun_after_a_moment():
    store, began = Store(), time.monotonic()
    with until(began + 0.3):
        assert has_deadline()
        run_tasks(slow, range(1000), store, progress=False)
    assert not has_deadline()
    assert store.rows == [*range(len(store.rows))]
    assert 0 < len(store.rows) < 1000
    with until(time.monotonic()):
        run_tasks(row, range(3), store, workers=2, progress=False)
    assert len(store.frames) == 1
    run_tasks(row, range(3), store, progress=False)
    assert store.rows[-3:] == [0, 1, 2]


def test_workers_find_a_file_with_a_dot_in_its_name(own_folder):
    (own_folder / "tasks.v2.py").write_text("def row(task):\n    return [{'key': task + 1}]\n")
    store = Store()
    try:
        run_tasks(load_object("tasks.v2.py:row"), range(3), store, workers=2, progress=False)
    finally:
        get_reusable_executor().shutdown()  # its workers know the folder of this test
    assert sorted(store.rows) == [1, 2, 3]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="interrupts a group of processes, as a terminal does")
def test_an_early_interrupt_ends_in_one_line(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # what runs in the background of a script ignores interrupts, and so would what it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    told = os.read(process.stderr.fileno(), 1000)  # the empty bar: workers are starting
    os.killpg(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in (told + rest).decode()


def die_at_7(task):
    if task == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)
    return [{"key": task}]


def test_a_worker_that_is_killed_loses_nothing_and_names_what_was_in_hand():
    store = Store()
    with pytest.raises(FusionError, match="fewer workers or a smaller batch") as told:
        run_tasks(die_at_7, list(range(60)), store, workers=2, progress=False, flush_seconds=0)
    assert "7" in str(told.value).rpartition(": ")[2].split(", ")
    done = store.rows
    assert 7 not in done
    assert len(done) == len(set(done))
    # and another run goes on
    rest = [task for task in range(60) if task not in done and task != 7]
    run_tasks(die_at_7, rest, store, workers=2, progress=False)
    assert sorted(store.rows) == [task for task in range(60) if task != 7]
