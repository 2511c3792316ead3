"""The exercises of the chapter on what large models are.

Those of the first lesson: counting the parameters of a decoder, the days of a training
run, and finding the nearest vector.
"""

import torch

from lib.exercises.checks import diagnose, same_result
from lib.exercises.engine import Exercise, register

LESSON = "01_what_is_a_large_model"

# The parameters of a decoder ---------------------------------------------------


def count_parameters(num_layers, channels, hidden, vocab_size, context):
    tables = (vocab_size + context) * channels
    attention = 4 * channels * channels + 4 * channels
    feed_forward = 2 * channels * hidden + hidden + channels
    norm = 2 * channels
    block = attention + feed_forward + 2 * norm
    return tables + num_layers * block + norm


def _without_biases(num_layers, channels, hidden, vocab_size, context):
    biases = num_layers * (5 * channels + hidden)
    return count_parameters(num_layers, channels, hidden, vocab_size, context) - biases


def _matrices_only(num_layers, channels, hidden, vocab_size, context):
    block = 4 * channels * channels + 2 * channels * hidden
    return (vocab_size + context) * channels + num_layers * block


def _without_last_norm(num_layers, channels, hidden, vocab_size, context):
    full = count_parameters(num_layers, channels, hidden, vocab_size, context)
    return full - 2 * channels


def _without_norms(num_layers, channels, hidden, vocab_size, context):
    norms = (2 * num_layers + 1) * 2 * channels
    return count_parameters(num_layers, channels, hidden, vocab_size, context) - norms


def _one_norm_a_block(num_layers, channels, hidden, vocab_size, context):
    full = count_parameters(num_layers, channels, hidden, vocab_size, context)
    return full - num_layers * 2 * channels


def _two_token_tables(num_layers, channels, hidden, vocab_size, context):
    full = count_parameters(num_layers, channels, hidden, vocab_size, context)
    return full + vocab_size * channels


def _without_positions(num_layers, channels, hidden, vocab_size, context):
    full = count_parameters(num_layers, channels, hidden, vocab_size, context)
    return full - context * channels


def _one_block(num_layers, channels, hidden, vocab_size, context):
    return count_parameters(1, channels, hidden, vocab_size, context)


def _three_matrices(num_layers, channels, hidden, vocab_size, context):
    full = count_parameters(num_layers, channels, hidden, vocab_size, context)
    return full - num_layers * (channels * channels + channels)


SHAPES = [(2, 64, 256, 256, 128), (3, 10, 24, 50, 7)]

COUNT_MISTAKES = [
    (
        _matrices_only,
        "These are the matrices alone. Each matrix comes with a bias, and each norm "
        "has 2 C numbers.",
    ),
    (
        _without_biases,
        "The biases are missing: C for each of the four matrices of attention, and "
        "F + C for the two of the feed-forward part.",
    ),
    (
        _without_norms,
        "The norms are missing: two in each block and one after the last block, with "
        "2 C numbers each.",
    ),
    (
        _without_last_norm,
        "One norm is missing: there is one more after the last block.",
    ),
    (
        _one_norm_a_block,
        "You count one norm in each block. There are two: one before attention, one "
        "before the feed-forward part.",
    ),
    (
        _two_token_tables,
        "You count the token table twice. The output uses the same table again, so its "
        "numbers exist only once.",
    ),
    (
        _without_positions,
        "The table of positions is missing: T rows of C numbers.",
    ),
    (_one_block, "This is right for one block. Multiply the block by num_layers."),
    (
        _three_matrices,
        "Attention has four matrices: queries, keys, values, and the one that mixes "
        "the heads at the end.",
    ),
]

