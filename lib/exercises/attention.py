"""The exercises of the lesson on attention.

One head of attention, weights that cannot see the future, and the split of one long
vector into heads.
"""

import torch

from lib.exercises.checks import Answer, CheckFailed, diagnose, same_result
from lib.exercises.engine import Exercise, register

CHAPTER, LESSON = "core concepts", "04_attention"

# One head of attention ---------------------------------------------------------------


def attend(q, k, v):
    scores = q @ k.T / q.shape[-1] ** 0.5  # (T, S)
    weights = torch.softmax(scores, dim=-1)
    return weights @ v


def _unscaled(q, k, v):
    return torch.softmax(q @ k.T, dim=-1) @ v


def _divided_by_size(q, k, v):
    return torch.softmax(q @ k.T / q.shape[-1], dim=-1) @ v


def _multiplied_by_root(q, k, v):
    return torch.softmax(q @ k.T * q.shape[-1] ** 0.5, dim=-1) @ v


def _root_of_tokens(q, k, v):
    return torch.softmax(q @ k.T / len(k) ** 0.5, dim=-1) @ v


def _softmax_over_queries(q, k, v):
    return torch.softmax(q @ k.T / q.shape[-1] ** 0.5, dim=0) @ v


def _keys_ask(q, k, v):
    return attend(k, q, v)


def _no_softmax(q, k, v):
    return q @ k.T / q.shape[-1] ** 0.5 @ v


def _weights_alone(q, k, v):
    return torch.softmax(q @ k.T / q.shape[-1] ** 0.5, dim=-1)


def _keys_for_values(q, k, v):
    return attend(q, k, k)


def _drawn(seed, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=generator) for shape in shapes)


SQUARE = [_drawn(0, (3, 4), (3, 4), (3, 4)), _drawn(1, (2, 9), (2, 9), (2, 9))]
OBLONG = _drawn(2, (2, 4), (5, 4), (5, 4))

ATTEND_MISTAKES = [
    (
        _unscaled,
        "The scores are not divided by the root of D, the number of entries of one "
        "query: q.shape[-1] ** 0.5.",
    ),
    (
        _divided_by_size,
        "The scores are divided by D. Divide by the square root of D.",
    ),
    (
        _multiplied_by_root,
        "The scores are multiplied by the root of D. Divide by it.",
    ),
    (
        _root_of_tokens,
        "The scores are divided by the root of the number of tokens. D is the number "
        "of entries of one query, the last size of q.",
    ),
    (
        _softmax_over_queries,
        "The softmax runs over the queries, so the columns sum to 1. Each query shares "
        "out its own weight over the keys: the rows sum to 1, dim=-1.",
    ),
    (
        _keys_ask,
        "Queries and keys are exchanged. Row i of the scores belongs to query i: "
        "q @ k.T.",
    ),
    (
        _no_softmax,
        "The values are mixed with the scores. Turn each row of scores into weights "
        "with a softmax first.",
    ),
    (
        _weights_alone,
        "These are the weights. The output is the mixture of the values: weights @ v.",
    ),
    (
        _keys_for_values,
        "The weights mix the keys. Keys decide where to look; what is fetched there "
        "are the values, v.",
    ),
]

register(
    Exercise(
        name="attention head",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write attend(q, k, v), one head of attention without a mask. q has the "
            "shape (T, D), k and v have the shape (S, D). Return the output, (T, D): "
            "the softmax of q kᵀ / √D over the keys, times v."
        ),
        minutes=10,
        difficulty=2,
        reference=attend,
        checks=[
            *(
                diagnose(wrong, message, *SQUARE, tolerance=1e-5)
                for wrong, message in ATTEND_MISTAKES
            ),
            *(same_result(attend, *case, tolerance=1e-5) for case in SQUARE),
            same_result(attend, *OBLONG, tolerance=1e-5),
        ],
        hints=[
            "There are three lines: scores, weights, output. All products of queries "
            "and keys at once are q @ k.T, of the shape (T, S).",
            "Divide the scores by q.shape[-1] ** 0.5. Then torch.softmax(..., dim=-1) "
            "makes each row sum to 1.",
            "The output is weights @ v.",
        ],
        wrong_answers=ATTEND_MISTAKES,
    )
)


