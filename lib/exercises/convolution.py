"""The exercises of the lesson on convolution.

Slide a kernel over a picture, find a kernel that answers to a diagonal line, work out
the size of the output, and count the parameters of a layer.
"""

import math

import torch
import torch.nn.functional as F

from lib.exercises.checks import Answer, CheckFailed, diagnose, kind, same_result
from lib.exercises.engine import Exercise, register

CHAPTER, LESSON = "core concepts", "02_convolution"

# Slide a kernel over a picture -----------------------------------------------


def slide(picture, kernel):
    k, m = kernel.shape
    rows, columns = picture.shape[0] - k + 1, picture.shape[1] - m + 1
    result = torch.zeros(rows, columns)
    for i in range(rows):
        for j in range(columns):
            result[i, j] = (picture[i : i + k, j : j + m] * kernel).sum()
    return result


def _turned(picture, kernel):
    return slide(picture, kernel.flip(0, 1))


def _matrix_product(picture, kernel):
    k = len(kernel)
    patches = picture.unfold(0, k, 1).unfold(1, k, 1)  # (rows, columns, k, k)
    return (patches @ kernel).sum((-2, -1))


def _mean(picture, kernel):
    return slide(picture, kernel) / kernel.numel()


def _one_short(picture, kernel):
    return slide(picture, kernel)[:-1, :-1]


def _side_by_side(picture, kernel):
    return slide(picture, kernel)[:: kernel.shape[0], :: kernel.shape[1]]


def _padded(picture, kernel):
    k, m = kernel.shape
    frame = (m // 2, m - 1 - m // 2, k // 2, k - 1 - k // 2)
    return slide(F.pad(picture, frame), kernel)


def _rows_for_columns(picture, kernel):
    return slide(picture, kernel).T


def _over_the_edge(picture, kernel):
    (rows, columns), (k, m) = picture.shape, kernel.shape
    return torch.tensor(
        [
            [(picture[i : i + k, j : j + m] * kernel).sum() for j in range(columns)]
            for i in range(rows)
        ]
    )


def _square_only(picture, kernel):
    k = len(kernel)
    return slide(picture, kernel + torch.zeros(k, k))


SLOPE = torch.tensor([[-1.0, 0.0, 2.0], [0.0, 1.0, 0.5], [-2.0, 0.0, 1.0]])
SMALL = torch.tensor([[1.0, 2.0, -1.0], [0.0, 3.0, 1.0]])
PICTURE = torch.tensor(
    [
        [0.0, 1.0, 2.0, 0.0, 1.0],
        [3.0, 0.0, 1.0, 2.0, 0.0],
        [1.0, 1.0, 0.0, 4.0, 2.0],
        [0.0, 2.0, 1.0, 0.0, 1.0],
    ]
)
SQUARE_SLIDES = [(PICTURE, SLOPE), (PICTURE[:, :4] - 1, SLOPE)]
SLIDES = [*SQUARE_SLIDES, (PICTURE, SMALL)]

SLIDE_MISTAKES = [
    (
        _turned,
        "The kernel is upside down and back to front. That is the convolution of "
        "mathematics; in this field the kernel is laid on the picture as it stands.",
    ),
    (
        _mean,
        "This is the mean of the products. The inner product is their sum.",
    ),
    (
        _one_short,
        "The last row and the last column are missing. A kernel of k rows has "
        "rows - k + 1 places, not rows - k.",
    ),
    (
        _side_by_side,
        "The window jumps by its own size. It moves on by one cell, so that "
        "neighbouring windows overlap.",
    ),
    (
        _padded,
        "The result is as large as the picture: there is padding round it. Here the "
        "kernel stays inside the picture.",
    ),
    (
        _rows_for_columns,
        "Rows and columns are exchanged. Row i of the result belongs to the windows "
        "that begin in row i of the picture.",
    ),
]
PRODUCT_MESSAGE = (
    "This is a matrix product (@). The inner product multiplies each number with the "
    "one that lies on it: patch * kernel, then the sum of all."
)


def patch_fits(answer: Answer) -> None:
    """What to say where torch refuses to put patch and kernel together."""
    edge = "The window hangs over the edge: a kernel of k rows has rows - k + 1 places."
    both = "This kernel has 2 rows and 3 columns: kernel.shape has both numbers."
    for kernel, words in ((SLOPE, edge), (SMALL, both)):
        try:
            answer(PICTURE, kernel)
        except CheckFailed as problem:
            if "cannot be multiplied" in str(problem):
                raise CheckFailed(PRODUCT_MESSAGE) from None
            if "must match the size" in str(problem):
                raise CheckFailed(f"{problem}\n{words}") from None
            raise


register(
    Exercise(
        name="slide a kernel",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write slide(picture, kernel). Both are tensors with rows and columns. Lay "
            "the kernel on every place of the picture where it fits, multiply the "
            "numbers that lie on one another, and add up. Return the tensor of the "
            "sums. There is no padding, and the kernel need not be square."
        ),
        minutes=10,
        difficulty=2,
        reference=slide,
        checks=[
            patch_fits,
            diagnose(_matrix_product, PRODUCT_MESSAGE, *SQUARE_SLIDES),
            *(diagnose(wrong, message, *SLIDES) for wrong, message in SLIDE_MISTAKES),
            *(same_result(slide, *case, tolerance=1e-5) for case in SLIDES),
        ],
        hints=[
            "How many places are there? A kernel of 3 rows on a picture of 5 rows fits "
            "in 3 ways: it can begin in row 0, 1 or 2.",
            "Make result = torch.zeros(rows, columns), and let one loop run over the "
            "rows of the result and another over its columns.",
            "The patch at (i, j) is picture[i : i + k, j : j + m], where k and m are "
            "the rows and columns of the kernel. The sum is (patch * kernel).sum().",
        ],
        wrong_answers=[
            *SLIDE_MISTAKES,
            (_matrix_product, PRODUCT_MESSAGE),
            (_over_the_edge, "The window hangs over the edge"),
            (_square_only, "This kernel has 2 rows and 3 columns"),
        ],
    )
)


