"""Layers, blocks and stacks against torch.nn: outputs and gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.models import layers
from lib.models.blocks import Block, Stack
from lib.models.configs import EncoderDecoderConfig
from lib.models.encoder_decoder import EncoderDecoder
from lib.models.layers import Dropout, Embedding, FeedForward, LayerNorm
from tests.lib.network_cases import (
    NETWORK,
    SMALL,
    close,
    data,
    gradients,
    scramble,
    text,
)

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


@every_dtype
def test_layer_norm_and_gelu_written_out_equal_the_kernels(dtype):
    x, norm = data(3, 4, 8, dtype=dtype), scramble(LayerNorm(8, 1e-3, dtype=dtype))
    written = layers.layer_norm(x, norm.weight, norm.bias, 1e-3)
    close(norm(x), written, TOLERANCE[dtype])
    close(written, F.layer_norm(x, (8,), norm.weight, norm.bias, 1e-3), 1e-6)
    for name in ("gelu", "gelu_tanh"):
        close(layers.ACTIVATIONS[name](x), getattr(layers, name)(x), TOLERANCE[dtype])
    assert not torch.equal(layers.gelu(x), layers.gelu_tanh(x))
    close(layers.gelu(x), layers.gelu_tanh(x), 1e-3)


def torch_names(state: dict) -> dict:
    """torch.nn's names for the parameters of a block or stack of ours."""
    cross = any("cross" in name for name in state)
    last = "norm3." if cross else "norm2."
    pairs = [
        ("blocks.", "layers."),
        ("cross_attention.", "multihead_attn."),
        ("feed_forward.up.", "linear1."),
        ("feed_forward.down.", "linear2."),
        ("attention.", "self_attn."),
        ("qkv.", "in_proj_"),
        ("out.", "out_proj."),
        ("attention_norm.", "norm1."),
        ("cross_norm.", "norm2."),
        ("feed_forward_norm.", last),
    ]
    result = {}
    for name, value in state.items():
        for ours, theirs in pairs:
            at = name.find(ours)
            if at == 0 or (at > 0 and name[at - 1] == "."):
                name = name.replace(ours, theirs)
        result[name] = value
    return result


def torch_options(activation: str, norm: str, dtype: torch.dtype) -> dict:
    return {
        "dropout": 0.0,
        "activation": layers.ACTIVATIONS[activation],
        "layer_norm_eps": 1e-5,
        "batch_first": True,
        "norm_first": norm == "pre",
        "dtype": dtype,
    }


def same_gradients(ours, theirs, a, b, inputs, tolerance):
    close(a, b, tolerance)
    mine = dict(ours.named_parameters())
    renamed = torch_names(mine)
    others = dict(theirs.named_parameters())
    assert set(renamed) == set(others)
    first = gradients(a, [*inputs, *renamed.values()])
    second = gradients(b, [*inputs, *(others[name] for name in renamed)])
    for x, y in zip(first, second, strict=True):
        close(x, y, tolerance)