# Weights that cannot see the future --------------------------------------------------


def causal_weights(scores):
    T = len(scores)
    may = torch.ones(T, T, dtype=torch.bool).tril()
    hidden = scores.masked_fill(~may, float("-inf"))
    return torch.softmax(hidden, dim=-1)


def _zero_after(scores):
    return torch.softmax(scores, dim=-1).tril()


def _zero_before(scores):
    return torch.softmax(scores.tril(), dim=-1)


def _sees_the_future_only(scores):
    hidden = scores.masked_fill(torch.ones_like(scores).tril(-1).bool(), float("-inf"))
    return torch.softmax(hidden, dim=-1)


def _softmax_of_columns(scores):
    hidden = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), float("-inf"))
    return torch.softmax(hidden, dim=0)


def _no_mask(scores):
    return torch.softmax(scores, dim=-1)


def _scores_alone(scores):
    return scores.masked_fill(torch.ones_like(scores).triu(1).bool(), float("-inf"))


def _sees_one_ahead(scores):
    hidden = scores.masked_fill(torch.ones_like(scores).triu(2).bool(), float("-inf"))
    return torch.softmax(hidden, dim=-1)


def _hides_itself(scores):
    hidden = scores.masked_fill(torch.ones_like(scores).triu(0).bool(), float("-inf"))
    return torch.softmax(hidden, dim=-1)


def _hides_where_it_may_look(scores):
    may = torch.ones_like(scores).tril().bool()
    return torch.softmax(scores.masked_fill(may, float("-inf")), dim=-1)


def _infinity_times_zero(scores):
    return torch.softmax(scores - float("inf") * torch.ones_like(scores).triu(1), -1)


SCORES = [_drawn(3, (4, 4))[0], _drawn(4, (3, 3))[0] + 1]

ITSELF = (
    "The first row is not a number. Its token may look at nothing at all, because you "
    "hide the diagonal too. A token may look at itself: hide j > i, not j >= i."
)
WRONG_WAY = (
    "The last row is not a number: it hides everything. masked_fill writes where the "
    "mask is True. If True means `may look`, hide with its opposite, ~may."
)
TIMES_ZERO = (
    "Every row has a NaN: infinity times 0 is not a number. Do not multiply; write the "
    "value where you want it: scores.masked_fill(..., float('-inf'))."
)
MINUS_INFINITY = (
    "These are still scores, with -inf in the future. The weights are their softmax "
    "over each row."
)


def _no_nan(answer: Answer) -> None:
    """NaN equals nothing, so `diagnose` cannot see these mistakes."""
    got = answer(SCORES[0])
    if not isinstance(got, torch.Tensor) or got.shape != SCORES[0].shape:
        return
    if got.isnan().any(-1).all():
        raise CheckFailed(TIMES_ZERO)
    if got[0].isnan().any():
        raise CheckFailed(ITSELF)
    if got[-1].isnan().any():
        raise CheckFailed(WRONG_WAY)
    if got.isinf().any():
        raise CheckFailed(MINUS_INFINITY)


MASK_MISTAKES = [
    (
        _zero_after,
        "The rows no longer sum to 1: the future took part in the softmax, and its "
        "share was thrown away afterwards. Hide the scores before the softmax.",
    ),
    (
        _zero_before,
        "A score of 0 is not hidden: exp(0) is 1, so the future still gets weight. "
        "Set the hidden scores to -inf, because exp(-inf) is 0.",
    ),
    (
        _sees_the_future_only,
        "The mask is the wrong way round: each token sees itself and the future, not "
        "the past. Row i is the query. It may look at the columns j <= i.",
    ),
    (
        _softmax_of_columns,
        "The softmax runs down the columns. Each row is one query, and its weights sum "
        "to 1: dim=-1.",
    ),
    (_no_mask, "Nothing is hidden: there is weight above the diagonal."),
    (
        _sees_one_ahead,
        "Each token sees the one after it. Hide everything with j > i, which begins "
        "just above the diagonal.",
    ),
]

