"""The exercises of the chapter on algorithms: losses and regularisation.

The gradient of the cross-entropy, the shrinking step of L1, a step with L2, dropout,
and early stopping.
"""

import torch

from lib.exercises.checks import diagnose, same_result
from lib.exercises.engine import Exercise, register

LESSON = "04_losses_and_regularisation"

# The gradient of the cross-entropy -------------------------------------------


def cross_entropy_gradient(logits, targets):
    N, V = logits.shape
    p = torch.softmax(logits, dim=1)
    y = torch.nn.functional.one_hot(targets, V)
    return (p - y) / N


def _summed(logits, targets):
    return cross_entropy_gradient(logits, targets) * len(logits)


def _uphill(logits, targets):
    return -cross_entropy_gradient(logits, targets)


def _without_softmax(logits, targets):
    y = torch.nn.functional.one_hot(targets, logits.shape[1])
    return (logits - y) / len(logits)


def _down_the_columns(logits, targets):
    y = torch.nn.functional.one_hot(targets, logits.shape[1])
    return (torch.softmax(logits, dim=0) - y) / len(logits)


def _without_target(logits, targets):
    return torch.softmax(logits, dim=1) / len(logits)


def _mean_of_all_numbers(logits, targets):
    return cross_entropy_gradient(logits, targets) / logits.shape[1]


LOGITS = [
    (torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -2.0]]), torch.tensor([0, 2])),
    (torch.tensor([[0.3, 0.1], [4.0, -4.0], [-1.0, 2.0]]), torch.tensor([1, 1, 0])),
]

GRADIENT_MISTAKES = [
    (
        _summed,
        "This is the gradient of the sum of the losses. The loss is their mean: divide "
        "by N, the number of examples.",
    ),
    (
        _uphill,
        "The sign is the wrong way round. It is p - y: raising the score of a wrong "
        "class raises the loss.",
    ),
    (
        _without_softmax,
        "The logits are scores, not probabilities. Take their softmax before you "
        "subtract y.",
    ),
    (
        _down_the_columns,
        "The softmax runs over the examples. It must run over the classes of one "
        "example: dim=1.",
    ),
    (
        _without_target,
        "This is p alone. At the target class, y is 1: subtract it there.",
    ),
    (
        _mean_of_all_numbers,
        "You divide by all N x V numbers. The loss is one number for each example, and "
        "their mean divides by N.",
    ),
]

register(
    Exercise(
        name="cross-entropy gradient",
        chapter="algorithms",
        lesson=LESSON,
        prompt=(
            "Write cross_entropy_gradient(logits, targets). logits is (N, V), targets "
            "is (N,) with whole numbers from 0 to V - 1. Return the gradient, (N, V), "
            "of the mean cross-entropy by the logits, without autograd: (p - y) / N, "
            "where p is the softmax of each row and y is 1 at the target, 0 elsewhere."
        ),
        minutes=8,
        difficulty=2,
        reference=cross_entropy_gradient,
        checks=[
            *(diagnose(bad, message, *LOGITS) for bad, message in GRADIENT_MISTAKES),
            *(same_result(cross_entropy_gradient, *case) for case in LOGITS),
        ],
        hints=[
            "p = torch.softmax(logits, dim=1) has the shape of the logits.",
            "y has the same shape: torch.nn.functional.one_hot(targets, V). Or make a "
            "copy of p and subtract 1 at [torch.arange(N), targets].",
            "return (p - y) / N",
        ],
        wrong_answers=GRADIENT_MISTAKES,
    )
)


# The shrinking step of L1 ----------------------------------------------------


def l1_shrink(theta, amount):
    return theta.sign() * (theta.abs() - amount).clamp(min=0)


def _over_zero(theta, amount):
    return theta - amount * theta.sign()


def _to_the_left(theta, amount):
    return theta - amount


def _hard(theta, amount):
    return torch.where(theta.abs() > amount, theta, 0.0)


def _without_sign(theta, amount):
    return (theta.abs() - amount).clamp(min=0)


def _positive_only(theta, amount):
    return (theta - amount).clamp(min=0)


def _by_a_factor(theta, amount):
    return theta * (1 - amount)