register(
    Exercise(
        name="overview parameters",
        chapter="overview",
        lesson=LESSON,
        prompt=(
            "Write count_parameters(num_layers, channels, hidden, vocab_size, "
            "context): how many parameters a decoder like GPT-2 has. The output "
            "matrix is the token table. Every matrix of a block has a bias."
        ),
        minutes=12,
        difficulty=2,
        reference=count_parameters,
        checks=[
            *(diagnose(wrong, message, *SHAPES) for wrong, message in COUNT_MISTAKES),
            *(same_result(count_parameters, *shape) for shape in SHAPES),
            same_result(count_parameters, 12, 768, 3072, 50257, 1024, tolerance=1e-9),
        ],
        hints=[
            "Work through the table of the lesson from top to bottom. What stands in "
            "it once, and what once in each block?",
            "A layer from n to m numbers has n * m weights and m biases. Attention has "
            "four layers from C to C; the feed-forward part has one from C to F and "
            "one from F to C.",
            "(V + T) * C, plus num_layers times (4 C C + 4 C) + (2 C F + F + C) + 4 C, "
            "plus 2 C for the last norm.",
        ],
        wrong_answers=COUNT_MISTAKES,
    )
)


# The days of a training run ----------------------------------------------------


def training_days(parameters, tokens, gpus, peak, utilisation):
    operations = 6 * parameters * tokens
    seconds = operations / (gpus * peak * utilisation)
    return seconds / (24 * 60 * 60)


def _forward_only(parameters, tokens, gpus, peak, utilisation):
    return training_days(parameters, tokens, gpus, peak, utilisation) / 3


def _one_operation(parameters, tokens, gpus, peak, utilisation):
    return training_days(parameters, tokens, gpus, peak, utilisation) / 6


def _backward_once(parameters, tokens, gpus, peak, utilisation):
    return training_days(parameters, tokens, gpus, peak, utilisation) * 4 / 6


def _in_hours(parameters, tokens, gpus, peak, utilisation):
    return training_days(parameters, tokens, gpus, peak, utilisation) * 24


def _in_seconds(parameters, tokens, gpus, peak, utilisation):
    return training_days(parameters, tokens, gpus, peak, utilisation) * 86400


def _one_gpu(parameters, tokens, gpus, peak, utilisation):
    return training_days(parameters, tokens, gpus, peak, utilisation) * gpus


def _times_utilisation(parameters, tokens, gpus, peak, utilisation):
    days = training_days(parameters, tokens, gpus, peak, utilisation)
    return days * utilisation**2


def _full_peak(parameters, tokens, gpus, peak, utilisation):
    return training_days(parameters, tokens, gpus, peak, utilisation) * utilisation


RUNS = [(124e6, 1e10, 8, 312e12, 0.4), (7e9, 2e12, 512, 989e12, 0.35)]

DAY_MISTAKES = [
    (
        _forward_only,
        "You count 2 operations for each parameter and token: that is the forward pass "
        "alone. The backward pass takes 4 more.",
    ),
    (
        _one_operation,
        "The factor 6 is missing: 2 operations forward and 4 backward.",
    ),
    (
        _backward_once,
        "You count 4 operations. The backward pass takes twice as many as the forward "
        "pass, so 2 + 4.",
    ),
    (_in_hours, "These are hours. Divide by 24."),
    (_in_seconds, "These are seconds. A day has 24 * 60 * 60 of them."),
    (_one_gpu, "This is the time of one GPU. They share the work: divide by gpus."),
    (
        _times_utilisation,
        "The utilisation is on the wrong side. A GPU that reaches 40 % of its peak "
        "takes longer, so it belongs under the fraction bar, with the peak.",
    ),
    (_full_peak, "You count with the full peak. A GPU reaches peak * utilisation."),
]

