"""Normalisation of a sample, tokens and steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tests.spellings.base import CHANNELS, CLASSES, SIDE, F, pair, same_weights, stack

# norms other than batch normalisation


def normed(norm: Callable[[int], nn.Module], other: Callable[[int], nn.Module]):
    return same_weights(stack(norm=norm), stack(norm=other))


class _Own(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def scaled(self, x):
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class _GroupByHand(_Own):
    def forward(self, x):
        mean, var = x.mean((1, 2, 3), keepdim=True), x.var((1, 2, 3), keepdim=True, unbiased=False)
        return self.scaled((x - mean) * torch.rsqrt(var + 1e-5))


class _GroupAsLayer(_Own):
    def forward(self, x):
        return self.scaled(F.layer_norm(x, x.shape[1:], eps=1e-5))


class _GroupFunction(_Own):
    def forward(self, x):
        return F.group_norm(x, 1, self.weight, self.bias, 1e-5)


def _group(width: int) -> nn.Module:
    return nn.GroupNorm(1, width)


@pair
def group_norm_by_hand():
    return normed(_group, _GroupByHand)


@pair
def group_norm_as_layer_norm():
    return normed(_group, _GroupAsLayer)


@pair
def group_norm_as_function():
    return normed(_group, _GroupFunction)


class _Root(nn.Module):
    def __init__(self, width: int, by_hand: bool = False) -> None:
        super().__init__()
        self.weight, self.by_hand = nn.Parameter(torch.ones(width)), by_hand

    def forward(self, x):
        x = x.movedim(1, -1)
        if self.by_hand:
            x = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * self.weight
        else:
            x = F.rms_norm(x, x.shape[-1:], self.weight, 1e-6)
        return x.movedim(-1, 1)


@pair
def root_mean_square_norm_by_hand():
    return normed(_Root, lambda width: _Root(width, by_hand=True))


@pair
def instance_norm_as_function():
    class Own(_Own):
        def forward(self, x):
            return F.instance_norm(x, weight=self.weight, bias=self.bias)

    return normed(lambda width: nn.InstanceNorm2d(width, affine=True), Own)


@pair
def batch_norm_without_weights():
    class Own(nn.Module):
        def __init__(self, width) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(width)
            self.norm.weight.requires_grad_(False)
            self.norm.bias.requires_grad_(False)

        def forward(self, x):
            return self.norm(x)

    a = stack(norm=lambda width: nn.BatchNorm2d(width, affine=False))
    b = stack(norm=Own)
    with torch.no_grad():
        for i in (0, 3, 8):
            b[i].load_state_dict(a[i].state_dict())
    return a, b


# tokens and steps


class Tokens(nn.Module):
    """Patches of the image, one transformer block, the mean of the tokens."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.patch = nn.Conv2d(CHANNELS, 16, 4, stride=4)
        self.block = block
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x):
        return self.fc(self.block(self.patch(x).flatten(2).transpose(1, 2)).mean(1))


class TokensFirst(Tokens):
    def forward(self, x):
        return self.fc(self.block(self.patch(x).flatten(2).permute(2, 0, 1)).mean(0))


def _encoder(batch_first: bool) -> nn.Module:
    return nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=batch_first)


@pair
def tokens_first():
    return same_weights(Tokens(_encoder(True)), TokensFirst(_encoder(False)))


class Attention(nn.Module):
    """As `nn.MultiheadAttention` without it."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv_weight = nn.Parameter(torch.empty(48, 16))
        self.qkv_bias = nn.Parameter(torch.empty(48))
        self.out = nn.Linear(16, 16)

    def forward(self, x):
        b, n, c = x.shape
        qkv = F.linear(x, self.qkv_weight, self.qkv_bias).reshape(b, n, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(*qkv.unbind(0))
        return self.out(x.transpose(1, 2).reshape(b, n, c))


class AttentionLayers(Attention):
    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * (c // 2) ** -0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(b, n, c))


class Torchs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


@pair
def attention_of_torch_or_of_layers():
    return same_weights(Tokens(Torchs()), Tokens(AttentionLayers()))


@pair
def attention_of_parameters_or_of_layers():
    return same_weights(Tokens(AttentionLayers()), Tokens(Attention()))


class Rows(nn.Module):
    """Each row of the image is a step."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.batch_first = batch_first
        self.a, self.b = nn.Linear(CHANNELS * SIDE, 16), nn.Linear(16, 16)
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x):
        x = x.permute(0, 2, 1, 3) if self.batch_first else x.permute(2, 0, 1, 3)
        x = torch.relu(self.b(torch.relu(self.a(x.flatten(2)))))
        return self.fc(x.mean(1 if self.batch_first else 0))


@pair
def steps_first():
    return same_weights(Rows(True), Rows(False))


class FoldedRows(Rows):
    """Steps and samples in one dimension, steps outside or inside."""

    def forward(self, x):
        n = len(x)
        x = x.permute(0, 2, 1, 3) if self.batch_first else x.permute(2, 0, 1, 3)
        x = torch.relu(self.b(torch.relu(self.a(x.flatten(2).flatten(0, 1)))))
        x = x.unflatten(0, (n, SIDE) if self.batch_first else (SIDE, n))
        return self.fc(x.mean(1 if self.batch_first else 0))


@pair
def steps_folded():
    return same_weights(FoldedRows(True), FoldedRows(False))


@pair
def steps_folded_or_not():
    return same_weights(Rows(True), FoldedRows(False))


class Recurrent(nn.Module):
    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.batch_first = batch_first
        self.cell = nn.LSTM(CHANNELS * SIDE, 8, batch_first=batch_first)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = x.permute(0, 2, 1, 3).flatten(2)
        if self.batch_first:
            return self.fc(self.cell(x)[0][:, -1])
        return self.fc(self.cell(x.transpose(0, 1))[0][-1])


class RecurrentByHand(Recurrent):
    def forward(self, x):
        x = x.permute(2, 0, 1, 3).flatten(2)
        h, c = x.new_zeros(x.shape[1], 8), x.new_zeros(x.shape[1], 8)
        w, u, v, t = (
            self.cell.weight_ih_l0,
            self.cell.weight_hh_l0,
            self.cell.bias_ih_l0,
            self.cell.bias_hh_l0,
        )
        for step in x:
            i, f, g, o = (F.linear(step, w, v) + F.linear(h, u, t)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return self.fc(h)


@pair
def recurrent_steps_first():
    return same_weights(Recurrent(True), Recurrent(False))


@pair
def recurrent_by_hand():
    return same_weights(Recurrent(True), RecurrentByHand(True))