# A kernel for a diagonal line ------------------------------------------------


def diagonal_kernel():
    return torch.tensor(
        [
            [2.0, -1.0, -1.0],
            [-1.0, 2.0, -1.0],
            [-1.0, -1.0, 2.0],
        ]
    )


def _only_the_line():
    return torch.eye(3)


def _other_diagonal():
    return diagonal_kernel().flip(1)


def _spots():
    return torch.tensor([[-1.0, -1.0, -1.0], [-1.0, 8.0, -1.0], [-1.0, -1.0, -1.0]])


def _edges_left_right():
    return torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])


def _negative():
    return -diagonal_kernel()


def _too_large():
    return 5 * torch.eye(5) - 1


def _rows():
    return [[2, -1, -1], [-1, 2, -1], [-1, -1, 2]]


LINES = {
    "the other diagonal": torch.eye(3).flip(1),
    "a vertical line": torch.tensor([[0.0, 1.0, 0.0]] * 3),
    "a horizontal line": torch.tensor([[0.0, 1.0, 0.0]] * 3).T,
}


def answers_to_the_diagonal(answer: Answer) -> None:
    """0 on a plain area; for the falling diagonal, twice what other lines get."""
    kernel = answer()
    if not isinstance(kernel, torch.Tensor) or kernel.shape != (3, 3):
        raise CheckFailed(
            f"The kernel is {kind(kernel)}; a tensor of shape (3, 3) is expected."
        )
    plain = float(kernel.sum())
    if abs(plain) > 1e-5:
        raise CheckFailed(
            f"On a plain area, where every cell is 1, your kernel answers {plain:.3g}. "
            "The sum of its nine numbers must be 0."
        )
    wanted = float(kernel.diagonal().sum())
    if wanted < 0:
        raise CheckFailed(
            f"To the line from top left to bottom right your kernel answers "
            f"{wanted:.3g}. It must be above 0: positive numbers on the line."
        )
    for name, line in LINES.items():
        other = float((kernel * line).sum())
        if other > wanted / 2 + 1e-5:
            raise CheckFailed(
                f"Your kernel answers {other:.3g} to {name} and {wanted:.3g} to its "
                "own. The other must be at most half of that."
            )
    if wanted < 1e-5:
        raise CheckFailed(
            "Your kernel answers 0 to the line from top left to bottom right, as it "
            "does to a plain area. Put larger numbers on the line than beside it."
        )


register(
    Exercise(
        name="diagonal kernel",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write diagonal_kernel(). It returns a 3 x 3 tensor that answers 0 on a "
            "plain area, a number above 0 to a line of ones from top left to bottom "
            "right, and at most half of that number to a line that is horizontal, "
            "vertical, or runs along the other diagonal."
        ),
        minutes=7,
        difficulty=2,
        reference=diagonal_kernel,
        checks=[answers_to_the_diagonal],
        hints=[
            "Where the line is, the kernel needs positive numbers. Beside the line it "
            "needs negative ones.",
            "On a plain area every cell is the same, so the answer is that cell times "
            "the sum of the kernel. Make the sum 0.",
            "Three numbers lie on the line and six beside it. With 2 on the line, "
            "what must stand beside it so that the sum is 0?",
        ],
        wrong_answers=[
            (_only_the_line, "On a plain area, where every cell is 1, your kernel"),
            (_other_diagonal, "Your kernel answers 6 to the other diagonal and 0"),
            (_spots, "Your kernel answers 6 to the other diagonal and 6"),
            (_edges_left_right, "answers 0 to the line from top left"),
            (_negative, "bottom right your kernel answers -6"),
            (_too_large, "The kernel is a tensor of shape (5, 5)"),
            (_rows, "The kernel is a list of 3"),
        ],
    )
)


# The size of the output ------------------------------------------------------


def output_size(pixels, size, stride, padding):
    return (pixels + 2 * padding - size) // stride + 1