@every_dtype
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh"])
@pytest.mark.parametrize(("B", "T"), [(3, 5), (1, 1)])
def test_block_equals_torchs_encoder_layer(B, T, activation, norm, dtype):
    ours = scramble(Block(8, 2, 12, activation, norm, dtype=dtype))
    options = torch_options(activation, norm, dtype)
    theirs = nn.TransformerEncoderLayer(8, 2, 12, **options)
    theirs.load_state_dict(torch_names(ours.state_dict()))
    x = data(B, T, 8, dtype=dtype).requires_grad_()
    keep = torch.ones(B, T, dtype=torch.bool)
    keep[0, T // 2 + 1 :] = False
    result = ours(x, mask=keep[:, None, None])
    expected = theirs(x, src_key_padding_mask=~keep)
    same_gradients(ours, theirs, result, expected, [x], TOLERANCE[dtype])


@every_dtype
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize(("B", "T", "S"), [(3, 5, 4), (1, 1, 1)])
def test_cross_block_equals_torchs_decoder_layer(B, T, S, norm, dtype):
    ours = scramble(Block(8, 2, 12, "relu", norm, cross=True, dtype=dtype))
    theirs = nn.TransformerDecoderLayer(8, 2, 12, **torch_options("relu", norm, dtype))
    theirs.load_state_dict(torch_names(ours.state_dict()))
    x = data(B, T, 8, dtype=dtype).requires_grad_()
    context = data(B, S, 8, dtype=dtype, seed=2).requires_grad_()
    keep = torch.ones(B, S, dtype=torch.bool)
    keep[0, S // 2 + 1 :] = False
    result = ours(x, context, keep[:, None, None], causal=True)
    rule = torch.ones(T, T, dtype=torch.bool).triu(1)
    expected = theirs(x, context, tgt_mask=rule, memory_key_padding_mask=~keep)
    same_gradients(ours, theirs, result, expected, [x, context], TOLERANCE[dtype])


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_stack_equals_torchs_encoder(norm):
    ours = scramble(Stack(3, 8, 2, 12, "gelu", norm=norm))
    layer = nn.TransformerEncoderLayer(
        8, 2, 12, **torch_options("gelu", norm, torch.float32)
    )
    last = nn.LayerNorm(8) if norm == "pre" else None
    theirs = nn.TransformerEncoder(layer, 3, last, enable_nested_tensor=False)
    theirs.load_state_dict(torch_names(ours.state_dict()))
    x = data(2, 6, 8).requires_grad_()
    same_gradients(ours, theirs, ours(x), theirs(x), [x], NETWORK)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_encoder_decoder_equals_torchs_transformer(norm):
    config = EncoderDecoderConfig(**SMALL, norm=norm)
    ours = scramble(EncoderDecoder(config))
    options = torch_options("relu", norm, torch.float32)
    theirs = nn.Transformer(16, 4, 2, 2, 24, **options)
    if norm == "post":  # torch adds a last norm that the paper does not have
        theirs.encoder.norm = theirs.decoder.norm = None
    halves = {"encoder": ours.encoder, "decoder": ours.decoder}
    for name, half in halves.items():
        getattr(theirs, name).load_state_dict(torch_names(half.state_dict()))
    source, target = text(3, 7), text(3, 5, seed=2)
    real = torch.arange(7) < torch.tensor([7, 4, 1])[:, None]
    a = ours.embed(source, ours.source), ours.embed(target, ours.target)
    rule = torch.ones(5, 5, dtype=torch.bool).triu(1)
    hidden = theirs(
        *a, tgt_mask=rule, src_key_padding_mask=~real, memory_key_padding_mask=~real
    )
    expected = hidden @ ours.target.weight.T
    result = ours(source, target, source_mask=real)
    close(result, expected)
    for name, half in halves.items():
        mine = torch_names(dict(half.named_parameters()))
        others = dict(getattr(theirs, name).named_parameters())
        first = gradients(result, list(mine.values()))
        second = gradients(expected, [others[key] for key in mine])
        for x, y in zip(first, second, strict=True):
            close(x, y)


def test_encoder_decoder_embeds_as_the_paper_says():
    model = EncoderDecoder(EncoderDecoderConfig(**SMALL, source_vocab_size=30))
    x = model.embed(torch.tensor([[3, 4]]), model.source)
    expected = model.source.weight[[3, 4]] * 4  # √16
    close(x[0, 0], expected[0] + torch.tensor([0.0, 1.0] * 8), 1e-6)
    assert model.source is not model.target
    assert EncoderDecoder(EncoderDecoderConfig(**SMALL)).source.weight.shape == (50, 16)


def test_dropout_keeps_the_mean_draws_from_its_own_seed_and_rests_in_evaluation():
    x = torch.ones(100, 100)
    a, b, c = Dropout(0.25, seed=1), Dropout(0.25, seed=1), Dropout(0.25, seed=2)
    first = a(x)
    assert torch.equal(first, b(x))
    assert not torch.equal(first, c(x))
    assert not torch.equal(first, a(x))
    assert first.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert first.mean().item() == pytest.approx(1.0, abs=0.03)
    assert torch.equal(a.eval()(x), x)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: Block(8, 2, 8, cross=True)(data(1, 2, 8)), ValueError, "context="),
        (lambda: FeedForward(8, 0), ValueError, "outputs is 0"),
        (lambda: Embedding(0, 8), ValueError, "count is 0"),
        (lambda: Block(8, 2, 8, norm="middle"), ValueError, "'pre' or 'post'"),
        (lambda: FeedForward(8, 8, "swish"), ValueError, "relu, gelu, gelu_tanh"),
        (lambda: Dropout(1.0), ValueError, "dropout is 1.0"),
        (lambda: Stack(0, 8, 2, 8), ValueError, "num_layers is 0"),
        (lambda: Embedding(5, 8)(torch.tensor([1.0])), TypeError, "whole numbers"),
        (lambda: Embedding(5, 8)(torch.tensor([5])), IndexError, "5 rows, 0 to 4"),
    ],
)
def test_wrong_use_is_named_in_the_error(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()
