"""Two Transformers: an encoder like BERT and a decoder like GPT-2.

Encoder: Devlin et al., "BERT", 2019. Decoder: Radford et al., "Language models are
unsupervised multitask learners" (GPT-2), 2019. Both together, the Transformer of 2017:
`lib.models.encoder_decoder`. The parts are in `lib.models.blocks`, and the names that
pretrained weights have elsewhere in `lib.models.names`.

Each has `embed`, from tokens to vectors, and `transform`, which starts from vectors, so
that a lesson can change the vectors and see what follows.

Left out: the heads that BERT was pretrained with, an output matrix of the decoder's own
(it is the embedding table here), training (`lib.training`).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models import mlp
from lib.models.blocks import Stack
from lib.models.cache import KeyValueCache
from lib.models.configs import Config, DecoderConfig, EncoderConfig
from lib.models.layers import Dropout, Embedding, LayerNorm, Linear
from lib.models.positions import LearnedPositions, Rotary, SinusoidalPositions

Seen = dict[str, Tensor]
Device = torch.device | str | None


class Encoder(nn.Module):
    """Every position sees every other: for classes, tags, answers, search.

    Args:
        config: the shape.
        seed: of the initial weights, an integer or a `torch.Generator`.
        device, dtype: of the parameters, which are drawn on the CPU in float32.
    """

    def __init__(
        self,
        config: EncoderConfig,
        seed: int | torch.Generator = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config, seed = config, mlp._generator(seed)
        C, factory = config.channels, {"device": device, "dtype": dtype}
        drawn = {"std": config.std, "seed": seed} | factory
        self.token = Embedding(config.vocab_size, C, **drawn)
        self.position = LearnedPositions(config.context, C, **drawn)
        self.segment = Embedding(config.segments, C, **drawn)
        post = config.norm == "post"  # with "pre" the sum is normed at the end instead
        self.norm = LayerNorm(C, config.epsilon, **factory) if post else nn.Identity()
        self.dropout = make_dropout(config, seed)
        self.stack = make_stack(config, seed=seed, **factory)
        self.pooler = Linear(C, C, seed=seed, **factory) if config.pooler else None
        _draw_normal(self, config.std, seed)

    def __repr__(self) -> str:
        return describe(self)

    def embed(self, tokens: Tensor, segments: Tensor | None = None) -> Tensor:
        """(B, T) tokens, and segments (None is 0 everywhere), to (B, T, C)."""
        check_tokens(tokens)
        if segments is None:
            segments = torch.zeros_like(tokens)
        x = self.token(tokens) + self.position(tokens.shape[1]) + self.segment(segments)
        return self.dropout(self.norm(x))

    def transform(
        self, x: Tensor, mask: Tensor | None = None, **options
    ) -> Tensor | Seen:
        """The blocks alone, from what `embed` gives; the rest as in `forward`."""
        return self.stack(x, mask=key_mask(mask, x), **options)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        segments: Tensor | None = None,
        return_intermediates: bool = False,
        **attention,
    ) -> Tensor | Seen:
        """A vector for each token that knows its context.

        Args:
            tokens: (B, T) whole numbers below V.
            mask: (B, T) boolean, True where a token is real, False for padding.
            segments: (B, T), 0 or 1; None is 0 everywhere.
            return_intermediates: return everything on the way instead.
            attention: head_mask (L, H), scale, temperature, as in
                `MultiHeadAttention`.

        Returns:
            (B, T, C); or a dict with "embeddings" and the names of `Stack`, among them
            "attention_maps" (L, B, H, T, T) and "hidden_states" (L + 1, B, T, C).

        Raises:
            IndexError: a token out of range.
            ValueError: a sequence longer than the context, a wrong shape.
        """
        x = self.embed(tokens, segments)
        attention["return_intermediates"] = return_intermediates
        result = self.transform(x, mask, **attention)
        return {"embeddings": x} | result if return_intermediates else result

    def pool(self, output: Tensor) -> Tensor:
        """(B, T, C) to one vector a text, from its first position: (B, C)."""
        if self.pooler is None:
            raise ValueError("This encoder has no pooler; its config has pooler=False.")
        return torch.tanh(self.pooler(output[:, 0]))


class EncoderClassifier(nn.Module):
    """An encoder, the mean over the real tokens, and a linear layer.

    Args:
        config: of the encoder.
        classes: how many.
        padding: the token that fills up short texts; it is not looked at.
        seed, device, dtype: as in `Encoder`.
    """

    def __init__(
        self,
        config: EncoderConfig,
        classes: int,
        padding: int = 0,
        seed: int | torch.Generator = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        factory = {"seed": mlp._generator(seed), "device": device, "dtype": dtype}
        self.encoder, self.padding = Encoder(config, **factory), padding
        self.head = Linear(config.channels, classes, **factory)

    def forward(
        self, tokens: Tensor, return_intermediates: bool = False, **attention
    ) -> Tensor | Seen:
        """(B, T) tokens to (B, classes) logits, or a dict: the encoder's names, "mean"
        (B, C) and "logits". Further arguments and errors as in `Encoder.forward`."""
        mask = tokens != self.padding
        attention["return_intermediates"] = return_intermediates
        seen = self.encoder(tokens, mask, **attention)
        mean = mean_pool(seen["output"] if return_intermediates else seen, mask)
        logits = self.head(mean)
        if return_intermediates:
            return seen | {"mean": mean, "logits": logits}
        return logits


def mean_pool(x: Tensor, mask: Tensor) -> Tensor:
    """The mean over the real positions: (B, T, C) and (B, T) to (B, C); 0 for none."""
    real = mask.to(x.dtype)[..., None]
    return (x * real).sum(1) / real.sum(1).clamp(min=1)


class Decoder(nn.Module):
    """Every position sees only what came before it, and predicts the next token.

    Args:
        config: the shape.
        seed, device, dtype: as in `Encoder`.
    """

    def __init__(
        self,
        config: DecoderConfig,
        seed: int | torch.Generator = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config, self.context = config, config.context
        seed, factory = mlp._generator(seed), {"device": device, "dtype": dtype}
        drawn = {"std": config.std, "seed": seed} | factory
        C, rotary = config.channels, None
        self.token = Embedding(config.vocab_size, C, **drawn)
        self.position = None
        if config.positions == "learned":
            self.position = LearnedPositions(config.context, C, **drawn)
        elif config.positions == "sinusoidal":
            self.position = SinusoidalPositions(config.context, C, **factory)
        elif config.positions == "rotary":
            rotary = Rotary(config.context, C // config.num_heads, **factory)
        else:
            raise ValueError(
                f"positions is {config.positions!r}; choose 'learned', 'sinusoidal' or "
                "'rotary'."
            )
        self.dropout = make_dropout(config, seed)
        self.stack = make_stack(config, rotary=rotary, seed=seed, **factory)
        _draw_normal(self, config.std, seed)
        _calm_sums(self.stack)

    def __repr__(self) -> str:
        return describe(self)

    def new_cache(self) -> KeyValueCache:
        """An empty cache, for one batch."""
        return KeyValueCache(self.config.num_layers)

    def embed(self, tokens: Tensor, start: int = 0) -> Tensor:
        """(B, T) tokens, the first at position `start`, to (B, T, C)."""
        check_tokens(tokens)
        x = self.token(tokens)
        if self.position is not None:
            x = x + self.position(tokens.shape[1], start)
        return self.dropout(x)

    def transform(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
        **options,
    ) -> Tensor | Seen:
        """The blocks and the output, from what `embed` gives; else as in `forward`."""
        start = 0 if cache is None else len(cache)
        mask = key_mask(mask, x, start)
        result = self.stack(x, mask=mask, causal=True, cache=cache, **options)
        if isinstance(result, dict):
            return result | {"logits": self.predict(result["output"])}
        return self.predict(result)

    def predict(self, output: Tensor) -> Tensor:
        """(B, T, C) to logits (B, T, V): how well each row of the token table fits."""
        return F.linear(output, self.token.weight)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
        return_intermediates: bool = False,
        **attention,
    ) -> Tensor | Seen:
        """Logits of the token that follows each position.

        Args:
            tokens: (B, T) whole numbers below V; with a cache those after its own.
            mask: (B, T), with a cache (B, cached + T): False for padding.
            cache: of `new_cache`; it takes up the new positions.
            return_intermediates: return everything on the way instead.
            attention: as in `Encoder.forward`.

        Returns:
            (B, T, V); or a dict with "embeddings", the names of `Stack` and "logits".

        Raises:
            IndexError: a token out of range.
            ValueError: a sequence longer than the context, a wrong shape.
        """
        x = self.embed(tokens, 0 if cache is None else len(cache))
        attention |= {"cache": cache, "return_intermediates": return_intermediates}
        result = self.transform(x, mask, **attention)
        return {"embeddings": x} | result if return_intermediates else result


def make_stack(config: Config, **options) -> Stack:
    """The blocks of a config; options are cross, rotary, seed, device, dtype."""
    return Stack(
        config.num_layers,
        config.channels,
        num_heads=config.num_heads,
        hidden=config.hidden,
        activation=config.activation,
        norm=config.norm,
        epsilon=config.epsilon,
        dropout=config.dropout,
        **options,
    )


def key_mask(mask: Tensor | None, x: Tensor, start: int = 0) -> Tensor | None:
    """(B, S), True where a token is real, to (B, 1, 1, S); S is start + T."""
    if mask is None:
        return None
    B, S = len(x), start + x.shape[1]
    if mask.shape != (B, S):
        raise ValueError(
            f"mask has the shape {tuple(mask.shape)}; give one value for each token, "
            f"({B}, {S})."
        )
    return mask[:, None, None]


def check_tokens(tokens: Tensor) -> None:
    """Say that tokens are (B, T), both at least 1."""
    if tokens.dim() != 2 or not tokens.numel():
        raise ValueError(
            f"tokens have the shape {tuple(tokens.shape)}; give (B, T), at least one "
            "of each. One text alone: tokens[None]."
        )


def describe(model: nn.Module) -> str:
    """One line: the kind, the shape, the number of parameters."""
    c, count = model.config, sum(p.numel() for p in model.parameters())
    return (
        f"{type(model).__name__}({c.num_layers} layers, {c.num_heads} heads, "
        f"{c.channels} channels, {c.vocab_size:,} tokens, context {c.context}, "
        f"{count:,} parameters)"
    )


def make_dropout(config: Config, generator: torch.Generator) -> Dropout:
    """Dropout for embeddings, with a seed of its own."""
    number = torch.randint(2**31, (), generator=generator).item()
    return Dropout(config.dropout, number)


@torch.no_grad()
def _draw_normal(model: nn.Module, std: float, generator: torch.Generator) -> None:
    """Matrices normal around 0, biases 0, as BERT and GPT-2 begin."""
    for layer in model.modules():
        if isinstance(layer, Linear):
            w = torch.randn(layer.weight.shape, generator=generator) * std
            layer.weight.copy_(w)
            layer.bias.zero_()


@torch.no_grad()
def _calm_sums(stack: Stack) -> None:
    """Divide what is added to the sum by √(2L), so that it grows no faster with more
    blocks (GPT-2, section 2.3: 1 / √N for N additions)."""
    for block in stack.blocks:
        block.attention.out.weight /= (2 * len(stack.blocks)) ** 0.5
        block.feed_forward.down.weight /= (2 * len(stack.blocks)) ** 0.5
