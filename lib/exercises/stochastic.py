"""The exercises of the lesson on stochastic and adaptive descent.

One pass of mini-batch descent, the batch size for a wanted noise, the steps of momentum
and of Adam, and a schedule with warm-up.
"""

import math

import torch

from lib.exercises.checks import diagnose, same_result
from lib.exercises.engine import Exercise, register

CHAPTER, LESSON = "algorithms", "03_stochastic_and_adaptive"

# One pass of mini-batch descent ----------------------------------------------


def one_pass(gradient, theta, order, batch_size, learning_rate):
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        theta = theta - learning_rate * gradient(theta, rows)
    return theta


def _all_examples_each_step(gradient, theta, order, batch_size, learning_rate):
    for _ in range(0, len(order), batch_size):
        theta = theta - learning_rate * gradient(theta, order)
    return theta


def _update_at_the_end(gradient, theta, order, batch_size, learning_rate):
    parts = order.split(batch_size)
    total = sum(gradient(theta, rows) for rows in parts)
    return theta - learning_rate * total


def _mean_update_at_the_end(gradient, theta, order, batch_size, learning_rate):
    parts = order.split(batch_size)
    total = sum(gradient(theta, rows) for rows in parts)
    return theta - learning_rate * total / len(parts)


def _without_the_last(gradient, theta, order, batch_size, learning_rate):
    whole = len(order) // batch_size * batch_size
    return one_pass(gradient, theta, order[:whole], batch_size, learning_rate)


def _in_the_given_order(gradient, theta, order, batch_size, learning_rate):
    rows = torch.arange(len(order))
    return one_pass(gradient, theta, rows, batch_size, learning_rate)


def _one_example_each(gradient, theta, order, batch_size, learning_rate):
    return one_pass(gradient, theta, order, 1, learning_rate)


def _only_the_first_batch(gradient, theta, order, batch_size, learning_rate):
    return theta - learning_rate * gradient(theta, order[:batch_size])


def _uphill_pass(gradient, theta, order, batch_size, learning_rate):
    return one_pass(gradient, theta, order, batch_size, -learning_rate)


def _in_place_pass(gradient, theta, order, batch_size, learning_rate):
    for rows in order.split(batch_size):
        theta -= learning_rate * gradient(theta, rows)
    return theta


POINTS = torch.tensor([[1.0, 0.0], [3.0, 1.0], [-2.0, 5.0], [0.5, 2.0], [4.0, -1.0]])


def points_gradient(theta, rows):
    """Mean gradient of half the squared distance to the points of these rows."""
    return theta - POINTS[rows].mean(0)


PASSES = [
    (points_gradient, torch.tensor([0.0, 0.0]), torch.tensor([3, 0, 4, 1, 2]), 2, 0.1),
    (points_gradient, torch.tensor([2.0, 1.0]), torch.tensor([4, 2, 0, 1, 3]), 3, 0.3),
]

PASS_MISTAKES = [
    (
        _all_examples_each_step,
        "Each step uses all examples. Use the rows of one batch alone: "
        "gradient(theta, rows).",
    ),
    (
        _update_at_the_end,
        "All gradients are taken at the first theta, and their sum is used at the end. "
        "Take a step after each batch, and the next gradient at the new theta.",
    ),
    (
        _mean_update_at_the_end,
        "There is one update, after all batches. That is batch gradient descent. Take "
        "a step after each batch.",
    ),
    (
        _without_the_last,
        "The last, smaller batch is left out. Its examples belong to the pass too.",
    ),
    (
        _in_the_given_order,
        "The rows are used as 0, 1, 2, ... Take them in the order that `order` says.",
    ),
    (_one_example_each, "Each step uses one example. Take batch_size of them."),
    (_only_the_first_batch, "Only the first batch is used. Go through all of order."),
    (_uphill_pass, "You add the gradient, which leads uphill. Subtract it."),
]

register(
    Exercise(
        name="stochastic pass",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write one_pass(gradient, theta, order, batch_size, learning_rate). order "
            "is a tensor of row numbers. Go through it in batches of batch_size, the "
            "last one may be smaller, and take a step after each batch. "
            "gradient(theta, rows) is the mean gradient over these rows. Return the "
            "last theta, and leave the one you were given as it was."
        ),
        minutes=8,
        difficulty=2,
        reference=one_pass,
        checks=[
            *(diagnose(wrong, message, *PASSES) for wrong, message in PASS_MISTAKES),
            *(same_result(one_pass, *each, tolerance=1e-5) for each in PASSES),
        ],
        hints=[
            "Cut order into pieces: order[0:batch_size], then the next batch_size "
            "rows, and so on. order.split(batch_size) does it for you.",
            "For each piece, take the gradient at the theta of this moment, with the "
            "rows of this piece alone.",
            "for rows in order.split(batch_size): "
            "theta = theta - learning_rate * gradient(theta, rows)",
        ],
        wrong_answers=[
            *PASS_MISTAKES,
            (_in_place_pass, "changed its argument theta"),
        ],
    )
)


