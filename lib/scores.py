"""Asking a model for scores, as everything in `explain` does.

A model is anything that turns (B, ...) into scores (B, V), or (B,) for one number; a
dict with "logits" or "output" will do. Its examples must not depend on each other: a
module is in evaluation mode while it is asked, and in its own mode otherwise, also
between two parts of a long job. No parameter gets a gradient.

Left out: the explanations, in `explain`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Model = Callable[..., Any]
Target = int | Tensor | None


class Progress(NamedTuple):
    """How far a long job is.

    Fields:
        done, total: parts of the work.
        map: the heatmap from the parts done; final when done equals total.
    """

    done: int
    total: int
    map: Tensor


@contextmanager
def asking(model: Model) -> Iterator[None]:
    """Evaluation mode, with gradients, whatever the caller is in; then as before."""
    owner = getattr(model, "__self__", model)  # the module of a method
    parts = owner.modules() if isinstance(owner, nn.Module) else ()
    modes = [(part, part.training) for part in parts]
    try:
        for part, _ in modes:
            part.training = False
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training


def ask(model: Model, x: Tensor, target: Tensor) -> Tensor:
    """The scores of the targets, without gradients. x may hold several rounds of B."""
    with asking(model), torch.no_grad():
        scores = read_scores(model(x), x)
        return choose(scores, target.repeat(len(x) // len(target)))


def decide(model: Model, x: Tensor, target: Target) -> Tensor:
    """(B,) targets, fixed for the whole job; one pass forward."""
    with asking(model), torch.no_grad():
        return find_target(read_scores(model(x), x), target)


def read_scores(result: Any, x: Tensor) -> Tensor:
    """What a model gave, as (B, V)."""
    if isinstance(result, dict):
        result = result["logits"] if "logits" in result else result["output"]
    if result.dim() == 1:
        result = result[:, None]
    if result.dim() != 2 or len(result) != len(x):
        raise ValueError(
            f"The model turned {tuple(x.shape)} into {tuple(result.shape)}; to explain "
            "it give one that makes scores (B, classes), such as lambda x: model(x)[:, "
            "-1] for the last position."
        )
    return result


def find_target(scores: Tensor, target: Target) -> Tensor:
    """(B,) int64: one class for each row of scores; None takes the highest."""
    B, V = scores.shape
    if target is None:
        return scores.detach().argmax(1)
    target = torch.as_tensor(target, device=scores.device)
    if target.is_floating_point() or target.shape not in ((), (B,)):
        raise ValueError(
            f"target has the shape {tuple(target.shape)} and the dtype {target.dtype}; "
            f"give one class, or one for each example, ({B},) int64."
        )
    # a copy, since the backward pass cannot use what was made in inference mode
    target = target.long().expand(B).clone()
    if ((target < 0) | (target >= V)).any():
        raise IndexError(
            f"target holds {target.tolist()[:5]}; the model has the classes 0 to "
            f"{V - 1}."
        )
    return target


def choose(scores: Tensor, target: Tensor) -> Tensor:
    """(B, V) and (B,) to (B,): the score of each target."""
    return scores.gather(1, target[:, None])[:, 0]


def grad_of(scores: Tensor, of: Tensor) -> Tensor:
    """∂ score / ∂ of, each example's own: (B,) and (B, ...) to (B, ...)."""
    # The sum: examples do not depend on each other, so each keeps its own gradient.
    found = None
    if scores.requires_grad:
        (found,) = torch.autograd.grad(scores.sum(), of, allow_unused=True)
    if found is None:
        raise ValueError(
            "The scores do not depend on this input by a way that has gradients. Does "
            "the model detach, round or take an argmax?"
        )
    return found


def parts_of(total: int, size: int) -> Iterator[range]:
    """The numbers 0 to total − 1 in pieces of at most size, and at least 1."""
    size = max(size, 1)
    for start in range(0, total, size):
        yield range(start, min(start + size, total))


def finish(steps: Iterator[Progress]) -> Tensor:
    """Run a long job to its end, for the final map."""
    for part in steps:  # noqa: B007 - the last one is the result
        pass
    return part.map


def check_input(x: Tensor) -> None:
    """Say that x is a batch of finite floating-point numbers."""
    if not x.is_floating_point():
        raise TypeError(
            f"x has the dtype {x.dtype}, and has no gradient. For tokens, explain the "
            "embeddings, or use token_occlusion."
        )
    if x.dim() < 2 or not x.numel():
        raise ValueError(
            f"x has the shape {tuple(x.shape)}; give a batch, (B, ...), of one example "
            "or more. One example becomes a batch with x[None]."
        )
    if not x.isfinite().all():
        raise ValueError("x holds NaN or infinite numbers; the map would as well.")


def check_counts(**counts: int) -> None:
    """Say that each is a whole number from 1."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} is {count!r}; give a whole number from 1.")
