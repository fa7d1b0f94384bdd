"""What takes long and never changes is kept in the user's cache folder."""

import json

import pytest

from fusion.storage.kept import kept


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "fusion-nas"


def never():
    raise AssertionError


def test_it_is_made_once(cache):
    assert kept("a/b.json", lambda: {"x": 0.1}) == {"x": 0.1}
    assert json.loads((cache / "a" / "b.json").read_text()) == {"x": 0.1}
    assert kept("a/b.json", never) == {"x": 0.1}


@pytest.mark.parametrize("damage", ["", "[]", '{"x": "y"}', '{"x": null}', '{"x": 0.1'])
def test_what_is_damaged_is_made_again(cache, damage):
    kept("b.json", lambda: {"x": 0.1})
    (cache / "b.json").write_text(damage)
    assert kept("b.json", lambda: {"x": 0.2}) == {"x": 0.2}
    assert kept("b.json", never) == {"x": 0.2}


def test_without_a_folder_it_is_made_each_time(cache):
    cache.write_text("a file")
    assert kept("a/b.json", lambda: {"x": 0.1}) == {"x": 0.1}
    assert kept("a/b.json", lambda: {"x": 0.2}) == {"x": 0.2}


def test_by_default_it_is_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    kept("b.json", lambda: {"x": 0.1})
    assert (tmp_path / ".cache" / "fusion-nas" / "b.json").exists()
