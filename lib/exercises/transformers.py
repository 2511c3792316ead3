"""The exercises of the lesson on Transformers.

Layer norm, one block with its two additions, and the cut of top-p.
"""

import torch

from lib.exercises.checks import diagnose, same_result
from lib.exercises.engine import Exercise, register

CHAPTER, LESSON = "core concepts", "05_transformers"

# Layer norm ------------------------------------------------------------------


def layer_norm(x, weight, bias, epsilon):
    mean = x.mean(dim=-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)
    return (x - mean) / (variance + epsilon).sqrt() * weight + bias


def _over_positions(x, weight, bias, epsilon):
    mean = x.mean(dim=-2, keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=-2, keepdim=True)
    return (x - mean) / (variance + epsilon).sqrt() * weight + bias


def _over_everything(x, weight, bias, epsilon):
    mean = x.mean()
    variance = ((x - mean) ** 2).mean()
    return (x - mean) / (variance + epsilon).sqrt() * weight + bias


def _less_one(x, weight, bias, epsilon):
    variance = x.var(dim=-1, keepdim=True)
    mean = x.mean(dim=-1, keepdim=True)
    return (x - mean) / (variance + epsilon).sqrt() * weight + bias


def _without_root(x, weight, bias, epsilon):
    mean = x.mean(dim=-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)
    return (x - mean) / (variance + epsilon) * weight + bias


def _not_centred(x, weight, bias, epsilon):
    mean = x.mean(dim=-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)
    return x / (variance + epsilon).sqrt() * weight + bias


def _not_scaled(x, weight, bias, epsilon):
    return layer_norm(x, 1.0, 0.0, epsilon)


def _without_bias(x, weight, bias, epsilon):
    return layer_norm(x, weight, 0.0, epsilon)


def _epsilon_outside(x, weight, bias, epsilon):
    mean = x.mean(dim=-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)
    return (x - mean) / (variance.sqrt() + epsilon) * weight + bias


NORMS = [
    (
        torch.tensor([[1.0, 2.0, 6.0], [0.0, -1.0, 4.0]]),
        torch.tensor([1.0, 2.0, 0.5]),
        torch.tensor([0.0, 1.0, -1.0]),
        0.01,
    ),
    (
        torch.tensor([[[0.5, -0.5, 1.0, 3.0], [2.0, 2.5, 0.0, 1.0]]]),
        torch.tensor([1.0, 1.5, 1.0, 2.0]),
        torch.tensor([0.5, 0.0, 0.0, 0.25]),
        0.1,
    ),
]

NORM_MISTAKES = [
    (
        _over_positions,
        "The mean runs over the positions. Each position is normed alone, over its own "
        "C numbers: dim=-1.",
    ),
    (
        _over_everything,
        "This is one mean for the whole tensor. Each position has a mean of its own: "
        "mean(dim=-1, keepdim=True).",
    ),
    (
        _less_one,
        "The variance is divided by C - 1, which torch's var does. Layer norm divides "
        "by C: take the mean of the squares.",
    ),
    (
        _without_root,
        "You divide by the variance. Divide by its square root, the standard "
        "deviation.",
    ),
    (
        _not_centred,
        "The mean is not subtracted from x, so it is still there after the division.",
    ),
    (
        _not_scaled,
        "The last step is missing: multiply by weight and add bias, which are learned.",
    ),
    (_without_bias, "bias is not added at the end."),
    (
        _epsilon_outside,
        "epsilon stands outside the root. It is added to the variance, before the "
        "root.",
    ),
]

register(
    Exercise(
        name="transformer layer norm",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write layer_norm(x, weight, bias, epsilon). x has the shape (..., C), "
            "weight and bias (C,). Bring the C numbers of each position to mean 0 and "
            "variance 1, with epsilon added to the variance, then multiply by weight "
            "and add bias."
        ),
        minutes=8,
        difficulty=1,
        reference=layer_norm,
        checks=[
            *(diagnose(wrong, message, *NORMS) for wrong, message in NORM_MISTAKES),
            *(same_result(layer_norm, *case, tolerance=1e-5) for case in NORMS),
        ],
        hints=[
            "Begin with the mean over the last dimension. keepdim=True keeps the shape "
            "(..., 1), so that x - mean works.",
            "The variance is the mean of (x - mean) ** 2, again over the last "
            "dimension.",
            "(x - mean) / (variance + epsilon).sqrt() * weight + bias",
        ],
        wrong_answers=NORM_MISTAKES,
    )
)


# A block ---------------------------------------------------------------------


def block(x, norm_1, attention, norm_2, feed_forward):
    x = x + attention(norm_1(x))
    return x + feed_forward(norm_2(x))


