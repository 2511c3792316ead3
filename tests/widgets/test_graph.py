"""Backpropagation node by node, as the page gets it."""

from __future__ import annotations

import io
import json
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from lib.expressions import Expression
from lib.widgets.graph import EXAMPLES, LIMIT, Graph
from lib.widgets.graph_still import columns, crossings, layout
from tests.widgets.conftest import values_over_range


def control(name: str):
    return next(c for c in Graph.CONTROLS if c.name == name)


def ancestry(expression: Expression) -> list[tuple[int, ...]]:
    index = {node: k for k, node in enumerate(expression.nodes)}
    return [tuple(index[p] for p in node.parents) for node in expression.nodes]


def deep(text: str) -> dict:
    e = Expression(text)
    return {"expression": e, "parents": ancestry(e), **layout(ancestry(e))}


# ---- controls


@pytest.mark.parametrize("name", ["example", "expression", "rate"])
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = Graph()
    page = open_page(widget)
    for value in values_over_range(control(name)):
        page.set(name, value)
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == value
        page.do("descend")
        news = page.of_kind("news")[-1]
        assert news["values"] == widget.values
        assert news["data"] == [n.data for n in widget.graph.nodes]
    json.dumps(page.messages, allow_nan=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [("leaves", {"a": "much"}), ("leaves", {"a": LIMIT * 2}), ("leaves", [1]),
     ("leaves", {"a": float("nan")}), ("leaves", {"a": True}), ("held", "a"),
     ("held", [1])],
)  # fmt: skip
def test_variables_are_finite_numbers_by_name(open_page, name, value):
    page = open_page(Graph())
    with pytest.raises(ValueError, match=f"{name} was given"):
        page.set(name, value)


def test_moving_a_variable_moves_values_and_gradients(open_page):
    widget = Graph()
    page = open_page(widget)
    page.set("leaves", {"a": 0.5, "b": 2.0, "c": -3.0})
    news = page.of_kind("news")[-1]
    assert news["data"][-1] == (0.5 * 2.0 - 3.0) ** 2
    names = widget.graph.names
    grads = dict(zip(names, news["grads"], strict=True))
    assert (grads["a"], grads["b"], grads["c"]) == (-8.0, -2.0, -4.0)
    assert news["checks"] == {
        k: pytest.approx(grads[k], rel=1e-6) for k in ("a", "b", "c")
    }
    assert "graph" not in news  # only numbers are new


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_every_example_is_an_expression_with_its_own_held_variables(open_page, name):
    page = open_page(Graph(example="relu" if name == "square" else "square"))
    page.set("example", name)
    _label, text, values, held = EXAMPLES[name]
    widget = page.widget
    assert widget.graph.text == widget.values["expression"] == text
    assert widget.values["leaves"] == values
    assert widget.values["held"] == held
    checks = page.of_kind("news")[-1]["checks"]
    for variable, leaf in widget.graph.leaves.items():
        assert checks[variable] == pytest.approx(leaf.grad, rel=1e-6, abs=1e-8)


def test_a_typed_example_is_known_and_another_text_is_ones_own(open_page):
    widget = Graph()
    page = open_page(widget)
    page.set("expression", EXAMPLES["relu"][1])
    assert widget.values["example"] == "relu"
    page.set("expression", "a*b")
    assert widget.values["example"] == "own"
    assert widget.values["leaves"] == {"a": 2.0, "b": -1.0}  # as they stood


# ---- errors in the text


def test_a_text_with_an_error_leaves_the_last_good_graph(open_page):
    widget = Graph()
    page = open_page(widget)
    graph = widget.graph
    page.set("expression", "(a*b + ")
    news = page.of_kind("news")[-1]
    assert news["problem"]["place"] == 6
    assert news["problem"]["text"].startswith("At character 7: the text ends")
    assert widget.graph is graph
    assert widget.values["expression"] == "(a*b + "
    assert page.of_kind("error") == []
    late = open_page(widget)
    assert widget.snapshot["problem"] == news["problem"]
    late.set("expression", "(a*b + 1)")
    assert late.of_kind("news")[-1]["problem"] is None
    assert widget.graph.text == "(a*b + 1)"


def test_a_variable_moved_to_where_there_is_no_value_stays(open_page):
    widget = Graph("log(a)", leaves={"a": 1.0})
    page = open_page(widget)
    page.set("leaves", {"a": -1.0})
    assert "'log' of -1" in page.of_kind("news")[-1]["problem"]["text"]
    assert widget.values["leaves"] == {"a": 1.0}
    assert page.of_kind("value")[-1]["value"] == {"a": 1.0}
    page.set("leaves", {"a": 2.0})
    assert page.of_kind("news")[-1]["problem"] is None


def test_without_a_page_errors_are_raised():
    with pytest.raises(ValueError, match="At character 3"):
        Graph("a $")
    widget = Graph("log(a)", leaves={"a": 1.0})
    with pytest.raises(ValueError, match="At character 1: the text ends"):
        widget.set(expression="")
    assert widget.values["expression"] == "log(a)"
    with pytest.raises(ValueError, match="'log' of -2"):
        widget.set(leaves={"a": -2.0})
    assert widget.values["leaves"] == {"a": 1.0}
    with pytest.raises(ValueError, match="no control 'slope'"):
        Graph(slope=1)


# ---- descent


