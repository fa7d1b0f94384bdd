"""Objects named by the user: what is found, and what is told when it is not."""

import ast
import hashlib
import pickle

import pytest
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from fusion.errors import FusionError
from fusion.plugins import code_shape, load_object


@pytest.fixture(autouse=True)
def folder(own_folder):
    return own_folder


def test_an_installed_module():
    assert load_object("collections.abc:Sequence").__name__ == "Sequence"


def test_a_module_and_a_package_in_the_current_folder(folder):
    (folder / "plug_one.py").write_text("value = 1")
    (folder / "plug_package").mkdir()
    (folder / "plug_package" / "inner.py").write_text("value = 2")
    assert load_object("plug_one:value") == 1
    assert load_object("plug_package.inner:value") == 2


def test_a_file_finds_its_neighbours_and_is_loaded_once(folder, monkeypatch):
    (folder / "there").mkdir()
    (folder / "there" / "plug_neighbour.py").write_text("value = 3")
    (folder / "there" / "plug-two.py").write_text("from plug_neighbour import value\nclass Mine: pass")
    assert load_object("there/plug-two.py:value") == 3
    mine = load_object("there/plug-two.py:Mine")
    assert load_object(str(folder / "there" / "plug-two.py") + ":Mine") is mine
    monkeypatch.setenv("HOME", str(folder))
    assert load_object("~/there/plug-two.py:Mine") is mine


def test_worker_processes_find_what_a_file_defines(folder):
    (folder / "there").mkdir()
    (folder / "there" / "plug_work.py").write_text("def work(x):\n    return x + 1")
    work = load_object("there/plug_work.py:work")
    get_reusable_executor().shutdown(wait=True)  # those of other tests look elsewhere
    assert Parallel(n_jobs=2)(delayed(work)(x) for x in range(2)) == [1, 2]


@pytest.mark.parametrize("text", ["plug", "plug.py", ":name", "plug:", ""])
def test_another_form(text):
    with pytest.raises(FusionError, match=r"expected module:name or file\.py:name"):
        load_object(text)


@pytest.mark.parametrize("text", ["plug_nowhere:x", "plug_nowhere.inner:x", "collections.plug_nowhere:x"])
def test_no_such_module(text):
    with pytest.raises(FusionError, match=r"no module '.*plug_nowhere'"):
        load_object(text)


def test_no_such_file(folder):
    with pytest.raises(FusionError, match=f"no such file: {folder}/sub/plug.py"):
        load_object("sub/plug.py:x")


def test_no_such_attribute(folder):
    (folder / "plug_three.py").write_text("def resnet(): pass")
    with pytest.raises(FusionError, match=r"plug_three.py has no 'resnett'; did you mean 'resnet'"):
        load_object("plug_three.py:resnett")
    with pytest.raises(FusionError, match=r"plug_three has no 'vgg'$"):
        load_object("plug_three:vgg")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import plug_nowhere", "importing plug_four failed: ModuleNotFoundError: .*plug_nowhere"),
        ("1 / 0", "importing plug_four failed: ZeroDivisionError"),
        ("def (", "importing plug_four failed: SyntaxError"),
        ("raise SystemExit(2)", "importing plug_four failed: SystemExit: 2"),
    ],
)
def test_a_module_that_cannot_be_imported(folder, code, told):
    (folder / "plug_four.py").write_text(code)
    for text in ("plug_four:x", "plug_four.py:x"):
        with pytest.raises(FusionError, match=told):
            load_object(text)


@pytest.mark.parametrize("name", ["json", "sys"])
def test_a_file_with_the_name_of_another_module(folder, name):
    (folder / f"{name}.py").write_text("x = 1")
    with pytest.raises(FusionError, match=f"'{name}' is the name of another module .*; rename the file"):
        load_object(f"{name}.py:x")


def test_the_shape_of_code_is_that_of_every_python_and_leaves_out_texts():
    code = "class A(B):\n    def f(self, *, a=1):\n        return -a if a else [x for x in 'ab'] or None\n"
    texts = '"""A text."""\n# a comment\n' + code.replace("\n    def", '\n    "B."\n\n    def')
    one, two, three = (code_shape(ast.parse(c)) for c in (code, texts, code.replace("a=1", "a=2")))
    assert one == two != three
    digest = hashlib.sha256(repr(one).encode()).hexdigest()
    assert digest.startswith("7379220a94bb3d01")


def test_a_file_without_a_name_says_what_it_defines(folder):
    (folder / "plug_five.py").write_text("import sys\nraise SystemExit\nclass Net: pass\ndef small(): pass\n")
    for text in ("plug_five.py", "plug_five.py:"):
        with pytest.raises(FusionError, match=r"plug_five.py defines Net, small: say plug_five.py:Net$"):
            load_object(text)


def test_a_module_of_a_package_named_by_its_file(folder, monkeypatch):
    (folder / "plug_pack" / "inner").mkdir(parents=True)
    (folder / "plug_pack" / "__init__.py").touch()
    (folder / "plug_pack" / "base.py").write_text("value = 5")
    for name in ("deep.py", "inner/__init__.py"):
        (folder / "plug_pack" / name).touch()
    (folder / "plug_pack" / "net.py").write_text("from .base import value")
    (folder / "plug_pack" / "inner" / "net2.py").write_text("from ..base import value")
    with pytest.raises(FusionError, match=r"name it plug_pack\.net:value$"):
        load_object("plug_pack/net.py:value")
    with pytest.raises(FusionError, match=r"name it plug_pack\.inner\.net2:value$"):
        load_object("plug_pack/inner/net2.py:value")
    assert load_object("plug_pack.inner.net2:value") == 5
    monkeypatch.chdir(folder / "plug_pack")
    with pytest.raises(FusionError, match=f"name it plug_pack.net:value, in the folder {folder}$"):
        load_object("net.py:value")


def test_a_file_with_a_dot_in_its_name_is_loaded_also_in_workers(folder):
    (folder / "plug-six.v2.py").write_text("class Mine:\n    def __call__(self, x):\n        return x + 6")
    mine = load_object("plug-six.v2.py:Mine")
    assert load_object(f"{folder}/plug-six.v2.py:Mine") is mine
    assert pickle.loads(pickle.dumps(mine())).__class__ is mine
    for name in ("plug-six_v3.py", "plug-six.v3.py"):
        (folder / name).write_text("x = 1")
    assert load_object("plug-six_v3.py:x") == 1
    with pytest.raises(FusionError, match="'plug-six_v3' is the name of another module"):
        load_object("plug-six.v3.py:x")
