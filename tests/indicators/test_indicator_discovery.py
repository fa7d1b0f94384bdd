"""What is in the folders is registered, and what installed packages name; the order changes no value."""

import importlib
import importlib.metadata
import sys
from pathlib import Path

import pytest

import fusion.indicators
import fusion.probes
from fusion.errors import FusionError
from fusion.extraction.planner import compute
from fusion.extraction.subject import make_subject
from fusion.images import load_images
from fusion.indicators import INDICATORS, select
from fusion.probes import PROBES
from fusion.spaces import make_space


def entry(value: str) -> importlib.metadata.EntryPoint:
    return importlib.metadata.EntryPoint(name="theirs", value=value, group="fusion.indicators")


@pytest.mark.parametrize("package", [fusion.indicators, fusion.probes])
def test_every_module_is_imported(package):
    stems = {path.stem for path in Path(package.__file__).parent.glob("*.py")} - {"__init__"}
    assert {f"{package.__name__}.{stem}" for stem in stems} <= sys.modules.keys()


def test_an_installed_package_registers_its_indicators(tmp_path, monkeypatch):
    (tmp_path / "their_module.py").write_text(
        "from fusion.indicators import indicator\n"
        "@indicator(formula='-', source='-', higher_is_better=True, assumes='-')\n"
        "def theirs(parameter_count):\n    'Of another package.'\n    return parameter_count\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("fusion.registry.entry_points", lambda group: [entry("their_module")])
    try:
        importlib.reload(fusion.indicators)
        assert INDICATORS["theirs"].function.__module__ == "their_module"
        assert "theirs" in select("structure")
    finally:
        INDICATORS._items.pop("theirs", None)
        sys.modules.pop("their_module", None)


def test_an_installed_package_that_does_not_load_is_named(monkeypatch):
    monkeypatch.setattr("fusion.registry.entry_points", lambda group: [entry("no_such_module")])
    with pytest.raises(FusionError, match=r"'theirs = no_such_module'.*ModuleNotFoundError.*uninstall"):
        importlib.reload(fusion.indicators)


def test_the_order_of_passes_changes_no_value(monkeypatch):
    space = make_space("nats-tss", {"channels": 4, "cells": 1})
    batch = load_images("digits").batch(12)

    def values() -> dict[str, tuple[float | None, str]]:
        subject = make_subject(space, space.canonical(space.sample(1, 3)[0]), batch, seed=0, repeat=0)
        return {v.indicator: (v.value, v.status) for v in compute(select("full"), subject)}

    expected = values()
    assert any(value is not None for value, _ in expected.values())
    monkeypatch.setattr(PROBES, "_items", dict(reversed(PROBES._items.items())))
    assert values() == expected