WEIGHTS = [
    (torch.tensor([2.0, 0.1, 0.0, -0.5, -3.0]), 0.3),
    (torch.tensor([[1.0, -1.0], [0.04, -0.04]]), 0.05),
]

SHRINK_MISTAKES = [
    (
        _over_zero,
        "Weights smaller than `amount` jump over zero to the other side. They must "
        "stop at zero: let |theta| - amount be 0 at least, with .clamp(min=0).",
    ),
    (
        _to_the_left,
        "Every weight moves to the left, so negative ones move away from zero. Shrink "
        "the size, theta.abs(), and give the sign back.",
    ),
    (
        _hard,
        "The small weights are right, but the large ones stay as they are. L1 takes "
        "the same amount from every weight.",
    ),
    (
        _without_sign,
        "The sizes are right, but negative weights have become positive. Multiply by "
        "theta.sign().",
    ),
    (
        _positive_only,
        "Positive weights are right, but every negative one has become 0. Shrink "
        "theta.abs(), and multiply by theta.sign().",
    ),
    (
        _by_a_factor,
        "This multiplies each weight, which is what L2 does: nothing becomes 0. L1 "
        "subtracts the same amount from the size of each.",
    ),
]

register(
    Exercise(
        name="l1 shrink",
        chapter="algorithms",
        lesson=LESSON,
        prompt=(
            "Write l1_shrink(theta, amount). Return a new tensor in which every number "
            "of theta is nearer to zero by `amount`, a number above 0, and stops at "
            "zero: what is smaller in size than `amount` becomes 0. Leave theta as it "
            "was."
        ),
        minutes=6,
        difficulty=2,
        reference=l1_shrink,
        checks=[
            *(diagnose(bad, message, *WEIGHTS) for bad, message in SHRINK_MISTAKES),
            *(same_result(l1_shrink, *case) for case in WEIGHTS),
        ],
        hints=[
            "A number is its sign times its size: theta = theta.sign() * theta.abs().",
            "The new size is theta.abs() - amount, and never below 0.",
            "return theta.sign() * (theta.abs() - amount).clamp(min=0)",
        ],
        wrong_answers=SHRINK_MISTAKES,
    )
)


# A step with L2 --------------------------------------------------------------


def l2_step(theta, gradient, learning_rate, strength):
    return theta - learning_rate * (gradient + strength * theta)


def _past_the_rate(theta, gradient, learning_rate, strength):
    return theta - learning_rate * gradient - strength * theta


def _twice(theta, gradient, learning_rate, strength):
    return theta - learning_rate * (gradient + 2 * strength * theta)


def _away(theta, gradient, learning_rate, strength):
    return theta - learning_rate * (gradient - strength * theta)


def _constant_pull(theta, gradient, learning_rate, strength):
    return theta - learning_rate * (gradient + strength * theta.sign())


def _pull_alone(theta, gradient, learning_rate, strength):
    return theta - learning_rate * strength * theta


def _uphill_step(theta, gradient, learning_rate, strength):
    return theta + learning_rate * (gradient + strength * theta)


STEPS = [
    (torch.tensor([2.0, -0.5, 0.0]), torch.tensor([0.3, -1.0, 0.2]), 0.1, 0.4),
    (torch.tensor([[-3.0, 0.25]]), torch.tensor([[1.0, 2.0]]), 0.5, 0.01),
]

STEP_MISTAKES = [
    (
        _past_the_rate,
        "The pull of the penalty goes past the learning rate. It is a part of the "
        "gradient: multiply it by learning_rate as well.",
    ),
    (
        _twice,
        "The pull is twice as strong as it should be. The penalty is strength / 2 "
        "times the sum of theta ** 2, so its derivative is strength * theta.",
    ),
    (
        _away,
        "The penalty pushes the weights away from zero. Its derivative is added to the "
        "gradient.",
    ),
    (
        _constant_pull,
        "This is the pull of L1, the same for every weight. That of L2 is "
        "strength * theta.",
    ),
    (_pull_alone, "The gradient of the loss is missing from the step."),
    (
        _uphill_step,
        "This steps uphill. Subtract learning_rate times the whole gradient.",
    ),
]

