"""What observations cost within a pass."""

from fusion.probes import meter as module
from fusion.probes.meter import Meter


def test_no_moment_counts_twice(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    meter = Meter()
    with meter.of("a"):
        now[0] += 1
        with meter.of("b", "c"):
            now[0] += 10
        now[0] += 2
        try:
            with meter.of("a"):
                now[0] += 20
                raise KeyError
        except KeyError:
            pass
    assert meter.take() == {frozenset({"a"}): 23.0, frozenset({"b", "c"}): 10.0}
    assert meter.take() == {}