def _post_norm(x, norm_1, attention, norm_2, feed_forward):
    x = norm_1(x + attention(x))
    return norm_2(x + feed_forward(x))


def _without_stream(x, norm_1, attention, norm_2, feed_forward):
    return feed_forward(norm_2(attention(norm_1(x))))


def _adds_normed(x, norm_1, attention, norm_2, feed_forward):
    h = norm_1(x)
    x = h + attention(h)
    h = norm_2(x)
    return h + feed_forward(h)


def _side_by_side(x, norm_1, attention, norm_2, feed_forward):
    return x + attention(norm_1(x)) + feed_forward(norm_2(x))


def _one_addition(x, norm_1, attention, norm_2, feed_forward):
    return x + feed_forward(norm_2(attention(norm_1(x))))


def _loses_attention(x, norm_1, attention, norm_2, feed_forward):
    h = x + attention(norm_1(x))
    return x + feed_forward(norm_2(h))


def _same_norm(x, norm_1, attention, norm_2, feed_forward):
    return block(x, norm_1, attention, norm_1, feed_forward)


def _wrong_order(x, norm_1, attention, norm_2, feed_forward):
    return block(x, norm_2, feed_forward, norm_1, attention)


def _without_norms(x, norm_1, attention, norm_2, feed_forward):
    x = x + attention(x)
    return x + feed_forward(x)


def centre(h):
    """Stands for the first norm."""
    return h - h.mean(-1, keepdim=True)


def mean_of_earlier(h):
    """Stands for attention: the mean of each position and those before it."""
    counts = torch.arange(1, h.shape[-2] + 1, dtype=h.dtype)
    return h.cumsum(-2) / counts[:, None]


def twice(h):
    """Stands for the second norm."""
    return 2 * h


def square(h):
    """Stands for the feed-forward part."""
    return h**2


BLOCKS = [
    (torch.tensor(rows), centre, mean_of_earlier, twice, square)
    for rows in ([[[1.0, 2.0], [0.0, 3.0]]], [[[0.5, -1.0], [2.0, 0.25], [1.0, 1.0]]])
]

BLOCK_MISTAKES = [
    (
        _post_norm,
        "This norms the sum, as in the paper of 2017 and in BERT. Here the norm stands "
        "before each part, and the sum stays as it is.",
    ),
    (
        _without_stream,
        "Nothing of x comes through: you hand on what the parts give. Add it to x.",
    ),
    (
        _adds_normed,
        "You add to the normed x. Only the part reads the normed x; what it gives is "
        "added to x itself.",
    ),
    (
        _side_by_side,
        "Both parts read the same x. The feed-forward part reads x after the attention "
        "was added.",
    ),
    (
        _one_addition,
        "There is one addition, and there must be two: one after the attention, one "
        "after the feed-forward part.",
    ),
    (
        _loses_attention,
        "The second sum starts from the old x, so what the attention added is lost. "
        "Start it from the result of the first sum.",
    ),
    (_same_norm, "norm_1 is used twice. The feed-forward part has norm_2."),
    (_wrong_order, "The order is the wrong way round: attention comes first."),
    (_without_norms, "Nothing is normed. Each part reads its norm of x."),
]

register(
    Exercise(
        name="transformer block",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write block(x, norm_1, attention, norm_2, feed_forward). x is a tensor "
            "(B, T, C); the other four are functions from (B, T, C) to (B, T, C). "
            "Return what a pre-norm block makes of x: attention first, then "
            "feed_forward, each reads its norm of x and adds what it found to x."
        ),
        minutes=8,
        difficulty=2,
        reference=block,
        checks=[
            *(diagnose(wrong, message, *BLOCKS) for wrong, message in BLOCK_MISTAKES),
            *(same_result(block, *case, tolerance=1e-5) for case in BLOCKS),
        ],
        hints=[
            "One part alone is x + part(norm(x)).",
            "Give the result the name x again, so that the second part reads it.",
            "x = x + attention(norm_1(x)), and then the same with norm_2 and "
            "feed_forward.",
        ],
        wrong_answers=BLOCK_MISTAKES,
    )
)


# Top-p -----------------------------------------------------------------------


def top_p(p, threshold):
    ordered, tokens = p.sort(descending=True)
    before = ordered.cumsum(0) - ordered  # what the likelier tokens have together
    kept = torch.zeros_like(p)
    kept[tokens] = torch.where(before < threshold, ordered, 0.0)
    return kept / kept.sum()


