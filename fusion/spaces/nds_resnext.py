"""The two ResNeXt design spaces of NDS on ImageNet: three stages of grouped bottleneck blocks.

An architecture is the JSON of an entry's `net` in the published files, keys sorted, without
spaces. Each of its lists has four places, the stem and the three stages: depths `ds`, widths `ws`,
strides `ss`, bottleneck multipliers `bot_muls` and numbers of groups `num_gs`. The stem and the
strides are the same in every entry; the twelve numbers of the stages are the choices.

Source: Radosavovic et al., "On Network Design Spaces for Visual Recognition", ICCV 2019,
arXiv:1905.13214.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from torch import Tensor, nn

from fusion.errors import FusionError, InvalidArchitecture
from fusion.spaces.base import SPACES, Space

# the places of the stem and what follows from it are no choices
FIXED = {"ds": 1, "ws": 64, "bot_muls": 1.0, "num_gs": 1}
STRIDES = [8, 1, 2, 2]
BLOCK = "res_bottleneck_block"

# name of a list -> its values at the three stages
Stages: TypeAlias = dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Stage:
    """One stage: `depth` blocks of `width` channels, `inner` of them, in `groups`, between."""

    depth: int
    width: int
    inner: int
    groups: int
    stride: int


def _norm(channels: int, activation: bool = True) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels)] + ([nn.ReLU(inplace=False)] if activation else [])


class Bottleneck(nn.Module):
    """Residual block: ReLU(shortcut(x) + conv1x1(conv3x3 in groups(conv1x1(x)))).

    The shortcut is a convolution 1x1 with batch normalisation where width or size change.
    """

    def __init__(self, in_channels: int, stage: Stage, stride: int) -> None:
        super().__init__()
        width, inner = stage.width, stage.inner
        self.shortcut = (
            nn.Identity()
            if in_channels == width and stride == 1
            else nn.Sequential(
                nn.Conv2d(in_channels, width, 1, stride, bias=False), *_norm(width, activation=False)
            )
        )
        self.transform = nn.Sequential(
            nn.Conv2d(in_channels, inner, 1, bias=False),
            *_norm(inner),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=stage.groups, bias=False),
            *_norm(inner),
            nn.Conv2d(inner, width, 1, bias=False),
            *_norm(width, activation=False),
        )
        self.activation = nn.ReLU(inplace=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.shortcut(x) + self.transform(x))
        return out


def _stem(in_channels: int, width: int, stride: int) -> nn.Module:
    """Return three convolutions 3x3; the first of them halve the size until `stride` is reached."""
    layers: list[nn.Module] = []
    for channels, halves in ((max(1, width // 2), stride >= 2), (width, stride >= 4), (width, stride >= 8)):
        layers += [nn.Conv2d(in_channels, channels, 3, 2 if halves else 1, 1, bias=False), *_norm(channels)]
        in_channels = channels
    return nn.Sequential(*layers)


class NdsResNeXt(Space):
    """A ResNeXt family of NDS; too large to list.

    Parameters
    ----------
    shrink : int
        All widths are divided by it; inner widths stay multiples of the number of groups.
    stem_stride : {8, 4, 2, 1}
        The benchmark's stem makes 28 x 28 of its 224 x 224 images; smaller strides are for
        smaller images.
    """

    source = "Radosavovic et al., ICCV 2019, arXiv:1905.13214"
    enumerable = False
    choices: ClassVar[dict[str, tuple[float, ...]]]

    # every published entry keeps to at least one of the two
    max_params: ClassVar[float] = 6e6
    max_flops: ClassVar[float] = 6e8

    def __init__(self, shrink: int = 1, stem_stride: int = 8) -> None:
        if shrink < 1 or stem_stride not in (1, 2, 4, 8):
            got = f"got {shrink}, {stem_stride}"
            raise FusionError(f"{self.name}: shrink must be positive and stem_stride 1, 2, 4 or 8, {got}")
        self.shrink = shrink
        self.stem_stride = stem_stride

    @property
    def settings(self) -> dict[str, Any]:
        return {"shrink": self.shrink, "stem_stride": self.stem_stride}

    def parse(self, arch: str) -> Stages:
        """Return the choices of `arch`: the values of each list at the three stages.

        Raises
        ------
        InvalidArchitecture
            When `arch` is no such JSON, or has a value that the family does not have.
        """
        try:
            net = json.loads(arch)
            lists = {name: net[name] for name in (*self.choices, "ss")}
            whole = len(net) == 6 and net["block_type"] == BLOCK and all(len(v) == 4 for v in lists.values())
        except (TypeError, ValueError, LookupError, RecursionError):
            whole = False
        if not whole:
            raise InvalidArchitecture(
                f'{arch!r} is no {self.name} architecture; expected {{"block_type":"{BLOCK}","bot_muls":[..],'
                '"ds":[..],"num_gs":[..],"ss":[..],"ws":[..]} with four numbers in each list'
            )
        if lists["ss"] != STRIDES:
            raise InvalidArchitecture(f"{arch!r}: ss is {lists['ss']}, the family has {STRIDES}")
        for name, values in self.choices.items():
            for value, allowed in zip(lists[name], [(FIXED[name],)] + [values] * 3, strict=True):
                if isinstance(value, bool) or value not in allowed:
                    known = ", ".join(map(str, allowed))
                    raise InvalidArchitecture(f"{arch!r}: {name} has {value!r}, the family has {known}")
        return {name: tuple(lists[name][1:]) for name in self.choices}

    def to_string(self, stages: Stages) -> str:
        """Return the architecture string of the choices; the inverse of `parse`."""
        lists = {
            name: [type(FIXED[name])(value) for value in (FIXED[name], *stages[name])] for name in stages
        }
        net = {"block_type": BLOCK, "ss": STRIDES, **lists}
        return json.dumps(net, sort_keys=True, separators=(",", ":"))

    def stages(self, arch: str) -> list[Stage]:
        """Return the stages of the network of `arch`, with this space's settings."""
        found = self.parse(arch)
        rows = zip(found["ds"], found["ws"], found["bot_muls"], found["num_gs"], STRIDES[1:], strict=True)
        stages = []
        for depth, full, multiplier, groups, stride in rows:
            width = max(1, int(full) // self.shrink)
            inner = max(1, int(width * multiplier) // int(groups)) * int(groups)
            stages.append(Stage(int(depth), width, inner, int(groups), stride))
        return stages

    def canonical(self, arch: str) -> str:
        """Return `arch` in the one spelling; no two of its choices build the same network."""
        return self.to_string(self.parse(arch))

    def neighbours(self, arch: str) -> list[str]:
        """Return the architectures with one number changed to its next larger or smaller value."""
        stages = self.parse(arch)
        found = []
        for name, values in self.choices.items():
            for stage in range(3):
                at = values.index(stages[name][stage])
                for value in (values[i] for i in (at - 1, at + 1) if 0 <= i < len(values)):
                    changed = [value if i == stage else old for i, old in enumerate(stages[name])]
                    found.append(self.to_string({**stages, name: tuple(changed)}))
        return found

    def random(self, rng: np.random.Generator) -> str:
        """Return an architecture with each number uniform among its values, within the budget.

        The benchmark holds networks of at most 6 million parameters or at most 0.6 billion flops
        (see `cost`; whatever the settings of this space). Draws beyond both are drawn again.
        """
        while True:
            draws = {name: tuple(rng.choice(values, 3).tolist()) for name, values in self.choices.items()}
            arch = self.to_string(draws)
            params, flops = self.cost(arch)
            if params <= self.max_params or flops <= self.max_flops:
                return arch

    def cost(self, arch: str) -> tuple[int, int]:
        """Return trainable parameters and flops as the benchmark counts them.

        For images of 3 x 224 x 224 and 1000 classes: multiply-accumulates of convolutions and the
        linear layer, its bias included, and 5 for each value that batch normalisation puts out.
        """
        params = flops = 0

        def conv(before: int, after: int, kernel: int, size: int, groups: int = 1) -> None:
            nonlocal params, flops
            weights = before * after * kernel**2 // groups
            params += weights + 2 * after
            flops += (weights + 5 * after) * size**2

        for before, after, size in ((3, 32, 112), (32, 64, 56), (64, 64, 28)):
            conv(before, after, 3, size)
        channels, size = 64, 28
        for stage in type(self)().stages(arch):
            for stride in (stage.stride, *[1] * (stage.depth - 1)):
                conv(channels, stage.inner, 1, size)
                size //= stride
                conv(stage.inner, stage.inner, 3, size, stage.groups)
                conv(stage.inner, stage.width, 1, size)
                if channels != stage.width or stride != 1:
                    conv(channels, stage.width, 1, size)
                channels = stage.width
        classifier = (channels + 1) * 1000
        return params + classifier, flops + classifier

    def features(self, arch: str) -> dict[str, float | str]:
        """Return `depth.I`, `width.I`, `ratio.I` and `groups.I` of each stage, and `depth`, that of all.

        `inner.I` is the width times the bottleneck ratio, `group.I` the channels of one group of it.
        """
        found = self.parse(arch)
        rows = zip(found["ds"], found["ws"], found["bot_muls"], found["num_gs"], strict=True)
        features: dict[str, float | str] = {"depth": sum(found["ds"])}
        for i, (depth, width, ratio, groups) in enumerate(rows):
            features |= {f"depth.{i}": depth, f"width.{i}": width, f"ratio.{i}": ratio, f"groups.{i}": groups}
            features |= {f"inner.{i}": width * ratio, f"group.{i}": width * ratio / groups}
        return features

    def build(self, arch: str, *, in_channels: int = 3, num_classes: int = 10) -> nn.Module:
        """Return the network: stem of three convolutions 3x3, three stages of blocks, linear head."""
        channels = max(1, 64 // self.shrink)
        stem = _stem(in_channels, channels, self.stem_stride)
        blocks: list[nn.Module] = []
        for stage in self.stages(arch):
            for i in range(stage.depth):
                blocks.append(Bottleneck(channels, stage, stage.stride if i == 0 else 1))
                channels = stage.width
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
        return nn.Sequential(stem, nn.Sequential(*blocks), head)

    def thin(self) -> NdsResNeXt:
        """Return the space with the narrowest stage one channel wide, and the image not shrunk.

        Depths stay: they are the architecture's own.
        """
        return type(self)(shrink=int(min(self.choices["ws"])), stem_stride=1)


@SPACES.register
class NdsResNeXtA(NdsResNeXt):
    """ResNeXt-A: 11,390,625 architectures, of 16 to 256 channels in up to 4 groups."""

    name = "nds-resnext-a"
    summary = "three stages of grouped bottleneck blocks, narrow, at most 4 groups (NDS ResNeXt-A)"
    choices: ClassVar[dict[str, tuple[float, ...]]] = {
        "bot_muls": (0.25, 0.5, 1.0),
        "ds": (1, 2, 4, 8, 16),
        "num_gs": (1, 2, 4),
        "ws": (16, 32, 64, 128, 256),
    }


@SPACES.register
class NdsResNeXtB(NdsResNeXt):
    """ResNeXt-B: 52,734,375 architectures, of 64 to 1,024 channels in up to 16 groups."""

    name = "nds-resnext-b"
    summary = "three stages of grouped bottleneck blocks, wide, at most 16 groups (NDS ResNeXt-B)"
    choices: ClassVar[dict[str, tuple[float, ...]]] = {
        "bot_muls": (0.25, 0.5, 1.0),
        "ds": (1, 2, 4, 8, 16),
        "num_gs": (1, 2, 4, 8, 16),
        "ws": (64, 128, 256, 512, 1024),
    }
