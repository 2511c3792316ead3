"""A small language model that learns the course's prose, and what it says comes next.

Two parts: `SmallModel` is trained in steps and keeps its weights at some of them, so
that every moment of the training can be asked again. `Reader` reads a text with a
decoder, token by token, and keeps how surprised the decoder was. The choice of the next
token is `lib.models.generation.next_probabilities` and, here, `pick`.

Left out: the view (`lib.widgets.next_token`); many texts at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from lib.datasets import load
from lib.device import choose_device
from lib.losses import fused_cross_entropy
from lib.models import generation
from lib.models.cache import KeyValueCache
from lib.models.configs import DecoderConfig
from lib.models.transformer import Decoder
from lib.optimizers import AdamW
from lib.tokenizers import BytePairTokenizer, Tokenizer
from lib.training import train

START = "<start>"  # stands before each paragraph, so its first word is guessed too
SIZE = 512  # tokens of the small model's vocabulary, the start token included
CONTEXT = 64
BATCH = 8
SAMPLE = "The model"  # what the samples go on from
SAMPLE_TOKENS = 48


@cache
def prose_tokenizer() -> BytePairTokenizer:
    """Byte pairs learned from the training part of the course's prose."""
    texts = load("prose").train.texts
    return BytePairTokenizer.train(texts, size=SIZE, special=(START,))


@cache
def _stream(part: str) -> Tensor:
    """(N,) all paragraphs of a part, each after a start token."""
    tokenizer, prose = prose_tokenizer(), load("prose")
    texts = (prose.train if part == "train" else prose.test).texts
    first = tokenizer.special[START]
    return torch.tensor([i for text in texts for i in (first, *tokenizer.encode(text))])


def as_text(tokenizer: Tokenizer, ids: Tensor | Sequence[int]) -> str:
    """The text of these tokens; a start token inside begins a new line."""
    return tokenizer.decode(ids, show_special=True).replace(START, "\n").strip("\n")


class _Windows:
    """Endless batches of random windows (B, T) and the same one token later."""

    def __init__(self, device: torch.device, generator: torch.Generator) -> None:
        self.stream, self.device, self.generator = _stream("train"), device, generator

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            last = len(self.stream) - CONTEXT
            first = torch.randint(last, (BATCH, 1), generator=self.generator)
            rows = self.stream[first + torch.arange(CONTEXT + 1)].to(self.device)
            yield rows[:, :-1], rows[:, 1:]


@dataclass(frozen=True)
class Moment:
    """The model after some steps of training.

    Attributes:
        step: steps taken.
        validation: cross-entropy of the test part, nats a token.
        sample: what it writes at this moment.
        weights: all parameters, on the CPU.
    """

    step: int
    validation: float
    sample: str
    weights: dict[str, Tensor]


