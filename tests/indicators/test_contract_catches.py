"""The contract suite fails for an indicator that breaks the contract, and names it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CONTRACT, DEGENERATE = "test_indicator_contract.py", "test_contract_degenerate.py"
# a probe that does this in its pass, and an indicator that returns what it observed
PASSES = {
    "sound": "seen = float(network(x).std())",
    "hook": "network.stem[0].register_forward_hook(lambda *_: None)",
    "seed": "torch.manual_seed(0); seen = float(torch.rand(()))",
    "draw": "seen = float(torch.rand(()))",
    "sentinel": "seen = float(network(x).std()); seen = seen if seen > 0 else -1e8",
    "buffer": "network.stem[1].running_mean.add_(1)",
    "frozen": "network.requires_grad_(False)",
    "inplace": "network.head[1].inplace = False",
    "counter": "calls.append(1); seen = len(calls)",
    "raising": "seen = attempt(network, x)",
}
PLUGIN = '''"""An indicator of its own."""
import torch
from fusion.indicators import indicator
from fusion.probes.base import Undefined, preserved, probe

calls = []

def attempt(network, x):
    handle = network.register_forward_hook(lambda *_: None)
    seen = float(network(x).std())
    handle.remove()  # not reached when the network raises
    return seen

@probe({name}_seen="passes")
def {name}_pass(subject, wanted):
    """Forward in training mode.

    Observations
    ------------
    {name}_seen : float
    """
    network, x, seen = subject.network, subject.x, 1.0
    with {context}, torch.no_grad():
        {does}
    if not -1e9 < seen < 1e9 or seen == 0:
        raise Undefined("the outputs do not vary")
    return {{"{name}_seen": seen}}

@indicator(formula="-", source="-", higher_is_better=True, assumes="nothing, no labels")
def {name}({name}_seen):
    """What the pass saw."""
    return {name}_seen
'''
# imports torch once and then forks: most of the time of a run of its own would go into that
RUN = """
import os, sys
import pytest
import fusion.extraction.verb
from fusion.images import load_images

load_images("digits").batch(1)
for run in sys.argv[1:]:
    name, *files = run.split(",")
    if not (child := os.fork()):
        out = os.open(f"{name}.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(out, 1)
        os.dup2(out, 2)
        options = ["-p", name, "-k", name, "-p", "no:cacheprovider", "-q", "--tb=no"]
        code = pytest.main([*options, *files])
        sys.stdout.flush()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with open(f"{name}.txt", "a") as file:
        file.write(f"exit code {code}")
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[str, str]:
    """What the suite says of each plugin, each registered alone."""
    folder = tmp_path_factory.mktemp("plugins")
    runs = []
    for what, does in PASSES.items():
        careless = what in ("buffer", "frozen")
        context = "torch.enable_grad()" if careless else "preserved(network)"
        text = PLUGIN.format(name=f"plugin_{what}", does=does, context=context)
        (folder / f"plugin_{what}.py").write_text(text)
        files = {"sound": (CONTRACT, DEGENERATE), "sentinel": (DEGENERATE,)}.get(what, (CONTRACT,))
        runs.append(",".join([f"plugin_{what}", *(str(HERE / file) for file in files)]))
    path = os.pathsep.join([str(folder), str(HERE.parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", RUN, *runs],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {what: (folder / f"plugin_{what}.txt").read_text() for what in PASSES}


def test_a_sound_one_passes(told):
    assert told["sound"].endswith("exit code 0"), told["sound"]
    assert re.search(r"^(8|9|10) passed", told["sound"], re.MULTILINE), told["sound"]


@pytest.mark.parametrize("what", [what for what in PASSES if what != "sound"])
def test_a_broken_one_is_named(told, what):
    assert told[what].endswith("exit code 1"), told[what]
    failed = re.findall(r"^FAILED .*?::(\w+)\[(\w+)", told[what], re.MULTILINE)
    expected = {
        "draw": "test_neither_reads_nor_moves_the_global_random_state",
        "seed": "test_neither_reads_nor_moves_the_global_random_state",
        "counter": "test_alone_equals_among_all_in_any_order",
        "sentinel": "test_gives_a_number_or_says_in_one_line_why_not",
    }.get(what, "test_leaves_network_images_and_random_state_as_they_were")
    assert expected in {test for test, _ in failed}, told[what]
    assert {name for _, name in failed} == {f"plugin_{what}"}
