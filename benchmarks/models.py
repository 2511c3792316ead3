"""Time of a training step and of inference against the same network in torch.nn.

    python -m benchmarks.models                    all families and sizes
    python -m benchmarks.models --quick            fewer rounds
    python -m benchmarks.models --family encoder   one family, or several
    python -m benchmarks.models --threads 1

In every row both networks have the same weights, which is checked: they give the same
output. A training step is forward, loss, backward and one step of the same optimizer,
`lib.optimizers.Adam`, so only the model differs. Inference is forward in evaluation
mode without gradients. Rounds are interleaved, in changing order; the ratio is the
median of the ratios of the rounds, ours / theirs, so below 1 is faster. Weights
are random, which takes the same time as trained ones, but for the family `pretrained`.

Bars: the training step of the Transformers at most 1.0 times the one of torch.nn, and
the encoder of the size of all-MiniLM-L6-v2 in inference at most 1.0 times
`transformers`; LSTM and GRU at most 1.05 times torch.nn's by the fused kernel, and 3.5
times by the loop. The exit status is 1 where one falls short.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.machine import facts
from lib.models.blocks import Stack
from lib.models.configs import DecoderConfig, EncoderConfig
from lib.models.names import from_bert
from lib.models.recurrent import GRU, LSTM
from lib.models.transformer import Decoder, Encoder
from lib.optimizers import Adam


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: what is compared, and its size.
        kind: "training" or "inference".
        ours, theirs: run it once.
        bar: the highest ratio allowed; None is measured only.
    """

    name: str
    kind: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    bar: float | None = None


def compare(row: Row, rounds: int, clock: Callable) -> tuple[float, float, float]:
    """Milliseconds of ours and of theirs, medians, and the median of the ratios."""
    steps = max(1, round(0.03 / _once(row.theirs, clock)))
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for i in range(rounds):
        for who in ("ours", "theirs") if i % 2 else ("theirs", "ours"):
            step = getattr(row, who)
            step()  # into the cache
            start = clock()
            for _ in range(steps):
                step()
            times[who].append((clock() - start) / steps)
    ratios = [a / b for a, b in zip(times["ours"], times["theirs"], strict=True)]
    ours, theirs = (1e3 * statistics.median(t) for t in times.values())
    return ours, theirs, statistics.median(ratios)


def _once(step: Callable, clock: Callable) -> float:
    step()
    start = clock()
    step()
    return max(clock() - start, 1e-6)


def rows_of(
    name: str,
    ours: nn.Module,
    theirs: nn.Module,
    x: Tensor,
    loss: Callable[[Tensor], Tensor],
    bar: float | None,
    inference_bar: float | None = None,
) -> Iterator[Row]:
    """Training and inference of two networks with the same weights.

    Args:
        x: the input of both.
        loss: of the output.
        bar, inference_bar: of the training step, and of inference.
    """
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-3, atol=1e-4)
    yield Row(name, "training", training(ours, x, loss), training(theirs, x, loss), bar)
    a, b = inference(ours, x), inference(theirs, x)
    yield Row(name, "inference", a, b, inference_bar)


def training(model: nn.Module, x: Tensor, loss: Callable) -> Callable[[], None]:
    """One training step; the rate is so small that the weights stay as they are."""
    optimizer = Adam(model.parameters(), learning_rate=1e-9)

    def step() -> None:
        model.train()
        value = loss(model(x))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return step