# The batch size for a wanted noise -------------------------------------------


def batch_for(batch_size, noise, wanted):
    return max(1, math.ceil(batch_size * (noise / wanted) ** 2))


def _without_square(batch_size, noise, wanted):
    return max(1, math.ceil(batch_size * noise / wanted))


def _root(batch_size, noise, wanted):
    return max(1, math.ceil(batch_size * math.sqrt(noise / wanted)))


def _upside_down(batch_size, noise, wanted):
    return max(1, math.ceil(batch_size * (wanted / noise) ** 2))


def _rounded_down(batch_size, noise, wanted):
    return max(1, int(batch_size * (noise / wanted) ** 2))


def _not_whole(batch_size, noise, wanted):
    return batch_size * (noise / wanted) ** 2


def _without_batch(batch_size, noise, wanted):
    return max(1, math.ceil((noise / wanted) ** 2))


def _zero_possible(batch_size, noise, wanted):
    return round(batch_size * (noise / wanted) ** 2)


# Powers of two, so that no answer depends on rounding.
WISHES = [(16, 0.5, 0.25), (8, 0.75, 0.5), (5, 0.375, 0.25), (4, 0.25, 1.0)]

WISH_MISTAKES = [
    (
        _without_square,
        "The noise falls as 1 / sqrt(B), not as 1 / B: half the noise takes four times "
        "as many examples. The ratio of the noises has to be squared.",
    ),
    (
        _root,
        "The root is on the wrong side: the noise falls as the root of the batch size, "
        "so the batch size grows as the square of the ratio of the noises.",
    ),
    (
        _upside_down,
        "The ratio is the wrong way round: less noise takes more examples.",
    ),
    (
        _rounded_down,
        "You round down, and then the noise is a little above the one wanted. Round "
        "up.",
    ),
    (_not_whole, "A batch has a whole number of examples: round up."),
    (
        _without_batch,
        "The batch size that you measured with is missing: multiply by batch_size.",
    ),
]

register(
    Exercise(
        name="stochastic batch size",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "With batches of batch_size examples, the noise of the gradient is noise. "
            "Write batch_for(batch_size, noise, wanted): the smallest batch size, a "
            "whole number from 1, whose noise is at most wanted."
        ),
        minutes=5,
        difficulty=2,
        reference=batch_for,
        checks=[
            *(diagnose(wrong, message, *WISHES) for wrong, message in WISH_MISTAKES),
            *(same_result(batch_for, *wish) for wish in WISHES),
        ],
        hints=[
            "noise = c / sqrt(batch_size) with some c that does not change. Write the "
            "same for the new batch size, and divide the two.",
            "It is batch_size * (noise / wanted) ** 2, before you round it.",
            "math.ceil rounds up, and max(1, ...) makes it at least 1.",
        ],
        wrong_answers=[*WISH_MISTAKES, (_zero_possible, "The numbers differ")],
    )
)


# The step of momentum --------------------------------------------------------


def momentum_step(theta, u, g, learning_rate, momentum):
    u = momentum * u + g
    theta = theta - learning_rate * u
    return theta, u


def _old_velocity(theta, u, g, learning_rate, momentum):
    return theta - learning_rate * u, momentum * u + g


def _moving_mean(theta, u, g, learning_rate, momentum):
    u = momentum * u + (1 - momentum) * g
    return theta - learning_rate * u, u


def _plain_step(theta, u, g, learning_rate, momentum):
    return theta - learning_rate * g, momentum * u + g


def _velocity_against(theta, u, g, learning_rate, momentum):
    u = momentum * u - g
    return theta - learning_rate * u, u


def _uphill_step(theta, u, g, learning_rate, momentum):
    u = momentum * u + g
    return theta + learning_rate * u, u


def _momentum_on_gradient(theta, u, g, learning_rate, momentum):
    u = u + momentum * g
    return theta - learning_rate * u, u


def _rate_in_velocity(theta, u, g, learning_rate, momentum):
    u = momentum * u + learning_rate * g
    return theta - u, u


