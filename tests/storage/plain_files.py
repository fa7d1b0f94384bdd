"""Small tables in files, and how they are read."""

from __future__ import annotations

import pandas as pd
import pytest

from fusion.errors import FusionError
from fusion.storage.plain import read_table

ARCHS = ["|a~0|+|b~0|c~1|", "[8, 16]", 'say "x"']
TABLE = pd.DataFrame({"arch": ARCHS, "top1": [90.5, -1e-7, 3.0], "note": ["a, b", "", "ü"]})


def written(tmp_path, content, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(match, path, function=read_table):
    with pytest.raises(FusionError, match=match) as raised:
        function(path)
    assert "\n" not in str(raised.value)
    assert str(path.name) in str(raised.value)


def cells(table):
    return table.frame.to_numpy().tolist()
