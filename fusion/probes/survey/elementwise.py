"""What a network does to its values one by one: activations, known ones and those written by hand."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fusion.probes.calls import Call, Watcher, tensors_in
from fusion.probes.codes import CODED, clips, rectified

SMOOTH = CODED | {"rrelu", "erf", "glu", "exp"}
"""Functions of one value that are no rectifiers."""
SATURATING = frozenset(
    {
        "lstm",
        "gru",
        "rnn_tanh",
        "lstm_cell",
        "gru_cell",
        "rnn_tanh_cell",
        "hardsigmoid",
        "sigmoid",
        "tanh",
        "softsign",
        "logsigmoid",
        "erf",
        "softmax",
        "hardtanh",
    }
)
# Functions with a kink that may be a rectifier's, written otherwise.
_BENT = frozenset(
    {
        *("where", "maximum", "minimum", "fmax", "fmin", "abs", "sign", "sgn", "heaviside", "clamp"),
        *("clamp_min", "clamp_max", "threshold", "hardshrink", "softshrink", "relu", "relu6", "hardtanh"),
        *("masked_fill", "copysign"),
    }
)
_COMPARED = frozenset({"gt", "ge", "lt", "le", "greater", "less", "greater_equal", "less_equal"})
# What uses a comparison as values.
_MASKING = frozenset(
    {"mul", "add", "sub", "div", "getitem", "setitem", "to", "float", "type", "type_as", "double", "where"}
)
# Of which the result has the shape of what depends on the image, and nothing else of it.
_NEW = frozenset(
    {
        *(f"new_{kind}" for kind in ("zeros", "ones", "full", "empty", "tensor")),
        *(f"{kind}_like" for kind in ("zeros", "ones", "full", "empty", "rand", "randn")),
    }
)
_MOMENTS = frozenset(
    {
        *("sqrt", "rsqrt", "std", "var", "var_mean", "std_mean", "norm", "vector_norm", "linalg_norm"),
        *("linalg_vector_norm", "normalize"),
    }
)
# Of two values that are functions of the same one, also one of it.
_BINARY = frozenset({"add", "sub", "mul", "div"})
_UNARY = frozenset(
    {"neg", "pow", "square", "clone", "contiguous", "reciprocal", "float", "detach", "positive"}
)


@dataclass
class _Form:
    """What is known of a tensor that depends on the image.

    Attributes
    ----------
    of : weakref
        The tensor.
    root : int
        Number of the value of which this is a function, entry by entry.
    bent : bool
        Whether an activation is in that function.
    moved : bool
        Whether a constant was added, with no activation since.
    compared : bool
        Whether it is the result of a comparison.
    """

    of: weakref.ref[Tensor]
    root: int
    bent: bool = False
    moved: bool = False
    compared: bool = False


class Forms(Watcher):
    """Finds the activations of one forward pass.

    Attributes
    ----------
    bend : str
        A function with a kink that is not known as an activation; empty without any.
    by_hand : bool
        Whether an activation is written out of others, as x relu6(x + 3) / 6 is.
    moments : str
        A function that normalisation is written out with.
    written : bool
        Whether the network writes into parts of its feature maps.
    saturates : bool
        Whether there is an activation that stops growing with its input.
    rectifiers, smooth, others : int
        Entries that go through rectifiers, smooth activations with codes, and other activations.
    """

    def __init__(self, x: Tensor) -> None:
        self.known: dict[int, _Form] = {}
        self.roots = 0
        self.bend, self.moments = "", ""
        self.by_hand = self.written = self.saturates = False
        self.rectifiers = self.smooth = self.others = 0
        self._note(x)

    def depends(self, tensor: Any) -> bool:
        """Whether a tensor depends on the image."""
        return self._form(tensor) is not None

    def same_root(self, a: Any, b: Any) -> bool:
        """Whether two tensors are functions of one value, entry by entry."""
        first, second = self._form(a), self._form(b)
        return first is not None and second is not None and first.root == second.root

    def _form(self, tensor: Any) -> _Form | None:
        found = self.known.get(id(tensor))
        return found if found is not None and found.of() is tensor else None

    def _note(self, tensor: Tensor, form: _Form | None = None, **changes: Any) -> None:
        self.roots += 1
        root = self.roots if form is None else form.root
        was = {"bent": form.bent, "moved": form.moved} if form is not None else {}
        self.known[id(tensor)] = _Form(weakref.ref(tensor), root, **{**was, **changes})

    def before(self, call: Call) -> None:
        """Look at what is about to be rectified, which may be overwritten."""
        self._rectified = rectified(call.func, call.args, call.kwargs)
        self._clipped_after_a_shift = False
        form = self._form(self._rectified)
        if form is not None:
            self._clipped_after_a_shift = form.moved and clips(call.func, call.args, call.kwargs)

    def after(self, call: Call, out: Any) -> Any:
        """Note what the results are, where the arguments depend on the image."""
        operands = [t for t in tensors_in(call.args, call.kwargs) if self._form(t) is not None]
        if not operands or call.name in _NEW:
            return out
        forms = [form for form in map(self._form, operands) if form is not None]
        if call.name == "setitem":
            self._written(call, forms)
            return out
        results = list(tensors_in(out))
        if not results or (call.name == "get" and not isinstance(out, Tensor)):
            return out
        self.saturates |= call.name in SATURATING or clips(call.func, call.args, call.kwargs)
        if call.name in _MOMENTS or (call.name == "pow" and call.argument(1, "exponent") in (0.5, -0.5)):
            self.moments = self.moments or call.name
        if any(form.compared for form in forms) and call.name in _MASKING:
            self.bend = self.bend or "a comparison"
        self._describe(call, forms, results, len(list(tensors_in(call.args, call.kwargs))))
        return out

    def _describe(self, call: Call, forms: list[_Form], results: list[Tensor], tensors: int) -> None:
        first = results[0]
        alike = len({form.root for form in forms}) == 1
        if self._rectified is not None:
            self.rectifiers += first.numel()
            self.by_hand |= self._clipped_after_a_shift
            self._note(first, forms[0], bent=True, moved=False)
        elif call.name in SMOOTH:
            self.smooth += first.numel() * (call.name in CODED)
            self.others += first.numel() * (call.name not in CODED)
            self._note(first, forms[0], bent=True, moved=False)
        elif call.name in _COMPARED:
            self._note(first, forms[0], compared=True)
        elif call.name in _BENT or (call.name in ("max", "min") and len(forms) > 1):
            self.bend = self.bend or call.name
            self._note(first, forms[0] if alike else None, bent=True)
        elif call.name in _BINARY and alike and len(forms) == tensors:
            bent = [form.bent for form in forms]
            self.by_hand |= call.name in ("mul", "div") and any(bent) and not all(bent)
            moved = any(form.moved for form in forms) or (call.name in ("add", "sub") and len(forms) == 1)
            self._note(first, forms[0], bent=any(bent), moved=moved)
        elif call.name in _UNARY and len(forms) == tensors:
            self._note(first, forms[0])
        else:
            for result in results:
                self._note(result)

    def _written(self, call: Call, forms: list[_Form]) -> None:
        target = call.args[0]
        self.written = True
        if any(form.compared for form in forms):
            self.bend = self.bend or "a comparison"
        self._note(target)