def _nesterov(theta, u, g, learning_rate, momentum):
    u = momentum * u + g
    return theta - learning_rate * (g + momentum * u), u


def _swapped_pair(theta, u, g, learning_rate, momentum):
    return momentum_step(theta, u, g, learning_rate, momentum)[::-1]


def _in_place_step(theta, u, g, learning_rate, momentum):
    u *= momentum
    u += g
    return theta - learning_rate * u, u


PUSHES = [
    (torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]), torch.tensor([2.0, -1.0]),
     0.1, 0.9),
    (torch.tensor([0.0, 4.0]), torch.tensor([-1.0, 0.25]), torch.tensor([1.5, 1.0]),
     0.5, 0.5),
]  # fmt: skip

PUSH_MISTAKES = [
    (
        _old_velocity,
        "The step uses the old velocity. First make the new u, then step by it.",
    ),
    (
        _moving_mean,
        "This u is a moving mean, as Adam's m is. Momentum adds the whole gradient: "
        "u = momentum * u + g.",
    ),
    (_plain_step, "The step uses g alone. It has to use the velocity u."),
    (
        _velocity_against,
        "The gradient enters u with a plus. The minus comes in the step of theta.",
    ),
    (_uphill_step, "You add the velocity to theta, which leads uphill. Subtract it."),
    (
        _momentum_on_gradient,
        "momentum belongs to the old velocity, and not to the gradient: it says how "
        "much of u stays.",
    ),
    (
        _rate_in_velocity,
        "The learning rate is inside u. In this lesson u is a sum of gradients, and "
        "the rate multiplies it in the step of theta.",
    ),
    (_nesterov, "This is Nesterov's step. Plain momentum steps by u."),
    (_swapped_pair, "The two are swapped: return theta first, then u."),
]

register(
    Exercise(
        name="momentum step",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write momentum_step(theta, u, g, learning_rate, momentum). theta, the "
            "velocity u and the gradient g are tensors of one shape. Return the new "
            "pair (theta, u), and leave the old ones as they were."
        ),
        minutes=4,
        difficulty=1,
        reference=momentum_step,
        checks=[
            *(diagnose(wrong, message, *PUSHES) for wrong, message in PUSH_MISTAKES),
            *(same_result(momentum_step, *push, tolerance=1e-5) for push in PUSHES),
        ],
        hints=[
            "There are two lines: the new velocity first, then the new theta.",
            "The new velocity is momentum * u + g.",
            "theta = theta - learning_rate * u, with the new u.",
        ],
        wrong_answers=[*PUSH_MISTAKES, (_in_place_step, "changed its argument u")],
    )
)


# The step of Adam ------------------------------------------------------------