def _cut(p, threshold, count):
    """The `count` likeliest, with probabilities that sum to 1."""
    ordered, tokens = p.sort(descending=True)
    kept = torch.zeros_like(p)
    kept[tokens[:count]] = ordered[:count]
    return kept / kept.sum()


def _count(p, threshold):
    return int((top_p(p, threshold) > 0).sum())


def _not_divided(p, threshold):
    return torch.where(top_p(p, threshold) > 0, p, 0.0)


def _one_less(p, threshold):
    return _cut(p, threshold, max(1, _count(p, threshold) - 1))


def _one_more(p, threshold):
    return _cut(p, threshold, _count(p, threshold) + 1)


def _one_more_when_equal(p, threshold):
    ordered = p.sort(descending=True).values
    return _cut(p, threshold, int((ordered.cumsum(0) <= threshold).sum()) + 1)


def _each_above(p, threshold):
    kept = torch.where(p >= threshold, p, 0.0)
    return kept / kept.sum()


def _least_likely(p, threshold):
    kept = top_p(1 - p, threshold) > 0
    return torch.where(kept, p, 0.0) / p[kept].sum()


def _left_sorted(p, threshold):
    return top_p(p, threshold).sort(descending=True).values


def _softmax_again(p, threshold):
    kept = top_p(p, threshold) > 0
    return torch.where(kept, p, -torch.inf).softmax(0)


def _as_they_stand(p, threshold):
    before = p.cumsum(0) - p
    kept = torch.where(before < threshold, p, 0.0)
    return kept / kept.sum()


CUTS = [
    (torch.tensor([0.1, 0.5, 0.05, 0.25, 0.1]), 0.7),
    (torch.tensor([0.125, 0.0625, 0.4375, 0.25, 0.125]), 0.625),
]
LOW = [(CUTS[0][0], 0.2), (CUTS[1][0], 0.125)]
ALL = (torch.tensor([0.125, 0.5, 0.375]), 1.0)
EXACT = (torch.tensor([0.125, 0.5, 0.25, 0.125]), 0.5)
FIRST = (torch.tensor([0.125, 0.75, 0.125]), 0.25)

ABOVE = (
    _each_above,
    "You compare each probability with the threshold. Add them up, the likeliest "
    "first, and compare the sum.",
)
EQUAL = (
    _one_more_when_equal,
    "When the kept ones have exactly the threshold, you take one more. Compare what "
    "stands before a token with <, not with <=.",
)

TOP_P_MISTAKES = [
    (
        _not_divided,
        "The right tokens are kept, but their probabilities no longer sum to 1. Divide "
        "by their sum.",
    ),
    (
        _one_less,
        "One token too few. The token that carries the sum over the threshold is kept "
        "too: without it the kept ones do not reach it.",
    ),
    (
        _one_more,
        "One token too many. Stop as soon as the kept ones reach the threshold.",
    ),
    (
        _as_they_stand,
        "You add the tokens up in the order of the vocabulary. Sort them first, the "
        "likeliest first.",
    ),
    (
        _left_sorted,
        "The numbers are right but sorted. Put each one back at the place of its "
        "token: kept[tokens] = ...",
    ),
    (
        _softmax_again,
        "You took a softmax of probabilities. They are probabilities already: divide "
        "the kept ones by their sum.",
    ),
    (_least_likely, "These are the least likely tokens. Sort with descending=True."),
]

register(
    Exercise(
        name="transformer top-p",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write top_p(p, threshold). p is a tensor of V probabilities that sum to "
            "1. Keep the likeliest tokens, as few as possible, that together have at "
            "least the probability threshold; set the others to 0; make the kept ones "
            "sum to 1. Every token stays at its place."
        ),
        minutes=12,
        difficulty=3,
        reference=top_p,
        checks=[
            diagnose(*ABOVE, *LOW),
            *(diagnose(wrong, message, *CUTS) for wrong, message in TOP_P_MISTAKES),
            diagnose(*EQUAL, *CUTS, EXACT),
            *(
                same_result(top_p, *case, tolerance=1e-5)
                for case in (*CUTS, ALL, FIRST, EXACT)
            ),
        ],
        hints=[
            "ordered, tokens = p.sort(descending=True) gives the probabilities from "
            "the largest down, and the token of each.",
            "A token is kept if those before it do not reach the threshold yet: "
            "before = ordered.cumsum(0) - ordered, and before < threshold.",
            "Make kept = torch.zeros_like(p), write the ordered ones that stay back "
            "with kept[tokens] = torch.where(before < threshold, ordered, 0.0), and "
            "divide by the sum.",
        ],
        wrong_answers=[ABOVE, EQUAL, *TOP_P_MISTAKES],
    )
)
