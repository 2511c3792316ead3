"""Typed expressions: the numbers of Python and torch, and errors with their place."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from lib.expressions import MAX_NODES, Expression, ExpressionError
from lib.models.autograd import Value

VALUES = {"a": 0.7, "b": -1.3, "c": 2.1, "x": 0.4}

# text, and the same for torch
PAIRS = [
    ("a + b - c", lambda a, b, c, x: a + b - c),
    ("a - b - c", lambda a, b, c, x: a - b - c),
    ("a / b / c", lambda a, b, c, x: a / b / c),
    ("a*b + c*x", lambda a, b, c, x: a * b + c * x),
    ("a*(b + c)*x", lambda a, b, c, x: a * (b + c) * x),
    ("-a**2 + b", lambda a, b, c, x: -(a**2) + b),
    ("c**2**0.5 - -a", lambda a, b, c, x: c ** (2**0.5) + a),
    ("c^-2 + b² + a³", lambda a, b, c, x: c**-2 + b**2 + a**3),
    ("(a*b + c).relu()", lambda a, b, c, x: (a * b + c).relu()),
    ("relu(a*b) + a", lambda a, b, c, x: (a * b).relu() + a),
    ("tanh(a*x + b).exp()", lambda a, b, c, x: (a * x + b).tanh().exp()),
    ("sigmoid(a) * sqrt(c)", lambda a, b, c, x: a.sigmoid() * c.sqrt()),
    ("log(1 + exp(-b*(a*x + c)))", lambda a, b, c, x: (-b * (a * x + c)).exp().log1p()),
    ("h = tanh(a*x); h*h + b*h + c", lambda a, b, c, x: (
        (a * x).tanh() ** 2 + b * (a * x).tanh() + c)),
    ("a·b − c×x ÷ 2", lambda a, b, c, x: a * b - c * x / 2),
    ("1.5e-1*a + .5*b + 3.", lambda a, b, c, x: 0.15 * a + 0.5 * b + 3),
]  # fmt: skip


@pytest.mark.parametrize(("text", "function"), PAIRS, ids=[p[0] for p in PAIRS])
def test_values_and_gradients_are_those_of_torch(text, function):
    expression = Expression(text, VALUES)
    leaves = {n: torch.tensor(v, dtype=torch.float64, requires_grad=True)
              for n, v in VALUES.items()}  # fmt: skip
    wanted = function(**leaves)
    grads = torch.autograd.grad(wanted, list(leaves.values()), allow_unused=True)
    assert expression.result.data == pytest.approx(wanted.item(), rel=1e-12)
    for (name, _leaf), grad in zip(leaves.items(), grads, strict=True):
        assert (name in expression.leaves) == (grad is not None)
        if grad is not None:
            leaf = expression.leaves[name]
            assert leaf.grad == pytest.approx(grad.item(), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("text", [p[0] for p in PAIRS])
def test_finite_differences_agree_and_leave_no_trace(text):
    expression = Expression(text, VALUES)
    before = [(n.data, n.grad, n.local) for n in expression.nodes]
    checks = expression.finite_differences()
    for name, leaf in expression.leaves.items():
        assert checks[name] == pytest.approx(leaf.grad, rel=1e-6, abs=1e-8)
    assert [(n.data, n.grad, n.local) for n in expression.nodes] == before


@pytest.mark.parametrize(
    ("text", "place", "part"),
    [
        ("", 0, "the text ends, but a number"),
        ("a +", 3, "the text ends"),
        ("(a", 2, "')' must come"),
        ("a b", 2, "'b' stands here, but an operator"),
        ("2a", 1, "write 2 * a"),
        ("a $ b", 2, "'$' is no part of an expression"),
        ("a * sin(b)", 4, "no function 'sin'; use exp, log"),
        ("tanh", 4, "'(' after 'tanh'"),
        ("a.relu", 6, "'('"),
        ("a**b", 1, "exponent must be a number; write exp"),
        ("a + log(-2)", 4, "'log' of -2 has no finite value"),
        ("b + 1/0", 5, "division by zero"),
        ("(-8)**0.5", 4, "broken power"),
        ("1e999*a", 0, "one finite number"),
        ("h = a; h = b", 7, "'h' is taken"),
        ("exp = a", 0, "'exp' is taken"),
        ("a, b", 1, "',' is no part"),
        ("(" * 300 + "a", 40, "at most 40 parentheses"),
        ("__import__('os')", 11, "is no part of an expression"),
    ],
)
def test_errors_are_one_sentence_with_the_place(text, place, part):
    with pytest.raises(ExpressionError, match=re.escape(part)) as caught:
        Expression(text)
    assert caught.value.place == place
    message = str(caught.value)
    assert message.startswith(f"At character {place + 1}: ")
    assert message.endswith(".")
    assert "\n" not in message


def test_a_graph_too_large_to_read_is_refused():
    text = "+".join("a" * (MAX_NODES - 1))
    assert len(Expression(text).nodes) == MAX_NODES - 1
    with pytest.raises(ExpressionError, match=f"at most {MAX_NODES}"):
        Expression(text + "+a+a")


def test_random_expressions_have_the_value_that_python_gives():
    generator = np.random.default_rng(0)
    for _ in range(200):
        text, value = "a", 1.25
        for _ in range(generator.integers(1, 9)):
            number = round(float(generator.uniform(0.5, 3)), 2)
            which = generator.integers(5)
            if which == 0:
                text, value = f"({text} + {number})", value + number
            elif which == 1:
                text, value = f"({text}) * -{number}", value * -number
            elif which == 2:
                text, value = f"{number} - ({text})", number - value
            elif which == 3:
                text, value = f"({text}) / {number}", value / number
            else:
                text, value = f"tanh({text})", math.tanh(value)
        found = Expression(text, {"a": 1.25}).result.data
        assert found == pytest.approx(value, rel=1e-12)


def test_names_are_the_texts_own_or_new_ones():
    e = Expression("h = a*u1; 2*h + a")
    assert e.names == ["a", "u1", "h", "2", "u2", "L"]
    assert [n.operation for n in e.nodes] == ["", "", "*", "", "*", "+"]
    assert Expression("L = a*b; L*L").names[-1] == "u1"  # L is taken
    assert all(isinstance(n, Value) for n in e.nodes)
    assert len(set(e.names)) == len(e.names)


def test_a_name_used_twice_is_one_leaf():
    e = Expression("x*x + x", {"x": 3.0})
    assert list(e.leaves) == ["x"]
    assert e.leaves["x"].grad == 7.0


def test_move_computes_all_anew_and_a_bad_move_changes_nothing():
    e = Expression("log(a) + b", {"a": 1.0, "b": 0.5})
    e.move({"a": 2.0, "unknown": 9.0})
    assert e.result.data == pytest.approx(math.log(2) + 0.5)
    assert e.leaves["a"].grad == 0.5
    with pytest.raises(ValueError, match="'log' of -1"):
        e.move({"a": -1.0, "b": 7.0})
    assert e.result.data == pytest.approx(math.log(2) + 0.5)
    assert (e.leaves["a"].grad, e.leaves["b"].data) == (0.5, 0.5)
    assert e.finite_differences()["b"] == pytest.approx(1.0)


def test_no_difference_where_there_is_no_value_beside():
    e = Expression("sqrt(a)", {"a": 1e-12})
    assert e.finite_differences() == {"a": None}


def test_descent_moves_against_the_gradient_and_leaves_what_is_held():
    e = Expression("(a*b + c)**2", {"a": 2.0, "b": -1.0, "c": 3.0})
    e.descend(0.1, {"b"})
    assert e.leaves["a"].data == pytest.approx(2.0 - 0.1 * -2.0)
    assert e.leaves["b"].data == -1.0
    assert e.leaves["c"].data == pytest.approx(3.0 - 0.1 * 2.0)
    assert e.result.data == pytest.approx((2.2 * -1 + 2.8) ** 2)
