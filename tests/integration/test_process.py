"""The command as a process of its own."""

import subprocess
import sys

from tests.integration.conftest import SPACE


def test_the_command_is_installed_and_shows_its_version():
    done = subprocess.run([sys.executable, "-m", "fusion", "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("fusion ")


def test_extraction_imports_without_what_only_learning_needs():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['lightgbm', 'nats_bench', 'matplotlib']));"
        "import fusion.extraction, fusion.cli; fusion.cli.main(['list', 'indicators'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "naswot" in done.stdout


def test_the_command_runs_as_a_module_with_its_workers(work, tmp_path):
    command = [sys.executable, "-m", "fusion", "extract", *SPACE, "--archs", str(work / "archs.csv")]
    command += ["--images", "digits", "--indicators", "params", "--workers", "2"]
    command += ["--out", str(tmp_path / "t")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("architectures,") == 1
