"""The empirical tangent kernel, from one backward pass, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fusion.probes.base import Observations, Subject, preserved, probe
from fusion.probes.initialisation import kaiming
from fusion.probes.one_by_one import gram_one_by_one
from fusion.probes.outputs import require_signal, require_sum
from fusion.probes.state import having
from fusion.probes.survey import Survey, require
from fusion.probes.undefined import Undefined

# By how much the first sample's gradients may differ from autograd's, of the largest of a tensor.
_TOLERANCE = 1e-3

# gradient of one sample's output with respect to the weights: (inputs, output gradients) -> (batch, weights)
PerSample = Callable[[Tensor, Tensor], list[Tensor]]


def freeze_batch_statistics(network: nn.Module, called: list[nn.Module]) -> list[RemovableHandle]:
    """Make batch normalisation use the batch's mean and variance, as constants; return the hooks.

    Each normalisation is appended to `called` when it runs.

    Outputs are those of training mode, but no sample depends on another, so that gradients per
    sample exist and one backward pass gives all of them.
    """

    def take(norm: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        called.append(norm)
        if norm.running_mean is None:
            raise Undefined("batch normalisation keeps no statistics that could be held constant")
        # the kernel of training mode has both at hand, several times as fast as var_mean
        _, mean, scale = torch.native_batch_norm(
            _input(args, kwargs).detach(),
            None,
            None,
            None,
            None,
            True,
            0.0,
            float(norm.eps),  # type: ignore[arg-type]
        )
        norm.running_var.copy_(scale.double().pow(-2) - norm.eps)  # type: ignore[operator]
        norm.running_mean.copy_(mean)  # type: ignore[operator]

    network.eval()
    return [
        module.register_forward_pre_hook(take, with_kwargs=True)
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]


def _input(args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> Tensor:
    return args[0] if args else kwargs["input"]


def _conv(layer: nn.Conv2d) -> PerSample:
    def gradients(a: Tensor, g: Tensor) -> list[Tensor]:
        batch = len(a)
        if layer.kernel_size == (1, 1) and layer.groups == 1 and layer.padding == (0, 0):
            a = a[:, :, :: layer.stride[0], :: layer.stride[1]]
            rows = g.permute(0, 2, 3, 1).flatten(1, 2).transpose(1, 2) @ a.permute(0, 2, 3, 1).flatten(1, 2)
        else:
            # with the batch as groups of channels, the gradient of one weight is one per sample
            rows = torch.ops.aten.convolution_backward(
                g.contiguous().flatten(0, 1)[None],
                a.contiguous().flatten(0, 1)[None],
                g.new_empty(1).expand(batch * layer.out_channels, *layer.weight.shape[1:]),
                None,
                layer.stride,
                layer.padding,
                layer.dilation,
                False,
                (0, 0),
                batch * layer.groups,
                (False, True, False),
            )[1].unflatten(0, (batch, -1))
        return [rows] if layer.bias is None else [rows, g.sum((2, 3))]

    return gradients


def _linear(layer: nn.Linear) -> PerSample:
    def gradients(a: Tensor, g: Tensor) -> list[Tensor]:
        a, g = a.reshape(len(a), -1, a.shape[-1]), g.reshape(len(g), -1, g.shape[-1])
        weight = g.transpose(1, 2) @ a
        return [weight] if layer.bias is None else [weight, g.sum(1)]

    return gradients


def _norm(layer: nn.BatchNorm2d) -> PerSample:
    def gradients(a: Tensor, g: Tensor) -> list[Tensor]:
        # the statistics of `freeze_batch_statistics` are gone by the time of the backward pass
        normalised = nn.functional.batch_norm(a, None, None, training=True, eps=layer.eps)
        return [(g * normalised).sum((2, 3)), g.sum((2, 3))]

    return gradients


def _per_sample(module: nn.Module) -> PerSample | None:
    """Return how to get the gradients per sample of a module's own weights; None without any."""
    if not any(True for _ in module.parameters(recurse=False)):
        return None
    if (
        isinstance(module, nn.Conv2d)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    ):
        return _conv(module)
    if isinstance(module, nn.Linear):
        return _linear(module)
    if isinstance(module, nn.BatchNorm2d):
        return _norm(module)
    raise Undefined(f"no gradient per sample of {type(module).__name__}")


class _Gram:
    """Collects the Gram matrix of per-sample gradients during one backward pass.

    Attributes
    ----------
    total : Tensor (batch, batch)
    first : dict of str to Tensor
        The first sample's gradients, by name of the parameter.
    """

    def __init__(self, x: Tensor) -> None:
        self.total = torch.zeros(len(x), len(x), dtype=torch.float64, device=x.device)
        self.called: set[nn.Module] = set()
        self.first: dict[str, Tensor] = {}

    def watch(self, path: str, module: nn.Module, gradients: PerSample) -> RemovableHandle:
        """Add the inner products of this module's weight gradients when they come by."""
        names = [name for name, _ in module.named_parameters(recurse=False)]

        def on_forward(
            _: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], output: Tensor
        ) -> None:
            if module in self.called:
                raise Undefined(f"{type(module).__name__} is called twice, its weights are shared")
            self.called.add(module)
            a = _input(args, kwargs).detach()

            def on_backward(g: Tensor) -> None:
                for name, rows in zip(names, gradients(a, g), strict=True):
                    flat = rows.flatten(1)
                    self.total += flat @ flat.T
                    self.first[f"{path}.{name}".removeprefix(".")] = flat[0].clone()

            output.register_hook(on_backward)

        return module.register_forward_hook(on_forward, with_kwargs=True)