def inference(model: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    def step() -> Tensor:
        model.eval()
        with torch.inference_mode():
            return model(x)

    return step


def data(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def tokens(B: int, T: int, V: int) -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(1))


# Transformers: layers, channels, heads, batch, time
SIZES = [(2, 32, 4, 16, 32), (4, 64, 4, 16, 64), (6, 128, 8, 16, 128)]

TORCH_NAMES = {
    "blocks.": "layers.",
    "attention.qkv.": "self_attn.in_proj_",
    "attention.out.": "self_attn.out_proj.",
    "attention_norm.": "norm1.",
    "feed_forward.up.": "linear1.",
    "feed_forward.down.": "linear2.",
    "feed_forward_norm.": "norm2.",
}


def torch_state(ours: nn.Module) -> dict[str, Tensor]:
    """The weights of a `Stack` under the names of `nn.TransformerEncoder`."""
    state = {}
    for name, value in ours.state_dict().items():
        for mine, other in TORCH_NAMES.items():
            name = name.replace(mine, other)
        state[name] = value
    return state


def encoder_rows() -> Iterator[Row]:
    """`Stack` against `nn.TransformerEncoder`, in both orders of the norm."""
    for L, C, H, B, T in SIZES:
        for norm in ("post", "pre"):
            ours = Stack(L, C, H, 4 * C, "relu", norm=norm)
            layer = nn.TransformerEncoderLayer(
                C, H, 4 * C, 0.0, batch_first=True, norm_first=norm == "pre"
            )
            last = nn.LayerNorm(C) if norm == "pre" else None
            theirs = nn.TransformerEncoder(layer, L, last, norm == "post")
            theirs.load_state_dict(torch_state(ours))
            name = f"encoder {L} x {C}, {H} heads, {B} x {T}, {norm}-norm"
            x, y = data(B, T, C), data(B, T, C).flip(0)
            yield from rows_of(
                name, ours, theirs, x, lambda z, y=y: F.mse_loss(z, y), bar=1.0
            )


class PlainBlock(nn.Module):
    """A block of GPT-2 written with torch.nn."""

    def __init__(self, C: int, H: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.self_attn = nn.MultiheadAttention(C, H, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(C, 4 * C), nn.Linear(4 * C, C)
        self.gelu = nn.GELU("tanh")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = self.norm1(x)
        attended, _ = self.self_attn(
            h, h, h, attn_mask=mask, is_causal=True, need_weights=False
        )
        x = x + attended
        return x + self.linear2(self.gelu(self.linear1(self.norm2(x))))


class PlainGPT(nn.Module):
    """GPT-2 written with torch.nn, in the way its documentation suggests."""

    def __init__(self, V: int, T: int, L: int, C: int, H: int) -> None:
        super().__init__()
        self.token, self.position = nn.Embedding(V, C), nn.Embedding(T, C)
        self.layers = nn.ModuleList(PlainBlock(C, H) for _ in range(L))
        self.norm = nn.LayerNorm(C)
        mask = nn.Transformer.generate_square_subsequent_mask(T)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        T = x.shape[1]
        h = self.token(x) + self.position.weight[:T]
        for layer in self.layers:
            h = layer(h, self.mask[:T, :T])
        return F.linear(self.norm(h), self.token.weight)


def decoder_rows() -> Iterator[Row]:
    """`Decoder` against a plain GPT written with `nn.MultiheadAttention`."""
    V = 96
    for L, C, H, B, T in SIZES:
        config = DecoderConfig(
            vocab_size=V,
            context=T,
            channels=C,
            num_layers=L,
            num_heads=H,
            hidden=4 * C,
        )
        ours, theirs = Decoder(config), PlainGPT(V, T, L, C, H)
        state = torch_state(ours)
        names = {name: name.removeprefix("stack.") for name in state}
        theirs.load_state_dict({names[name]: value for name, value in state.items()})
        x, y = tokens(B, T, V), tokens(B, T, V).flip(0).flatten()
        name = f"decoder {L} x {C}, {H} heads, {B} x {T}"
        yield from rows_of(
            name,
            ours,
            theirs,
            x,
            lambda z, y=y: F.cross_entropy(z.flatten(0, 1), y),
            bar=1.0,
        )


def minilm_rows() -> Iterator[Row]:
    """An `Encoder` of the size of all-MiniLM-L6-v2 against `transformers`."""
    from transformers import BertConfig, BertModel

    config = EncoderConfig.minilm()
    theirs = BertModel(
        BertConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.channels,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            intermediate_size=config.hidden,
        )
    ).eval()
    ours = Encoder(config).eval()
    ours.load_state_dict(from_bert(theirs.state_dict(), config))
    for B, T in ((1, 16), (8, 64), (32, 128)):
        x = tokens(B, T, config.vocab_size)
        with torch.no_grad():
            expected = theirs(x).last_hidden_state
            torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-4)
        a, b = inference(ours, x), inference(theirs, x)
        yield Row(f"MiniLM's size, {B} x {T}", "inference", a, b, bar=1.0)


def pretrained_rows() -> Iterator[Row]:
    """all-MiniLM-L6-v2 itself, sentences to vectors, against `transformers`.

    Both get the same batches, with padding. The last rows begin with the text: there
    theirs has a compiled tokenizer and ours is Python with a memory of words, and ours
    puts texts of like length together.
    """
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from lib.pretrained import find_minilm, minilm

    ours = minilm()
    weights, vocabulary = find_minilm()
    config = BertConfig.from_json_file(weights.with_name("config.json"))
    theirs = BertModel(config, add_pooling_layer=False).eval()
    theirs.load_state_dict(load_file(weights), strict=False)  # the pooler is left out
    fast = PreTrainedTokenizerFast(tokenizer_file=str(vocabulary), pad_token="[PAD]")

    def vectors(tokens: Tensor, mask: Tensor) -> Tensor:
        output = theirs(tokens, attention_mask=mask).last_hidden_state
        real = mask[..., None].float()
        return F.normalize((output * real).sum(1) / real.sum(1), dim=-1)

    def from_text(texts: list[str]) -> Tensor:
        given = fast(texts, padding=True, truncation=True, return_tensors="pt")
        return vectors(given["input_ids"], given["attention_mask"])

    for B in (1, 8, 32):
        texts = [f"{SENTENCE * (1 + i % 4)}{i}" for i in range(B)]
        batch = ours.tokenizer.batch(texts)
        x, mask = batch.tokens, batch.mask
        shape, theirs_mask = f"MiniLM, {B} x {x.shape[1]}", mask.long()
        for name, a, b, bar in (
            (shape, partial(ours, x, mask), partial(vectors, x, theirs_mask), 1.0),
            (
                f"{shape}, from text",
                partial(ours.embed, texts),
                partial(from_text, texts),
                None,
            ),
        ):
            a, b = torch.inference_mode()(a), torch.inference_mode()(b)
            torch.testing.assert_close(a(), b(), rtol=0, atol=1e-5)
            yield Row(name, "inference", a, b, bar)


SENTENCE = "A short review says whether its writer liked the film, and often also why. "


# Batch, time, channels; the first is a batch of short reviews in the classifier. In the
# last a call costs as much as its arithmetic: measured only, no bar.
RECURRENT_SIZES = [(32, 32, 64), (32, 128, 64), (64, 64, 128), (16, 32, 32)]


class Outputs(nn.Module):
    """A recurrent layer without its state, run by one of its methods."""

    def __init__(self, layer: nn.Module, form: str = "forward") -> None:
        super().__init__()
        self.layer, self.form = layer, form

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self.layer, self.form)(x)[0]


