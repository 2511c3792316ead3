"""The exercises of the lesson on training a model.

Those about the model: how many parameters it has, and its first weights. Those about
the run are in `lib.exercises.training_runs`.
"""

import math
from itertools import pairwise

import torch

from lib.exercises.checks import Answer, CheckFailed, diagnose, same_result, show
from lib.exercises.engine import Exercise, register

LESSON = "02_training_a_model"

# Parameters ------------------------------------------------------------------


def count_parameters(sizes):
    total = 0
    for inputs, outputs in pairwise(sizes):
        total += inputs * outputs + outputs
    return total


def _without_biases(sizes):
    return sum(a * b for a, b in pairwise(sizes))


def _bias_for_inputs(sizes):
    return sum(a * b + a for a, b in pairwise(sizes))


def _first_layer_alone(sizes):
    return sizes[0] * sizes[1] + sizes[1]


def _neurons(sizes):
    return sum(sizes)


def _all_multiplied(sizes):
    return math.prod(sizes)


SIZES = [([784, 128, 10],), ([784, 64, 64, 10],), ([4, 3],)]
DEEP = [SIZES[0], SIZES[1]]
COUNT_MISTAKES = [
    (
        _without_biases,
        "The biases are missing. Each layer has one for each of its outputs.",
        SIZES,
    ),
    (
        _bias_for_inputs,
        "A layer has one bias for each of its outputs, not for each of its inputs.",
        SIZES,
    ),
    (
        _first_layer_alone,
        "This is the first layer alone. Add up the layers between all neighbouring "
        "sizes.",
        DEEP,
    ),
    (
        _neurons,
        "These are the neurons. Between two layers there is a weight for each pair of "
        "neurons, inputs times outputs.",
        SIZES,
    ),
    (
        _all_multiplied,
        "The layers do not multiply each other. Only neighbours do; the results are "
        "added.",
        DEEP,
    ),
]

register(
    Exercise(
        name="training parameter count",
        chapter="best practices",
        lesson=LESSON,
        prompt=(
            "Write count_parameters(sizes). sizes is the list of the layer sizes of a "
            "multilayer perceptron, such as [784, 128, 10]. Return how many numbers "
            "are learned, weights and biases."
        ),
        minutes=5,
        difficulty=1,
        reference=count_parameters,
        checks=[
            *(diagnose(wrong, said, *cases) for wrong, said, cases in COUNT_MISTAKES),
            *(same_result(count_parameters, *case) for case in SIZES),
        ],
        hints=[
            "Begin with one layer, from 784 to 128. Its matrix has one number for each "
            "pair, and each of its 128 outputs has a bias.",
            "Go through the pairs of neighbours: zip(sizes, sizes[1:]).",
            "Each pair adds inputs * outputs + outputs.",
        ],
        wrong_answers=[(wrong, said) for wrong, said, _ in COUNT_MISTAKES],
    )
)


# First weights ---------------------------------------------------------------


def first_weights(inputs, outputs, generator):
    return torch.randn(outputs, inputs, generator=generator) * (2 / inputs) ** 0.5


def _variance(inputs, outputs, generator):
    return torch.randn(outputs, inputs, generator=generator) * (2 / inputs)


def _xavier(inputs, outputs, generator):
    return torch.randn(outputs, inputs, generator=generator) * (1 / inputs) ** 0.5


def _by_outputs(inputs, outputs, generator):
    return torch.randn(outputs, inputs, generator=generator) * (2 / outputs) ** 0.5


def _turned(inputs, outputs, generator):
    return first_weights(inputs, outputs, generator).T


def _never_negative(inputs, outputs, generator):
    return torch.rand(outputs, inputs, generator=generator) * (2 / inputs) ** 0.5


def _uniform_too_narrow(inputs, outputs, generator):
    draw = 2 * torch.rand(outputs, inputs, generator=generator) - 1
    return draw * (2 / inputs) ** 0.5


def _zeros(inputs, outputs, generator):
    return torch.zeros(outputs, inputs)


