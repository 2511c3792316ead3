"""Typed arithmetic as a graph of `lib.models.autograd` values: `3 * tanh(a*b + c)`.

A parser by recursive descent: each method reads one level of precedence, and the
engine's own operations build the graph while it reads. No text is ever run as code.

    lines   :  [name =] sum, with ; between; the last one is the result
    sum     :  product + product - ...
    product :  signed * signed / ...
    signed  :  - power
    power   :  postfix ** a number            also ^, ² and ³
    postfix :  atom .relu()
    atom    :  number, name, name(sum), (sum)

Left out: exponents that are variables, comparisons, functions of two numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lib.models.autograd import Value, backward_steps, forward_steps, graph

MAX_NODES = 40  # more cannot be read in one picture
MAX_DEPTH = 40  # parentheses within parentheses
STARTS = (2.0, -1.0, 0.5, 1.5, -0.5, 1.0, -2.0, 0.8)  # of variables without a value

FUNCTIONS: dict[str, Callable[[Value], Value]] = {
    "exp": Value.exp,
    "log": Value.log,
    "relu": Value.relu,
    "sigmoid": lambda a: 1.0 / ((a * -1.0).exp() + 1.0),
    "sqrt": lambda a: a**0.5,
    "tanh": Value.tanh,
}
TOKEN = re.compile(
    r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
    r"|([^\W\d²³][^\W²³]*)|(\*\*|[-+*/^().;=²³]))"
)
SAME = {"−": "-", "·": "*", "×": "*", "÷": "/", "–": "-"}
POWERS = {"²": 2.0, "³": 3.0}


class ExpressionError(ValueError):
    """A text that is no expression, in one sentence with the place.

    Attributes:
        place: the number of the character at which reading stopped, from 0.
    """

    def __init__(self, place: int, sentence: str) -> None:
        super().__init__(f"At character {place + 1}: {sentence}")
        self.place = place


class Expression:
    """An expression, its variables and its graph.

    Args:
        text: as in the grammar above.
        values: of variables, by name; others get one of `STARTS`.

    Attributes:
        result: the `Value` at the end.
        leaves: the variables by name, in the order of the text.
            Those that the result does not depend on are left out.
        nodes: all nodes in the order of computation, the result last.
        names: one name a node: the text's own where it has one, a constant's digits,
            else u1, u2, ...; "L" for a result without a name.

    Raises:
        ExpressionError: a text that cannot be read, or a graph without finite values.
    """

    def __init__(self, text: str, values: Mapping[str, float] | None = None) -> None:
        self.text = text
        parser = _Parser(text, values or {})
        self.result = parser.read()
        self.nodes = graph(self.result)
        used = set(self.nodes)
        self.leaves: dict[str, Value] = {
            name: leaf for name, leaf in parser.leaves.items() if leaf in used
        }
        if len(self.nodes) > MAX_NODES:
            raise ExpressionError(
                0,
                f"this graph has {len(self.nodes)} nodes; write one of at most "
                f"{MAX_NODES}.",
            )
        self.names = self._names()
        self.backward()

    def __repr__(self) -> str:
        return f"Expression({self.text!r}: {len(self.nodes)} nodes)"

    def _names(self) -> list[str]:
        taken = set(self.leaves) | {n.label for n in self.nodes}
        fresh = (f"u{k}" for k in range(1, 2 * MAX_NODES + 1))
        fresh = (name for name in fresh if name not in taken)
        out = []
        for node in self.nodes:
            if node.label:
                out.append(node.label)
            elif not node.parents:
                out.append(f"{node.data:g}")
            elif node is self.result and "L" not in taken:
                out.append("L")
            else:
                out.append(next(fresh))
        return out

    def move(self, values: Mapping[str, float]) -> None:
        """Give variables other values and compute forward and backward again.

        Raises:
            ValueError: the graph has no finite value there; all stays as it was.
        """
        before = {name: leaf.data for name, leaf in self.leaves.items()}
        try:
            self._forward(values)
        except ValueError:
            self._forward(before)
            raise
        self.backward()

    def _forward(self, values: Mapping[str, float]) -> float:
        for name, value in values.items():
            if name in self.leaves:
                self.leaves[name].data = float(value)
        for _ in forward_steps(self.result):
            pass
        return self.result.data

    def backward(self) -> None:
        """The gradients of all nodes, anew."""
        for node in self.nodes:
            node.grad = 0.0
        for _ in backward_steps(self.result):
            pass

    def finite_differences(self, h: float = 1e-5) -> dict[str, float | None]:
        """(L(v + h) − L(v − h)) / 2h for each variable v; None where there is no L."""
        out: dict[str, float | None] = {}
        for name, leaf in self.leaves.items():
            value = leaf.data
            step = h * max(1.0, abs(value))
            try:
                above = self._forward({name: value + step})
                below = self._forward({name: value - step})
                out[name] = (above - below) / (2 * step)
            except ValueError:
                out[name] = None
            self._forward({name: value})
        return out

    def descend(self, rate: float, held: set[str] | frozenset[str] = frozenset()):
        """One step of gradient descent on the variables that are not held.

        Raises:
            ValueError: the step leads where the graph has no finite value; then none
                is taken.
        """
        self.move(
            {
                name: leaf.data - rate * leaf.grad
                for name, leaf in self.leaves.items()
                if name not in held
            }
        )


class _Parser:
    """Reads a text from left to right; numbers stay numbers until they meet a Value."""

    def __init__(self, text: str, values: Mapping[str, float]) -> None:
        self.text = "".join(SAME.get(c, c) for c in text)
        self.values = values
        self.leaves: dict[str, Value] = {}
        self.named: dict[str, Value] = {}
        self.tokens = self._split()
        self.at = 0
        self.depth = 0

    def _split(self) -> list[tuple[str, str, int]]:
        """(kind, text, place) of each token, and one of the kind "end"."""
        tokens, place, end = [], 0, len(self.text.rstrip())
        while place < end:
            found = TOKEN.match(self.text, place)
            if found is None:
                place += len(self.text[place:]) - len(self.text[place:].lstrip())
                raise ExpressionError(
                    place,
                    f"{self.text[place]!r} is no part of an expression; use numbers, "
                    "names, + - * / ** and parentheses.",
                )
            kind = ("number", "name", "sign")[found.lastindex - 1]
            tokens.append((kind, found[found.lastindex], found.start(found.lastindex)))
            place = found.end()
        return [*tokens, ("end", "", end)]

    @property
    def kind(self) -> str:
        return self.tokens[self.at][0]

    @property
    def sign(self) -> str:
        kind, text, _place = self.tokens[self.at]
        return text if kind == "sign" else ""

    @property
    def place(self) -> int:
        return self.tokens[self.at][2]

    def take(self) -> tuple[str, str, int]:
        self.at += 1
        return self.tokens[self.at - 1]

    def fail(self, wanted: str) -> ExpressionError:
        kind, text, place = self.tokens[self.at]
        found = "the text ends" if kind == "end" else f"{text!r} stands here"
        return ExpressionError(place, f"{found}, but {wanted} must come.")

    def expect(self, sign: str) -> None:
        if self.sign != sign:
            raise self.fail(repr(sign) if sign == ")" else f"an operator or {sign!r}")
        self.take()

    def apply(self, place: int, function: Callable, *numbers: Any):
        """Do one operation; what the engine refuses is told with the place."""
        try:
            return function(*numbers)
        except (ValueError, ArithmeticError) as error:
            sentence = str(error).rstrip(".").replace("\n", " ")
            raise ExpressionError(place, f"{sentence}.") from None

    def read(self) -> Value:
        while True:
            result = self.line()
            if self.kind == "end":
                break
            if self.sign != ";":
                raise self.fail("an operator such as +, -, * or /")
            self.take()
            if self.kind == "end":
                break
        if not isinstance(result, Value):
            result = Value(result)
        return result

    def line(self) -> Value | float:
        named = self.kind == "name" and self.tokens[self.at + 1][1] == "="
        if not named:
            return self.sum()
        _kind, name, place = self.take()
        self.take()
        if name in FUNCTIONS or name in self.named or name in self.leaves:
            raise ExpressionError(place, f"{name!r} is taken; choose a new name.")
        value = self.sum()
        if not isinstance(value, Value):
            value = Value(value)
        if value.label:  # a second name for the same node
            value = value * 1.0
        value.label = name
        self.named[name] = value
        return value

    def sum(self) -> Value | float:
        left = self.product()
        while self.sign in ("+", "-"):
            _kind, sign, place = self.take()
            right = self.product()
            rule = (lambda a, b: a + b) if sign == "+" else (lambda a, b: a - b)
            left = self.apply(place, rule, left, right)
        return left

    def product(self) -> Value | float:
        left = self.signed()
        while self.sign in ("*", "/"):
            _kind, sign, place = self.take()
            right = self.signed()
            rule = (lambda a, b: a * b) if sign == "*" else (lambda a, b: a / b)
            left = self.apply(place, rule, left, right)
        return left

    def signed(self) -> Value | float:
        signs, place = [], self.place
        while self.sign in ("+", "-"):
            signs.append(self.take()[1])
        value = self.power()
        return self.apply(place, lambda a: -a, value) if signs.count("-") % 2 else value

    def power(self) -> Value | float:
        base = self.postfix()
        if self.sign in POWERS:
            _kind, sign, place = self.take()
            return self.apply(place, lambda a: a ** POWERS[sign], base)
        if self.sign not in ("**", "^"):
            return base
        _kind, _sign, place = self.take()
        exponent = self.signed()
        if isinstance(exponent, Value):
            raise ExpressionError(
                place, "the exponent must be a number; write exp(b * log(a)) for a**b."
            )
        return self.apply(place, _raise, base, exponent)

    def postfix(self) -> Value | float:
        value = self.atom()
        while self.sign == ".":
            self.take()
            if self.kind != "name":
                raise self.fail("the name of a function")
            _kind, name, place = self.take()
            self.expect("(")
            self.expect(")")
            value = self.call(name, place, value)
        return value

    def atom(self) -> Value | float:
        if self.kind == "number":
            _kind, text, place = self.take()
            if self.kind == "name":
                after = self.tokens[self.at][1]
                raise ExpressionError(self.place, f"write {text} * {after}.")
            return self.apply(place, lambda t: Value(float(t)).data, text)
        if self.kind == "name":
            return self.name()
        if self.sign == "(":
            return self.within()
        raise self.fail("a number, a name or '('")

    def within(self) -> Value | float:
        """What stands in parentheses."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(
                self.place, f"at most {MAX_DEPTH} parentheses may lie in each other."
            )
        self.take()
        value = self.sum()
        self.expect(")")
        self.depth -= 1
        return value

    def name(self) -> Value | float:
        _kind, name, place = self.take()
        if name in self.named:
            return self.named[name]
        if name in FUNCTIONS or self.sign == "(":
            if self.sign != "(":
                raise self.fail(f"'(' after {name!r}")
            return self.call(name, place, self.within())
        if name not in self.leaves:
            start = self.values.get(name, STARTS[len(self.leaves) % len(STARTS)])
            self.leaves[name] = Value(start, name)
        return self.leaves[name]

    def call(self, name: str, place: int, value: Value | float) -> Value:
        if name not in FUNCTIONS:
            raise ExpressionError(
                place, f"there is no function {name!r}; use {', '.join(FUNCTIONS)}."
            )
        if not isinstance(value, Value):
            value = Value(value)
        return self.apply(place, FUNCTIONS[name], value)


def _raise(base: Value | float, exponent: float) -> Value | float:
    power = base**exponent
    if isinstance(power, complex):
        raise ValueError("a negative number to a broken power has no value")
    return power
