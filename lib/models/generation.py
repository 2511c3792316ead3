"""Writing with a decoder, one token after the other.

Greedy, temperature, top-k (Fan, Lewis, Dauphin, "Hierarchical neural story generation",
2018), top-p (Holtzman et al., "The curious case of neural text degeneration", 2020),
and beam search (Sutskever, Vinyals, Le, "Sequence to sequence learning", 2014, with the
length penalty of Wu et al., "Google's neural machine translation system", 2016).

`steps` is a generator: a widget can stop after each token and show the choice. A
decoder is anything that is called as `model(tokens, cache=...)` and gives logits
(B, T, V), with `context` and `new_cache()`: a `Decoder`, or what
`EncoderDecoder.read(source)` gives.

Left out: prompts of different lengths in one batch, repetition penalties, drafts by a
smaller model.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.models import mlp
from lib.models.cache import KeyValueCache


def next_probabilities(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """The probabilities from which the next token is drawn.

    Args:
        logits: (..., V).
        temperature: divides the logits. Below 1 prefers the likely ones more, 0 takes
            the likeliest only (greedy; of two equal ones the first), above 1 evens out.
        top_k: keep the k likeliest tokens. None keeps all.
        top_p: then keep the likeliest ones that together reach p, at least one. None
            keeps all.

    Returns:
        (..., V) in float32 or better; the kept ones sum to 1, the others are 0.

    Raises:
        ValueError: logits that are NaN or +inf, options out of range.
    """
    _check_options(temperature, top_k, top_p)
    # A half has too few digits to add up 50,000 probabilities.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    best = logits.amax(-1, keepdim=True)
    if not best.isfinite().all():  # NaN wins every maximum
        raise ValueError(
            "The logits hold NaN or infinity: training diverged, or the weights are "
            "damaged. Look at the loss."
        )
    if temperature == 0:
        greedy = torch.zeros_like(logits)
        return greedy.scatter(-1, logits.argmax(-1, keepdim=True), 1.0)
    ordered, tokens = ((logits - best) / temperature).sort(
        dim=-1, descending=True, stable=True
    )
    if top_k is not None:
        ordered[..., top_k:] = float("-inf")
    p = ordered.softmax(-1)
    if top_p is not None:
        before = p.cumsum(-1) - p  # what the likelier ones have together
        p = p.masked_fill(before >= top_p, 0.0)
        p = p / p.sum(-1, keepdim=True)
    return torch.zeros_like(p).scatter(-1, tokens, p)


@dataclass(frozen=True, slots=True, repr=False)
class Choice:
    """One token of each text, and what it was chosen from.

    Attributes:
        token: (B,) int64.
        probabilities: (B, V), after temperature, top-k and top-p.
        logits: (B, V), as the model gave them.
        text: (B, T) all tokens so far, the prompt and this one included.
    """

    token: Tensor
    probabilities: Tensor
    logits: Tensor
    text: Tensor

    def __repr__(self) -> str:
        return f"Choice(token={self.token.tolist()}, length={self.text.shape[1]})"


def steps(
    model: nn.Module,
    prompt: Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: int | None = None,
    use_cache: bool = True,
    seed: int | torch.Generator = 0,
) -> Iterator[Choice]:
    """Write, and yield a `Choice` after each token.

    A text longer than the context goes on: the model then sees its last `context`
    tokens, and without a cache, since every token has moved to another position.

    Args:
        model: a decoder; each step runs in evaluation mode, without gradients.
        prompt: (B, T) tokens, at least one; for an encoder-decoder the start token.
        max_new_tokens: ends after so many.
        temperature, top_k, top_p: as in `next_probabilities`.
        stop: ends when every text has this token; a text that has it gets no other.
        use_cache: False computes the whole text again for each token: slower, and the
            same.
        seed: of the draws, an integer or a `torch.Generator` on the CPU.

    Raises:
        ValueError: a prompt of a wrong shape, options out of range, NaN.
        IndexError: a token out of range.
    """
    _check_prompt(prompt)
    _check_options(temperature, top_k, top_p)
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; give 0 or more.")
    cache = model.new_cache() if use_cache else None
    options = (temperature, top_k, top_p)
    generator = mlp._generator(seed)
    return _steps(model, prompt, max_new_tokens, options, stop, cache, generator)


def _steps(
    model: nn.Module,
    text: Tensor,
    count: int,
    options: tuple,
    stop: int | None,
    cache: KeyValueCache | None,
    generator: torch.Generator,
) -> Iterator[Choice]:
    done = torch.zeros(len(text), dtype=torch.bool, device=text.device)
    for _ in range(count):
        logits = _last_logits(model, text, cache)
        p = next_probabilities(logits, *options)
        token = _draw(p, generator)
        if stop is not None:
            token = token.masked_fill(done, stop)
            done = done | (token == stop)
        text = torch.cat([text, token[:, None]], dim=1)
        yield Choice(token, p, logits, text)
        if done.all():
            return


def generate(
    model: nn.Module, prompt: Tensor, max_new_tokens: int, **options
) -> Tensor:
    """The prompt and what the model writes after it: (B, T) to (B, T + new).

    Options and errors as in `steps`.
    """
    text = prompt
    for choice in steps(model, prompt, max_new_tokens, **options):
        text = choice.text
    return text


@dataclass(frozen=True, slots=True)
class Beam:
    """One text that beam search found.

    Attributes:
        tokens: (T,) with the prompt.
        log_probability: of all new tokens together.
        score: log_probability / (length penalty); the higher the better.
    """

    tokens: Tensor
    log_probability: float
    score: float


def beam_search(
    model: nn.Module,
    prompt: Tensor,
    max_new_tokens: int,
    beams: int = 4,
    stop: int | None = None,
    length_penalty: float = 0.0,
    use_cache: bool = True,
) -> list[Beam]:
    """The most probable texts that a search keeping `beams` at a time finds.

    Greedy search takes the best next token, and cannot go back. Beam search keeps
    several beginnings, and of all ways to go on takes the best ones again.

    Args:
        model: a decoder.
        prompt: (1, T) tokens.
        beams: beginnings kept, and texts returned. With 1 it is greedy search.
        stop: ends a text; None lets all run to max_new_tokens.
        length_penalty: α in ((5 + new tokens) / 6)^α, by which the log probability is
            divided (2016, equation 14). 0 favours short texts, since each token costs.

    Returns:
        at most `beams` texts, the best first.

    Raises:
        ValueError, IndexError: as in `steps`.
    """
    _check_prompt(prompt)
    for value, name in ((beams, "beams"), (max_new_tokens, "max_new_tokens")):
        mlp._check_size(value, name)
    if len(prompt) != 1:
        raise ValueError(f"Beam search takes one prompt, (1, T), not {len(prompt)}.")
    cache = model.new_cache() if use_cache else None
    text, total = prompt, torch.zeros(1, device=prompt.device)  # (K, T) and (K,)
    found: list[Beam] = []
    longest = _penalty(max_new_tokens, length_penalty)
    for new in range(1, max_new_tokens + 1):
        log_p = next_probabilities(_last_logits(model, text, cache)).log()
        text, total, rows = _branch(text, total, log_p, beams)
        last = new == max_new_tokens
        ends = torch.full_like(rows, last, dtype=torch.bool)
        if stop is not None:
            ends |= text[:, -1] == stop
        penalty = _penalty(new, length_penalty)
        pairs = zip(text[ends], total[ends].tolist(), strict=True)
        found += [Beam(tokens, sum_, sum_ / penalty) for tokens, sum_ in pairs]
        found = sorted(found, key=lambda beam: -beam.score)[:beams]
        going = (~ends).nonzero().flatten()[:beams]
        text, total = text[going], total[going]
        if not len(going):
            break
        # A log probability only falls, and the penalty lies between these two.
        best = max(total[0].item() / p for p in (penalty, longest))
        if len(found) == beams and best <= found[-1].score:
            break
        if cache is not None:
            cache.reorder(rows[going])
    return found


def _branch(
    text: Tensor, total: Tensor, log_p: Tensor, beams: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The best ways to go on: texts, log probabilities, rows of their beginnings."""
    K, V = log_p.shape
    both = (total[:, None] + log_p).flatten()  # (K V,), every way to go on
    # Of each beginning at most one way ends the text, so at least `beams` go on.
    total, places = both.topk(min(beams + K, K * V))
    rows, tokens = places // V, places % V
    return torch.cat([text[rows], tokens[:, None]], dim=1), total, rows