def per_sample_gram(
    network: nn.Module, parameters: dict[str, Tensor], x: Tensor, told: Survey | None = None
) -> Tensor:
    """Return Theta[n, m] = <d(sum of logits of n)/dw, d(sum of logits of m)/dw>, all trained weights w.

    In one backward pass, where the network is of convolutions, linear layers and batch normalisation; where
    it is of others, or the first sample's gradients turn out not to be those that autograd gives, with a
    forward and a backward for each sample.

    Parameters
    ----------
    network : Module
        Left as it was, but for its mode.
    parameters : dict of str to Tensor
        Values to use in place of the network's own.
    x : Tensor
        Images (batch, channels, height, width).
    told : Survey, optional
        Of the network; without it all is taken for granted.

    Returns
    -------
    Tensor
        (batch, batch), float64, on the CPU.

    Raises
    ------
    Undefined
        For a network whose outputs, or their sums, tell no inputs apart, or whose samples depend on one
        another in other ways than by batch normalisation; without `told` also for one with weights of another
        kind, or with a module that is called twice.
    """
    if told is None or told.known:
        return _in_one_pass(network, parameters, x)[0]
    trained = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    if not trained:
        raise Undefined("no weight of the network is trained")
    used = frozenset() if told.products is None else told.products.used
    with suppress(Exception):  # whatever it is that is not as it should be: one by one it does not matter
        found, first, norms, state = _in_one_pass(network, parameters, x)
        if told.norms == [True] * norms and _is_right(network, trained, first, state, x, used):
            return found
    network.eval()
    return gram_one_by_one(network, parameters, trained, x, told.norms, used)


def _in_one_pass(
    network: nn.Module, parameters: dict[str, Tensor], x: Tensor
) -> tuple[Tensor, dict[str, Tensor], int, dict[str, Tensor]]:
    """Return the Gram matrix, the first sample's gradients, how often a module normalised, and the state."""
    watched = [(n, m, g) for n, m in network.named_modules() if (g := _per_sample(m)) is not None]
    gram = _Gram(x)
    norms: list[nn.Module] = []
    handles = freeze_batch_statistics(network, norms)
    try:
        handles += [gram.watch(*each) for each in watched]
        x = x.detach().clone().requires_grad_()
        state = parameters | {name: buffer.clone() for name, buffer in network.named_buffers()}
        with torch.enable_grad(), having(network, state):
            logits = network(x)
            require_signal(logits.detach())
            require_sum(logits)
            torch.autograd.grad(logits.sum(), x)
    finally:
        for handle in handles:
            handle.remove()
    return gram.total.cpu(), gram.first, len(norms), state


def _is_right(
    network: nn.Module,
    trained: list[str],
    first: dict[str, Tensor],
    state: dict[str, Tensor],
    x: Tensor,
    used: frozenset[str],
) -> bool:
    """Whether the first sample's gradients are those that autograd gives of it alone.

    `state` holds the statistics of the batch by now.
    """
    if any(name not in trained for name in first):
        return False
    leaves = [state[name].detach().clone().requires_grad_() for name in trained]
    with torch.enable_grad(), having(network, {**state, **dict(zip(trained, leaves, strict=True))}):
        logits = network(x[:1])
        gradients = torch.autograd.grad(logits.sum(), leaves, allow_unused=True)
    for name, gradient in zip(trained, gradients, strict=True):
        found = first.get(name)
        if gradient is None:
            if name in used or (found is not None and bool(found.any())):
                return False
            continue
        expected = gradient.flatten()
        found = torch.zeros_like(expected) if found is None else found
        if not bool(((found - expected).abs() <= _TOLERANCE * expected.abs().max()).all()):
            return False
    return True


@probe(tangent_kernel="passes")
def tangent_kernel(subject: Subject, wanted: frozenset[str]) -> Observations:
    """Forward and backward with Kaiming fan-out weights: the tangent kernel.

    Observations
    ------------
    tangent_kernel : Tensor (batch, batch), float64
        Inner products of the samples' gradients of summed logits with respect to all trained weights.
        Batch statistics are held constant, which is what makes one backward pass enough; TE-NAS
        lets gradients flow through them and does one pass per sample. So does this probe, with constant
        statistics, where a network has other layers than convolutions, linear ones and batch normalisation.
    """
    network, told = subject.network, subject.survey
    require(told.detached or told.redrawn or told.coupled)
    with preserved(network):
        parameters = kaiming(network, "fan_out", subject.seed)
        return {"tangent_kernel": per_sample_gram(network, parameters, subject.x, told)}
