"""Small networks drawn at random, each written in two ways that are drawn too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from fusion.extraction.check.compare import compare_networks
from fusion.images.base import Batch

X = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(3))
BATCH = Batch(X, torch.arange(8) % 4, 4)
NAMES = "naswot,swap,meco,zen,grad_norm,snip,plain,fisher,zico,cj,jacobian_norm,os,az_expressivity,"
NAMES += "az_progressivity,params,tensors,flops,depth,l2_norm,synflow,cnntk,ntk_trace,vkdnw"

CONVS = ("module", "functional", "forward", "keyword", "padded", "aten")
NORMS = ("module", "functional", "forward", "keyword")
ACTS = ("module", "functional", "in place", "method", "method in place", "keyword")
SUMS = ("operator", "in place", "function", "keyword")
HEADS = ("module", "functional", "forward", "keyword", "matmul", "addmm", "einsum")


@dataclass(frozen=True)
class Layer:
    width: int
    kernel: int
    norm: str
    act: str
    joined: bool


@dataclass(frozen=True)
class Spelling:
    conv: str
    norm: str
    act: str
    total: str
    recomputed: bool


layers = st.builds(
    Layer,
    width=st.sampled_from([4, 6]),
    kernel=st.sampled_from([1, 3]),
    norm=st.sampled_from(["batch", "group", "none"]),
    act=st.sampled_from(["relu", "leaky_relu", "relu6", "silu", "hardtanh"]),
    joined=st.booleans(),
)
spellings = st.builds(
    Spelling,
    conv=st.sampled_from(CONVS),
    norm=st.sampled_from(NORMS),
    act=st.sampled_from(ACTS),
    total=st.sampled_from(SUMS),
    recomputed=st.booleans(),
)


class Network(nn.Module):
    """The layers of a plan, each called as its spelling says."""

    def __init__(self, plan: list[Layer], how: list[Spelling], head: str) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.plan, self.how, self.way = plan, how, head
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        channels = 3
        for layer in plan:
            self.convs.append(nn.Conv2d(channels, layer.width, layer.kernel, padding=layer.kernel // 2))
            norms = {"batch": nn.BatchNorm2d, "group": partial(nn.GroupNorm, 2), "none": nn.Identity}
            self.norms.append(norms[layer.norm](layer.width))
            channels = layer.width
        self.head = nn.Linear(channels, 4)

    def forward(self, x):
        for layer, how, conv, norm in zip(self.plan, self.how, self.convs, self.norms, strict=True):
            step = partial(self._layer, layer, how, conv, norm)
            x = checkpoint(step, x, use_reentrant=False) if how.recomputed else step(x)
        return self._head(x.mean((2, 3)))

    def _layer(self, layer, how, conv, norm, x):
        y = self._act(
            layer.act, how.act, self._norm(layer.norm, how.norm, norm, self._conv(how.conv, conv, x))
        )
        if not (layer.joined and y.shape == x.shape):
            return y
        if how.total == "in place":
            y = y.clone()
            y += x
            return y
        if how.total == "function":
            return torch.add(y, x)
        return torch.add(input=y, other=x) if how.total == "keyword" else x + y

    def _conv(self, way, conv, x):
        if way == "module":
            return conv(x)
        if way == "forward":
            return conv.forward(x)
        if way == "keyword":
            return conv(input=x)
        if way == "padded":
            (p, q) = conv.padding
            return functional.conv2d(functional.pad(x, (q, q, p, p)), conv.weight, conv.bias)
        if way == "aten":
            return torch.ops.aten.conv2d.default(x, conv.weight, conv.bias, [1, 1], [*conv.padding])
        return functional.conv2d(x, conv.weight, conv.bias, padding=conv.padding)

    def _norm(self, kind, way, norm, x):
        if way == "module" or kind == "none":
            return norm(x)
        if way == "forward":
            return norm.forward(x)
        if way == "keyword":
            return norm(input=x)
        if kind == "group":
            return functional.group_norm(x, 2, norm.weight, norm.bias, norm.eps)
        return functional.batch_norm(
            *(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, self.training, 0.1, norm.eps)
        )

    def _act(self, kind, way, x):
        modules = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "relu6": nn.ReLU6, "silu": nn.SiLU}
        modules["hardtanh"] = partial(nn.Hardtanh, 0.0, 4.0)
        limits = {"min_val": 0.0, "max_val": 4.0} if kind == "hardtanh" else {}
        function = partial(getattr(functional, kind), **limits)
        if way == "module":
            return modules[kind]()(x)
        if way == "in place":
            return function(x.clone(), inplace=True)
        if way == "keyword":
            return function(input=x)
        if kind == "relu" and way == "method":
            return x.relu()
        if kind == "relu" and way == "method in place":
            x = x.clone()
            x.relu_()
            return x
        return function(x)

    def _head(self, x):
        head = self.head
        ways = {
            "module": lambda: head(x),
            "functional": lambda: functional.linear(x, head.weight, head.bias),
            "forward": lambda: head.forward(x),
            "keyword": lambda: head(input=x),
            "matmul": lambda: x @ head.weight.t() + head.bias,
            "addmm": lambda: torch.addmm(head.bias, x, head.weight.t()),
            "einsum": lambda: torch.einsum("bi,oi->bo", x, head.weight) + head.bias,
        }
        return ways[self.way]()


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # to make an example smaller takes minutes
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.data())
def test_never_another_number(data):
    plan = data.draw(st.lists(layers, min_size=1, max_size=3))
    first, second = (
        Network(
            plan,
            data.draw(st.lists(spellings, min_size=len(plan), max_size=len(plan))),
            data.draw(st.sampled_from(HEADS)),
        )
        for _ in range(2)
    )
    second.load_state_dict(first.state_dict())
    found = compare_networks(first, second, BATCH, NAMES)
    assert found[found["verdict"] == "different"].empty
    assert (found["verdict"] == "equal").sum() > 10