class SmallModel:
    """A decoder of 84,288 parameters that learns to go on with the course's prose.

        small = SmallModel()
        for _ in small.work(steps=500): ...
        small.moments[-1].sample

    Args:
        seed: of the first weights and of the order of the texts.
        device: to train on; None takes the best one found.
        learning_rate: of AdamW; `set_rate` changes it at any time.

    Attributes:
        losses: of every step so far, nats a token.
        moments: what was kept, the first before any training.
    """

    config = DecoderConfig(
        vocab_size=SIZE, context=CONTEXT, channels=48, num_layers=2, hidden=192
    )

    def __init__(
        self,
        seed: int = 0,
        device: str | torch.device | None = None,
        learning_rate: float = 3e-3,
    ) -> None:
        self.seed, self.learning_rate = seed, learning_rate
        self.device = choose_device(device)
        self._losses: list[float] = []
        self.moments: list[Moment] = []
        self._generator = torch.Generator().manual_seed(seed)
        self.model = Decoder(self.config, seed=seed).to(self.device)
        self._begin()
        for _ in self.keep():
            pass

    def __repr__(self) -> str:
        return f"SmallModel({self.step} steps, {len(self.moments)} moments kept)"

    @property
    def step(self) -> int:
        """Steps taken."""
        return len(self._losses)

    @property
    def losses(self) -> list[float]:
        return self.losses_from(0)

    def losses_from(self, step: int) -> list[float]:
        """The losses of the steps after `step`."""
        return self._losses[step:]

    def set_rate(self, rate: float) -> None:
        """Another learning rate, from the next step on."""
        self.learning_rate = self.optimizer.learning_rate = rate

    def move_to(self, device: str | torch.device) -> None:
        """Go on training on another device, with weights and optimizer state kept."""
        target = choose_device(device)
        if target == self.device:
            return
        state = self.optimizer.state_dict()
        self._steps.close()
        self.device, self.model = target, self.model.to(target)
        self._begin()
        self.optimizer.load_state_dict(state)

    def work(self, steps: int) -> Iterator[None]:
        """Train in small pieces, each followed by a yield."""
        for _ in range(steps):
            # A number: small tensors kept between large ones scatter the free memory,
            # which then grows by the size of the logits at each step.
            self._losses.append(next(self._steps).loss.item())
            yield
            if _is_kept(self.step):
                yield from self.keep()

    def weights(self) -> dict[str, Tensor]:
        """A copy of all parameters as they are now, on the CPU."""
        state = self.model.state_dict()
        return {name: value.detach().cpu().clone() for name, value in state.items()}

    def _begin(self) -> None:
        self.optimizer = AdamW(
            self.model.parameters(), self.learning_rate, weight_decay=0.01
        )
        windows = _Windows(self.device, self._generator)
        loss = fused_cross_entropy
        self._steps = train(
            self.model, loss, windows, self.optimizer, steps=10**9, clip_norm=1.0
        )

    def keep(self) -> Iterator[None]:
        """Take down this moment: how good it is, what it writes, and all weights."""
        still = self.fresh_copy()
        weights = self.weights()
        still.load_state_dict(weights)
        losses = []
        for rows in _held_out().split(4):
            with torch.no_grad():
                logits = still(rows[:, :-1])
            losses.append(fused_cross_entropy(logits, rows[:, 1:]).item())
            yield
        tokenizer = prose_tokenizer()
        prompt = [tokenizer.special[START], *tokenizer.encode(SAMPLE)]
        writing = generation.steps(
            still, torch.tensor([prompt]), SAMPLE_TOKENS, 0.8, seed=self.seed
        )
        for choice in writing:
            text = choice.text[0]
            yield
        validation = sum(losses) / len(losses)
        moment = Moment(self.step, validation, as_text(tokenizer, text), weights)
        self.moments.append(moment)

    @classmethod
    def fresh_copy(cls) -> Decoder:
        """A decoder of the same shape on the CPU, to load weights into."""
        return Decoder(cls.config, seed=0)


def _is_kept(step: int) -> bool:
    """Often at first, when much changes, then every 250 steps."""
    return step in (5, 10, 20, 50, 100, 200, 300, 400) or step % 250 == 0


@cache
def _held_out(rows: int = 16) -> Tensor:
    """(rows, T + 1) windows of the test part, spread over all of it."""
    stream = _stream("test")
    first = torch.linspace(0, len(stream) - CONTEXT - 1, rows).long()
    return stream[first[:, None] + torch.arange(CONTEXT + 1)]


