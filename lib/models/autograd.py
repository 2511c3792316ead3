"""A scalar autograd engine: every number remembers how it was made.

Backpropagation as in Rumelhart, Hinton, Williams, "Learning representations by
back-propagating errors", Nature 323, 1986; the general method is from Linnainmaa,
"Taylor expansion of the accumulated rounding error", BIT 16, 1976. The gradients are
those of torch.

    x = Value(3.0)
    y = x * x + 2 * x
    y.backward()          # x.grad is 8.0

The graph can be walked one node at a time: `graph` lists it in the order of
computation, `forward_steps` computes it anew, `backward_steps` sends the gradient back.

Left out: tensors, exponents that are themselves a `Value`, gradients of gradients.
"""

import math
from collections.abc import Callable, Iterator
from itertools import count

# A rule takes the numbers of the parents. It gives the result and, for each parent,
# the local derivative: how fast the result changes when only that parent does.
Rule = Callable[..., tuple[float, tuple[float, ...]]]

RULES: dict[str, Rule] = {
    "+": lambda a, b: (a + b, (1.0, 1.0)),
    "-": lambda a, b: (a - b, (1.0, -1.0)),
    "*": lambda a, b: (a * b, (b, a)),
    "/": lambda a, b: (a / b, (1 / b, -a / b / b)),
    "exp": lambda a: ((e := math.exp(a)), (e,)),
    "log": lambda a: (math.log(a), (1 / a,)),
    "tanh": lambda a: ((t := math.tanh(a)), (1 - t * t,)),
    "relu": lambda a: (a if a > 0 else 0.0, (float(a > 0),)),
}
_birth = count()  # numbers the nodes: a node is younger than its parents


class Value:
    """A number in a graph of computations.

    Args:
        data: the number.
        label: a name for pictures.

    Attributes:
        data: float; you may change that of a leaf and run `forward_steps` again.
        grad: the derivative of the result with respect to this node, after `backward`.
        parents: the nodes it was computed from; empty for a leaf.
        operation: a key of `RULES`, "** n" with the number n, or "" for a leaf.
        local: one local derivative for each parent.
    """

    def __init__(self, data: float, label: str = "") -> None:
        self.data, self.label, self.grad = _number(data), label, 0.0
        self.parents: tuple[Value, ...] = ()
        self.operation, self.local, self._rule = "", (), None
        self._born = next(_birth)

    def __repr__(self) -> str:
        name = f"{self.label}: " if self.label else ""
        return f"Value({name}{self.data:.6g}, grad={self.grad:.6g})"

    def compute(self) -> None:
        """Set `data` and `local` from the data of the parents; a leaf keeps its own."""
        if not self.parents:
            return
        numbers = [parent.data for parent in self.parents]
        try:
            data, local = self._rule(*numbers)
            if not all(map(math.isfinite, (data, *local))):
                raise OverflowError("too large")
        except (ArithmeticError, ValueError) as error:
            given = " and ".join(f"{number:.6g}" for number in numbers)
            raise ValueError(
                f"{self.operation!r} of {given} has no finite value or derivative "
                f"({error}). Keep the numbers smaller, or away from 0."
            ) from None
        self.data, self.local = data, local

    def __add__(self, other: "Value | float") -> "Value":
        return _apply("+", self, other)

    def __sub__(self, other: "Value | float") -> "Value":
        return _apply("-", self, other)

    def __mul__(self, other: "Value | float") -> "Value":
        return _apply("*", self, other)

    def __truediv__(self, other: "Value | float") -> "Value":
        return _apply("/", self, other)

    def __radd__(self, other: float) -> "Value":
        return _apply("+", other, self)

    def __rsub__(self, other: float) -> "Value":
        return _apply("-", other, self)

    def __rmul__(self, other: float) -> "Value":
        return _apply("*", other, self)

    def __rtruediv__(self, other: float) -> "Value":
        return _apply("/", other, self)

    def __neg__(self) -> "Value":
        return self * -1.0

    def __pow__(self, n: float) -> "Value":
        if isinstance(n, Value):
            raise TypeError(
                "the exponent is a Value; write (b * a.log()).exp() for it."
            )
        n = _number(n)
        return _apply(f"** {n:g}", self, rule=lambda a: _power(a, n))

    def exp(self) -> "Value":
        return _apply("exp", self)

    def log(self) -> "Value":
        return _apply("log", self)

    def tanh(self) -> "Value":
        return _apply("tanh", self)

    def relu(self) -> "Value":
        return _apply("relu", self)

    def backward(self) -> None:
        """Compute the derivative of this node with respect to every node it came from.

        As in torch the gradients of leaves add up over several calls, until you set
        `grad = 0.0`; those of all other nodes start anew.
        """
        for _ in backward_steps(self):
            pass


def graph(result: Value) -> list[Value]:
    """All nodes that `result` depends on, in the order of computation; itself last."""
    found, waiting = {result}, [result]
    while waiting:  # a list and a loop: recursion would end after 1,000 nodes
        for parent in waiting.pop().parents:
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return sorted(found, key=lambda node: node._born)


def forward_steps(result: Value) -> Iterator[Value]:
    """Compute the graph anew from its leaves; yields each node after its turn."""
    for node in graph(result):
        node.compute()
        yield node


def backward_steps(result: Value) -> Iterator[Value]:
    """Send the gradient back; yields each node after it gave its parents their part.

    The chain rule, one node at a time: parent.grad += local derivative · node.grad.
    A node's turn comes when all that was computed from it have had theirs.
    """
    nodes = graph(result)
    for node in nodes:
        if node.parents:
            node.grad = 0.0
    result.grad += 1.0  # the derivative of the result with respect to itself
    for node in reversed(nodes):
        for parent, local in zip(node.parents, node.local, strict=True):
            parent.grad += local * node.grad
        yield node


def _apply(operation: str, *parents: Value | float, rule: Rule | None = None) -> Value:
    """A new node; plain numbers among the parents become leaves."""
    node = Value(0.0)
    node.parents = tuple(p if isinstance(p, Value) else Value(p) for p in parents)
    node.operation, node._rule = operation, rule or RULES[operation]
    node._born = next(_birth)  # after the leaves that were just made
    node.compute()
    return node


def _power(a: float, n: float) -> tuple[float, tuple[float]]:
    if a < 0 and n != int(n):
        raise ValueError("a negative number to a broken power")
    return a**n, (n * a ** (n - 1) if n else 0.0,)


def _number(x: float) -> float:
    try:
        number = math.nan if isinstance(x, str) else float(x)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"a Value holds one finite number; {x!r} was given.")
    return number