def _penalty(new: int, alpha: float) -> float:
    return ((5 + new) / 6) ** alpha


def _last_logits(model: nn.Module, text: Tensor, cache: KeyValueCache | None) -> Tensor:
    """Logits of the token after the text: (B, T) to (B, V)."""
    with _evaluating(model), torch.no_grad():
        if cache is None or text.shape[1] > model.context:
            return model(text[:, -model.context :])[:, -1]
        return model(text[:, len(cache) :], cache=cache)[:, -1]


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """In evaluation mode, so without dropout; afterwards each part as it was."""
    training = [part for part in model.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _draw(p: Tensor, generator: torch.Generator) -> Tensor:
    """One token of each row: (B, V) to (B,).

    Drawn on the CPU, from the generator's numbers: one seed writes the same text on
    every device.
    """
    token = torch.multinomial(p.cpu(), 1, generator=generator)[:, 0]
    return token.to(p.device)


def _check_prompt(prompt: Tensor) -> None:
    if prompt.dim() != 2 or not prompt.numel():
        raise ValueError(
            f"prompt has the shape {tuple(prompt.shape)}; give (B, T), at least one "
            "token. One text alone: prompt[None]."
        )


def _check_options(temperature: float, top_k: int | None, top_p: float | None) -> None:
    if not 0 <= temperature < float("inf"):
        raise ValueError(
            f"temperature is {temperature}; give 0 for the likeliest token, or a "
            "positive, finite number."
        )
    if top_k is not None:
        mlp._check_size(top_k, "top_k")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; give a number above 0, up to 1.")
