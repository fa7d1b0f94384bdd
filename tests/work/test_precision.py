"""TF32 is off inside the block and as before after it, whichever way this torch spells it."""

import warnings
from types import SimpleNamespace

import pytest
import torch

from fusion.work.precision import full_precision

new_torch = pytest.mark.skipif(
    not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="this torch has allow_tf32 only"
)


def precisions():
    backends = torch.backends
    return [part.fp32_precision for part in (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)]


@pytest.fixture
def tf32_on():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision(before)


@new_torch
def test_every_part_is_off_inside_and_restored(tf32_on):
    before = precisions()
    assert "tf32" in before
    with full_precision():
        assert precisions() == ["ieee"] * 3
    assert precisions() == before
    # what the older spelling says is consistent again
    assert torch.get_float32_matmul_precision() == "high"
    assert isinstance(torch.backends.cudnn.allow_tf32, bool)


@new_torch
def test_restored_after_an_error_and_when_nested():
    before = precisions()
    with full_precision():
        with pytest.raises(ZeroDivisionError), full_precision():
            _ = 1 / 0
        assert precisions() == ["ieee"] * 3
    assert precisions() == before


def test_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with full_precision():
            torch.ones(2, 2) @ torch.ones(2, 2)


def test_torch_before_2_9(monkeypatch):
    matmul, cudnn = SimpleNamespace(allow_tf32=False), SimpleNamespace(allow_tf32=True)
    monkeypatch.setattr(torch.backends.cuda, "matmul", matmul)
    monkeypatch.setattr(torch.backends, "cudnn", cudnn)
    matmul.allow_tf32 = True
    with full_precision():
        assert not matmul.allow_tf32
        assert not cudnn.allow_tf32
    assert matmul.allow_tf32
    assert cudnn.allow_tf32
    assert vars(matmul).keys() == vars(cudnn).keys() == {"allow_tf32"}