def _without_one(pixels, size, stride, padding):
    return (pixels + 2 * padding - size) // stride


def _one_side(pixels, size, stride, padding):
    return (pixels + padding - size) // stride + 1


def _fractions(pixels, size, stride, padding):
    return (pixels + 2 * padding - size) / stride + 1


def _rounded_up(pixels, size, stride, padding):
    return math.ceil((pixels + 2 * padding - size) / stride) + 1


def _one_too_early(pixels, size, stride, padding):
    return (pixels + 2 * padding - size + 1) // stride


def _without_stride(pixels, size, stride, padding):
    return pixels + 2 * padding - size + 1


def _without_padding(pixels, size, stride, padding):
    return (pixels - size) // stride + 1


SIZES = [(28, 3, 1, 0), (28, 5, 2, 2), (8, 3, 2, 0), (16, 3, 3, 1), (7, 7, 2, 0)]

SIZE_MISTAKES = [
    (
        _without_one,
        "One place is missing. The first window costs no step: count the steps that "
        "still fit, and add 1 for the first place.",
    ),
    (
        _one_side,
        "The padding is put on both sides, so it counts twice.",
    ),
    (
        _fractions,
        "There is no half place. Where the last step does not fit, it is left out: "
        "round down with //.",
    ),
    (
        _rounded_up,
        "You round up, so the last window hangs over the edge. Round down.",
    ),
    (
        _one_too_early,
        "The 1 is added before the division. It stands for the first place, which no "
        "stride divides: add it at the end.",
    ),
    (_without_stride, "The stride is not used: the window moves on by so many cells."),
    (_without_padding, "The padding is not used: it makes the picture larger."),
]

register(
    Exercise(
        name="convolution output size",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write output_size(pixels, size, stride, padding). pixels are the rows of "
            "the picture and size those of the kernel; padding cells are put on each "
            "side, and the window moves on by stride cells. Return the rows of the "
            "output, a whole number."
        ),
        minutes=7,
        difficulty=2,
        reference=output_size,
        checks=[
            *(diagnose(wrong, message, *SIZES) for wrong, message in SIZE_MISTAKES),
            *(same_result(output_size, *case) for case in SIZES),
        ],
        hints=[
            "How many rows does the picture have when the padding is round it?",
            "The first window begins in row 0, the last one at the latest in row "
            "(padded rows - size). Which of the rows between begin a window?",
            "From row 0 to that row there are (padded rows - size) // stride steps. "
            "Each step is a new place, and the first place comes on top.",
        ],
        wrong_answers=SIZE_MISTAKES,
    )
)


# The parameters of a layer ---------------------------------------------------


def parameter_count(in_channels, out_channels, size):
    weights = size * size * in_channels * out_channels
    biases = out_channels
    return weights + biases


def _without_bias(in_channels, out_channels, size):
    return size * size * in_channels * out_channels


def _one_channel_in(in_channels, out_channels, size):
    return (size * size + 1) * out_channels


def _too_many_biases(in_channels, out_channels, size):
    return (size * size + 1) * in_channels * out_channels


def _one_bias(in_channels, out_channels, size):
    return size * size * in_channels * out_channels + 1


def _biases_of_inputs(in_channels, out_channels, size):
    return size * size * in_channels * out_channels + in_channels


def _one_row(in_channels, out_channels, size):
    return size * in_channels * out_channels + out_channels


def _one_kernel(in_channels, out_channels, size):
    return size * size * in_channels + 1


LAYERS = [(1, 32, 3), (3, 8, 5), (16, 4, 3)]

COUNT_MISTAKES = [
    (_without_bias, "The biases are missing: one number for each output channel."),
    (
        _one_channel_in,
        "Each kernel looks at all input channels, so it is a block of size x size x "
        "in_channels weights.",
    ),
    (
        _too_many_biases,
        "There are too many biases. A kernel adds up over all input channels and then "
        "adds its bias once.",
    ),
    (
        _biases_of_inputs,
        "The biases belong to the output channels, not to the input channels.",
    ),
    (_one_bias, "There is one bias for each output channel, not one in all."),
    (_one_row, "A kernel has size rows and size columns: size * size places."),
    (
        _one_kernel,
        "This is one kernel. There is one for each output channel.",
    ),
]

register(
    Exercise(
        name="convolution parameters",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write parameter_count(in_channels, out_channels, size): how many numbers "
            "a convolution layer learns, its biases included. Its kernels have size "
            "rows and size columns."
        ),
        minutes=5,
        difficulty=1,
        reference=parameter_count,
        checks=[
            *(diagnose(wrong, message, *LAYERS) for wrong, message in COUNT_MISTAKES),
            *(same_result(parameter_count, *case) for case in LAYERS),
        ],
        hints=[
            "How many weights has one kernel? It covers size x size places, and at "
            "each place it sees all input channels.",
            "There is one kernel for each output channel.",
            "Each kernel has one bias, so there are out_channels biases.",
        ],
        wrong_answers=COUNT_MISTAKES,
    )
)