register(
    Exercise(
        name="attention mask",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write causal_weights(scores). scores has the shape (T, T): row i holds "
            "the scores of query i. Return the weights, (T, T), in which token i looks "
            "only at itself and at what came before it. Each row sums to 1."
        ),
        minutes=8,
        difficulty=2,
        reference=causal_weights,
        checks=[
            _no_nan,
            *(
                diagnose(wrong, message, *[(s,) for s in SCORES])
                for wrong, message in MASK_MISTAKES
            ),
            *(same_result(causal_weights, scores) for scores in SCORES),
        ],
        hints=[
            "Decide first which cells are hidden: those with column j above row i.",
            "torch.ones(T, T, dtype=torch.bool).tril() is True where a token may look.",
            "Hide with scores.masked_fill(~may, float('-inf')), then take the softmax "
            "over dim=-1.",
        ],
        wrong_answers=[
            *MASK_MISTAKES,
            (_hides_itself, ITSELF),
            (_hides_where_it_may_look, WRONG_WAY),
            (_infinity_times_zero, TIMES_ZERO),
            (_scores_alone, MINUS_INFINITY),
        ],
    )
)


# Split into heads --------------------------------------------------------------------


def split_heads(x, num_heads):
    B, T, C = x.shape
    D = C // num_heads
    return x.view(B, T, num_heads, D).transpose(1, 2)  # (B, H, T, D)


def _viewed_at_once(x, num_heads):
    B, T, C = x.shape
    return x.reshape(B, num_heads, T, C // num_heads)


def _not_transposed(x, num_heads):
    B, T, C = x.shape
    return x.reshape(B, T, num_heads, C // num_heads)


def _every_second(x, num_heads):
    B, T, C = x.shape
    return x.reshape(B, T, C // num_heads, num_heads).permute(0, 3, 1, 2)


def _size_before_time(x, num_heads):
    return split_heads(x, num_heads).transpose(2, 3)


def _heads_and_size_exchanged(x, num_heads):
    B, T, C = x.shape
    return x.reshape(B, T, C // num_heads, num_heads).transpose(1, 2)


def _heads_first(x, num_heads):
    return split_heads(x, num_heads).transpose(0, 1)


SPLITS = [
    (torch.arange(24.0).view(1, 4, 6), 2),
    (torch.arange(60.0).view(2, 5, 6), 3),
]

SPLIT_MISTAKES = [
    (
        _viewed_at_once,
        "The shape is right and the content is not: a head got numbers of several "
        "tokens. Cut only the last size, C into H and D; move H before T after that.",
    ),
    (
        _not_transposed,
        "The shape is (B, T, H, D). One step is missing: move the heads before the "
        "time, transpose(1, 2).",
    ),
    (
        _every_second,
        "Each head got every H-th number of a token. A head takes D neighbours: the "
        "last size is cut into (H, D), in this order.",
    ),
    (
        _size_before_time,
        "The shape is (B, H, D, T). The last two are exchanged: (B, H, T, D).",
    ),
    (
        _heads_and_size_exchanged,
        "H and D are exchanged: C is cut into num_heads pieces of C // num_heads.",
    ),
    (_heads_first, "The shape is (H, B, T, D). The batch stays first."),
]

register(
    Exercise(
        name="attention heads",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write split_heads(x, num_heads). x has the shape (B, T, C). Return the "
            "shape (B, H, T, D) with H = num_heads and D = C / H. Head 0 takes the "
            "first D numbers of every token, head 1 the next D, and so on."
        ),
        minutes=10,
        difficulty=2,
        reference=split_heads,
        checks=[
            *(diagnose(wrong, message, *SPLITS) for wrong, message in SPLIT_MISTAKES),
            *(same_result(split_heads, *case) for case in SPLITS),
        ],
        hints=[
            "Two steps: cut the last size into two, then exchange two sizes.",
            "x.view(B, T, num_heads, D) cuts each token's numbers into heads.",
            "transpose(1, 2) then moves the heads before the time.",
        ],
        wrong_answers=SPLIT_MISTAKES,
    )
)