def adam_step(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    theta = theta - learning_rate * m_hat / (v_hat.sqrt() + eps)
    return theta, m, v


def _means(m, v, g, beta1, beta2):
    return beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2


def _without_correction(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    m, v = _means(m, v, g, beta1, beta2)
    return theta - learning_rate * m / (v.sqrt() + eps), m, v


def _without_root(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    m, v = _means(m, v, g, beta1, beta2)
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return theta - learning_rate * m_hat / (v_hat + eps), m, v


def _keeps_the_corrected(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    theta, m, v = adam_step(theta, m, v, g, t, learning_rate, beta1, beta2, eps)
    return theta, m / (1 - beta1**t), v / (1 - beta2**t)


def _one_step_late(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    return adam_step(theta, m, v, g, t + 1, learning_rate, beta1, beta2, eps)


def _counted_from_zero(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    return adam_step(theta, m, v, g, t - 1, learning_rate, beta1, beta2, eps)


def _without_power(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    return adam_step(theta, m, v, g, 1, learning_rate, beta1, beta2, eps)[:1] + _means(
        m, v, g, beta1, beta2
    )


def _without_square_of_g(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return theta - learning_rate * m_hat / (v_hat.sqrt() + eps), m, v


def _swapped_betas(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    return adam_step(theta, m, v, g, t, learning_rate, beta2, beta1, eps)


def _gradient_on_top(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    m, v = _means(m, v, g, beta1, beta2)
    return theta - learning_rate * g / ((v / (1 - beta2**t)).sqrt() + eps), m, v


def _beta_on_gradient(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    return adam_step(theta, m, v, g, t, learning_rate, 1 - beta1, 1 - beta2, eps)


def _sums(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    m, v = beta1 * m + g, beta2 * v + g**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return theta - learning_rate * m_hat / (v_hat.sqrt() + eps), m, v


def _eps_inside(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    m, v = _means(m, v, g, beta1, beta2)
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return theta - learning_rate * m_hat / (v_hat + eps).sqrt(), m, v


def _ascending(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    return adam_step(theta, m, v, g, t, -learning_rate, beta1, beta2, eps)


def _only_theta(theta, m, v, g, t, learning_rate, beta1, beta2, eps):
    return adam_step(theta, m, v, g, t, learning_rate, beta1, beta2, eps)[0]


# Gradients above 0 and v not much smaller: even the wrong formulas stay finite. An eps
# of 0.01 shows where it stands.
STEPS = [
    (torch.tensor([1.0, -2.0]), torch.tensor([0.3, -0.2]), torch.tensor([0.5, 0.25]),
     torch.tensor([2.0, 0.5]), 3, 0.1, 0.9, 0.99, 0.01),
    (torch.tensor([0.0, 4.0]), torch.tensor([-0.1, 0.6]), torch.tensor([1.0, 0.125]),
     torch.tensor([0.25, 1.0]), 5, 0.5, 0.8, 0.95, 0.01),
]  # fmt: skip

STEP_MISTAKES = [
    (
        _without_correction,
        "The bias correction is missing: divide m by 1 - beta1 ** t, and v by "
        "1 - beta2 ** t, before the step.",
    ),
    (_without_root, "The step divides by v. It has to divide by its square root."),
    (
        _keeps_the_corrected,
        "You return the corrected means. The next step needs m and v as they were "
        "before the correction.",
    ),
    (
        _one_step_late,
        "The correction uses t + 1. t already counts this step, so the power is t.",
    ),
    (
        _counted_from_zero,
        "The correction uses t - 1. t counts from 1, so the power is t.",
    ),
    (
        _without_power,
        "The correction divides by 1 - beta. The power is missing: 1 - beta ** t.",
    ),
    (_without_square_of_g, "v is the mean of g. It has to be the mean of g ** 2."),
    (_swapped_betas, "The two betas are swapped: beta1 is for m, beta2 for v."),
    (_gradient_on_top, "The step uses g. Adam steps by the moving mean m, corrected."),
    (
        _beta_on_gradient,
        "The weights of the moving means are swapped: beta belongs to the old mean, "
        "and 1 - beta to the new gradient.",
    ),
    (
        _sums,
        "m and v are sums here. In a moving mean the new part has the weight 1 - beta.",
    ),
    (_eps_inside, "eps is inside the root. Add it after taking the root."),
    (_ascending, "You add the step, which leads uphill. Subtract it."),
    (_only_theta, "This is theta alone. Return the three: (theta, m, v)."),
]

register(
    Exercise(
        name="adam step",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write adam_step(theta, m, v, g, t, learning_rate, beta1, beta2, eps), "
            "step number t, counted from 1. theta, m, v and g are tensors of one "
            "shape. Return the new (theta, m, v); m and v are the means before the "
            "bias correction."
        ),
        minutes=8,
        difficulty=3,
        reference=adam_step,
        checks=[
            *(
                diagnose(wrong, message, *STEPS, tolerance=1e-5)
                for wrong, message in STEP_MISTAKES
            ),
            *(same_result(adam_step, *step, tolerance=1e-5) for step in STEPS),
        ],
        hints=[
            "Write the formulas of the lesson one below the other: m, v, the two "
            "corrected ones, theta.",
            "Give the corrected means names of their own, m_hat and v_hat, so that m "
            "and v stay as they are.",
            "m_hat = m / (1 - beta1**t), v_hat = v / (1 - beta2**t), and the step is "
            "learning_rate * m_hat / (v_hat.sqrt() + eps).",
        ],
        wrong_answers=STEP_MISTAKES,
    )
)


# Warm-up, then cosine --------------------------------------------------------


def warmup_cosine(n, learning_rate, warmup_steps, steps):
    if n < warmup_steps:
        return learning_rate * (n + 1) / warmup_steps
    if n >= steps:
        return 0.0
    done = (n - warmup_steps) / (steps - warmup_steps)
    return learning_rate * (1 + math.cos(math.pi * done)) / 2


def _starts_at_zero(n, learning_rate, warmup_steps, steps):
    if n < warmup_steps:
        return learning_rate * n / warmup_steps
    return warmup_cosine(n, learning_rate, warmup_steps, steps)


def _cosine_from_the_start(n, learning_rate, warmup_steps, steps):
    if n < warmup_steps or n >= steps:
        return warmup_cosine(n, learning_rate, warmup_steps, steps)
    return learning_rate * (1 + math.cos(math.pi * n / steps)) / 2


def _divided_by_all(n, learning_rate, warmup_steps, steps):
    if n < warmup_steps or n >= steps:
        return warmup_cosine(n, learning_rate, warmup_steps, steps)
    done = (n - warmup_steps) / steps
    return learning_rate * (1 + math.cos(math.pi * done)) / 2


def _rises_again(n, learning_rate, warmup_steps, steps):
    if n < warmup_steps:
        return learning_rate * (n + 1) / warmup_steps
    done = (n - warmup_steps) / (steps - warmup_steps)
    return learning_rate * (1 + math.cos(math.pi * done)) / 2


def _without_half(n, learning_rate, warmup_steps, steps):
    rate = warmup_cosine(n, learning_rate, warmup_steps, steps)
    return rate if n < warmup_steps else 2 * rate


def _without_one(n, learning_rate, warmup_steps, steps):
    if n < warmup_steps or n >= steps:
        return warmup_cosine(n, learning_rate, warmup_steps, steps)
    done = (n - warmup_steps) / (steps - warmup_steps)
    return learning_rate * math.cos(math.pi * done)


def _without_pi(n, learning_rate, warmup_steps, steps):
    if n < warmup_steps or n >= steps:
        return warmup_cosine(n, learning_rate, warmup_steps, steps)
    done = (n - warmup_steps) / (steps - warmup_steps)
    return learning_rate * (1 + math.cos(done)) / 2


def _no_warmup(n, learning_rate, warmup_steps, steps):
    done = min(n / steps, 1.0)
    return learning_rate * (1 + math.cos(math.pi * done)) / 2


def _straight_down(n, learning_rate, warmup_steps, steps):
    if n < warmup_steps or n >= steps:
        return warmup_cosine(n, learning_rate, warmup_steps, steps)
    return learning_rate * (steps - n) / (steps - warmup_steps)


def _only_warmup(n, learning_rate, warmup_steps, steps):
    return learning_rate * min(n + 1, warmup_steps) / warmup_steps


MOMENTS = [(n, 0.1, 5, 25) for n in (0, 2, 4, 5, 9, 15, 24, 25, 40)]

MOMENT_MISTAKES = [
    (
        _starts_at_zero,
        "The first update has the rate 0, so it is wasted. In the warm-up the rate is "
        "learning_rate * (n + 1) / warmup_steps.",
    ),
    (
        _cosine_from_the_start,
        "The cosine counts from the first update, so the rate jumps where the warm-up "
        "ends. Let it count from there: n - warmup_steps of steps - warmup_steps.",
    ),
    (
        _divided_by_all,
        "The cosine does not come down to 0 at the end: it has steps - warmup_steps "
        "updates for its way, not steps.",
    ),
    (
        _rises_again,
        "After n = steps the rate rises again. It has to stay 0 from there on.",
    ),
    (_without_half, "After the warm-up the rate is twice too large: divide by 2."),
    (
        _without_one,
        "The cosine runs from 1 to -1, so the rate becomes negative. Add 1 to it, and "
        "divide by 2.",
    ),
    (
        _without_pi,
        "math.cos takes an angle: from 0 at the end of the warm-up to math.pi at the "
        "end.",
    ),
    (_no_warmup, "The warm-up is missing: the first warmup_steps updates rise."),
    (_straight_down, "After the warm-up the rate falls along a straight line."),
    (_only_warmup, "The rate stays up after the warm-up. The cosine is missing."),
]

register(
    Exercise(
        name="schedule warm-up",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write warmup_cosine(n, learning_rate, warmup_steps, steps), the rate "
            "after n updates. The first warmup_steps updates rise: learning_rate * "
            "(n + 1) / warmup_steps. The others follow a cosine from learning_rate "
            "down to 0 at n = steps. From there on it is 0."
        ),
        minutes=5,
        difficulty=2,
        reference=warmup_cosine,
        checks=[
            *(diagnose(wrong, message, *MOMENTS) for wrong, message in MOMENT_MISTAKES),
            *(same_result(warmup_cosine, *moment) for moment in MOMENTS),
        ],
        hints=[
            "There are three cases: n below warmup_steps, n from steps on, and the "
            "rest.",
            "In the rest, done = (n - warmup_steps) / (steps - warmup_steps) runs from "
            "0 to 1.",
            "The rate there is learning_rate * (1 + math.cos(math.pi * done)) / 2.",
        ],
        wrong_answers=MOMENT_MISTAKES,
    )
)
