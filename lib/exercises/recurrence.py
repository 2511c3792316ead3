"""The exercises of the lesson on recurrence.

The loop over time, the derivative through time, the update of an LSTM cell, and the
forget-gate bias for a wanted memory.
"""

import math

import torch

from lib.exercises.checks import diagnose, same_result
from lib.exercises.engine import Exercise, register

# The loop over time ----------------------------------------------------------


def hidden_states(x, W, U, b):
    h = torch.zeros_like(b)  # (C,)
    states = []
    for x_t in x:  # (inputs,)
        h = torch.tanh(W @ x_t + U @ h + b)
        states.append(h)
    return torch.stack(states)  # (T, C)


def _forgets(x, W, U, b):
    return torch.tanh(x @ W.T + b)


def _without_tanh(x, W, U, b):
    h, states = torch.zeros_like(b), []
    for x_t in x:
        h = W @ x_t + U @ h + b
        states.append(h)
    return torch.stack(states)


def _only_the_last_state(x, W, U, b):
    return hidden_states(x, W, U, b)[-1]


def _transposed(x, W, U, b):
    return hidden_states(x, W, U.T, b)


def _with_the_start(x, W, U, b):
    return torch.cat([torch.zeros_like(b)[None], hidden_states(x, W, U, b)])


def _memory_outside(x, W, U, b):
    h, states = torch.zeros_like(b), []
    for x_t in x:
        h = torch.tanh(W @ x_t + b) + U @ h
        states.append(h)
    return torch.stack(states)


def _without_bias(x, W, U, b):
    return hidden_states(x, W, U, torch.zeros_like(b))


SEQUENCES = [
    (
        torch.tensor([[1.0], [0.0], [-2.0]]),
        torch.tensor([[0.5], [-1.0]]),
        torch.tensor([[0.2, 0.7], [-0.4, 0.3]]),
        torch.tensor([0.1, -0.2]),
    ),
    (
        torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.0, -1.0]]),
        torch.tensor([[0.3, -0.6], [0.8, 0.1]]),
        torch.tensor([[0.9, -0.5], [0.1, 0.4]]),
        torch.tensor([0.0, 0.3]),
    ),
]

LOOP_MISTAKES = [
    (
        _forgets,
        "Each state knows its own input only. Add U @ h, where h is the state of the "
        "step before.",
    ),
    (_without_tanh, "The tanh is missing. Without it the states can grow for ever."),
    (
        _only_the_last_state,
        "This is the last state alone. Return the states of all steps, (T, C).",
    ),
    (
        _transposed,
        "U is transposed. Row i of U holds the weights of unit i, so the product is "
        "U @ h, not h @ U.",
    ),
    (
        _with_the_start,
        "The zeros before the first step are in the result. Return the T states that "
        "were computed.",
    ),
    (
        _memory_outside,
        "U @ h stands outside the tanh. Add all three parts first, then take the tanh.",
    ),
    (_without_bias, "The bias b is missing."),
]

register(
    Exercise(
        name="recurrent loop",
        chapter="core concepts",
        lesson="03_recurrence",
        prompt=(
            "Write hidden_states(x, W, U, b). x is one sequence, (T, inputs); W is "
            "(C, inputs), U is (C, C), b is (C,). Begin with a state of zeros, and at "
            "each step take h = tanh(W x + U h + b). Return the T states, (T, C)."
        ),
        minutes=10,
        difficulty=2,
        reference=hidden_states,
        checks=[
            *(diagnose(wrong, text, *SEQUENCES) for wrong, text in LOOP_MISTAKES),
            *(same_result(hidden_states, *each) for each in SEQUENCES),
        ],
        hints=[
            "Two lines stand before the loop: h = torch.zeros_like(b), and an empty "
            "list for the states.",
            "`for x_t in x:` gives one row of x at a time, of shape (inputs,). W @ x_t "
            "has the shape (C,), and so has U @ h.",
            "In the loop: h = torch.tanh(W @ x_t + U @ h + b), then append h. At the "
            "end, torch.stack(states) makes (T, C) of the list.",
        ],
        wrong_answers=LOOP_MISTAKES,
    )
)


# The derivative through time -------------------------------------------------


def reach_back(u, states):
    reach = [1.0]
    for h in reversed(states[1:]):
        reach.insert(0, reach[0] * u * (1 - h**2))
    return reach


def _without_tanh_slope(u, states):
    steps = len(states)
    return [u ** (steps - 1 - t) for t in range(steps)]


def _without_u(u, states):
    return reach_back(1.0, states)


def _turned_round(u, states):
    return reach_back(u, states)[::-1]


