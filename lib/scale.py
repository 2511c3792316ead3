"""What a Transformer costs: parameters, operations, memory, hours, from its shape.

Parameters follow `lib.models.configs` part by part and are exact for the models of
`lib.models.transformer`. Operations: a weight takes part in one multiplication and one
addition for each token (Kaplan et al., "Scaling Laws for Neural Language Models", 2020,
section 2.1), and attention over a full context adds 4 L T C (Chowdhery et al., "PaLM",
2022, appendix B); the backward pass costs twice the forward one. Activations:
Korthikanti et al., "Reducing Activation Recomputation in Large Transformer Models",
2022, equation 1, T B C L (34 + 5 H T / C) bytes with 16-bit numbers and dropout.
Without dropout, as here, its masks and copies fall away: 32 + 2 H T / C.

Sizes of published models: GPT-2, Radford et al., 2019, table 2 (small: 12 layers, which
the released weights confirm); BERT base, Devlin et al., 2019; GPT-3, Brown et al.,
2020, table 2.1; all-MiniLM-L6-v2: its `config.json`. Peaks of GPUs: NVIDIA's data
sheets, dense, without sparsity; 32 bits without TF32, 16 bits with tensor cores (V100
and T4: float16 only). The tables of specifications of
- V100: images.nvidia.com/content/technologies/volta/pdf/
  volta-v100-datasheet-update-us-1165301-r5.pdf, column SXM2;
- T4: www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/tesla-t4/
  t4-tensor-core-datasheet-951643.pdf;
- A100: www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/
  nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf, column 80GB SXM;
- H100: resources.nvidia.com/en-us-gpu-resources/h100-datasheet-24306, column SXM; it
  gives 1,979 TFLOPS in 16 bits with sparsity, twice the dense peak.

Left out: mixtures of experts, grouped queries, several GPUs' traffic, inference caches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lib.models.configs import DecoderConfig, EncoderConfig

BYTES = {"fp32": 4, "bf16": 2}  # of an activation
# Bytes a parameter takes in training with Adam: weights, gradients, optimizer state.
# Mixed: 16-bit weights and gradients, and in 32 bits a master copy and two moments.
STATES = {"fp32": (4, 4, 8), "bf16": (2, 2, 12)}
# name -> (what it is, peak of dense 32-bit and 16-bit operations a second, bytes)
GPUS: dict[str, tuple[str, float, float, float]] = {
    "v100": ("V100 SXM2, 32 GB", 15.7e12, 125e12, 32e9),
    "t4": ("T4, 16 GB", 8.1e12, 65e12, 16e9),
    "a100": ("A100 SXM, 80 GB", 19.5e12, 312e12, 80e9),
    "h100": ("H100 SXM, 80 GB", 67e12, 989e12, 80e9),
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A Transformer as numbers; the names are those of `lib.models.configs`.

    Fields:
        kind: "decoder" like GPT-2 or "encoder" like BERT.
        tied: a decoder's output matrix is its token table; else one more table.
        segments, pooler: of an encoder.
    """

    kind: str = "decoder"
    num_layers: int = 2
    channels: int = 64
    num_heads: int = 4
    hidden: int = 256
    vocab_size: int = 256
    context: int = 128
    tied: bool = True
    segments: int = 2
    pooler: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("decoder", "encoder"):
            raise ValueError(f"kind is {self.kind!r}; choose 'decoder' or 'encoder'.")
        for name in ("num_layers", "channels", "num_heads", "hidden", "vocab_size",
                     "context"):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; give a whole number from 1.")

    def config(self) -> DecoderConfig | EncoderConfig:
        """The same shape for `lib.models.transformer`; its output matrix is tied."""
        names = ("num_layers", "channels", "num_heads", "hidden", "vocab_size",
                 "context")  # fmt: skip
        values = {name: getattr(self, name) for name in names}
        if self.kind == "decoder":
            return DecoderConfig(**values)
        return EncoderConfig(**values, segments=self.segments, pooler=self.pooler)


def _of(config: DecoderConfig | EncoderConfig, kind: str) -> Shape:
    names = set(Shape.__dataclass_fields__) & set(config.__dataclass_fields__)
    return Shape(kind=kind, **{name: getattr(config, name) for name in names})


