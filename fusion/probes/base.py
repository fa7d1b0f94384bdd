"""What a probe is, what it looks at, and how a network is left as it was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from fusion.images.base import Batch
from fusion.probes.memory import Kept, fastest_format, is_of_spaces, lay_out
from fusion.probes.meter import Meter
from fusion.probes.outputs import inner, keep_logits
from fusion.probes.state import own_buffers_kept
from fusion.probes.survey import Survey, survey
from fusion.probes.undefined import Undefined as Undefined
from fusion.registry import Registry
from fusion.seeding import derive_seed, seeded
from fusion.spaces.graph import CellGraph

Observations: TypeAlias = dict[str, Any]

# What the meter calls the making of the network, for which all passes are the reason.
BUILDING = "network"


@dataclass
class Subject:
    """One untrained network with one batch.

    Attributes
    ----------
    build : callable
        Returns the network; called at most once. It must not depend on global random state.
    batch : Batch
        Images and labels, on the device of the passes.
    seed : int
        From which probes derive what is random in them (noise, patches); the same for all
        architectures, so that it does not add to the differences between them.
    build_thin : callable or None
        Returns the same architecture at its smallest width and depth for one-channel images;
        None for a network that belongs to no space.
    graphs : dict of str to CellGraph
        The architecture's cells, live parts only; empty for a network that has none.
    meter : Meter
        Where probes note what single observations cost.
    notes : dict of str to str
        Observation -> what has to be said of it, in the status of what is made of it.
    remarks : set of str
        What has to be said of the network.
    """

    build: Callable[[], nn.Module]
    batch: Batch
    seed: int = 0
    build_thin: Callable[[], nn.Module] | None = None
    graphs: dict[str, CellGraph] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter, repr=False)
    notes: dict[str, str] = field(default_factory=dict)
    remarks: set[str] = field(default_factory=set)

    @cached_property
    def network(self) -> nn.Module:
        """The network, on the device of the batch and in its memory format."""
        with self.meter.of(BUILDING):
            network, self._format = self._place(self.build(), self.batch.x)
        return network

    @cached_property
    def thin_network(self) -> nn.Module:
        """The thin network; raises Undefined where there is none."""
        if self.build_thin is None:
            raise Undefined("needs a thin version of the network, which only a search space has")
        images = self.batch.x[:, :1, :3, :3]
        network, self._thin_format = self._place(self.build_thin(), images, weights_learn=False)
        return network

    @property
    def survey(self) -> Survey:
        """What can be taken for granted of the network, in its memory format."""
        wanted = self.memory_format
        if wanted not in self._surveys:
            with self.meter.of(BUILDING):
                self._surveys[wanted] = self._survey(self.network, self.x)
        return self._surveys[wanted]

    @cached_property
    def thin_survey(self) -> Survey:
        """What can be taken for granted of the thin network."""
        return self._survey(self.thin_network, self.x[:, :1, :3, :3])

    @property
    def x(self) -> Tensor:
        """The images of the batch, in the memory format of the network."""
        wanted = self.memory_format
        if wanted not in self._images:
            self._images[wanted] = lay_out(self.batch.x.detach(), wanted)
        return self._images[wanted]

    @property
    def memory_format(self) -> torch.memory_format:
        """How feature maps of the network lie in memory; it depends on nothing but the network."""
        _ = self.network  # its making decides
        return self._format

    @property
    def channels_last(self) -> bool:
        """Whether the network or the thin network, as far as built, has its channels last in memory."""
        return torch.channels_last in (self._format, self._thin_format)

    @contextmanager
    def default_format(self) -> Iterator[None]:
        """Run the block with networks and images in the default memory format; then as before."""
        formats = self._format, self._thin_format
        built = [vars(self)[name] for name in ("network", "thin_network") if name in vars(self)]
        kept = Kept(*built)
        kept.to_default()
        self._format = self._thin_format = torch.contiguous_format
        try:
            yield
        finally:
            kept.put_back()
            self._format, self._thin_format = formats

    def __post_init__(self) -> None:
        self._format = self._thin_format = torch.contiguous_format
        self._images: dict[torch.memory_format, Tensor] = {}
        self._surveys: dict[torch.memory_format, Survey] = {}

    def _survey(self, network: nn.Module, x: Tensor) -> Survey:
        def forward(x: Tensor) -> Tensor:
            with own_buffers_kept(network), seeded(derive_seed("pass", self.seed)):
                logits: Tensor = network(x.clone())  # a network may change its input in place
            return logits

        with preserved(network), torch.enable_grad():
            return survey(network, x, forward)

    def _place(
        self, network: nn.Module, x: Tensor, *, weights_learn: bool = True
    ) -> tuple[nn.Module, torch.memory_format]:
        placed = inner(network).to(self.batch.x.device)

        def forward(x: Tensor) -> Any:
            with preserved(placed), torch.no_grad(), seeded(derive_seed("pass", self.seed)):
                return placed.train()(x)

        network, memory_format = fastest_format(placed, x.detach(), forward, weights_learn=weights_learn)
        if not is_of_spaces(network):
            keep_logits(network, self.remarks)
        return network, memory_format


@dataclass(frozen=True)
class Probe:
    """One kind of pass.

    Attributes
    ----------
    name, summary : str
        What it is called and what it does to the network.
    provides : dict of str to str
        Observations that it can give, each with its cost class (one of `COSTS`).
    run : callable
        (subject, wanted observations) -> observations. Raises Undefined where none exist.
    """

    name: str
    summary: str
    provides: dict[str, str]
    run: Callable[[Subject, frozenset[str]], Observations]


# No pass over the batch; one forward; one backward more; a few passes; more than a few. Apart from these, one
# image over and over, which no preset but `cost` has: what it takes says nothing that would be learned from.
RUNNING = "running"
COSTS = ("structure", "forward", "backward", "passes", "many", RUNNING)

PROBES: Registry[Probe] = Registry("probe", "fusion.probes")


def probe(**provides: str) -> Callable[[Callable[[Subject, frozenset[str]], Observations]], Probe]:
    """Return a decorator that registers a function as the probe of its name.

    Parameters
    ----------
    **provides : str
        Observation = cost class. The first line of the function's docstring is the summary.

    Raises
    ------
    ValueError
        When another probe gives one of the observations, or a cost class is not known.
    """

    def decorate(function: Callable[[Subject, frozenset[str]], Observations]) -> Probe:
        name = function.__name__
        if unknown := set(provides.values()) - set(COSTS):
            raise ValueError(f"probe {name}: unknown cost class {', '.join(unknown)}")
        for other in PROBES:
            if shared := PROBES[other].provides.keys() & provides.keys():
                raise ValueError(f"probe {name}: {', '.join(shared)} comes from probe {other} already")
        summary = (function.__doc__ or "").strip().splitlines()[0]
        return PROBES.register(Probe(name, summary, provides, function))

    return decorate


def provider(observation: str) -> Probe:
    """Return the probe that gives `observation`; raises KeyError when none does."""
    for name in PROBES:
        if observation in PROBES[name].provides:
            return PROBES[name]
    raise KeyError(observation)


@contextmanager
def hooked(modules: Iterable[nn.Module], hook: Callable[..., Any]) -> Iterator[None]:
    """Run the block with `hook` called after each forward of `modules`; gone afterwards, also on errors."""
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def preserved(network: nn.Module) -> Iterator[None]:
    """Run the block, then restore buffers, gradients, modes and `requires_grad`, also on errors."""
    modules = [*network.modules()]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in modules
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    known = {id(p): p for module in modules for p in module._parameters.values() if p is not None}
    parameters = [(p, p.requires_grad, p.grad) for p in known.values()]
    modes = [(module, module.training) for module in modules]
    for parameter, _, _ in parameters:
        parameter.grad = None  # a backward pass would add to it in place
    try:
        yield
    finally:
        with torch.no_grad():
            for module, name, buffer, value in buffers:
                module._buffers[name] = buffer  # the network may have put another in its place
                if torch._debug_has_internal_overlap(buffer) != 1:  # expanded ones cannot be written to
                    buffer.copy_(value)
        for parameter, requires_grad, grad in parameters:
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
        for module, training in modes:
            module.training = training
