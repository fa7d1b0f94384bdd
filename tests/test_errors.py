"""A FusionError is a ValueError, and is not taken for one that something else raised."""

import pandas as pd
import pytest

from fusion.benchmarks.tfrecord import read_records
from fusion.errors import FusionError, InvalidArchitecture
from fusion.spaces import make_space
from fusion.storage import documents


def test_it_is_a_value_error():
    with pytest.raises(ValueError, match="to do"):
        raise FusionError("this is to do")
    assert issubclass(InvalidArchitecture, ValueError)


def test_a_damaged_record_is_not_an_empty_file(tmp_path):
    (tmp_path / "records").write_bytes(bytes(40))
    with pytest.raises(FusionError, match=r"wrong checksum|no TFRecord file"):
        list(read_records(tmp_path / "records"))


def test_a_file_that_is_too_large_is_not_called_truncated(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "MAX_BYTES", 1)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(FusionError, match="too many for this file") as raised:
        documents.read_json(tmp_path / "x.json", repair="restore it")
    assert "truncated" not in str(raised.value)


def test_what_a_model_says_of_its_settings_reaches_the_user():
    from fusion.search.predictor_search import _fit

    class Refuses:
        def fit(self, table, accuracies):
            raise FusionError("penalty 'x' is not known")

    indicators = lambda keys: pd.DataFrame({"a": 1.0}, index=list(keys))  # noqa: E731
    with pytest.raises(FusionError, match=r"^penalty 'x' is not known$"):
        _fit(Refuses(), indicators, {"1": 1.0})


def test_what_a_space_says_of_its_settings_reaches_the_user():
    with pytest.raises(FusionError) as raised:
        make_space("nats-sss", {"divisor": 0})
    assert str(raised.value).count("space 'nats-sss'") <= 1
