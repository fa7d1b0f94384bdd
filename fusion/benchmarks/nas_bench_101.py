"""NAS-Bench-101 from its TFRecord files, without TensorFlow.

A record is one training, as JSON: [hash, epochs, adjacency matrix as digits row by row, operations
joined by commas, base64 of a protocol buffer message]. The message's field 1, repeated, holds what
was measured before, half-way through and after the training.

Source: Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019,
arXiv:1902.09635; format after github.com/google-research/nasbench.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fusion.benchmarks.base import BENCHMARKS, Benchmark, Row, standard_deviation
from fusion.benchmarks.tfrecord import message_fields, read_records
from fusion.errors import FusionError
from fusion.spaces.nas_bench_101 import OPERATIONS, module_hash
from fusion.storage.files import is_file

# split -> field of the message EvaluationData
_ACCURACY = {"val": 4, "test": 5}
_SECONDS = 2
_DIGITS = {name: str(digit) for digit, name in enumerate(OPERATIONS)}


@dataclass
class _Sums:
    """Of the trainings of one architecture."""

    arch: str
    accuracy: float = 0.0
    seconds: float = 0.0
    trainings: list[float] = field(default_factory=list)


@BENCHMARKS.register
class NasBench101(Benchmark):
    """423,624 cells, each trained 3 times for each of 4 numbers of epochs.

    `path` is `nasbench_full.tfrecord`, or `nasbench_only108.tfrecord` with the longest trainings.
    Architecture strings are those of the space `nas-bench-101` for the cells as the file has them.
    Checksums of all records are verified.
    """

    name = "nas-bench-101"
    summary = "cells of NAS-Bench-101: its TFRecord file, read without TensorFlow"
    source = "Ying et al., NAS-Bench-101, ICML 2019, arXiv:1902.09635"
    space = "nas-bench-101"
    datasets = ("cifar10",)
    splits = ("val", "test")
    epochs = (4, 12, 36, 108)

    def _read(self, dataset: str, split: str, epochs: int, archs: Sequence[str] | None) -> list[Row]:
        wanted = None if archs is None else {module_hash(arch) for arch in archs}
        found: dict[str, _Sums] = {}
        held = set()
        for number, record in enumerate(self._records()):
            try:
                name, length, adjacency, operations, metrics = json.loads(record)
                held.add(length)
                if length != epochs or (wanted is not None and name not in wanted):
                    continue
                sums = found.get(name) or found.setdefault(name, _Sums(_arch(adjacency, operations)))
                accuracy, seconds = _after_training(base64.b64decode(metrics, validate=True), split)
            except (ValueError, TypeError, KeyError) as error:
                raise self._no_training(number, error, epochs) from None
            sums.accuracy += 100 * accuracy
            sums.seconds += seconds
            sums.trainings.append(100 * accuracy)
        if epochs not in held:
            has = ", ".join(map(str, sorted(held))) or "none"
            raise FusionError(
                f"{self.path}: has no training of {epochs} epochs (epochs in it: {has}); "
                f"{_download(self.path, epochs)}"
            )
        return [
            Row(
                sums.arch,
                sums.accuracy / len(sums.trainings),
                len(sums.trainings),
                sums.seconds / len(sums.trainings),
                standard_deviation(sums.trainings),
            )
            for sums in found.values()
        ]

    def hashes(self) -> dict[str, str]:
        """Return hash -> architecture string, for tables that name cells by their hash."""
        found: dict[str, str] = {}
        for number, record in enumerate(self._records()):
            try:
                name, _, adjacency, operations, _ = json.loads(record)
                if name not in found:
                    found[name] = _arch(adjacency, operations)
            except (ValueError, TypeError, KeyError) as error:
                raise self._no_training(number, error, 108) from None
        return found

    def _no_training(self, number: int, error: Exception, epochs: int) -> FusionError:
        reason = " ".join(str(error).split())
        return FusionError(
            f"{self.path}: record {number} is no training of NAS-Bench-101 ({reason}); "
            f"{_download(self.path, epochs)}"
        )

    def _records(self) -> Any:
        if not is_file(self.path):
            raise FusionError(f"{self.path}: no such file; {_download(self.path, 108)}")
        records = read_records(self.path)
        try:
            yield from tqdm(records, desc=self.name, unit="record", unit_scale=True, delay=2)
        except FusionError as error:
            raise FusionError(f"{error}; {_download(self.path, 108)}") from None


def _download(path: Path, epochs: int) -> str:
    file = "nasbench_only108.tfrecord" if epochs == 108 else "nasbench_full.tfrecord"
    return (
        f"download {file} (github.com/google-research/nasbench, section Download the dataset) and put it "
        f"at {path}"
    )


def _arch(adjacency: str, operations: str) -> str:
    """Return the architecture string of a record; raises ValueError when it is no cell."""
    ends, n = operations.split(","), math.isqrt(len(adjacency))
    rows = [adjacency[i * n : (i + 1) * n] for i in range(n)]
    whole = n * n == len(adjacency) and n == len(ends) and set(adjacency) <= {"0", "1"}
    if not whole or ends[0] != "input" or ends[-1] != "output":
        raise ValueError("no square matrix with one operation per vertex")
    if any("1" in row[: i + 1] for i, row in enumerate(rows)):
        raise ValueError("an edge leads back")
    upper = "".join(row[i + 1 :] for i, row in enumerate(rows))
    return f"{upper}:{''.join(_DIGITS[name] for name in ends[1:-1])}"


def _after_training(message: bytes, split: str) -> tuple[float, float]:
    """Return the accuracy (fraction) after the training and its seconds; ValueError without them."""
    evaluations = [value for number, value in message_fields(message) if number == 1]
    if len(evaluations) < 3 or not isinstance(evaluations[2], bytes):
        raise ValueError("no evaluation after the training")
    final = dict(message_fields(evaluations[2]))
    accuracy, seconds = final.get(_ACCURACY[split]), final.get(_SECONDS)
    if not (isinstance(accuracy, float) and isinstance(seconds, float) and math.isfinite(accuracy)):
        raise ValueError(f"no {split} accuracy or no training time")
    return accuracy, seconds