def _without_generator(inputs, outputs, generator):
    own = torch.Generator().manual_seed(0)
    return first_weights(inputs, outputs, own)


def _one_draw(inputs, outputs, generator):
    return (
        torch.randn(1, inputs, generator=generator).expand(outputs, inputs)
        * (2 / inputs) ** 0.5
    )


def have_the_right_spread(answer: Answer) -> None:
    """Shape, mean, standard deviation, differing neurons, and the generator's use."""
    for inputs, outputs in ((800, 200), (128, 512)):
        draws = []
        for seed in (0, 1):
            generator = torch.Generator().manual_seed(seed)
            draws.append(answer(inputs, outputs, generator))
        w = draws[0]
        if not isinstance(w, torch.Tensor) or w.shape != (outputs, inputs):
            raise CheckFailed(
                f"{answer.call}\nreturned {show(w)}; the matrix must have the shape "
                f"({outputs}, {inputs}): a row for each output."
            )
        w = w.float()
        if not w.isfinite().all() or float(w.std()) == 0:
            raise CheckFailed(
                f"{answer.call}\nreturned a matrix in which all numbers are alike. "
                "Draw them by chance, else all neurons stay the same."
            )
        if float((w - w[0]).abs().max()) == 0:
            raise CheckFailed(
                "All rows are the same, so all neurons would stay the same. Draw "
                "every weight on its own."
            )
        if torch.equal(*draws):
            raise CheckFailed(
                "Two generators with different seeds gave the same weights. Draw from "
                "the generator that you are given: torch.randn(..., "
                "generator=generator)."
            )
        _check_spread(float(w.mean()), float(w.std()), inputs, outputs)


def _check_spread(mean: float, std: float, inputs: int, outputs: int) -> None:
    right = (2 / inputs) ** 0.5
    if abs(mean) > 0.1 * right:
        raise CheckFailed(
            f"The mean of the weights is {mean:.4f}; it must be about 0. torch.rand is "
            "never negative; torch.randn has the mean 0."
        )
    for factor, said in (
        (
            right,
            "This is 2 / inputs, the variance. The standard deviation is its root.",
        ),
        (0.5**0.5, "This is the root of 1 / inputs. ReLU sets half to 0, hence the 2."),
        (
            (inputs / outputs) ** 0.5,
            "You divide by the outputs. A sum has as many terms as there are inputs.",
        ),
        (
            3**-0.5,
            "A uniform number between -a and a has the standard deviation a / √3. Take "
            "torch.randn, or make a larger.",
        ),
    ):
        if abs(std / right / factor - 1) < 0.05:
            raise CheckFailed(f"The standard deviation is {std:.4f}. {said}")
    if abs(std / right - 1) > 0.05:
        raise CheckFailed(
            f"For {inputs} inputs the standard deviation is {std:.4f}; it must be "
            f"about {right:.4f}, the root of 2 / inputs."
        )


register(
    Exercise(
        name="training first weights",
        chapter="best practices",
        lesson=LESSON,
        prompt=(
            "Write first_weights(inputs, outputs, generator). Return the matrix of a "
            "layer, shape (outputs, inputs), drawn from a normal distribution with "
            "mean 0 and the standard deviation of He: the root of 2 / inputs. Draw "
            "from the generator that is given."
        ),
        minutes=7,
        difficulty=2,
        reference=first_weights,
        checks=[have_the_right_spread],
        hints=[
            "torch.randn(rows, columns, generator=generator) has the mean 0 and the "
            "standard deviation 1.",
            "A number times s has s times the standard deviation.",
            "Multiply torch.randn(outputs, inputs, generator=generator) by "
            "(2 / inputs) ** 0.5.",
        ],
        wrong_answers=[
            (_variance, "the variance"),
            (_xavier, "hence the 2"),
            (_by_outputs, "divide by the outputs"),
            (_turned, "a row for each output"),
            (_never_negative, "must be about 0"),
            (_uniform_too_narrow, "a / √3"),
            (_zeros, "all numbers are alike"),
            (_without_generator, "the same weights"),
            (_one_draw, "All rows are the same"),
        ],
    )
)