class Reader:
    """Reads one text with a decoder and says what may come next.

    A text that goes on from the last one costs one position with the cache, and the
    whole context without: the numbers are the same.

    Args:
        model: a decoder as `lib.models.generation` takes it.
        start: tokens that stand before every text.

    Attributes:
        ids: the text read last, without the start.
        log_probabilities: of each token of it, after what stands before it; NaN for
            the first one where no start stands before it.
        logits: (V,) for the token after it; None for no text at all.
        cached: whether the last `read` used the cache.
    """

    def __init__(self, model: nn.Module, start: Sequence[int] = ()) -> None:
        self.model, self.start = model, list(start)
        self.forget()

    def forget(self) -> None:
        """The model has changed: what it said of the text no longer holds."""
        self.ids: list[int] = []
        self.log_probabilities: list[float] = []
        self.logits: Tensor | None = None
        self.cached = False
        self._cache: KeyValueCache | None = None
        self._read = False

    def read(self, ids: Sequence[int], use_cache: bool = True) -> Tensor | None:
        """Read a text; returns the logits (V,) of the next token.

        Raises:
            IndexError: a token that the model does not know.
        """
        ids = list(ids)
        if self._read and ids == self.ids and (self._cache is not None) == use_cache:
            return self.logits
        longer = self._read and self.logits is not None and ids[:-1] == self.ids
        if longer and len(ids) > len(self.ids):
            log_p = self.logits.log_softmax(-1)[ids[-1]].item()
            self.log_probabilities.append(log_p)
            self._next_logits(ids, use_cache)
        else:
            self._whole(ids, use_cache)
        self.ids, self._read = ids, True
        return self.logits

    @property
    def perplexity(self) -> float | None:
        """e to the mean surprise of a token; None for no text."""
        known = [p for p in self.log_probabilities if p == p]
        if not known:
            return None
        return float(torch.tensor(known, dtype=torch.float64).mean().neg().exp())

    def _next_logits(self, ids: list[int], use_cache: bool) -> None:
        """As `lib.models.generation` does: the cache holds as long as the context."""
        text = torch.tensor([[*self.start, *ids]])
        fits = text.shape[1] <= self.model.context
        if not use_cache or not fits:
            self._cache = None
        elif self._cache is None:
            self._cache = self.model.new_cache()
        self.cached = self._cache is not None and len(self._cache) > 0
        self.logits = self._last(text, self._cache)

    def _last(self, text: Tensor, cache: KeyValueCache | None) -> Tensor:
        device = next(self.model.parameters()).device
        logits = generation._last_logits(self.model, text.to(device), cache)
        return logits[0].float().cpu()

    def _whole(self, ids: list[int], use_cache: bool) -> None:
        text = [*self.start, *ids]
        self._cache, self.logits, self.cached = None, None, False
        self.log_probabilities = []
        if not text:
            return
        every = self._every(torch.tensor(text))  # (N, V)
        log_p = every[:-1].log_softmax(-1)
        known = log_p.gather(-1, torch.tensor(text[1:])[:, None])[:, 0].tolist()
        known = known if self.start else [float("nan"), *known]
        self.log_probabilities = known[len(known) - len(ids) :]
        self.logits = every[-1]
        if use_cache and len(text) <= self.model.context:
            self._next_logits(ids, use_cache)
            self.cached = False  # the first reading of a text saves nothing

    def _every(self, text: Tensor) -> Tensor:
        """Logits after each token, of what the context holds of it: (N,) to (N, V)."""
        T, device = self.model.context, next(self.model.parameters()).device
        with generation._evaluating(self.model), torch.no_grad():
            first = self.model(text[None, :T].to(device))[0]
            parts = [first]
            if len(text) > T:
                windows = text.unfold(0, T, 1)[1:]
                for rows in windows.split(8):
                    parts.append(self.model(rows.to(device))[:, -1])
        return torch.cat(parts).float().cpu()


def pick(p: Tensor, u: float) -> int:
    """The token on which a random number falls, the likeliest tokens laid first.

    Args:
        p: (V,) probabilities that sum to 1.
        u: from 0 to 1, 1 excluded.
    """
    ordered, tokens = p.sort(descending=True, stable=True)
    place = int((ordered.cumsum(-1) <= u).sum())
    return int(tokens[min(place, int((p > 0).sum()) - 1)])


def random_numbers(seed: int, count: int = 256) -> Tensor:
    """(count,) float32 from 0 to 1, one for each token that may be drawn."""
    return torch.rand(count, generator=torch.Generator().manual_seed(seed))


def multiplications(config: DecoderConfig, length: int, cached: bool) -> int:
    """What the logits after `length` tokens cost, in multiplications of matrices.

    Args:
        config: of the decoder.
        length: tokens that it sees, at most its context.
        cached: True where keys and values of all but the last are there.
    """
    C, L, V = config.channels, config.num_layers, config.vocab_size
    new = 1 if cached else length
    position = L * (4 * C * C + 2 * C * config.hidden) + V * C
    return new * position + L * 2 * new * length * C
