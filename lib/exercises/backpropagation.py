"""The exercises of the lesson on backpropagation.

The gradient of one neuron by hand, the backward pass over any graph, and the check of
a gradient by finite differences.
"""

import math

from lib.exercises.checks import diagnose, same_result
from lib.exercises.engine import Exercise, register

CHAPTER, LESSON = "algorithms", "02_backpropagation"

# One neuron by hand ----------------------------------------------------------


def neuron_gradient(w, b, x, y):
    a = math.tanh(w * x + b)
    dz = 2 * (a - y) * (1 - a**2)
    return dz * x, dz


def _without_tanh(w, b, x, y):
    error = math.tanh(w * x + b) - y
    return 2 * error * x, 2 * error


def _slope_of_sum(w, b, x, y):
    z = w * x + b
    dz = 2 * (math.tanh(z) - y) * (1 - z**2)
    return dz * x, dz


def _without_input(w, b, x, y):
    db = neuron_gradient(w, b, x, y)[1]
    return db, db


def _half(w, b, x, y):
    return tuple(part / 2 for part in neuron_gradient(w, b, x, y))


def _other_sign(w, b, x, y):
    return tuple(-part for part in neuron_gradient(w, b, x, y))


def _bias_first(w, b, x, y):
    return neuron_gradient(w, b, x, y)[::-1]


NEURONS = [(0.5, 0.1, 2.0, 0.0), (-1.0, 0.3, 0.5, 1.0)]

NEURON_MISTAKES = [
    (
        _without_tanh,
        "The local derivative of tanh is missing. Multiply by 1 - a ** 2 on the way "
        "from a to z.",
    ),
    (
        _slope_of_sum,
        "The derivative of tanh is 1 - a ** 2 where a is the output, not z.",
    ),
    (
        _without_input,
        "The derivative by w lacks the factor x: z = w * x + b changes by x when w "
        "changes by 1.",
    ),
    (_half, "Both numbers are half of what they should be: (a - y) ** 2 gives 2."),
    (
        _other_sign,
        "The sign is the wrong way round. The derivative of (a - y) ** 2 by a is "
        "2 * (a - y).",
    ),
    (_bias_first, "The two are swapped. Return the one of w first, then that of b."),
]

register(
    Exercise(
        name="neuron gradient",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write neuron_gradient(w, b, x, y). All four are numbers. A neuron gives "
            "a = tanh(w * x + b), and its loss is (a - y) ** 2. Return the pair "
            "(dw, db): the derivatives of the loss by w and by b."
        ),
        minutes=8,
        difficulty=2,
        reference=neuron_gradient,
        checks=[
            *(diagnose(wrong, text, *NEURONS) for wrong, text in NEURON_MISTAKES),
            *(same_result(neuron_gradient, *case) for case in NEURONS),
        ],
        hints=[
            "Name the steps: z = w * x + b, a = tanh(z), loss = (a - y) ** 2. Write "
            "down the local derivative of each.",
            "They are 2 * (a - y) for the loss, 1 - a ** 2 for tanh, and x and 1 for "
            "the sum. Multiply along the way from the loss to w, and to b.",
            "dz = 2 * (a - y) * (1 - a ** 2). Then dw = dz * x and db = dz. math.tanh "
            "is the function that you need.",
        ],
        wrong_answers=NEURON_MISTAKES,
    )
)


# The backward pass -----------------------------------------------------------


def graph_gradient(parents, local):
    grads = [0.0] * len(parents)
    grads[-1] = 1.0
    for node in reversed(range(len(parents))):
        for parent, slope in zip(parents[node], local[node], strict=True):
            grads[parent] += slope * grads[node]
    return grads


def _overwrites(parents, local):
    grads = [0.0] * len(parents)
    grads[-1] = 1.0
    for node in reversed(range(len(parents))):
        for parent, slope in zip(parents[node], local[node], strict=True):
            grads[parent] = slope * grads[node]
    return grads


def _first_to_last(parents, local):
    grads = [0.0] * len(parents)
    grads[-1] = 1.0
    for node in range(len(parents)):
        for parent, slope in zip(parents[node], local[node], strict=True):
            grads[parent] += slope * grads[node]
    return grads


def _local_alone(parents, local):
    grads = [0.0] * len(parents)
    grads[-1] = 1.0
    for node in reversed(range(len(parents))):
        for parent, slope in zip(parents[node], local[node], strict=True):
            grads[parent] += slope
    return grads


def _begins_with_zeros(parents, local):
    return [0.0] * len(parents)


def _begins_with_ones(parents, local):
    grads = [1.0] * len(parents)
    for node in reversed(range(len(parents))):
        for parent, slope in zip(parents[node], local[node], strict=True):
            grads[parent] += slope * grads[node]
    return grads


def _leaves_alone(parents, local):
    grads = graph_gradient(parents, local)
    return [grad for grad, above in zip(grads, parents, strict=True) if not above]


# a * a at a = 3, and (a * b + c) * a at a = 2, b = -1, c = 3
SQUARE = ([(), (0, 0)], [(), (3.0, 3.0)])
PRODUCT = (
    [(), (), (), (0, 1), (3, 2), (4, 0)],
    [(), (), (), (-1.0, 2.0), (1.0, 1.0), (2.0, 1.0)],
)
GRAPHS = [SQUARE, PRODUCT]

