"""The machinery under `lib.optimizers`: all parameters as one flat vector.

Holds `Flat` (the vector theta, the state vectors beside it, and the walk through them
in blocks) and `Optimizer` (what every rule shares). Read `lib.optimizers` first.

Why one vector: a book writes θ = θ − η g for all parameters at once. With every
parameter a view of one vector the code can write the same line, and one operation on a
long vector costs far less than a hundred operations on short ones.

Gradients stay where autograd puts them, in `p.grad`, with the meaning they have in
torch: None says that a parameter took no part, and then it is left alone. At a step the
gradients are laid end to end, one block at a time, so that they are read once.

Left out: complex parameters, closures, gradients through a step.
"""

import itertools
import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from lib.groups import Group, make_groups

# Elements that a rule works on at once, on a CPU: 1 MB a vector in float32, so that
# theta, g, the state and the scratch stay in the cache from one line to the next.
BLOCK = 262_144


class Block:
    """Elements start..stop of a `Flat`, all of one group and with one step count."""

    def __init__(self, flat: "Flat", start: int, stop: int, run: list[int]):
        self.start, self.stop, self.first = start, stop, run[0]
        self.group = flat.owners[run[0]]
        self.theta = flat.theta[start:stop]
        self.state = {name: x[start:stop] for name, x in flat.state.items()}
        self.scratch = tuple(x[: stop - start] for x in flat.scratch)
        self.pieces, self.places = [], []  # what to copy from p.grad, and where to
        for i in run:
            offset, p = flat.offsets[i], flat.params[i]
            a, b = max(start, offset), min(stop, offset + p.numel())
            if a < b:
                whole = b - a == p.numel()
                place = self.scratch[0][a - start : b - start]
                self.places.append(place.view(p.shape) if whole else place)
                self.pieces.append(
                    (i, None if whole else slice(a - offset, b - offset))
                )

    def gather(self, grads: list[Tensor]) -> Tensor:
        """The gradients of this block laid end to end, shape (stop - start,)."""
        parts = [
            grads[i] if part is None else grads[i].reshape(-1)[part]
            for i, part in self.pieces
        ]
        if len(parts) == 1:
            return parts[0].reshape(-1)
        torch._foreach_copy_(self.places, parts)  # one call instead of one a tensor
        return self.scratch[0]


class Flat:
    """Parameters of one dtype on one device, end to end in the vector `theta`.

    `state` holds the rule's own vectors, shape (N,) like theta; `steps` the number of
    steps that each parameter has taken. `attach` makes the parameters views of theta.
    """

    def __init__(self, members: list[tuple[Group, Tensor]], state: tuple[str, ...]):
        self.owners = [group for group, _ in members]
        self.params = [p for _, p in members]
        self.offsets = [0, *itertools.accumulate(p.numel() for p in self.params)]
        self.theta = torch.cat([p.detach().reshape(-1) for p in self.params])
        self.state = {name: torch.zeros_like(self.theta) for name in state}
        size = self.theta.numel()
        # A GPU has no such cache to fit into, and fewer launches are faster there.
        self.block = min(BLOCK, size) if self.theta.device.type == "cpu" else size
        self.scratch = tuple(self.theta.new_empty(self.block) for _ in range(2))
        self.steps = [0] * len(members)
        self.all_active = [True] * len(members)
        self.replan()

    def attach(self) -> None:
        """Let every parameter be a view of theta, with the values and shape it has."""
        for p, offset in zip(self.params, self.offsets, strict=False):
            p.data = self.theta[offset : offset + p.numel()].view(p.shape)
        self.addresses = [p.data_ptr() for p in self.params]

    def check_attached(self) -> None:
        for p, address in zip(self.params, self.addresses, strict=True):
            if p.data_ptr() != address:
                raise RuntimeError(
                    f"a parameter of shape {tuple(p.shape)} has left this optimizer's "
                    "theta: model.to(...) moved it, or another optimizer took it over. "
                    "Make the optimizer after such a move, and one for a parameter"
                )

    def replan(self) -> None:
        """Forget the blocks: step counts were changed from outside."""
        self.active: list[bool] | None = None

    def walk(self, gradient: Tensor | None) -> Iterator[tuple[Block, Tensor, int]]:
        """Yield each block that moves, its gradient g (n,) and its step count t >= 1.

        `gradient` (N,) is used for all; with None the gradients come from `p.grad`, and
        a parameter without one is passed over.
        """
        self.check_attached()
        grads, active = None, self.all_active
        if gradient is None:
            grads = [plain(p.grad) for p in self.params]
            active = [g is not None for g in grads]
        if active != self.active:  # else the blocks of the last step still fit
            self.active, self.blocks = active, list(self._plan(active))
            self.moving = list(itertools.compress(range(len(active)), active))
            self.written = [self.params[i] for i in self.moving]
        for i in self.moving:
            self.steps[i] += 1
        for block in self.blocks:
            if grads is not None:
                g = block.gather(grads)
            elif len(self.blocks) == 1:
                g = gradient
            else:
                g = gradient[block.start : block.stop]
            yield block, g, self.steps[block.first]
        # The rule wrote through theta. Tell autograd, so that a backward pass through
        # values that are gone is an error and not a wrong number.
        increment_version(self.written)

    def _plan(self, active: list[bool]) -> Iterator[Block]:
        """Cut runs of neighbours with one group and one step count into blocks."""

        def kind(i: int) -> tuple[bool, int, int]:
            return active[i], id(self.owners[i]), self.steps[i]

        for (moves, *_), members in itertools.groupby(range(len(active)), kind):
            run = list(members)
            begin, end = self.offsets[run[0]], self.offsets[run[-1] + 1]
            for start in range(begin, end, self.block) if moves else ():
                yield Block(self, start, min(start + self.block, end), run)