def recurrent_rows() -> Iterator[Row]:
    """LSTM and GRU, the fused form and the explicit loop, against torch.nn's."""
    for kind, reference in ((LSTM, nn.LSTM), (GRU, nn.GRU)):
        for B, T, C in RECURRENT_SIZES:
            for form, bar in (("forward", 1.05), ("explicit", 3.5)):
                bar = bar if C > 32 else None
                ours, theirs = kind(C, C), reference(C, C, batch_first=True)
                weights = zip(theirs.state_dict(), ours.parameters(), strict=True)
                theirs.load_state_dict(dict(weights))
                yield from rows_of(
                    f"{kind.__name__} {B} x {T} x {C}, {form}",
                    Outputs(ours, form),
                    Outputs(theirs),
                    data(B, T, C),
                    lambda z: z.square().mean(),
                    bar,
                    bar,
                )


FAMILIES: dict[str, Callable[[], Iterator[Row]]] = {
    "encoder": encoder_rows,
    "decoder": decoder_rows,
    "minilm": minilm_rows,
    "pretrained": pretrained_rows,
    "recurrent": recurrent_rows,
}


def table(family: str, rounds: int, clock: Callable) -> bool:
    """Print the rows of a family; return whether every bar is met."""
    met = True
    print(f"\n{'ms':52}{'':11}{'lib':>9}{'theirs':>9}{'ratio':>7}{'bar':>6}")
    for row in FAMILIES[family]():
        ours, theirs, ratio = compare(row, rounds, clock)
        verdict = ""
        if row.bar is not None:
            good = ratio <= row.bar
            verdict = f"{row.bar:6.2f}  {'met' if good else 'FALLS SHORT'}"
            met = met and good
        print(f"{row.name:52}{row.kind:11}{ours:9.2f}{theirs:9.2f}", end="")
        print(f"{ratio:7.2f}{verdict}", flush=True)
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--family", nargs="+", choices=FAMILIES, default=[*FAMILIES])
    parser.add_argument("--threads", type=int, help="threads of torch; its own choice")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="count the processor's seconds, on a machine that does other work too",
    )
    options = parser.parse_args()
    if options.threads is not None:
        if options.threads < 1:
            parser.error(f"--threads is {options.threads}: give 1 or more")
        torch.set_num_threads(options.threads)
    clock = time.process_time if options.processor_time else time.perf_counter
    print(facts())
    rounds = 9 if options.quick else 25
    results = [table(family, rounds, clock) for family in options.family]
    met = all(results)
    print("\nevery bar is met" if met else "\na bar is not met")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
