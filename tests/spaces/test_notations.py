"""Every notation that tables have means the string that it should, or is refused with a hint."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from fusion.errors import FusionError, InvalidArchitecture
from fusion.spaces import SPACES, make_space
from fusion.spaces.nas_bench_101 import module_hash
from fusion.spaces.subset import Subset

TSS, SSS, CELLS = make_space("nats-tss"), make_space("nats-sss"), make_space("nas-bench-101")
ARCH = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
CELL = "100110100001001010101:02001"


@pytest.mark.parametrize(
    ("text", "arch"),
    [
        (ARCH, ARCH),
        (f"  {ARCH}\n", ARCH),
        (ARCH.upper(), ARCH),
        (ARCH.replace("|+|", "| + |"), ARCH),
        # as public code for NAS-Bench-Suite-Zero prints the cell of its first key
        (
            "(4, 0, 3, 1, 4, 3)",
            "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|",
        ),
        ("[2,1,0,3,1,4]", ARCH),
        ("[2 1 0 3 1 4]", ARCH),
        ("(2, 1, 0, 3, 1, 4,)", ARCH),
    ],
)
def test_topology_space(text, arch):
    assert TSS.read(text) == arch


@pytest.mark.parametrize("number", [0, 7, 12839, 15624])
def test_official_numbers(number):
    for text in (f"{number}", f"{number}.0", f" {number} "):
        assert TSS.read(text) == next(itertools.islice(TSS.enumerate(), number, None))
        assert SSS.read(text) == next(itertools.islice(SSS.enumerate(), number, None))
    assert SSS.read("32767") == "64:64:64:64:64"


def test_every_tuple_of_six_operations_is_another_cell():
    found = {TSS.read(str(ops)) for ops in itertools.product(range(5), repeat=6)}
    assert found == set(TSS.enumerate())


@pytest.mark.shared
def test_official_numbers_of_the_published_table(shared_data):
    table = pd.read_parquet(shared_data / "nats-tss" / "accuracies.parquet").sample(200, random_state=0)
    assert [TSS.read(str(number)) for number in table["index"]] == table["arch"].tolist()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("15625", r"'15625': the official numbers of nats-tss are 0 to 15624"),
        ("(4, 0, 3, 1, 4, 5)", r"expected six numbers of 0 to 4, as NASLib"),
        ("(4, 0, 3, 1, 4)", r"expected six numbers of 0 to 4, as NASLib"),
        ("()", r"'\(\)' is no nats-tss"),
        ("OOPS", r"'OOPS' is no nats-tss architecture; expected \|op~0"),
        ("", r"'' is no nats-tss"),
        ("12.5", r"'12.5' is no nats-tss"),
        ("-3", r"'-3' is no nats-tss"),
        (ARCH.replace("none~1", "zero~1"), r"unknown operation 'zero'"),
    ],
)
def test_what_means_no_cell_of_the_topology_space(text, match):
    with pytest.raises(InvalidArchitecture, match=match):
        TSS.read(text)


@pytest.mark.parametrize(
    "text",
    [
        *[
            "8:16:32:48:64",
            " 8:16:32:48:64 ",
            "[8, 16, 32, 48, 64]",
            "(8, 16, 32, 48, 64)",
            "[8 16 32 48 64]",
        ],
        *["8-16-32-48-64", "8, 16, 32, 48, 64", "8x16x32x48x64", "8 : 16 : 32 : 48 : 64", "751", "751.0"],
    ],
)
def test_size_space(text):
    assert SSS.read(text) == "8:16:32:48:64"


@pytest.mark.parametrize("text", ["[8, 16, 32, 48]", "8-16-32-48-65", "[1, 2, 3, 4, 5]", "", "a-b"])
def test_what_means_no_widths(text):
    with pytest.raises(InvalidArchitecture, match=r"is no nats-sss architecture; expected C1:C2") as raised:
        SSS.read(text)
    assert repr(text) in str(raised.value)


def test_numbers_beyond_the_size_space():
    with pytest.raises(InvalidArchitecture, match="official numbers of nats-sss are 0 to 32767"):
        SSS.read("32768")


def test_cells_of_nas_bench_101():
    assert CELLS.read(f" {CELL} ") == CELL
    assert CELLS.read_columns([" 100110100001001010101", "02001"]) == CELL
    assert CELLS.read_columns(["1", ""]) == "1:"
    for text in ("0:", "oops", "100:0"):
        with pytest.raises(InvalidArchitecture):
            CELLS.read(text)


def test_a_hash_is_refused_with_what_to_do():
    with pytest.raises(InvalidArchitecture, match=r"is the hash of a cell.*columns adj_upper and ops, or"):
        CELLS.read(module_hash(CELL).upper())


@pytest.mark.parametrize("name", [n for n in SPACES if n != "zoo"])
def test_every_space_reads_its_own_strings(name):
    space = make_space(name)
    for arch in space.sample(3, seed=0):
        assert space.read(f" {arch}\t") == arch
        assert Subset(space, [space.canonical(arch)]).read(arch) == arch
    with pytest.raises(InvalidArchitecture):
        space.read("no architecture")


def test_a_subset_reads_no_others():
    with pytest.raises(InvalidArchitecture, match="not among the 1 networks"):
        Subset(TSS, [TSS.canonical(ARCH)]).read("12839")


def test_columns_of_a_space_that_has_no_such():
    with pytest.raises(FusionError, match="nats-tss: architectures are not spelled by several columns"):
        TSS.read_columns(["a", "b"])