GRAPH_MISTAKES = [
    (
        _overwrites,
        "A node that is used twice keeps only one of its gradients. They add up: "
        "write += and not =.",
    ),
    (
        _first_to_last,
        "You go from the first node to the last. A node can pass its gradient on only "
        "when it has all of it: go from the last node to the first.",
    ),
    (
        _local_alone,
        "You add up the local derivatives. The chain rule multiplies each of them by "
        "the gradient of the node that was computed from the parent.",
    ),
    (
        _begins_with_zeros,
        "All gradients are 0. The last node begins with 1.0, its derivative by itself; "
        "without it there is nothing to pass on.",
    ),
    (
        _begins_with_ones,
        "All nodes begin with 1.0. Only the last one does; the others begin with 0.0.",
    ),
    (
        _leaves_alone,
        "These are the gradients of the variables alone. Return one for each node.",
    ),
]

register(
    Exercise(
        name="graph gradient",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write graph_gradient(parents, local). Both are lists with one entry for "
            "each node, in the order of computation. parents[n] is a tuple with the "
            "numbers of the nodes that node n was computed from, and local[n] has the "
            "local derivative by each of them. Return a list: the derivative of the "
            "last node by every node."
        ),
        minutes=10,
        difficulty=3,
        reference=graph_gradient,
        checks=[
            *(diagnose(wrong, text, *GRAPHS) for wrong, text in GRAPH_MISTAKES),
            *(same_result(graph_gradient, *case) for case in GRAPHS),
        ],
        hints=[
            "Begin with a list of zeros, one for each node, and set the last to 1.0.",
            "Go from the last node to the first: reversed(range(len(parents))). Each "
            "node gives something to each of its parents.",
            "What it gives is its own gradient times the local derivative: "
            "grads[parent] += slope * grads[node], where parent and slope come from "
            "zip(parents[node], local[node]).",
        ],
        wrong_answers=GRAPH_MISTAKES,
    )
)


# Finite differences ----------------------------------------------------------


def numerical_gradient(f, point, h):
    gradient = []
    for i in range(len(point)):
        above, below = list(point), list(point)
        above[i] += h
        below[i] -= h
        gradient.append((f(above) - f(below)) / (2 * h))
    return gradient


def _one_sided(f, point, h):
    gradient = []
    for i in range(len(point)):
        above = list(point)
        above[i] += h
        gradient.append((f(above) - f(point)) / h)
    return gradient


def _divides_by_h(f, point, h):
    return [2 * part for part in numerical_gradient(f, point, h)]


def _moves_all(f, point, h):
    above, below = [p + h for p in point], [p - h for p in point]
    return [(f(above) - f(below)) / (2 * h)] * len(point)


def _not_put_back(f, point, h):
    moved, gradient = list(point), []
    for i in range(len(point)):
        moved[i] += h
        above = f(moved)
        moved[i] -= 2 * h
        gradient.append((above - f(moved)) / (2 * h))
    return gradient


def _wrong_way(f, point, h):
    return [-part for part in numerical_gradient(f, point, h)]


def _moves_the_callers(f, point, h):
    gradient = []
    for i in range(len(point)):
        point[i] += h
        above = f(point)
        point[i] -= 2 * h
        gradient.append((above - f(point)) / (2 * h))
    return gradient


def hill(p):
    """A curved function of two numbers."""
    return p[0] ** 3 + p[0] * p[1]


def ridge(p):
    """A curved function of three numbers."""
    return p[0] * p[1] + p[1] * p[2] ** 3


POINTS = [(hill, [1.0, 2.0], 0.5), (ridge, [1.0, -2.0, 0.5], 0.25)]

DIFFERENCE_MISTAKES = [
    (
        _one_sided,
        "This is the difference to one side. Go h up and h down from the point: its "
        "error is much smaller.",
    ),
    (
        _divides_by_h,
        "Every number is twice too large. The two places lie 2 * h from each other.",
    ),
    (
        _moves_all,
        "All numbers move at once. Move one of them and keep the others.",
    ),
    (
        _not_put_back,
        "A number that was moved stays moved when the next one has its turn. Put it "
        "back, or begin with a new copy of the point each time.",
    ),
    (
        _wrong_way,
        "The sign is the wrong way round: f above minus f below.",
    ),
]

register(
    Exercise(
        name="numerical gradient",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write numerical_gradient(f, point, h). point is a list of numbers, and "
            "f(point) is a number. For each entry of the point, move it by h up and by "
            "h down, keep the others, and divide the difference of f by 2 * h. Return "
            "the list of these numbers, and leave point as it was."
        ),
        minutes=8,
        difficulty=2,
        reference=numerical_gradient,
        checks=[
            *(diagnose(wrong, text, *POINTS) for wrong, text in DIFFERENCE_MISTAKES),
            *(same_result(numerical_gradient, *case) for case in POINTS),
        ],
        hints=[
            "One loop over the entries: for i in range(len(point)).",
            "Make two copies of the point, above = list(point) and below likewise, and "
            "change entry i alone in each.",
            "Append (f(above) - f(below)) / (2 * h).",
        ],
        wrong_answers=[
            *DIFFERENCE_MISTAKES,
            (_moves_the_callers, "changed its argument point"),
        ],
    )
)
