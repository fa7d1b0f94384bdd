"""What running the network takes: time and energy on the device at hand, and memory."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fusion.probes.base import Observations, Subject, Undefined, preserved, probe
from fusion.probes.calls import tensors_in
from fusion.probes.undefined import as_undefined
from fusion.work.devices import threads_of, wait_for
from fusion.work.energy import energy_counter
from fusion.work.provenance import hardware

# Runs before the clock counts; then so many, and on until so many seconds have passed.
_WARM_UP = 3
_RUNS = 15
_SECONDS = 0.2
# Counters of energy move rarely.
_SECONDS_OF_ENERGY = 1.0


@probe(seconds_of_run="running", bytes_of_run="running", joules_of_run="running")
def running(subject: Subject, wanted: frozenset[str]) -> Observations:
    """Forward passes of one image in evaluation mode, without gradients, over and over.

    Time and energy are those of this device and of all that runs on it meanwhile, and no run gives the same
    again; memory is counted, and the same everywhere.

    Observations
    ------------
    seconds_of_run : float
        Median over the runs, after some that warm up.
    bytes_of_run : int
        The most that parameters, buffers, the image and the tensors that torch's operations give take at any
        moment. What an operation takes and frees while it runs is not seen.
    joules_of_run : float
        Mean over the runs, by the device's own counter; Undefined where it has none.
    """
    network, x = subject.network, subject.x[:1].clone()  # a part would keep all images in memory
    device = str(x.device)
    shape = " x ".join(map(str, x.shape[1:]))
    found: Observations = {}
    with preserved(network), torch.no_grad():
        network.eval()
        if "bytes_of_run" in wanted:
            try:
                found["bytes_of_run"] = peak_bytes(network, x)
            except Exception as error:  # the clock need not look inside
                found["bytes_of_run"] = as_undefined(error)
            subject.notes["bytes_of_run"] = f"of one image of {shape}"
        if wanted & {"seconds_of_run", "joules_of_run"}:
            found |= _timed(lambda: network(x), device, wanted)
            count = threads_of(device)
            threads = "" if count is None else f", {count} thread{'s' if count > 1 else ''}"
            told = f"of one image of {shape}{threads}, {hardware(device)}"
            subject.notes |= {"seconds_of_run": f"median {told}", "joules_of_run": f"mean {told}"}
    return found


def _timed(run: Callable[[], Any], device: str, wanted: frozenset[str]) -> Observations:
    counter = energy_counter(device) if "joules_of_run" in wanted else None
    for _ in range(_WARM_UP):
        run()
    wait_for(device)
    least = _SECONDS if counter is None else _SECONDS_OF_ENERGY
    joules = 0.0 if counter is None else counter()
    began = time.perf_counter()
    seconds: list[float] = []
    while len(seconds) < _RUNS or time.perf_counter() - began < least:
        started = time.perf_counter()
        run()
        wait_for(device)
        seconds.append(time.perf_counter() - started)
    found: Observations = {"seconds_of_run": statistics.median(seconds)}
    if counter is None:
        found["joules_of_run"] = Undefined("this device does not tell what energy it has used")
    else:
        found["joules_of_run"] = (counter() - joules) / len(seconds)
    return {name: value for name, value in found.items() if name in wanted}


def peak_bytes(network: nn.Module, x: Tensor) -> int:
    """Return the most bytes that a forward pass has in tensors at any moment; see `running`."""
    standing = _Memory()
    for tensor in (*network.parameters(), *network.buffers(), x):
        standing.see(tensor)
    try:
        with torch.no_grad(), standing:
            network(x)
    finally:
        standing.forget()
    return standing.most


class _Memory(TorchDispatchMode):
    """Counts the memory of tensors that are alive; views of one another count once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._alive: dict[int, weakref.finalize[Any, Any]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the compiler is imported, which takes a second

    def see(self, tensor: Tensor) -> None:
        """Count what a tensor takes, unless it is counted."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        size = storage.nbytes()
        self.now += size
        self.most = max(self.most, self.now)
        self._alive[key] = weakref.finalize(storage, self._gone, key, size)

    def forget(self) -> None:
        """Let go of the tensors that are still alive."""
        for waiting in self._alive.values():
            waiting.detach()

    def _gone(self, key: int, size: int) -> None:
        del self._alive[key]
        self.now -= size

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation, and count what it gives."""
        out = func(*args, **(kwargs or {}))
        for tensor in tensors_in(out):
            self.see(tensor)
        return out