def _own_slope_too(u, states):
    return [r * u * (1 - h**2) for r, h in zip(reach_back(u, states), states)]  # noqa: B905


def _not_squared(u, states):
    reach = [1.0]
    for h in reversed(states[1:]):
        reach.insert(0, reach[0] * u * (1 - h))
    return reach


def _slope_one_step_off(u, states):
    reach = [1.0]
    for h in reversed(states[:-1]):
        reach.insert(0, reach[0] * u * (1 - h**2))
    return reach


def _single_factors(u, states):
    return [u * (1 - h**2) for h in states[1:]] + [1.0]


MEMORIES = [(0.5, [0.6, -0.2, 0.4, 0.1]), (1.5, [-0.3, 0.8, 0.5])]

REACH_MISTAKES = [
    (
        _without_tanh_slope,
        "The slope of the tanh is missing. Each step multiplies by u and by "
        "1 - h ** 2, where h is the state that the step made.",
    ),
    (_without_u, "The factor u is missing. Each step back multiplies by it once."),
    (
        _turned_round,
        "The list is the wrong way round. Entry 0 belongs to the first state, which is "
        "furthest away; the last entry is 1.",
    ),
    (
        _own_slope_too,
        "There is one factor too many. The last state changes by 1 when it changes "
        "itself by 1, so the last entry is 1.",
    ),
    (_not_squared, "The slope of the tanh is 1 - h ** 2. The square is missing."),
    (
        _slope_one_step_off,
        "The slopes are those of the step before. On the way from state t to state "
        "t + 1, the tanh has the value states[t + 1].",
    ),
    (
        _single_factors,
        "These are the factors of single steps. Multiply all of them from step t + 1 "
        "to the last.",
    ),
]

register(
    Exercise(
        name="gradient through time",
        chapter="core concepts",
        lesson="03_recurrence",
        prompt=(
            "A plain recurrent unit has one number as state: "
            "h_t = tanh(w x_t + u h_(t-1)). Write reach_back(u, states), where u is a "
            "number and states is the list [h_1, ..., h_T] of numbers. Return the list "
            "of the T derivatives of h_T by h_1, by h_2, ..., by h_T."
        ),
        minutes=10,
        difficulty=3,
        reference=reach_back,
        checks=[
            *(diagnose(wrong, text, *MEMORIES) for wrong, text in REACH_MISTAKES),
            *(same_result(reach_back, *each) for each in MEMORIES),
            same_result(reach_back, 0.9, [0.5]),
        ],
        hints=[
            "The derivative of tanh(a) is 1 - tanh(a) ** 2, and tanh(a) is the state "
            "that the step made. So one step gives u * (1 - h ** 2).",
            "Begin at the end: the derivative of h_T by itself is 1. The one before is "
            "that times u * (1 - h_T ** 2), and so on backwards.",
            "reach = [1.0]; for h in reversed(states[1:]): put "
            "reach[0] * u * (1 - h ** 2) in front, with reach.insert(0, ...).",
        ],
        wrong_answers=REACH_MISTAKES,
    )
)


# The update of an LSTM cell --------------------------------------------------


def lstm_update(a, c):
    i, f, g, o = a.chunk(4)  # each (C,)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return h, c


def _gates_swapped(a, c):
    i, f, g, o = a.chunk(4)
    return lstm_update(torch.cat([f, i, g, o]), c)


def _candidate_sigmoid(a, c):
    i, f, g, o = a.chunk(4)
    c = f.sigmoid() * c + i.sigmoid() * g.sigmoid()
    return o.sigmoid() * c.tanh(), c


def _old_cell_shown(a, c):
    o = a.chunk(4)[3]
    return o.sigmoid() * c.tanh(), lstm_update(a, c)[1]


def _no_last_tanh(a, c):
    c = lstm_update(a, c)[1]
    return a.chunk(4)[3].sigmoid() * c, c


def _no_sigmoids(a, c):
    i, f, g, o = a.chunk(4)
    c = f * c + i * g.tanh()
    return o * c.tanh(), c


def _cell_first(a, c):
    return lstm_update(a, c)[::-1]


def _candidate_and_output_swapped(a, c):
    i, f, g, o = a.chunk(4)
    return lstm_update(torch.cat([i, f, o, g]), c)


CELLS = [
    (
        torch.tensor([1.0, -0.5, 0.3, 2.0, -1.0, 0.7, 0.2, -1.5]),
        torch.tensor([0.8, -2]),
    ),
    (torch.tensor([-0.4, 1.2, 0.9, -0.6]), torch.tensor([1.5])),
]