def test_descent_lowers_the_result_and_can_be_taken_back(open_page):
    widget = Graph(example="logistic", rate=0.5)
    page = open_page(widget)
    first = dict(widget.values["leaves"])
    for _ in range(5):
        page.do("descend")
    told = page.of_kind("news")[-1]["descents"]
    assert len(told) == 6
    assert all(np.diff(told) < 0)
    now = widget.values["leaves"]
    assert (now["x"], now["y"]) == (first["x"], first["y"])  # held
    assert now["w"] != first["w"]
    page.do("start_values")
    assert widget.values["leaves"] == first
    assert page.of_kind("news")[-1]["descents"] == []
    assert widget.values["example"] == "logistic"


def test_run_descends_without_a_page():
    wanted = {"a": 2.0, "b": -1.0, "c": 3.0}
    for _ in range(3):
        a, b, c = wanted.values()
        e = 2 * (a * b + c)
        wanted = {"a": a - 0.05 * e * b, "b": b - 0.05 * e * a, "c": c - 0.05 * e}
    found = Graph(rate=0.05).run(steps=3)
    assert {n: v.data for n, v in found.leaves.items()} == pytest.approx(wanted)


def test_a_step_that_leads_too_far_is_refused_and_shown():
    widget = Graph("a**3", leaves={"a": 100.0}, rate=10.0)
    with pytest.raises(ValueError, match=r"beyond 1000; choose a smaller learning"):
        widget.do_descend()
    assert widget.values["leaves"] == {"a": 100.0}
    widget.set(held=("a",))
    widget.do_descend()  # what is held goes nowhere
    assert widget.values["leaves"] == {"a": 100.0}


# ---- places


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_edges_go_from_left_to_right_and_nothing_lies_on_anything(name):
    parents = ancestry(Expression(*EXAMPLES[name][1:3]))
    places = layout(parents)
    nodes = places["nodes"]
    assert places["columns"] <= 8
    for k, above in enumerate(parents):
        assert all(nodes[p][0] < nodes[k][0] for p in above)
    spots = [tuple(node) for node in nodes]
    spots += {tuple(p) for e in places["edges"] for p in e["way"][1:-1]}
    for i, (c, r) in enumerate(spots):
        for d, s in spots[:i]:
            assert c != d or abs(r - s) > 0.5
    for edge in places["edges"]:
        steps = np.diff([c for c, _r in edge["way"]])
        assert (steps == 1).all()
        assert edge["way"][0] == nodes[edge["from"]]
        assert edge["way"][-1] == nodes[edge["to"]]


def test_the_network_of_two_neurons_has_no_crossing_edges():
    places = deep(EXAMPLES["network"][1])
    ways = [np.array(e["way"]) for e in places["edges"]]
    for i, a in enumerate(ways):
        for b in ways[:i]:
            for (c, r), (_d, s) in pairwise(a):
                for (e, t), (_f, u) in pairwise(b):
                    if c == e:
                        assert (r - t) * (s - u) >= -1e-9


def test_leaves_stand_just_before_their_first_use():
    # a, b, a*b, c, a*b + c
    assert columns([(), (), (0, 1), (), (2, 3)]) == [0, 0, 1, 1, 2]


def test_crossings_are_counted():
    order = {0: ["a", "b"], 1: ["c", "d"]}
    assert crossings(order, [("a", "d"), ("b", "c")]) == 1
    assert crossings(order, [("a", "c"), ("b", "d")]) == 0


# ---- to the page, pictures, end


def test_a_late_page_sees_everything(open_page):
    widget = Graph()
    open_page(widget).set("expression", "a*a + sigmoid(b)")
    open_page(widget)
    state = widget.snapshot
    assert state["graph"]["text"] == "a*a + sigmoid(b)"
    assert state["data"] == [n.data for n in widget.graph.nodes]
    assert state["grads"] == [n.grad for n in widget.graph.nodes]
    assert state["local"] == [list(n.local) for n in widget.graph.nodes]
    assert state["graph"]["parents"] == [list(p) for p in ancestry(widget.graph)]
    assert state["graph"]["variables"].count(None) == len(widget.graph.nodes) - 2
    json.dumps(state, allow_nan=False)


def test_messages_are_small_and_nothing_is_sent_twice(open_page):
    widget = Graph(example="network")
    page = open_page(widget)
    page.set("leaves", {"w1": 0.1})
    assert len(json.dumps(page.of_kind("news")[-1])) < 4_000
    sent = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == sent


def test_an_error_in_a_callback_is_shown_or_raised(monkeypatch, open_page):
    def broken(*_):
        raise RuntimeError("the chain broke")

    monkeypatch.setattr(Expression, "descend", broken)
    page = open_page(Graph())
    with pytest.raises(RuntimeError, match="the chain broke"):
        page.do("descend")
    assert page.widget.error == "RuntimeError: the chain broke"


def test_text_and_picture(open_page):
    widget = Graph(example="network")
    text = "The graph of an expression, with the value and gradient of each node"
    assert widget.describe() == Graph("a").describe() == text
    image = Image.open(io.BytesIO(widget.still())).convert("L")
    assert image.format is None
    assert 0.02 < (np.asarray(image) < 160).mean() < 0.5
    shown = {t.get_text() for t in widget.figure().axes[0].texts}
    assert len(shown) == 19
    leaf = widget.graph.leaves["w1"]
    assert f"w1\n{leaf.data:.4g}\n∂L {leaf.grad:.4g}" in shown
