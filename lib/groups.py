"""What an optimizer is given: parameters, hyperparameters, and the checks of both.

Holds `Group` (parameters that share hyperparameters) and `make_groups` (from what the
caller gave to a list of groups). All is checked before anything is changed, and a
refusal is a ValueError that says what was given, what is allowed and what to do.
"""

import math
import numbers
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_FRACTIONS = ("momentum", "decay", "betas[0]", "betas[1]")


def check_hyperparameter(name: str, value: object) -> float | tuple[float, float]:
    """Return `value` as a float (a pair of floats for betas), or raise ValueError."""
    if name == "betas":
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise ValueError(
                f"betas is {value!r}: give a pair of numbers, such as (0.9, 0.999)"
            )
        return tuple(
            check_hyperparameter(f"betas[{i}]", b) for i, b in enumerate(value)
        )
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{name} is {value!r}, not a number: give one, such as 0.01")
    number = float(value)
    if name in _FRACTIONS:
        allowed, fits = "from 0 up to, but not, 1", 0 <= number < 1
    elif name == "eps":  # with 0 a parameter whose gradient is 0 would get 0/0
        allowed, fits = "above 0", 0 < number < math.inf
    else:
        allowed, fits = "of 0 or more", 0 <= number < math.inf
    if not fits:
        raise ValueError(f"{name} is {number!r}: give a finite number {allowed}")
    return number


class Group(dict):
    """Parameters that share hyperparameters: `group["learning_rate"] = 0.1` sets one.

    The keys are the hyperparameters, `.params` the tensors. A value is checked when it
    is set and used from the next step on. Errors: ValueError for an unknown name or a
    value out of range.
    """

    def __init__(self, params: Iterable[Tensor], hyperparameters: Mapping[str, object]):
        self.params = tuple(params)
        checked = {k: check_hyperparameter(k, v) for k, v in hyperparameters.items()}
        super().__init__(checked)

    def __setitem__(self, name: str, value: object) -> None:
        if name not in self:
            raise ValueError(f"unknown hyperparameter {name!r}: known are {list(self)}")
        super().__setitem__(name, check_hyperparameter(name, value))

    def update(self, *args, **kwargs) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value


def make_groups(params: object, defaults: dict[str, object]) -> list[Group]:
    """Check everything the caller gave, touch nothing, and return the groups.

    `params` is an iterable of tensors, or of dicts `{"params": [...], name: value}`
    whose values replace the defaults. Errors: ValueError, with what to do.
    """
    if isinstance(params, Tensor):
        raise ValueError("params is a single tensor: put it in a list, [tensor]")
    try:
        if isinstance(params, torch.nn.Module):  # Sequential iterates over its layers
            raise TypeError
        items = list(params)
    except TypeError:
        raise ValueError(
            f"params is a {type(params).__name__}: give an iterable of tensors, such "
            "as model.parameters(), or a list of dicts with a key 'params'"
        ) from None
    if not items:
        raise ValueError("params is empty: there is nothing to optimize")
    if not any(isinstance(item, dict) for item in items):
        items = [{"params": items}]
    groups = [_make_group(i, item, defaults) for i, item in enumerate(items)]
    _check_distinct([p for group in groups for p in group.params])
    return groups


def _make_group(number: int, item: object, defaults: dict[str, object]) -> Group:
    if not isinstance(item, dict) or "params" not in item:
        raise ValueError(
            f"group {number} is a {type(item).__name__} without 'params': give tensors "
            "only, or dicts with a key 'params' only"
        )
    own = {name: value for name, value in item.items() if name != "params"}
    if unknown := [name for name in own if name not in defaults]:
        raise ValueError(f"group {number} has {unknown}: known are {list(defaults)}")
    if isinstance(item["params"], Tensor):
        raise ValueError(f"'params' of group {number} is one tensor: put it in a list")
    params = list(item["params"])
    if not params:
        raise ValueError(f"group {number} is empty: there is nothing to optimize")
    for i, p in enumerate(params):
        _check_parameter(f"parameter {i} of group {number}", p)
    return Group(params, defaults | own)


def _check_parameter(where: str, p: object) -> None:
    if not isinstance(p, Tensor):
        raise ValueError(f"{where} is a {type(p).__name__}, not a tensor")
    if not p.dtype.is_floating_point:
        raise ValueError(f"{where} has dtype {p.dtype}: give a floating-point tensor")
    if p.layout != torch.strided:
        raise ValueError(f"{where} is {p.layout}: give a dense tensor")
    if not p.requires_grad:
        raise ValueError(
            f"{where} does not require a gradient: call .requires_grad_() on it, or "
            "pass [p for p in model.parameters() if p.requires_grad]"
        )
    if not p.is_leaf:
        raise ValueError(
            f"{where} is the result of a computation: pass the tensor that it was "
            "computed from, or .detach().requires_grad_()"
        )


def _check_distinct(params: list[Tensor]) -> None:
    seen: dict[object, int] = {}
    for i, p in enumerate(params):
        keys = [id(p), (p.device, p.data_ptr())] if p.numel() else [id(p)]
        for key in keys:
            if seen.setdefault(key, i) != i:
                raise ValueError(
                    f"parameters {seen[key]} and {i} are the same tensor or share its "
                    "memory: give each parameter once"
                )
