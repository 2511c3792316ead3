"""The Transformer of 2017: an encoder reads, a decoder looks at that and writes.

Vaswani et al., "Attention is all you need", 2017, section 3 and figure 1: norms after
the sublayers, ReLU, sinusoidal positions, embeddings times √C, and one table for both
languages and the output where they share a vocabulary (section 3.4).

Left out: label smoothing (`lib.losses`), the warm-up (`lib.schedules`), beam search
(`lib.models.generation`).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models import mlp
from lib.models.cache import KeyValueCache
from lib.models.configs import EncoderDecoderConfig
from lib.models.layers import Embedding
from lib.models.positions import SinusoidalPositions
from lib.models.transformer import (
    Device,
    Seen,
    check_tokens,
    describe,
    key_mask,
    make_dropout,
    make_stack,
)


class EncoderDecoder(nn.Module):
    """From one sequence to another, such as a translation.

    Args:
        config: the shape.
        seed: of the initial weights, an integer or a `torch.Generator`.
        device, dtype: of the parameters, which are drawn on the CPU in float32.
    """

    def __init__(
        self,
        config: EncoderDecoderConfig,
        seed: int | torch.Generator = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config, self.context = config, config.context
        seed, factory = mlp._generator(seed), {"device": device, "dtype": dtype}
        C = config.channels
        # Times √C in `embed`, these have the size of the positions, about 1.
        drawn = {"std": C**-0.5, "seed": seed} | factory
        self.target = Embedding(config.vocab_size, C, **drawn)
        self.source = self.target
        if config.source_vocab_size is not None:
            self.source = Embedding(config.source_vocab_size, C, **drawn)
        self.position = SinusoidalPositions(config.context, C, **factory)
        self.dropout = make_dropout(config, seed)
        self.encoder = make_stack(config, seed=seed, **factory)
        self.decoder = make_stack(config, cross=True, seed=seed, **factory)

    def __repr__(self) -> str:
        return describe(self)

    def embed(self, tokens: Tensor, table: Embedding, start: int = 0) -> Tensor:
        """(B, T) tokens, the first at position `start`, to (B, T, C).

        Args:
            table: `self.source` or `self.target`.
        """
        check_tokens(tokens)
        x = table(tokens) * self.config.channels**0.5
        return self.dropout(x + self.position(tokens.shape[1], start))

    def encode(
        self, source: Tensor, source_mask: Tensor | None = None, **options
    ) -> Tensor | Seen:
        """(B, S) tokens to the memory (B, S, C) that the decoder looks at."""
        x = self.embed(source, self.source)
        return self.encoder(x, mask=key_mask(source_mask, x), **options)

    def decode(
        self,
        target: Tensor,
        memory: Tensor,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
        **options,
    ) -> Tensor | Seen:
        """Logits of the token that follows each position of the target.

        Args:
            target: (B, T) tokens; with a cache those after its own.
            memory: of `encode`, (B, S, C), or (1, S, C) for all rows.
            source_mask, target_mask: (B, S) and (B, T), False for padding; with a cache
                target_mask is (B, cached + T).
            cache: of `new_cache`; it takes up the new positions.
            options: return_intermediates, and head_mask, scale, temperature for the
                attention of the target to itself.

        Returns:
            (B, T, V); or a dict with the names of `Stack` and "logits".
        """
        start = 0 if cache is None else len(cache)
        x = self.embed(target, self.target, start)
        result = self.decoder(
            x,
            mask=key_mask(target_mask, x, start),
            causal=True,
            context=memory,
            context_mask=key_mask(source_mask, memory),
            cache=cache,
            **options,
        )
        if isinstance(result, dict):
            return result | {"logits": self.predict(result["output"])}
        return self.predict(result)

    def predict(self, output: Tensor) -> Tensor:
        """(B, T, C) to logits (B, T, V) by the table of the target."""
        return F.linear(output, self.target.weight)

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        return_intermediates: bool = False,
    ) -> Tensor | Seen:
        """Logits of the token that follows each position of the target.

        In training, target is the wanted text without its last token, and the loss
        compares with the text without its first.

        Args:
            source: (B, S) tokens to read.
            target: (B, T) tokens written so far, the first a start token.
            source_mask, target_mask: (B, S) and (B, T) boolean, False for padding.
            return_intermediates: return everything on the way instead.

        Returns:
            (B, T, V); or a dict with the names of `Stack` behind "encoder." and
            "decoder.", and "logits".

        Raises:
            IndexError: a token out of range.
            ValueError: a sequence longer than the context, a wrong shape.
        """
        if not return_intermediates:
            memory = self.encode(source, source_mask)
            return self.decode(target, memory, source_mask, target_mask)
        read = self.encode(source, source_mask, return_intermediates=True)
        written = self.decode(
            target, read["output"], source_mask, target_mask, return_intermediates=True
        )
        logits = written.pop("logits")
        seen = {f"encoder.{name}": value for name, value in read.items()}
        seen |= {f"decoder.{name}": value for name, value in written.items()}
        return seen | {"logits": logits}

    @torch.no_grad()
    def read(self, source: Tensor, source_mask: Tensor | None = None) -> "Writer":
        """What writes an answer to a source; `lib.models.generation` takes it.

        Args:
            source: (B, S) tokens, read in evaluation mode.
        """
        training = self.training
        self.eval()
        memory = self.encode(source, source_mask)
        return Writer(self.train(training), memory, source_mask)


class Writer(nn.Module):
    """A decoder with a source before it: called like `lib.models.transformer.Decoder`.

    Args:
        model: of which the decoder writes.
        memory: (B, S, C), or (1, S, C) for all rows, of `encode`.
        source_mask: (B, S), False for padding.
    """

    def __init__(
        self, model: EncoderDecoder, memory: Tensor, source_mask: Tensor | None = None
    ) -> None:
        super().__init__()
        self.model, self.context = model, model.context
        self.memory, self.source_mask = memory, source_mask

    def new_cache(self) -> KeyValueCache:
        """An empty cache, for one batch."""
        return KeyValueCache(self.model.config.num_layers)

    def forward(self, tokens: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """(B, T) tokens to logits (B, T, V)."""
        return self.model.decode(tokens, self.memory, self.source_mask, cache=cache)