_GPT2 = _of(DecoderConfig.gpt2(), "decoder")
PRESETS: dict[str, tuple[str, Shape]] = {
    "course": ("the course's small GPT", _of(DecoderConfig(vocab_size=256), "decoder")),
    "minilm": ("all-MiniLM-L6-v2", _of(EncoderConfig.minilm(), "encoder")),
    "bert": ("BERT base", Shape(
        kind="encoder", num_layers=12, channels=768, num_heads=12, hidden=3072,
        vocab_size=30522, context=512, pooler=True)),
    "gpt2": ("GPT-2 small", _GPT2),
    "gpt2-xl": ("GPT-2 XL", replace(
        _GPT2, num_layers=48, channels=1600, num_heads=25, hidden=6400)),
    "gpt3": ("GPT-3 175B", replace(
        _GPT2, num_layers=96, channels=12288, num_heads=96, hidden=49152,
        context=2048)),
}  # fmt: skip


def parameters(shape: Shape) -> dict[str, int]:
    """How many parameters each part has; their sum is exact for lib's models."""
    C, F, L = shape.channels, shape.hidden, shape.num_layers
    encoder = shape.kind == "encoder"
    positions = shape.context + (shape.segments if encoder else 0)
    output = C * C + C if encoder and shape.pooler else 0
    if not encoder and not shape.tied:
        output = shape.vocab_size * C
    return {
        "tokens": shape.vocab_size * C,
        "positions": positions * C,
        "attention": L * (4 * C * C + 4 * C),
        "feed_forward": L * (2 * C * F + F + C),
        "norms": 2 * C * (2 * L + 1),
        "output": output,
    }


def operations(shape: Shape) -> dict[str, float]:
    """Floating-point operations for one token of a full context, forward.

    "weights" is two for each weight of the matrices, "attention" what scores and mixing
    add, "output" the product with the token table (decoders). Training is three times
    the sum, so about 6 N where attention is short against the width.
    """
    C, F, L, T = shape.channels, shape.hidden, shape.num_layers, shape.context
    return {
        "weights": 2.0 * L * (4 * C * C + 2 * C * F),
        "attention": 4.0 * L * T * C,
        "output": 2.0 * shape.vocab_size * C if shape.kind == "decoder" else 0.0,
    }


def memory(shape: Shape, batch: int, precision: str = "bf16") -> dict[str, float]:
    """Bytes that training with Adam takes, without recomputation of activations.

    Args:
        batch: B, sequences of full context at once.
        precision: "fp32", or "bf16" for mixed precision.

    Raises:
        ValueError: another precision, or a batch below 1.
    """
    if precision not in BYTES or batch < 1:
        raise ValueError(
            f"precision is {precision!r} and batch {batch}; give one of "
            f"{', '.join(BYTES)} and 1 sequence or more."
        )
    N = sum(parameters(shape).values())
    weights, gradients, states = (N * b for b in STATES[precision])
    C, F, T = shape.channels, shape.hidden, shape.context
    # numbers kept a token and layer: attention 5 C and H T weights of it, feed-forward
    # C + 2 F, two norms 2 C
    kept = 8 * C + 2 * F + shape.num_heads * T
    logits = shape.vocab_size if shape.kind == "decoder" else 0
    numbers = batch * T * (shape.num_layers * kept + logits)
    return {
        "weights": weights,
        "gradients": gradients,
        "optimizer": states,
        "activations": float(numbers * BYTES[precision]),
    }


def gpu_hours(
    shape: Shape,
    tokens: float,
    gpu: str = "a100",
    utilisation: float = 0.4,
    precision: str = "bf16",
) -> float:
    """Hours of one GPU for training on so many tokens.

    Args:
        tokens: in all, repeated ones counted again.
        gpu: a name in `GPUS`.
        utilisation: part of the peak that is reached, above 0 to 1; 0.3 to 0.5 is good.
        precision: as in `memory`.

    Raises:
        ValueError: a GPU or precision that is not known, a utilisation out of range.
    """
    if gpu not in GPUS or precision not in BYTES or not 0 < utilisation <= 1:
        raise ValueError(
            f"gpu is {gpu!r}, precision {precision!r}, utilisation {utilisation}; give "
            f"one of {', '.join(GPUS)}, one of {', '.join(BYTES)}, and a utilisation "
            "above 0 to 1."
        )
    peak = GPUS[gpu][1 if precision == "fp32" else 2]
    total = 3 * sum(operations(shape).values()) * tokens
    return total / (peak * utilisation) / 3600
