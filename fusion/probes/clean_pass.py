"""The clean pass: one forward, with one backward to the input where that is wanted."""

from __future__ import annotations

import torch

from fusion.probes.base import Observations, Subject, Undefined, preserved, probe
from fusion.probes.codes import AgreementKernel, watch_codes


@probe(code_agreement="forward", code_units="forward", logits="forward", input_gradient="backward")
def clean_pass(subject: Subject, wanted: frozenset[str]) -> Observations:
    """Forward in training mode; backward of the summed logits to the input.

    Observations
    ------------
    code_agreement : Tensor (batch, batch), float64
        Rectifier units on which two samples are both active or both inactive.
    code_units : int
        Rectifier units per sample.
    logits : Tensor (batch, classes)
    input_gradient : Tensor (batch, pixels)
        d(sum of all logits)/d(input). Batch normalisation uses the batch's own statistics, so a
        sample's gradient includes its influence on the others through them.
    """
    network, x = subject.network, subject.batch.x
    agreement = AgreementKernel(len(x))
    found: Observations = {}
    with preserved(network), torch.set_grad_enabled("input_gradient" in wanted):
        network.train()
        if "input_gradient" in wanted:
            x = x.detach().clone().requires_grad_()
        if wanted & {"code_agreement", "code_units"}:
            try:
                with watch_codes(network, agreement.see):
                    logits = network(x)
                found["code_agreement"] = agreement.kernel()
                found["code_units"] = agreement.units
            except Undefined as reason:
                found["code_agreement"] = found["code_units"] = reason
                logits = network(x)
        else:
            logits = network(x)
        found["logits"] = logits.detach()
        if "input_gradient" in wanted:
            (gradient,) = torch.autograd.grad(logits.sum(), x)
            found["input_gradient"] = gradient.flatten(1)
    return found