register(
    Exercise(
        name="l2 step",
        chapter="algorithms",
        lesson=LESSON,
        prompt=(
            "Write l2_step(theta, gradient, learning_rate, strength). gradient is that "
            "of the loss at theta. Return theta after one step of gradient descent on "
            "the loss plus strength / 2 times the sum of theta ** 2. Everything that "
            "the function needs is among its arguments."
        ),
        minutes=4,
        difficulty=1,
        reference=l2_step,
        checks=[
            *(diagnose(bad, message, *STEPS) for bad, message in STEP_MISTAKES),
            *(same_result(l2_step, *case) for case in STEPS),
        ],
        hints=[
            "The derivative of strength / 2 * theta ** 2 by theta is strength * theta.",
            "The whole gradient is gradient + strength * theta.",
            "return theta - learning_rate * (gradient + strength * theta)",
        ],
        wrong_answers=STEP_MISTAKES,
    )
)


# Dropout ---------------------------------------------------------------------


def dropout_forward(x, u, p, training):
    if not training:
        return x
    return x * (u >= p) / (1 - p)


def _without_rescaling(x, u, p, training):
    return x * (u >= p) if training else x


def _shrunk_again(x, u, p, training):
    return x * (u >= p) * (1 - p) if training else x


def _divided_by_p(x, u, p, training):
    return x * (u >= p) / p if training else x


def _keeps_the_others(x, u, p, training):
    return x * (u < p) / (1 - p) if training else x


def _always(x, u, p, training):
    return x * (u >= p) / (1 - p)


def _scaled_afterwards(x, u, p, training):
    return x * (u >= p) if training else x * (1 - p)


def _turned_around(x, u, p, training):
    return x if training else x * (u >= p) / (1 - p)


LAYERS = [
    (torch.tensor([1.0, -2.0, 3.0, 4.0]), torch.tensor([0.1, 0.9, 0.3, 0.2]), 0.25),
    (torch.tensor([[0.5, 2.0, -1.0]]), torch.tensor([[0.7, 0.1, 0.9]]), 0.6),
]
DROPS = [(*layer, training) for layer in LAYERS for training in (True, False)]

DROP_MISTAKES = [
    (
        _without_rescaling,
        "What is left is not rescaled, so the expected value is (1 - p) times x. "
        "Divide by 1 - p in training.",
    ),
    (_shrunk_again, "You multiply by 1 - p. To bring the expected value back, divide."),
    (
        _divided_by_p,
        "You divide by p, the share that is dropped. Divide by 1 - p, the share that "
        "is kept.",
    ),
    (
        _keeps_the_others,
        "You keep what should be dropped: a number is dropped where u is below p.",
    ),
    (
        _always,
        "It drops in evaluation too. If training is False, return x as it is.",
    ),
    (
        _scaled_afterwards,
        "This is the first form of dropout, which multiplies by 1 - p in evaluation. "
        "It is right too, but here evaluation must do nothing: divide by 1 - p in "
        "training.",
    ),
    (
        _turned_around,
        "The two modes are the wrong way round: drop in training, and return x in "
        "evaluation.",
    ),
]

register(
    Exercise(
        name="dropout forward",
        chapter="algorithms",
        lesson=LESSON,
        prompt=(
            "Write dropout_forward(x, u, p, training). x and u are tensors of the same "
            "shape; u holds random numbers from 0 to 1. In training, set x to 0 where "
            "u is below p, and rescale the rest so that the expected value is x. In "
            "evaluation (training is False), return x."
        ),
        minutes=5,
        difficulty=2,
        reference=dropout_forward,
        checks=[
            *(diagnose(bad, message, *DROPS) for bad, message in DROP_MISTAKES),
            *(same_result(dropout_forward, *case) for case in DROPS),
        ],
        hints=[
            "u >= p is True with probability 1 - p. True counts as 1, False as 0.",
            "x * (u >= p) has the expected value (1 - p) * x. What brings it back?",
            "In training: return x * (u >= p) / (1 - p). Otherwise: return x.",
        ],
        wrong_answers=DROP_MISTAKES,
    )
)


# Early stopping --------------------------------------------------------------


def early_stopping(losses, patience):
    best, waited = 0, 0
    for epoch, loss in enumerate(losses):
        if epoch == 0 or loss < losses[best]:
            best, waited = epoch, 0
        else:
            waited += 1
        if waited == patience:
            return best, epoch
    return best, len(losses) - 1


