"""Where the nodes of a computation graph stand, and its still picture.

Layers by depth, as in Sugiyama, Tagawa, Toda, "Methods for visual understanding of
hierarchical system structures", 1981: a node stands right of all it is computed from,
an edge over several layers gets a place of its own in each, and the order in a layer
comes from the mean place of the neighbours, so that few edges cross.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

from matplotlib.figure import Figure

from lib.expressions import Expression

SWEEPS = 12
TIGHT = 0.55  # rows that an edge without a node needs beside its neighbours


def columns(parents: list[tuple[int, ...]]) -> list[int]:
    """The layer of each node, results to the right; a leaf stands close to its use."""
    depth = [0] * len(parents)
    for k, above in enumerate(parents):
        depth[k] = 1 + max((depth[p] for p in above), default=-1)
    for k in reversed(range(len(parents))):
        if not parents[k]:
            users = [depth[j] for j, above in enumerate(parents) if k in above]
            depth[k] = min(users, default=1) - 1
    return depth


def layout(parents: list[tuple[int, ...]]) -> dict[str, Any]:
    """Places of the nodes and the ways of the edges.

    Args:
        parents: for each node, in the order of computation, what it is computed from.

    Returns:
        "nodes": (column, row) of each node; "edges": one dict for each edge with
        "from", "to", "slot" (which operand) and "way", the (column, row) points from
        one to the other; "columns" and "rows": the size of the picture.
    """
    depth = columns(parents)
    layers: dict[int, list[Any]] = defaultdict(list)
    links: list[tuple[Any, Any]] = []
    ways: list[tuple[int, int, int, list[Any]]] = []
    for k in range(len(parents)):
        layers[depth[k]].append(k)
    for k, above in enumerate(parents):
        for slot, p in enumerate(above):
            between = [(p, k, slot, c) for c in range(depth[p] + 1, depth[k])]
            for point in between:
                layers[point[3]].append(point)
            way = [p, *between, k]
            ways.append((p, k, slot, way))
            links += pairwise(way)
    order = _ordered(layers, links)
    row = _rows(order, links)
    column = {point: c for c, layer in order.items() for point in layer}
    return {
        "nodes": [[column[k], row[k]] for k in range(len(parents))],
        "edges": [
            {"from": p, "to": k, "slot": slot,
             "way": [[column[point], row[point]] for point in way]}
            for p, k, slot, way in ways
        ],
        "columns": 1 + max(column.values()),
        "rows": 1 + max(row.values()),
    }  # fmt: skip


def _neighbours(links, side: int) -> dict[Any, list[Any]]:
    out = defaultdict(list)
    for link in links:
        out[link[side]].append(link[1 - side])
    return out


def _ordered(layers, links) -> dict[int, list[Any]]:
    """The order in each layer with the fewest crossings that a few sweeps find."""
    order = {c: list(layers[c]) for c in sorted(layers)}
    best, fewest = {c: list(v) for c, v in order.items()}, crossings(order, links)
    right, left = _neighbours(links, 0), _neighbours(links, 1)
    for sweep in range(SWEEPS):
        back = sweep % 2 == 0  # from the result to the leaves first
        near = right if back else left
        for c in sorted(order, reverse=back):
            place = {p: i for layer in order.values() for i, p in enumerate(layer)}
            old = {p: i for i, p in enumerate(order[c])}

            def mean(point, near=near, place=place, old=old):
                seen = [place[q] for q in near[point]]
                return sum(seen) / len(seen) if seen else old[point]

            order[c].sort(key=mean)
        count = crossings(order, links)
        if count < fewest:
            best, fewest = {c: list(v) for c, v in order.items()}, count
    return best


def crossings(order, links) -> int:
    """How many pairs of edges between neighbouring layers cross."""
    place = {p: (c, i) for c, layer in order.items() for i, p in enumerate(layer)}
    ends = [(*place[a], place[b][1]) for a, b in links]
    return sum(
        c == d and (i - j) * (m - n) < 0
        for k, (c, i, m) in enumerate(ends)
        for d, j, n in ends[:k]
    )


def _gap(a: Any, b: Any) -> float:
    return 1.0 if isinstance(a, int) and isinstance(b, int) else TIGHT


def _rows(order, links) -> dict[Any, float]:
    """Rows near the mean of the neighbours', in the given order, never too close."""
    row = {p: float(i) for layer in order.values() for i, p in enumerate(layer)}
    right, left = _neighbours(links, 0), _neighbours(links, 1)
    for sweep in range(4 * SWEEPS):
        near = left if sweep % 2 else right
        for c in sorted(order, reverse=sweep % 2 == 0):
            layer = order[c]
            wish = {
                p: sum(row[q] for q in near[p]) / len(near[p]) if near[p] else row[p]
                for p in layer
            }
            row.update(_spread(layer, wish))
    low = min(row.values())
    return {p: round(y - low, 3) for p, y in row.items()}


def _spread(layer: list[Any], wish: dict[Any, float]) -> dict[Any, float]:
    """Places as near to the wishes as the distances allow: blocks that touch merge."""
    blocks: list[list[Any]] = []  # [sum of wishes less offsets, members, width]
    for point in layer:
        blocks.append([wish[point], [(point, 0.0)]])
        while len(blocks) > 1:
            (total, members), (above, others) = blocks[-1], blocks[-2]
            end = others[-1]
            gap = end[1] + _gap(end[0], members[0][0])
            if above / len(others) + gap <= total / len(members) + 1e-9:
                break
            blocks.pop()
            shifted = [(p, o + gap) for p, o in members]
            blocks[-1] = [above + total - gap * len(members), others + shifted]
    return {p: total / len(m) + o for total, m in blocks for p, o in m}


SHOWN = {"*": "×", "-": "−", "/": "÷"}


def graph_figure(expression: Expression) -> Figure:
    """The graph with the value and the gradient of each node."""
    index = {node: k for k, node in enumerate(expression.nodes)}
    parents = [tuple(index[p] for p in n.parents) for n in expression.nodes]
    places = layout(parents)
    wide, tall = places["columns"], places["rows"]
    figure = Figure(figsize=(10.5, max(2.4, 0.75 * tall + 0.5)), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.55, wide - 0.45), ylim=(tall - 0.4, -0.6))
    axes.axis("off")
    axes.set_title(expression.text, fontsize=10)
    for edge in places["edges"]:
        x, y = zip(*edge["way"], strict=True)
        axes.plot(x, y, color="#9a9a9a", linewidth=1.2, zorder=1)
    for node, name, (x, y) in zip(
        expression.nodes, expression.names, places["nodes"], strict=True
    ):
        head = f"{name} = {SHOWN.get(node.operation, node.operation)}"
        text = f"{head if node.parents else name}\n{node.data:.4g}\n∂L {node.grad:.4g}"
        look = {"boxstyle": "round,pad=0.35", "facecolor": "white"}
        look["edgecolor"] = "#707070" if node.parents else "#0072b2"
        axes.text(x, y, text, ha="center", va="center", fontsize=8, bbox=look)
    return figure