CELL_MISTAKES = [
    (
        _gates_swapped,
        "The input gate and the forget gate are swapped. The order in a is input, "
        "forget, candidate, output.",
    ),
    (
        _candidate_and_output_swapped,
        "The candidate and the output gate are swapped. The order in a is input, "
        "forget, candidate, output.",
    ),
    (
        _candidate_sigmoid,
        "The candidate has a sigmoid. It takes a tanh, so that it can also write a "
        "number below 0.",
    ),
    (
        _old_cell_shown,
        "h shows the old cell. Work out the new c first, then h from the new c.",
    ),
    (_no_last_tanh, "The tanh around c is missing: h = σ(o) * tanh(c)."),
    (
        _no_sigmoids,
        "The gates have no sigmoid, so they are not between 0 and 1.",
    ),
    (_cell_first, "The two are swapped. Return h first, then c."),
]

register(
    Exercise(
        name="lstm cell",
        chapter="core concepts",
        lesson="03_recurrence",
        prompt=(
            "Write lstm_update(a, c). a is (4 * C,), what goes into the input gate, "
            "the forget gate, the candidate and the output gate, in this order, before "
            "σ and tanh; c is the old cell, (C,). Return the pair (h, c) after the "
            "step, each (C,)."
        ),
        minutes=8,
        difficulty=2,
        reference=lstm_update,
        checks=[
            *(diagnose(wrong, text, *CELLS) for wrong, text in CELL_MISTAKES),
            *(same_result(lstm_update, *each) for each in CELLS),
        ],
        hints=[
            "`i, f, g, o = a.chunk(4)` cuts a into its four parts.",
            "Three of the parts are gates and take a sigmoid. The candidate g takes a "
            "tanh.",
            "c = f.sigmoid() * c + i.sigmoid() * g.tanh(). Then h is o.sigmoid() times "
            "the tanh of this new c.",
        ],
        wrong_answers=CELL_MISTAKES,
    )
)


# The forget-gate bias --------------------------------------------------------


def forget_bias(steps):
    keep = 0.5 ** (1 / steps)  # at each step, so that keep ** steps is a half
    return math.log(keep / (1 - keep))


def _the_gate_itself(steps):
    return 0.5 ** (1 / steps)


def _negative(steps):
    return -forget_bias(steps)


def _linear_loss(steps):
    keep = 1 - 0.5 / steps
    return math.log(keep / (1 - keep))


def _power_upside_down(steps):
    keep = 0.5**steps
    return math.log(keep / (1 - keep))


def _without_the_steps(steps):
    return 0.0


def _only_the_logarithm(steps):
    return math.log(_the_gate_itself(steps))


HALVES = [(2,), (10,)]

BIAS_MISTAKES = [
    (
        _the_gate_itself,
        "This is the value that the gate must have. The bias b gives it through the "
        "sigmoid, so solve σ(b) = keep for b.",
    ),
    (
        _only_the_logarithm,
        "The inverse of σ is log(keep / (1 - keep)). The 1 - keep is missing.",
    ),
    (_negative, "The sign is the wrong way round: this gate is nearly shut."),
    (
        _linear_loss,
        "This takes the same amount away at each step. The gate multiplies: after n "
        "steps keep ** n is left.",
    ),
    (
        _power_upside_down,
        "This is half of the memory, and half again at each step. keep ** steps must "
        "be 0.5, so keep is a root of 0.5.",
    ),
    (
        _without_the_steps,
        "A bias of 0 halves the memory at each single step: σ(0) is 0.5.",
    ),
]

register(
    Exercise(
        name="forget bias",
        chapter="core concepts",
        lesson="03_recurrence",
        prompt=(
            "An LSTM's forget gate is σ(b) at every step, and nothing new is written. "
            "Write forget_bias(steps): the bias b with which half of the cell is left "
            "after that many steps. steps is a whole number of 1 or more; return a "
            "number."
        ),
        minutes=7,
        difficulty=3,
        reference=forget_bias,
        checks=[
            *(diagnose(wrong, text, *HALVES) for wrong, text in BIAS_MISTAKES),
            *(same_result(forget_bias, *each, tolerance=1e-5) for each in HALVES),
            same_result(forget_bias, 1, tolerance=1e-5),
            same_result(forget_bias, 100, tolerance=1e-5),
        ],
        hints=[
            "If the gate has the value keep, then keep ** steps of the cell is left. "
            "This must be 0.5.",
            "So keep = 0.5 ** (1 / steps). Now find b with sigmoid(b) = keep.",
            "From keep = 1 / (1 + exp(-b)) follows b = math.log(keep / (1 - keep)).",
        ],
        wrong_answers=BIAS_MISTAKES,
    )
)