def _last_is_best(losses, patience):
    last = early_stopping(losses, patience)[1]
    return last, last


def _sees_the_future(losses, patience):
    return losses.index(min(losses)), early_stopping(losses, patience)[1]


def _waits_one_more(losses, patience):
    return early_stopping(losses, patience + 1)


def _never_forgets(losses, patience):
    best, waited = 0, 0
    for epoch, loss in enumerate(losses):
        if epoch == 0 or loss < losses[best]:
            best = epoch
        else:
            waited += 1
        if waited == patience:
            return best, epoch
    return best, len(losses) - 1


def _against_the_one_before(losses, patience):
    best, waited = 0, 0
    for epoch, loss in enumerate(losses):
        if epoch == 0 or loss < losses[epoch - 1]:
            waited = 0
        else:
            waited += 1
        best = epoch if loss < losses[best] else best
        if waited == patience:
            return best, epoch
    return best, len(losses) - 1


def _equal_is_better(losses, patience):
    best, waited = 0, 0
    for epoch, loss in enumerate(losses):
        if loss <= losses[best]:
            best, waited = epoch, 0
        else:
            waited += 1
        if waited == patience:
            return best, epoch
    return best, len(losses) - 1


def _swapped(losses, patience):
    return early_stopping(losses, patience)[::-1]


def _never_stops(losses, patience):
    return losses.index(min(losses)), len(losses) - 1


RUNS = [
    ([1.0, 0.8, 0.9, 0.7, 0.75, 0.72, 0.8, 0.9, 0.5], 3),
    ([1.0, 0.6, 0.6, 0.7, 0.65, 0.9, 0.8, 0.3], 4),
    ([0.9, 0.7, 0.8, 0.6, 0.65, 0.5], 2),
    ([0.4, 0.9, 0.8, 0.85, 0.9, 0.95, 1.0], 2),
    ([0.5, 0.4, 0.3], 2),
]

STOP_MISTAKES = [
    (
        _last_is_best,
        "You give back the weights of the last epoch. Give back those of the epoch "
        "with the lowest loss so far.",
    ),
    (
        _sees_the_future,
        "You look for the lowest loss among all epochs. The ones after the stop are "
        "never trained, so nobody knows their loss.",
    ),
    (
        _waits_one_more,
        "It waits one epoch too long: stop as soon as `patience` epochs in a row were "
        "no better than the best.",
    ),
    (
        _never_forgets,
        "The waiting never starts again. Each new best sets the count back to 0.",
    ),
    (
        _against_the_one_before,
        "You compare each loss with the one before it. Compare it with the best so "
        "far: a loss that falls a little after a peak is no improvement.",
    ),
    (
        _equal_is_better,
        "An equal loss counts as better. Only a lower one does: use <, not <=.",
    ),
    (_swapped, "The two are swapped. Return the best epoch first, then the last one."),
    (
        _never_stops,
        "It never stops. Count the epochs without a new best, and leave the loop when "
        "the count reaches `patience`.",
    ),
]

register(
    Exercise(
        name="early stopping",
        chapter="algorithms",
        lesson=LESSON,
        prompt=(
            "Write early_stopping(losses, patience). losses is the list of validation "
            "losses, one for each epoch, counted from 0. Training ends at the first "
            "epoch at which `patience` epochs in a row were no better than the best "
            "one before them, or else at the last epoch. Return the pair (best, last): "
            "the epoch whose weights are given back, and the epoch at which training "
            "ended. An equal loss is no better."
        ),
        minutes=8,
        difficulty=3,
        reference=early_stopping,
        checks=[
            *(diagnose(bad, message, *RUNS) for bad, message in STOP_MISTAKES),
            *(same_result(early_stopping, *case) for case in RUNS),
        ],
        hints=[
            "Go through the losses with enumerate. Keep two numbers: the epoch of the "
            "best loss so far, and how many epochs you have waited since.",
            "If loss < losses[best] (or at epoch 0), set best to this epoch and waited "
            "to 0. If not, add 1 to waited.",
            "When waited == patience, return best, epoch. After the loop, return "
            "best, len(losses) - 1.",
        ],
        wrong_answers=STOP_MISTAKES,
    )
)
