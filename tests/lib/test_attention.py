"""Attention against torch.nn, transformers and worked examples; masks; positions."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.models.attention import (
    MultiHeadAttention,
    attention,
    attention_scores,
    attention_weights,
    causal_mask,
    fused_attention,
    padding_mask,
)
from lib.models.cache import Cache, KeyValueCache
from lib.models.positions import (
    LearnedPositions,
    Rotary,
    SinusoidalPositions,
    sinusoidal_positions,
)

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
MASKS = {
    "none": lambda B, T: None,
    "causal": lambda B, T: causal_mask(T),
    "padding": lambda B, T: padding_mask(torch.arange(B) % T + 1, T),
    "both": lambda B, T: padding_mask(torch.arange(B) % T + 1, T) & causal_mask(T),
    "no keys at all": lambda B, T: padding_mask(torch.arange(B) % T, T),
}


def data(*shape: int, dtype=torch.float32, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def close(a, b, tolerance):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def gradients(output: torch.Tensor, inputs: list) -> list:
    weights = data(*output.shape, dtype=output.dtype, seed=7) / output.numel() ** 0.5
    return torch.autograd.grad((output * weights).sum(), inputs, retain_graph=True)


@every_dtype
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("B", "T"), [(3, 5), (1, 5), (3, 1), (1, 1)])
def test_explicit_and_fused_attention_agree_with_gradients(B, T, mask, dtype):
    qkv = [data(B, 2, T, 8, dtype=dtype, seed=i).requires_grad_() for i in range(3)]
    mask = MASKS[mask](B, T)
    explicit, weights = attention(*qkv, mask)
    fused = fused_attention(*qkv, mask)
    close(explicit, fused, TOLERANCE[dtype])
    for a, b in zip(gradients(explicit, qkv), gradients(fused, qkv), strict=True):
        assert a.isfinite().all()
        close(a, b, TOLERANCE[dtype])
    if mask is not None:
        assert (weights.masked_select(~mask) == 0).all()
        allowed = mask.expand_as(weights).any(-1)
        close(weights.sum(-1), allowed.to(dtype), TOLERANCE[dtype])
        assert (explicit[~allowed] == 0).all()


def test_attention_of_a_worked_example():
    q = torch.tensor([[1.0, 0.0]])
    k = torch.tensor([[math.log(3.0), 5.0], [0.0, -5.0]])
    v = torch.tensor([[4.0, 0.0], [0.0, 8.0]])
    output, weights = attention(q, k, v, scale=1.0)
    close(weights, torch.tensor([[0.75, 0.25]]), 1e-6)
    close(output, torch.tensor([[3.0, 2.0]]), 1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_scale_and_temperature_change_both_forms_alike(causal):
    q, k, v = (data(2, 3, 4, 8, seed=i) for i in range(3))
    mask = causal_mask(4) if causal else None
    plain = attention_scores(q, k)
    close(plain, q @ k.transpose(-2, -1) / math.sqrt(8), 1e-6)
    close(attention_scores(q, k, temperature=2.0), plain / 2, 1e-6)
    close(attention_scores(q, k, scale=1.0), plain * math.sqrt(8), 1e-6)
    for options in ({"scale": 1.0}, {"temperature": 0.3}):
        explicit = attention(q, k, v, mask, **options)[0]
        close(fused_attention(q, k, v, causal=causal, **options), explicit, 1e-6)


def test_cold_attention_looks_at_one_key_and_hot_attention_at_all():
    q, k, v = (data(3, 4, 8, seed=i) for i in range(3))
    cold = attention(q, k, v, temperature=1e-4)[1]
    hot = attention(q, k, v, temperature=1e4)[1]
    close(cold.amax(-1), torch.ones(3, 4), 1e-6)
    close(hot, torch.full((3, 4, 4), 0.25), 1e-3)


def test_the_causal_argument_counts_from_the_last_key():
    q, k, v = data(2, 2, 8), data(2, 5, 8, seed=2), data(2, 5, 8, seed=3)
    explicit = attention(q, k, v, causal_mask(2, 5))[0]
    close(fused_attention(q, k, v, causal=True), explicit, 1e-6)
    close(explicit[:, -1], attention(q[:, -1:], k, v)[0][:, 0], 1e-6)


@torch.no_grad()
@pytest.mark.parametrize("T", [1, 2, 5])
def test_the_causal_argument_and_a_mask_both_hold(T):
    model, cache = MultiHeadAttention(8, 2), Cache()
    x, real = data(2, 5, 8), padding_mask(torch.tensor([5, 3]), 5)
    expected = model(x, mask=causal_mask(5) & real)[:, -T:]
    if T < 5:
        model(x[:, :-T], mask=real[..., :-T], causal=True, cache=cache)
    for explicit in (True, False):
        seen = model(
            x[:, -T:],
            mask=real,
            causal=True,
            cache=copy.deepcopy(cache),
            return_intermediates=explicit,
        )
        close(seen["output"] if explicit else seen, expected, 1e-6)


def test_masks_are_what_they_say():
    assert causal_mask(3).tolist() == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert causal_mask(1, 3).tolist() == [[True, True, True]]
    expected = [[[[False, False]]], [[[True, False]]], [[[True, True]]]]
    assert padding_mask(torch.tensor([0, 1, 2]), 2).tolist() == expected


def test_weights_of_a_row_without_keys_are_zero_and_nan_stays_visible():
    scores = torch.tensor([[0.0, 0.0], [-math.inf, -math.inf], [math.nan, 1.0]])
    weights = attention_weights(scores.requires_grad_())
    assert weights[:2].tolist() == [[0.5, 0.5], [0.0, 0.0]]
    assert weights[2].isnan().all()
    weights[:2, 0].sum().backward()
    assert scores.grad[:2].tolist() == [[0.25, -0.25], [0.0, 0.0]]


def torch_attention(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(
        ours.channels,
        ours.num_heads,
        bias=ours.qkv.bias is not None,
        batch_first=True,
        dtype=ours.qkv.weight.dtype,
    )
    names = {
        "in_proj_weight": ours.qkv.weight,
        "in_proj_bias": ours.qkv.bias,
        "out_proj.weight": ours.out.weight,
        "out_proj.bias": ours.out.bias,
    }
    theirs.load_state_dict({k: v for k, v in names.items() if v is not None})
    return theirs


@every_dtype
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["self", "causal", "padding", "cross"])
@pytest.mark.parametrize(("B", "T"), [(3, 5), (1, 5), (2, 1)])
def test_multi_head_attention_equals_torchs(B, T, kind, bias, dtype):
    ours = MultiHeadAttention(8, 2, bias=bias, seed=3, dtype=dtype)
    theirs, tolerance = torch_attention(ours), TOLERANCE[dtype]
    x = data(B, T, 8, dtype=dtype).requires_grad_()
    context = data(B, 4, 8, dtype=dtype, seed=2).requires_grad_()
    asked, inputs, mine, other = x, [x], {}, {}
    if kind == "causal":
        mine, other = {"causal": True}, {"attn_mask": ~causal_mask(T)}
    if kind == "padding":
        keep = padding_mask(torch.arange(B) % T + 1, T)
        mine, other = {"mask": keep}, {"key_padding_mask": ~keep[:, 0, 0]}
    if kind == "cross":
        asked, inputs, mine = context, [x, context], {"context": context}
    seen = ours(x, **mine, return_intermediates=True)
    output, weights = theirs(x, asked, asked, average_attn_weights=False, **other)
    close(seen["weights"], weights, tolerance)
    for result in (ours(x, **mine), seen["output"]):  # fused, explicit
        close(result, output, tolerance)
        pairs = zip(
            gradients(result, [*inputs, *ours.parameters()]),
            gradients(output, [*inputs, *theirs.parameters()]),
            strict=True,
        )
        for a, b in pairs:
            close(a, b, tolerance)


def test_intermediates_have_names_shapes_and_carry_gradients():
    model = MultiHeadAttention(12, 3)
    seen = model(data(2, 5, 12), data(2, 4, 12), return_intermediates=True)
    assert {name: tuple(value.shape) for name, value in seen.items()} == {
        "q": (2, 3, 5, 4),
        "k": (2, 3, 4, 4),
        "v": (2, 3, 4, 4),
        "scores": (2, 3, 5, 4),
        "weights": (2, 3, 5, 4),
        "heads": (2, 3, 5, 4),
        "output": (2, 5, 12),
    }
    seen["weights"].retain_grad()
    seen["output"].sum().backward()
    assert seen["weights"].grad.abs().sum() > 0


@pytest.mark.parametrize("explicit", [True, False])
def test_a_head_switched_off_adds_nothing(explicit):
    model = MultiHeadAttention(8, 4, seed=1)
    x, mask = data(2, 5, 8), torch.tensor([1, 0, 1, 1])
    result = model(x, head_mask=mask, return_intermediates=explicit)
    output = result["output"] if explicit else result
    with torch.no_grad():
        model.out.weight[:, 2:4] = 0  # the columns that read head 1
    close(output, model(x), 1e-6)
    rows = torch.tensor([[1, 1, 1, 1], [0, 0, 0, 0]])
    assert torch.equal(model(x, head_mask=rows)[1], model.out.bias.expand(5, 8))


def test_a_cache_gives_the_same_as_all_positions_at_once():
    model = MultiHeadAttention(8, 2, rotary=Rotary(16, 4), seed=2, dtype=torch.float64)
    x, cache = data(2, 7, 8, dtype=torch.float64), Cache()
    parts = [model(part, causal=True, cache=cache) for part in x.split([3, 1, 2, 1], 1)]
    close(torch.cat(parts, 1), model(x, causal=True), 1e-12)
    assert len(cache) == 7
    cache.reorder(torch.tensor([1, 1]))
    assert torch.equal(cache.k[0], cache.k[1])


def test_a_cached_context_is_projected_once():
    model, cache = MultiHeadAttention(8, 2), Cache()
    x, context = data(2, 3, 8), data(2, 5, 8, seed=2)
    first = model(x, context, cache=cache)
    close(first, model(x, context), 1e-6)
    close(model(x[:, :1], context, cache=cache), first[:, :1], 1e-6)
    assert len(cache) == 5


def test_one_context_serves_every_row():
    model, x, context = MultiHeadAttention(8, 2), data(3, 2, 8), data(1, 5, 8)
    expected = model(x, context.expand(3, 5, 8))
    close(model(x, context), expected, 1e-6)
    close(model(x, context, return_intermediates=True)["output"], expected, 1e-6)


def test_same_seed_same_weights_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    a, b, c = (MultiHeadAttention(8, 2, seed=i) for i in (1, 1, 2))
    assert torch.equal(a.qkv.weight, b.qkv.weight)
    assert not torch.equal(a.qkv.weight, c.qkv.weight)
    assert torch.equal(before, torch.get_rng_state())


# bfloat16 has 8 bits for the digits, float16 11: one rounding is 2^-9 or 2^-12 of the
# number, and a handful of them come together.
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.bfloat16, 2e-2), (torch.float16, 3e-3)], ids=str
)
def test_half_precision_stays_near_single(dtype, tolerance):
    model = MultiHeadAttention(16, 2, seed=1)
    x = data(2, 6, 16)
    expected = model(x, causal=True)
    half = model.to(dtype)
    seen = half(x.to(dtype), causal=True, return_intermediates=True)
    for result in (half(x.to(dtype), causal=True), seen["output"]):
        assert result.dtype == dtype
        close(result.float(), expected, tolerance)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_cuda_agrees_with_the_cpu():
    ours = MultiHeadAttention(64, 4, seed=1)
    x, expected = data(2, 16, 64), None
    expected = ours(x, causal=True)
    gpu = ours.cuda()
    for explicit in (True, False):
        result = gpu(x.cuda(), causal=True, return_intermediates=explicit)
        result = result["output"] if explicit else result
        torch.testing.assert_close(result.cpu(), expected, rtol=1e-4, atol=1e-5)


def test_sinusoidal_positions_follow_the_formula():
    table = sinusoidal_positions(5, 6)
    assert table.shape == (5, 6)
    for t in range(5):
        for i in range(3):
            angle = t / 10_000 ** (2 * i / 6)
            assert table[t, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-12)
            assert table[t, 2 * i + 1].item() == pytest.approx(math.cos(angle))


def test_position_modules_cut_from_the_start_asked_for():
    for module in (SinusoidalPositions(6, 4), LearnedPositions(6, 4, seed=1)):
        whole = module(6)
        assert torch.equal(module(2, start=3), whole[3:5])
        with pytest.raises(ValueError, match=r"reaches position 7, but there are 6"):
            module(3, start=4)
    assert dict(SinusoidalPositions(6, 4).state_dict()) == {}


def test_rotary_equals_the_one_of_transformers():
    reference = pytest.importorskip("transformers.models.gptj.modeling_gptj")
    x = data(2, 3, 7, 8)  # theirs is (B, T, H, D)
    sincos = reference.create_sinusoidal_positions(10, 8)
    sin, cos = sincos[None, 2:9].chunk(2, dim=-1)
    expected = reference.apply_rotary_pos_emb(x.transpose(1, 2), sin, cos)
    close(Rotary(10, 8)(x, start=2), expected.transpose(1, 2), 1e-6)


def test_rotary_products_depend_on_the_distance_only():
    rotary = Rotary(50, 8, dtype=torch.float64)
    q, k = data(2, 1, 8, dtype=torch.float64)
    products = [rotary(q, t + 3) @ rotary(k, t).T for t in (0, 5, 40)]
    close(products[0], products[1], 1e-12)
    close(products[0], products[2], 1e-12)
    assert (rotary(q, 4) @ rotary(k, 0).T - products[0]).abs() > 1e-3
    close(rotary(q, 9).norm(), q.norm(), 1e-12)


def test_key_value_cache_shows_its_size():
    assert repr(KeyValueCache(3)) == "KeyValueCache(3 layers, 0 positions)"


X = torch.zeros(2, 3, 8)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda m: m(X[0]), ValueError, r"\(3, 8\); give \(B, T, 8\)"),
        (lambda m: m(torch.zeros(2, 3, 7)), ValueError, "takes 8 numbers"),
        (lambda m: m(X.long()), TypeError, r"x\.float\(\)"),
        (lambda m: m(X, mask=torch.ones(3, 3)), TypeError, r"mask\.bool\(\)"),
        (lambda m: m(X, mask=causal_mask(4)), ValueError, "does not broadcast"),
        (lambda m: m(X, torch.zeros(3, 4, 8)), ValueError, r"give \(2, S, 8\)"),
        (lambda m: m(X, temperature=0.0), ValueError, "temperature is 0.0"),
        (lambda m: m(X, head_mask=torch.ones(3)), ValueError, "each of the 2 heads"),
        (lambda m: MultiHeadAttention(8, 3), ValueError, "must divide channels"),
        (lambda m: MultiHeadAttention(8, 0), ValueError, "num_heads is 0"),
        (lambda m: causal_mask(3, 2), ValueError, "give at least 3 keys"),
        (lambda m: padding_mask(torch.tensor([4]), 3), ValueError, "between 0 and T"),
        (lambda m: padding_mask(torch.tensor(3), 3), ValueError, r"\(B,\)"),
        (lambda m: attention(X, X[..., :4], X), ValueError, "same last size"),
        (lambda m: fused_attention(X, X, X[:, :2]), ValueError, "one value"),
        (lambda m: sinusoidal_positions(3, 5), ValueError, "5 numbers is odd"),
        (
            lambda m: Rotary(2, 4)(torch.zeros(1, 3, 4)),
            ValueError,
            "reaches position 3",
        ),
    ],
)
def test_wrong_input_is_named_in_the_error(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong(MultiHeadAttention(8, 2))


def test_a_cache_refuses_another_batch():
    model, cache = MultiHeadAttention(8, 2), Cache()
    model(X, cache=cache)
    with pytest.raises(ValueError, match="holds 2 sequences and now gets 1"):
        model(X[:1], cache=cache)


def test_fused_form_is_torchs_own_kernel(monkeypatch):
    calls = []
    kernel = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F,
        "scaled_dot_product_attention",
        lambda *a, **k: calls.append(1) or kernel(*a, **k),
    )
    MultiHeadAttention(8, 2)(X)
    assert calls == [1]
