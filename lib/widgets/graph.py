"""Backpropagation one node at a time, on an expression that the reader types.

`Graph()` shows the graph of an expression with values and gradients; the engine is
`lib.models.autograd`, the parser `lib.expressions`. The page steps forward and backward
through what the kernel has computed, and moves the variables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from matplotlib.figure import Figure

from lib.expressions import Expression, ExpressionError
from lib.widgets.base import LiveWidget, page, styles
from lib.widgets.controls import Control
from lib.widgets.graph_still import graph_figure, layout

LIMIT = 1000.0  # a variable lies between -LIMIT and LIMIT

# name -> (label, expression, values, variables that descent leaves alone)
EXAMPLES: dict[str, tuple[str, str, dict[str, float], tuple[str, ...]]] = {
    "neuron": (
        "one neuron with tanh",
        "tanh(w1*x1 + w2*x2 + b)",
        {"w1": -0.6, "x1": 2.0, "w2": 1.0, "x2": 0.5, "b": 0.9},
        ("x1", "x2"),
    ),
    "square": ("(a·b + c)²", "(a*b + c)**2", {"a": 2.0, "b": -1.0, "c": 3.0}, ()),
    "relu": ("ReLU", "(a*b + c).relu()", {"a": 2.0, "b": -1.0, "c": 3.0}, ()),
    "logistic": (
        "logistic loss of one example",
        "log(1 + exp(-y*(w*x + b)))",
        {"y": 1.0, "w": -0.5, "x": 1.5, "b": 0.2},
        ("x", "y"),
    ),
    "network": (
        "network of two neurons",
        "h1 = tanh(w1*x + b1); h2 = tanh(w2*x + b2); (v1*h1 + v2*h2 - y)**2",
        {"x": 1.0, "y": 0.5, "w1": 0.7, "b1": -0.2, "w2": -1.1, "b2": 0.4,
         "v1": 0.8, "v2": -0.6},
        ("x", "y"),
    ),
    "shared": ("one variable used twice", "a*a + sigmoid(a)", {"a": 1.0}, ()),
}  # fmt: skip
OWN = ("own", "own expression")


@dataclass(frozen=True)
class NamedNumbers(Control):
    """A control that holds numbers by name; the page makes its sliders itself."""

    def _check_numbers(self, value: Any) -> dict[str, float]:
        allowed = f"numbers from {self.low:g} to {self.high:g} by name"
        if not isinstance(value, dict):
            raise self._refuse(value, allowed)
        for name, number in value.items():
            fits = isinstance(number, Real) and not isinstance(number, bool)
            if not isinstance(name, str) or not fits or not abs(number) <= self.high:
                raise self._refuse(value, allowed)
        return {name: float(number) for name, number in value.items()}


@dataclass(frozen=True)
class Names(Control):
    """A control that holds any names."""

    def _check_names(self, value: Any) -> tuple[str, ...]:
        fits = isinstance(value, list | tuple | set | frozenset)
        if not fits or not all(isinstance(name, str) for name in value):
            raise self._refuse(value, "a list of names")
        return tuple(sorted(set(value)))


class Graph(LiveWidget):
    """Type an expression; step through its values and gradients.

    Args:
        expression: the text; see `lib.expressions`. None takes the example.
        **values: controls by name: example, leaves (values of variables), held
            (variables that descent leaves alone), rate.

    Raises:
        ValueError: no expression, or a value that a control does not allow.
    """

    _esm = page(
        "core.js", "ui.js", "stepping.js", "plot.js", "graph_draw.js", "graph.js"
    )
    _css = styles("graph.css")

    CONTROLS = (
        Control("example", "Example", "choice", "square",
                choices=(*((k, v[0]) for k, v in EXAMPLES.items()), OWN)),
        Control("expression", "Expression", "text", EXAMPLES["square"][1], high=200,
                help="+ - * / ** ( ), exp log relu sigmoid sqrt tanh; name = ... ; "
                     "gives a part its name"),
        NamedNumbers("leaves", "Variables", "numbers", {}, -LIMIT, LIMIT,
                     help="The variables of the expression"),
        Names("held", "Held", "names", (),
              help="Variables that gradient descent leaves alone"),
        Control("rate", "Learning rate", "log", 0.1, 1e-3, 10.0, 0.02,
                help="The part of the gradient that one step of descent goes"),
    )  # fmt: skip

    def __init__(self, expression: str | None = None, **values: Any) -> None:
        self.graph: Expression | None = None
        self.problem: dict[str, Any] | None = None
        self.descents: list[float] = []  # L before each step of descent, and after it
        self._known: dict[str, float] = {}  # values of all names that ever stood here
        self._told: dict[str, Any] = {}
        self._version = 0
        held = values.get("held")
        super().__init__(**values)
        if expression is None:
            expression = values.get("expression")
        wanted = {} if "leaves" not in values else dict(self.values["leaves"])
        if expression is None and self.values["example"] != OWN[0]:
            self._show_example(self.values["example"])
        else:
            text = self.values["expression"] if expression is None else expression
            known = {c.name: c for c in self.CONTROLS}["expression"].check(text)
            self._show(Expression(known, wanted))
        if wanted:
            self._move(wanted)
        if held is not None:
            self.values["held"] = self._checked({"held": held})["held"]

    # ---- controls and commands

    def changed(self, name: str) -> None:
        if name == "expression":
            self._type(self.values["expression"])
        elif name == "example" and self.values["example"] != OWN[0]:
            self._show_example(self.values["example"])
        elif name == "leaves":
            self._move(self.values["leaves"])

    def do_descend(self) -> None:
        """One step of gradient descent on the variables that are not held.

        Raises:
            ValueError: the step leads to where the expression has no finite value, or
                beyond what a variable may be.
        """
        held = set(self.values["held"])
        rate = self.values["rate"]
        for name, leaf in self.graph.leaves.items():
            if name not in held and abs(leaf.data - rate * leaf.grad) > LIMIT:
                raise ValueError(
                    f"the step would take {name} beyond {LIMIT:g}; "
                    "choose a smaller learning rate."
                )
        before = self.graph.result.data
        self.graph.descend(rate, held)
        self.descents = [*(self.descents or [before]), self.graph.result.data]
        self._keep_leaves()

    def do_start_values(self) -> None:
        """The variables back to where they stood when the expression was new."""
        self._known.update(self._first)
        self._show(Expression(self.graph.text, self._first), self.values["example"])

    def run(self, steps: int = 0) -> Expression:
        """So many steps of descent, here and now; the expression with its values."""
        for _ in range(steps):
            self.do_descend()
        self._note_change()
        self.pump(now=True)
        return self.graph

    def _type(self, text: str) -> None:
        """A text that cannot be read leaves the last good graph and says why."""
        try:
            fresh = Expression(text, self._known)
        except ExpressionError as error:
            if not self.watched:
                self.values["expression"] = self.graph.text
                raise
            self.problem = {"text": str(error), "place": error.place}
            self.values["example"] = OWN[0]
            return
        self._show(fresh)

    def _show_example(self, name: str) -> None:
        _label, text, values, held = EXAMPLES[name]
        self._known.update(values)
        self._show(Expression(text, values), name)
        self.values["held"] = held

    def _show(self, expression: Expression, example: str | None = None) -> None:
        self.graph, self.problem = expression, None
        self._version += 1
        self.descents = []
        self._first = {name: leaf.data for name, leaf in expression.leaves.items()}
        same = [k for k, v in EXAMPLES.items() if v[1] == expression.text]
        self.values["example"] = example or (same or [OWN[0]])[0]
        self.values["expression"] = expression.text
        self._keep_leaves()

    def _move(self, values: dict[str, float]) -> None:
        """Names that the expression does not have wait for one that has them."""
        self._known.update(values)
        try:
            self.graph.move(values)
            self.problem = None
        except ValueError as error:
            if not self.watched:
                self._keep_leaves()
                raise
            self.problem = {"text": str(error), "place": None}
        self.descents = []
        self._keep_leaves()

    def _keep_leaves(self) -> None:
        now = {name: leaf.data for name, leaf in self.graph.leaves.items()}
        self.values["leaves"] = now
        self._known.update(now)

    # ---- to the page

    def state(self) -> dict[str, Any]:
        self._told = {}
        return self.news()[0]

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        """Structure when the expression is new; else only numbers."""
        nodes = self.graph.nodes
        now = {
            "kind": "news",
            "version": self._version,
            "data": [node.data for node in nodes],
            "grads": [node.grad for node in nodes],
            "local": [list(node.local) for node in nodes],
            "problem": self.problem,
            "descents": self.descents[-50:],
            "values": dict(self.values),
        }
        if now == self._told.get("now"):
            return None
        content = {**now, "checks": self.graph.finite_differences()}
        if self._told.get("version") != self._version:
            content["graph"] = self._structure()
        self._told = {"version": self._version, "now": now}
        return content, []

    def _structure(self) -> dict[str, Any]:
        nodes = self.graph.nodes
        index = {node: k for k, node in enumerate(nodes)}
        parents = [tuple(index[p] for p in node.parents) for node in nodes]
        variables = {index[leaf]: name for name, leaf in self.graph.leaves.items()}
        return {
            "names": self.graph.names,
            "operations": [node.operation for node in nodes],
            "parents": [list(above) for above in parents],
            "variables": [variables.get(k) for k in range(len(nodes))],
            "first": dict(self._first),
            "limits": {n: _reach(v) for n, v in self._first.items()},
            "text": self.graph.text,
            **layout(parents),
        }

    # ---- without a page

    def describe(self) -> str:
        return "The graph of an expression, with the value and gradient of each node"

    def figure(self) -> Figure:
        return graph_figure(self.graph)


def _reach(start: float) -> float:
    """How far a slider goes to both sides: 5, or further where a value is larger."""
    return 5.0 if abs(start) <= 5 else min(LIMIT, 10.0 ** math.ceil(
        math.log10(abs(start) * 1.01)))  # fmt: skip
