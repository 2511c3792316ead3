"""What a Transformer looks like, in numbers, and how many parameters that makes.

Sizes: Devlin et al., "BERT", 2019; Radford et al. (GPT-2), 2019; Vaswani et al.,
"Attention is all you need", 2017, table 3; all-MiniLM-L6-v2: its `config.json`.

`num_parameters` is computed from the numbers alone, so it also counts models that do
not fit into memory. The tests hold it equal to the models of `lib.models.transformer`.

Left out: what the numbers cost in time and memory.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Config:
    """What all of them share. The defaults are small enough to train in a lesson."""

    vocab_size: int  # V, tokens that there are
    context: int = 128  # longest sequence
    channels: int = 64  # C, numbers that describe one position
    num_layers: int = 2  # L, blocks
    num_heads: int = 4  # H, divides channels
    hidden: int = 256  # F, numbers inside the feed-forward part, often 4C
    activation: str = "gelu"  # of the feed-forward part: "relu", "gelu", "gelu_tanh"
    norm: str = "pre"  # layer norm before ("pre") or after ("post") each sublayer
    epsilon: float = 1e-5  # added to the variance in each layer norm
    dropout: float = 0.0  # of embeddings and of what each sublayer adds, in training

    @property
    def attention_parameters(self) -> int:
        """Four matrices C x C with their biases: queries, keys, values, output."""
        return 4 * self.channels * self.channels + 4 * self.channels

    @property
    def norm_parameters(self) -> int:
        return 2 * self.channels  # a weight and a bias

    @property
    def block_parameters(self) -> int:
        """Attention, feed-forward part, and a norm for each."""
        C, F = self.channels, self.hidden
        feed_forward = 2 * C * F + F + C
        return self.attention_parameters + feed_forward + 2 * self.norm_parameters

    @property
    def stack_parameters(self) -> int:
        """All blocks; with "pre" a last norm."""
        last = self.norm_parameters if self.norm == "pre" else 0
        return self.num_layers * self.block_parameters + last


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(Config):
    """An encoder like BERT."""

    norm: str = "post"
    epsilon: float = 1e-12
    segments: int = 2  # kinds of text in one input, such as question and passage
    pooler: bool = False  # a last layer on the first position: one vector a text
    std: float = 0.05  # of the initial weights; the wider published ones have 0.02

    @classmethod
    def minilm(cls) -> "EncoderConfig":
        """all-MiniLM-L6-v2, 22.7 million parameters."""
        return cls(
            vocab_size=30522,
            context=512,
            channels=384,
            num_layers=6,
            num_heads=12,
            hidden=1536,
            pooler=True,
            std=0.02,
        )

    @property
    def num_parameters(self) -> int:
        """Exactly. The last norm of "pre" is here the norm of the embeddings."""
        C, L = self.channels, self.num_layers
        tables = (self.vocab_size + self.context + self.segments) * C
        pooler = C * C + C if self.pooler else 0
        return tables + self.norm_parameters + L * self.block_parameters + pooler


@dataclass(frozen=True, kw_only=True)
class DecoderConfig(Config):
    """A decoder like GPT-2."""

    activation: str = "gelu_tanh"
    positions: str = "learned"  # or "sinusoidal", "rotary"
    std: float = 0.05  # of the initial weights; the wider published ones have 0.02

    @classmethod
    def gpt2(cls) -> "DecoderConfig":
        """The smallest GPT-2, 124 million parameters."""
        return cls(
            vocab_size=50257,
            context=1024,
            channels=768,
            num_layers=12,
            num_heads=12,
            hidden=3072,
            std=0.02,
        )

    @property
    def num_parameters(self) -> int:
        """Exactly. The output matrix is the token table, so it counts once."""
        positions = self.context if self.positions == "learned" else 0
        return (self.vocab_size + positions) * self.channels + self.stack_parameters


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderConfig(Config):
    """The Transformer of 2017. `num_layers` counts for each of the two halves."""

    source_vocab_size: int | None = None  # None: one vocabulary and table for both
    activation: str = "relu"
    norm: str = "post"

    @classmethod
    def base(cls) -> "EncoderDecoderConfig":
        """The base model of the paper, English to German, 37,000 tokens."""
        return cls(
            vocab_size=37_000,
            context=512,
            channels=512,
            num_layers=6,
            num_heads=8,
            hidden=2048,
            dropout=0.1,
        )

    @property
    def num_parameters(self) -> int:
        """Exactly. Positions are sinusoidal; the output matrix is the target table."""
        rows = self.vocab_size + (self.source_vocab_size or 0)
        cross = self.attention_parameters + self.norm_parameters
        stacks = 2 * self.stack_parameters + self.num_layers * cross
        return rows * self.channels + stacks