def plain(grad: Tensor | None) -> Tensor | None:
    """`grad` as a dense tensor without a graph; None stays None."""
    if grad is None or not (grad.requires_grad or grad.is_sparse):
        return grad
    grad = grad.detach()  # it requires grad after backward(create_graph=True)
    return grad.to_dense() if grad.is_sparse else grad


class Optimizer:
    """Base of the optimizers: a rule names its state vectors and writes `rule`.

    params: an iterable of floating-point leaf tensors, or of dicts
        `{"params": [...], "learning_rate": ...}` with hyperparameters of their own.
    learning_rate: η, a number of 0 or more; may be changed at any time.

    The parameters become views of one vector `theta`, with their values and shapes.
    Errors: ValueError for arguments that cannot be used, before anything is changed;
    RuntimeError at a step if a parameter was moved out of theta since.
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, params: object, **hyperparameters: object):
        self.groups = make_groups(params, hyperparameters)
        members: dict[tuple, list[tuple[Group, Tensor]]] = {}
        for group in self.groups:
            for p in group.params:
                members.setdefault((p.device, p.dtype), []).append((group, p))
        self._flats = [Flat(m, self.state_names) for m in members.values()]
        for flat in self._flats:  # last, so that an error above changes nothing
            flat.attach()

    def rule(self, theta, g, t, scratch, **state_and_hyperparameters) -> None:
        """Change `theta` (n,) in place by the gradient `g` (n,), which is only read.

        t counts the steps of these parameters from 1. scratch is two vectors (n,) for
        intermediate results; the first may be `g` itself.
        """
        raise NotImplementedError(f"{type(self).__name__} has no rule")

    def step(self, gradient: Tensor | None = None) -> None:
        """Take one step by the gradients in `p.grad`; a parameter without one stays.

        With `gradient`, a flat tensor like theta, step by that instead, for all
        parameters: the quick way where the gradient of a few numbers is a formula.
        """
        if gradient is not None:
            self._check_gradient(gradient)
        for flat in self._flats:
            for block, g, t in flat.walk(gradient):
                self.rule(
                    block.theta, g, t, block.scratch, **block.state, **block.group
                )

    def _check_gradient(self, gradient: object) -> None:
        theta = self.theta
        fits = isinstance(gradient, Tensor) and (
            gradient.shape == theta.shape
            and gradient.dtype == theta.dtype
            and gradient.device == theta.device
        )
        if fits and not gradient.requires_grad:
            return
        if not isinstance(gradient, Tensor):
            raise ValueError(
                f"gradient is a {type(gradient).__name__}: give a flat tensor like "
                "optimizer.theta"
            )
        for name in ("shape", "dtype", "device"):
            given, own = getattr(gradient, name), getattr(theta, name)
            if given != own:
                raise ValueError(f"gradient has {name} {given}, theta has {own}")
        if gradient.requires_grad:
            raise ValueError("gradient requires a gradient itself: pass .detach()")

    def zero_grad(self) -> None:
        """Forget all gradients: `p.grad = None`, as `model.zero_grad()` does."""
        for flat in self._flats:
            for p in flat.params:
                p.grad = None

    @property
    def theta(self) -> Tensor:
        """All parameters, (N,), the live vector: writing into it moves the model."""
        return self._only_flat().theta

    @property
    def grad(self) -> Tensor:
        """A copy of all gradients, (N,), with 0 for a parameter that has none."""
        params = self._only_flat().params
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in params]
        return torch.cat([plain(g).reshape(-1) for g in grads])

    def _only_flat(self) -> Flat:
        if len(self._flats) > 1:
            kinds = [f"{f.theta.dtype} on {f.theta.device}" for f in self._flats]
            raise ValueError(
                f"the parameters are {' and '.join(kinds)}, so there is no one vector: "
                "make one optimizer for each"
            )
        return self._flats[0]

    @property
    def learning_rate(self) -> float:
        """The rate of the first group; setting it sets the rate of every group."""
        return self.groups[0]["learning_rate"]

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        for group in self.groups:
            group["learning_rate"] = value

    def state_dict(self) -> dict[str, object]:
        """A copy of what a run needs to go on exactly, except the parameters.

        Plain dicts, lists, strings, numbers and tensors: `torch.save` takes it, and
        `torch.load(weights_only=True)` gives it back.
        """
        groups = [
            {"hyperparameters": dict(g), "shapes": [list(p.shape) for p in g.params]}
            for g in self.groups
        ]
        vectors = [
            {"steps": list(f.steps), **{k: x.clone() for k, x in f.state.items()}}
            for f in self._flats
        ]
        return {
            "optimizer": type(self).__name__,
            "groups": groups,
            "vectors": vectors,
        }

    def load_state_dict(self, saved: dict[str, object]) -> None:
        """Take over what `state_dict` gave, or raise ValueError and change nothing."""
        groups = self._check_saved(saved)
        for group, values in zip(self.groups, groups, strict=True):
            group.update(values)
        for flat, vectors in zip(self._flats, saved["vectors"], strict=True):
            flat.steps = list(vectors["steps"])
            flat.replan()
            for name, x in flat.state.items():
                x.copy_(vectors[name])

    def _check_saved(self, saved: object) -> list[Group]:
        own = self.state_dict()
        if not isinstance(saved, dict) or saved.keys() != own.keys():
            raise ValueError(f"not the state of an optimizer: it is a dict of {[*own]}")
        name = saved["optimizer"]
        if name != own["optimizer"]:
            raise ValueError(
                f"the state is of {name}, this is {own['optimizer']}: make a {name}"
            )
        for part, describe in (("groups", _shapes), ("vectors", _kinds)):
            try:
                theirs, ours = ([describe(x) for x in s[part]] for s in (saved, own))
            except (AttributeError, KeyError, TypeError) as error:
                raise ValueError(f"the {part} of the state are damaged") from error
            if theirs != ours:
                raise ValueError(
                    f"the state is for {part} {theirs}, this optimizer has {ours}"
                )
        return [Group((), g["hyperparameters"]) for g in saved["groups"]]

    def __reduce_ex__(self, protocol: object):
        raise TypeError(
            "an optimizer holds its model's memory and cannot be copied or pickled: "
            "copy the model, make a new optimizer, load_state_dict(old.state_dict())"
        )

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value}" for name, value in self.groups[0].items())
        more = f", {len(self.groups)} groups" if len(self.groups) > 1 else ""
        count = sum(math.prod(p.shape) for f in self._flats for p in f.params)
        return f"{type(self).__name__}({count:,} parameters{more}, {values})"


def _shapes(group: Mapping[str, object]) -> tuple[list[str], object]:
    return sorted(group["hyperparameters"]), group["shapes"]


def _kinds(vectors: Mapping[str, object]) -> dict[str, object]:
    """What is compared of saved vectors: dtype and shape, and the number of counts."""
    steps = vectors["steps"]
    if not all(isinstance(t, int) and t >= 0 for t in steps):
        raise TypeError(f"steps are {steps}")
    tensors = {name: x for name, x in vectors.items() if name != "steps"}
    kinds = {name: (x.dtype, tuple(x.shape)) for name, x in tensors.items()}
    return {"steps": len(steps), **kinds}