register(
    Exercise(
        name="overview training days",
        chapter="overview",
        lesson=LESSON,
        prompt=(
            "Write training_days(parameters, tokens, gpus, peak, utilisation). peak is "
            "in operations a second, of one GPU; utilisation is the share of it that "
            "is reached. Return how many days the training takes."
        ),
        minutes=8,
        difficulty=1,
        reference=training_days,
        checks=[
            *(diagnose(wrong, message, *RUNS) for wrong, message in DAY_MISTAKES),
            *(same_result(training_days, *run) for run in RUNS),
        ],
        hints=[
            "First the operations of the whole training, then the operations that all "
            "GPUs do in one second.",
            "All operations are 6 * parameters * tokens. Together the GPUs do "
            "gpus * peak * utilisation of them in a second.",
            "The quotient of the two is in seconds; a day has 86,400.",
        ],
        wrong_answers=DAY_MISTAKES,
    )
)


# The nearest vector ------------------------------------------------------------


def find_nearest(questions, candidates):
    questions = questions / questions.norm(dim=1, keepdim=True)
    candidates = candidates / candidates.norm(dim=1, keepdim=True)
    cosines = questions @ candidates.T  # (N, M)
    return cosines.argmax(dim=1)


def _without_lengths(questions, candidates):
    return (questions @ candidates.T).argmax(dim=1)


def _least_alike(questions, candidates):
    lengths = questions.norm(dim=1)[:, None] * candidates.norm(dim=1)
    return (questions @ candidates.T / lengths).argmin(dim=1)


def _wrong_way(questions, candidates):
    return find_nearest(candidates, questions)


def _the_cosine_itself(questions, candidates):
    lengths = questions.norm(dim=1)[:, None] * candidates.norm(dim=1)
    return (questions @ candidates.T / lengths).amax(dim=1)


def _all_cosines(questions, candidates):
    lengths = questions.norm(dim=1)[:, None] * candidates.norm(dim=1)
    return questions @ candidates.T / lengths


def _by_distance(questions, candidates):
    return torch.cdist(questions, candidates).argmin(dim=1)


VECTORS = [
    (
        torch.tensor([[5.0, 1.0], [0.1, 2.0], [-1.0, -0.8]]),
        torch.tensor([[6.0, 5.0], [0.4, 0.0], [0.3, 3.0], [-0.2, -0.2]]),
    ),
    (
        torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 1.0]]),
        torch.tensor([[4.0, 4.0, 4.0], [0.5, 0.1, 0.3], [0.0, 0.1, 0.2]]),
    ),
]

NEAREST_MISTAKES = [
    (
        _without_lengths,
        "These are plain inner products, and a long vector wins them whatever its "
        "direction. The cosine divides by both lengths.",
    ),
    (
        _by_distance,
        "This is the smallest distance, which also depends on the lengths. Compare "
        "directions: the cosine.",
    ),
    (_least_alike, "This is the least alike. The nearest has the largest cosine."),
    (
        _wrong_way,
        "You found the nearest question for each candidate. Take the largest value of "
        "each row, dim=1 of the (N, M) table.",
    ),
    (
        _the_cosine_itself,
        "These are the largest cosines. Return where they stand: argmax, not max.",
    ),
    (
        _all_cosines,
        "This is the whole table of cosines. Return the number of the best candidate "
        "for each row.",
    ),
]

register(
    Exercise(
        name="overview nearest",
        chapter="overview",
        lesson=LESSON,
        prompt=(
            "Write find_nearest(questions, candidates). questions is (N, C), "
            "candidates is (M, C); the vectors have any length. Return (N,): for each "
            "question the number of the candidate with the largest cosine."
        ),
        minutes=10,
        difficulty=2,
        reference=find_nearest,
        checks=[
            *(
                diagnose(wrong, message, *VECTORS)
                for wrong, message in NEAREST_MISTAKES
            ),
            *(same_result(find_nearest, *pair) for pair in VECTORS),
        ],
        hints=[
            "The cosine of two vectors is their inner product, divided by the length "
            "of each. Divide every vector by its length first.",
            "x.norm(dim=1, keepdim=True) has the lengths of all rows, as (N, 1).",
            "After that, questions @ candidates.T holds all cosines, (N, M). "
            "argmax(dim=1) says where each row is largest.",
        ],
        wrong_answers=NEAREST_MISTAKES,
    )
)
