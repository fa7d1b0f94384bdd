"""A registry is a mapping that prints itself; a name is given once, and an unknown one is explained."""

import ast
import importlib
import importlib.metadata
import re
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

import fusion
from fusion.cli import main
from fusion.cli.catalogue import REGISTRIES, catalogue
from fusion.errors import FusionError
from fusion.registry import Registry, about


class Thing:
    name = "a-thing"
    summary = "what it is"
    source = "a paper"
    version = 3


def words():
    """Say words.

    And more.
    """


@pytest.fixture
def registry():
    made = Registry("thing", "fusion.things")
    made.register(Thing)
    made.register(words)
    return made


def test_what_things_say_of_themselves():
    assert vars(about(Thing)) == {
        "name": "a-thing",
        "summary": "what it is",
        "source": "a paper",
        "version": 3,
    }
    assert vars(about(words)) == {"name": "words", "summary": "Say words.", "source": "", "version": 1}
    assert about(partial(words)).summary == "Say words."
    assert about(type("Bare", (), {})).summary == ""


def test_it_is_a_mapping_in_order_of_registration(registry):
    assert isinstance(registry, Mapping)
    assert dict(registry) == {"a-thing": Thing, "words": words}
    assert list(registry.values()) == [Thing, words]
    assert registry.get("nothing") is None
    assert "words" in registry
    assert "nothing" not in registry


def test_it_prints_itself(registry):
    assert str(registry) == "a-thing  what it is\nwords    Say words."
    assert str(Registry("thing")) == ""


def test_register_is_a_decorator_and_gives_back_what_it_got(registry):
    @registry.register
    class Other(Thing):
        name = "other"

    assert registry["other"] is Other


def test_a_name_is_not_taken_twice(registry):
    with pytest.raises(ValueError, match="thing 'words' is registered already"):
        registry.register(words)
    assert len(registry) == 2


@pytest.mark.parametrize("item", [3, "words", SimpleNamespace(name=7)])
def test_what_has_no_name_is_not_registered(registry, item):
    with pytest.raises(TypeError, match="give it an attribute `name`"):
        registry.register(item)


def test_an_unknown_name_is_explained(registry):
    with pytest.raises(FusionError, match=r"^unknown thing 'wards'; did you mean 'words'\?") as raised:
        registry["wards"]
    assert isinstance(raised.value, KeyError)
    assert str(raised.value).endswith("`fusion list things` names all 2")
    with pytest.raises(FusionError, match=r"^unknown thing 'xyz'; known: a-thing, words$"):
        registry["xyz"]


def test_of_many_names_the_closest_are_shown():
    many = Registry("thing", "fusion.things")
    for i in range(98):
        many.register(SimpleNamespace(name=f"thing{i:03}", summary=""))
    with pytest.raises(FusionError) as raised:
        many["thing00"]
    assert len(re.findall(r"'thing\d\d\d'", str(raised.value))) == 3
    with pytest.raises(FusionError, match=r"^unknown thing 'x'; `fusion list things` names all 98$"):
        many["x"]


def test_everything_that_is_listed_says_what_it_is(capsys):
    for what in REGISTRIES:
        rows = catalogue(what)
        assert [row["name"] for row in rows] == list(REGISTRIES[what])
        for row in rows:
            assert row["summary"], row
            assert "\n" not in row["summary"], row
        assert main(["list", what]) == 0
        assert capsys.readouterr().out.split("\n")[:-1] == str(REGISTRIES[what]).split("\n")


def test_an_unknown_list_is_explained():
    with pytest.raises(FusionError, match="list pipeline: no such list; did you mean 'pipeline-keys'"):
        catalogue("pipeline")
    with pytest.raises(FusionError, match=r"list x: no such list; known: spaces, .*pipeline-keys"):
        catalogue("x")


@pytest.mark.parametrize("what", REGISTRIES)
def test_an_installed_package_adds_to_every_list(what, tmp_path, monkeypatch):
    """Each registry asks for its own group, once its folder is imported."""
    registry = REGISTRIES[what]
    (tmp_path / "their_module.py").write_text("loaded = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_module", raising=False)

    def found(group):
        names = [("theirs", "their_module")] if group == f"fusion.{what}" else []
        return [importlib.metadata.EntryPoint(*entry, group) for entry in names]

    monkeypatch.setattr("fusion.registry.entry_points", found)
    registry.load_entry_points()
    assert sys.modules.pop("their_module").loaded


def test_every_listed_registry_loads_its_entry_points_where_it_is_imported():
    """A call in the `__init__` of its folder, so that nothing can be read before."""
    calls = set()
    for path in Path(fusion.__file__).parent.glob("*/__init__.py"):
        for node in ast.parse(path.read_text()).body:
            match node:
                case ast.Expr(ast.Call(ast.Attribute(ast.Name(name), "load_entry_points"))):
                    calls.add(getattr(importlib.import_module(f"fusion.{path.parent.name}"), name).group)
    assert calls == {f"fusion.{what}" for what in REGISTRIES}


def test_a_package_that_does_not_load_is_named(registry, monkeypatch):
    entry = importlib.metadata.EntryPoint("theirs", "no_such_module", "fusion.things")
    monkeypatch.setattr("fusion.registry.entry_points", lambda group: [entry])
    with pytest.raises(FusionError, match=r"'theirs = no_such_module'.*ModuleNotFoundError.*uninstall"):
        registry.load_entry_points()
