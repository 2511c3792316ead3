"""The names that BERT's and GPT-2's weights have in published files, and ours.

A published file gives each matrix a name. `from_bert` and `from_gpt2` hand over the
same numbers under the names of `lib.models.transformer`. Two things differ besides the
name: BERT keeps queries, keys and values as three matrices, which are laid end to end
here; and GPT-2 keeps its matrices transposed.

Left out: reading the file and checking it (`lib.pretrained`).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from lib.models.configs import DecoderConfig, EncoderConfig

BERT = {
    "token": "embeddings.word_embeddings",
    "position": "embeddings.position_embeddings",
    "segment": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
}
BERT_BLOCK = {
    "attention.out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}
GPT2 = {"token": "wte", "position": "wpe", "stack.norm": "ln_f"}
GPT2_BLOCK = {
    "attention_norm": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.out": "attn.c_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.up": "mlp.c_fc",
    "feed_forward.down": "mlp.c_proj",
}
NO_BIAS = {"token", "position", "segment"}


def from_bert(
    weights: Mapping[str, Tensor], config: EncoderConfig
) -> dict[str, Tensor]:
    """BERT's weights for `Encoder(config).load_state_dict`.

    Args:
        weights: by the names of `transformers.BertModel`, with "bert." before them or
            without. What the encoder has no place for, such as a pretraining head, is
            left behind.

    Raises:
        ValueError: a name that is missing.
    """
    names = BERT | ({"pooler": "pooler.dense"} if config.pooler else {})
    for i in range(config.num_layers):
        names |= _block(i, BERT_BLOCK, "encoder.layer")
    result = _rename(weights, names, "bert.")
    for i in range(config.num_layers):
        parts = [f"encoder.layer.{i}.attention.self.{x}" for x in _QKV]
        for kind in ("weight", "bias"):
            found = [_find(weights, f"{part}.{kind}", "bert.") for part in parts]
            result[f"stack.blocks.{i}.attention.qkv.{kind}"] = torch.cat(found)
    return result


def from_gpt2(
    weights: Mapping[str, Tensor], config: DecoderConfig
) -> dict[str, Tensor]:
    """GPT-2's weights for `Decoder(config).load_state_dict`.

    Args:
        weights: by the names of `transformers.GPT2Model`, with "transformer." before
            them or without.

    Raises:
        ValueError: a name that is missing.
    """
    names = dict(GPT2)
    for i in range(config.num_layers):
        names |= _block(i, GPT2_BLOCK, "h")
    result = _rename(weights, names, "transformer.")
    for name, value in result.items():
        if value.dim() == 2 and name.startswith("stack."):
            result[name] = value.T.contiguous()
    return result


_QKV = ("query", "key", "value")


def _block(i: int, names: dict[str, str], place: str) -> dict[str, str]:
    return {f"stack.blocks.{i}.{a}": f"{place}.{i}.{b}" for a, b in names.items()}


def _rename(
    weights: Mapping[str, Tensor], names: dict[str, str], prefix: str
) -> dict[str, Tensor]:
    result = {}
    for ours, theirs in names.items():
        for kind in ("weight",) if ours in NO_BIAS else ("weight", "bias"):
            result[f"{ours}.{kind}"] = _find(weights, f"{theirs}.{kind}", prefix)
    return result


def _find(weights: Mapping[str, Tensor], name: str, prefix: str) -> Tensor:
    for full in (name, prefix + name):
        if full in weights:
            return weights[full]
    raise ValueError(
        f"The weights have no {name!r}. Do they belong to this kind of model, and is "
        "num_layers of the config right?"
    )
