"""Encoder, decoder and encoder-decoder: equal to transformers, exact counts, errors."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.models.configs import DecoderConfig, EncoderConfig, EncoderDecoderConfig
from lib.models.encoder_decoder import EncoderDecoder
from lib.models.names import from_bert, from_gpt2
from lib.models.transformer import Decoder, Encoder, EncoderClassifier, mean_pool
from tests.lib.network_cases import SMALL, close, data, gradients, scramble, text


@pytest.fixture(scope="module")
def transformers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("transformers")


def bert(transformers, **options):
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=24,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
    )
    return scramble(transformers.BertModel(config, **options)).eval()


def gpt2(transformers):
    config = transformers.GPT2Config(
        vocab_size=50,
        n_embd=16,
        n_layer=3,
        n_head=4,
        n_positions=16,
        n_inner=24,
        bos_token_id=0,
        eos_token_id=0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        resid_pdrop=0.0,
        attn_implementation="eager",
    )
    return scramble(transformers.GPT2LMHeadModel(config)).eval()


def test_encoder_equals_bert_with_every_attention_map_and_gradient(transformers):
    theirs = bert(transformers)
    config = EncoderConfig(**SMALL, num_layers=3, pooler=True)
    ours = Encoder(config, seed=3)
    ours.load_state_dict(from_bert(theirs.state_dict(), config))
    tokens, segments = text(), text(V=2, seed=2)
    mask = torch.arange(7) < torch.tensor([7, 4, 1])[:, None]
    expected = theirs(
        tokens,
        attention_mask=mask.long(),
        token_type_ids=segments,
        output_attentions=True,
        output_hidden_states=True,
    )
    seen = ours(tokens, mask, segments, return_intermediates=True)
    close(seen["attention_maps"], torch.stack(expected.attentions))
    close(seen["hidden_states"], torch.stack(expected.hidden_states))
    close(seen["embeddings"], expected.hidden_states[0])
    fused = ours(tokens, mask, segments)
    for output in (fused, seen["output"]):
        close(output, expected.last_hidden_state)
    close(ours.pool(fused), expected.pooler_output)
    (a,) = gradients(fused, [ours.token.weight])
    table = theirs.embeddings.word_embeddings.weight
    # Row 0 is padding to `transformers`: it gets no gradient there.
    close(a[1:], gradients(expected.last_hidden_state, [table])[0][1:])
    query = theirs.encoder.layer[0].attention.self.query.weight
    (b,) = gradients(expected.last_hidden_state, [query])
    qkv = ours.stack.blocks[0].attention.qkv.weight
    close(gradients(fused, [qkv])[0][:16], b)


def test_decoder_equals_gpt2_with_every_attention_map_and_gradient(transformers):
    theirs = gpt2(transformers)
    config = DecoderConfig(**SMALL, num_layers=3)
    ours = Decoder(config, seed=3)
    ours.load_state_dict(from_gpt2(theirs.state_dict(), config))
    tokens = text()
    mask = torch.arange(7) < torch.tensor([7, 4, 1])[:, None]
    expected = theirs(
        tokens,
        attention_mask=mask.long(),
        output_attentions=True,
        output_hidden_states=True,
    )
    seen = ours(tokens, mask, return_intermediates=True)
    close(seen["attention_maps"], torch.stack(expected.attentions))
    close(seen["hidden_states"][:-1], torch.stack(expected.hidden_states[:-1]))
    close(seen["output"], expected.hidden_states[-1])
    for logits in (ours(tokens, mask), seen["logits"]):
        close(logits, expected.logits)
    ours_p = [ours.token.weight, ours.stack.blocks[1].attention.qkv.weight]
    block = theirs.transformer.h[1].attn.c_attn.weight
    a = gradients(ours(tokens, mask), ours_p)
    b = gradients(expected.logits, [theirs.transformer.wte.weight, block])
    close(a[0], b[0])
    close(a[1], b[1].T)


@pytest.mark.parametrize("prefix", ["bert.", ""])
def test_names_of_published_files_are_found_with_and_without_prefix(prefix):
    weights = {"encoder.layer.0.x": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"no 'embeddings\.word_embeddings\.weight'"):
        from_bert(weights, EncoderConfig(**SMALL))
    state = {f"{prefix}{name}": value for name, value in gpt2_like().items()}
    config = DecoderConfig(**SMALL, num_layers=1)
    prefix_of_gpt = {
        name.replace("bert.", "transformer."): v for name, v in state.items()
    }
    Decoder(config).load_state_dict(from_gpt2(prefix_of_gpt, config))


def gpt2_like() -> dict[str, torch.Tensor]:
    shapes = {
        "wte.weight": (50, 16),
        "wpe.weight": (16, 16),
        "ln_f.weight": (16,),
        "ln_f.bias": (16,),
        "h.0.attn.bias": (1, 1, 16, 16),  # a mask that old files hold
        "h.0.ln_1.weight": (16,),
        "h.0.ln_1.bias": (16,),
        "h.0.ln_2.weight": (16,),
        "h.0.ln_2.bias": (16,),
        "h.0.attn.c_attn.weight": (16, 48),
        "h.0.attn.c_attn.bias": (48,),
        "h.0.attn.c_proj.weight": (16, 16),
        "h.0.attn.c_proj.bias": (16,),
        "h.0.mlp.c_fc.weight": (16, 24),
        "h.0.mlp.c_fc.bias": (24,),
        "h.0.mlp.c_proj.weight": (24, 16),
        "h.0.mlp.c_proj.bias": (16,),
    }
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


MODELS = {
    "encoder post": lambda **o: Encoder(EncoderConfig(**SMALL, **o)),
    "encoder pre": lambda **o: Encoder(EncoderConfig(**SMALL, norm="pre", **o)),
    "encoder pooler": lambda **o: Encoder(EncoderConfig(**SMALL, pooler=True, **o)),
    "decoder": lambda **o: Decoder(DecoderConfig(**SMALL, **o)),
    "decoder post": lambda **o: Decoder(DecoderConfig(**SMALL, norm="post", **o)),
    "decoder sinusoidal": lambda **o: Decoder(
        DecoderConfig(**SMALL, positions="sinusoidal", **o)
    ),
    "decoder rotary": lambda **o: Decoder(
        DecoderConfig(**SMALL, positions="rotary", **o)
    ),
    "both": lambda **o: EncoderDecoder(EncoderDecoderConfig(**SMALL, **o)),
    "both pre, two tables": lambda **o: EncoderDecoder(
        EncoderDecoderConfig(**SMALL, norm="pre", source_vocab_size=50, **o)
    ),
}
every_model = pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)


def run(model: nn.Module, tokens: torch.Tensor, **options):
    if isinstance(model, EncoderDecoder):
        return model(tokens, tokens, **options)
    return model(tokens, **options)


@every_model
def test_number_of_parameters_is_exact(build):
    model = build(num_layers=3, num_heads=2)
    count = sum(p.numel() for p in model.parameters())
    assert model.config.num_parameters == count
    assert f"{count:,} parameters" in repr(model)


def test_numbers_of_parameters_of_published_models():
    assert EncoderConfig.minilm().num_parameters == 22_713_216
    assert DecoderConfig.gpt2().num_parameters == 124_439_808
    assert round(EncoderDecoderConfig.base().num_parameters / 1e6) == 63


@every_model
@pytest.mark.parametrize("B", [1, 3])
def test_explicit_and_fused_forms_of_whole_models_agree(build, B):
    model = scramble(build())
    for T in (1, 7):
        seen = run(model, text(B, T), return_intermediates=True)
        output = seen["logits"] if "logits" in seen else seen["output"]
        close(run(model, text(B, T)), output)
        maps = [
            value for name, value in seen.items() if name.endswith("attention_maps")
        ]
        hidden = [value for name, value in seen.items() if "hidden_states" in name]
        assert len(maps) == (3 if isinstance(model, EncoderDecoder) else 1)
        assert all(value.shape == (2, B, 4, T, T) for value in maps)
        assert all(value.shape == (3, B, T, 16) for value in hidden)


def test_a_gradient_reaches_the_attention_weights_of_every_block():
    model = Encoder(EncoderConfig(**SMALL))
    seen = model(text(), return_intermediates=True)
    for i in range(2):
        seen[f"blocks.{i}.attention.weights"].retain_grad()
        seen[f"blocks.{i}.output"].retain_grad()
    (seen["output"] * data(3, 7, 16)).sum().backward()
    for i in range(2):
        assert seen[f"blocks.{i}.attention.weights"].grad.abs().sum() > 0
        assert seen[f"blocks.{i}.output"].grad.abs().sum() > 0


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary"])
def test_decoder_sees_no_later_token_but_every_earlier_one(positions):
    model = scramble(Decoder(DecoderConfig(**SMALL, positions=positions)))
    a = text(1, 6)
    b = a.clone()
    b[0, 3] = (a[0, 3] + 1) % 50
    changed = (model(a) - model(b)).abs().amax(-1)[0] > 1e-6
    assert changed.tolist() == [False, False, False, True, True, True]


def test_without_segments_every_token_belongs_to_the_first():
    model = scramble(Encoder(EncoderConfig(**SMALL)))
    zeros, ones = torch.zeros_like(text()), torch.ones_like(text())
    assert torch.equal(model(text()), model(text(), segments=zeros))
    assert not torch.equal(model(text()), model(text(), segments=ones))


def test_padding_changes_nothing_for_the_real_tokens():
    model = scramble(Encoder(EncoderConfig(**SMALL)))
    tokens = text(2, 6)
    mask = torch.arange(6) < torch.tensor([6, 4])[:, None]
    close(model(tokens, mask)[1, :4], model(tokens[1:, :4])[0], 1e-6)


def test_classifier_ignores_padding_and_gives_named_tensors():
    model = scramble(EncoderClassifier(EncoderConfig(**SMALL), classes=3, padding=0))
    tokens = text(2, 6).clamp(min=1)
    padded = F.pad(tokens, (0, 4))
    close(model(padded), model(tokens), 1e-6)
    seen = model(padded, return_intermediates=True)
    close(seen["logits"], model(padded), 1e-6)
    assert seen["mean"].shape == (2, 16)
    assert mean_pool(data(1, 3, 2), torch.zeros(1, 3) > 0).tolist() == [[0.0, 0.0]]
    assert model(torch.zeros(1, 4, dtype=torch.int64)).isfinite().all()


def test_head_mask_temperature_and_scale_reach_every_block():
    model = scramble(Encoder(EncoderConfig(**SMALL)))
    tokens, heads = text(), torch.ones(2, 4)
    close(model(tokens, head_mask=heads), model(tokens), 1e-6)
    heads[1, 2] = 0
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.stack.blocks[1].attention.out.weight[:, 8:12] = 0
    close(model(tokens, head_mask=heads), changed(tokens), 1e-6)
    hot = model(tokens, temperature=1e6, return_intermediates=True)["attention_maps"]
    close(hot, torch.full_like(hot, 1 / 7), 1e-3)
    close(model(tokens, scale=0.5), model(tokens), 1e-6)  # 1 / √4 is the default


def test_transform_from_embeddings_gives_what_forward_gives():
    tokens = text()
    for model in (MODELS["encoder post"](), MODELS["decoder"]()):
        assert torch.equal(model.transform(model.embed(tokens)), model(tokens))


@every_model
def test_half_precision_stays_near_single(build):
    # Rounding to bfloat16 is 2^-9 of a number; outputs here are of size 1 to 4.
    model = build()
    expected = run(model, text())
    result = run(copy.deepcopy(model).bfloat16(), text())
    assert result.dtype == torch.bfloat16
    close(result.float(), expected, 5e-2)


@every_model
def test_seed_decides_the_weights_and_the_global_generator_is_left_alone(build):
    before = torch.get_rng_state()
    a, b = build(dropout=0.1), build(dropout=0.1)
    run(a, text())
    assert torch.equal(before, torch.get_rng_state())
    for x, y in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(x, y)
    matrices = [p for p in a.parameters() if p.dim() == 2]
    assert all(not torch.equal(m[0], m[1]) for m in matrices)


def test_initial_weights_have_the_size_that_the_config_says():
    config = DecoderConfig(vocab_size=500, channels=64, num_layers=8, std=0.02)
    model = Decoder(config)
    block = model.stack.blocks[0]
    assert model.token.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert block.feed_forward.up.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert block.feed_forward.down.weight.std().item() == pytest.approx(0.005, rel=0.05)
    assert block.attention.qkv.bias.abs().max() == 0


def test_dropout_works_in_training_only():
    model = Encoder(EncoderConfig(**SMALL, dropout=0.5))
    assert not torch.equal(model(text()), model(text()))
    model.eval()
    assert torch.equal(model(text()), model(text()))


@every_model
def test_every_model_can_be_trained(build):
    model = build()
    tokens = text(4, 8)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(12):
        output = run(model, tokens[:, :-1])
        if output.shape[-1] == 50:
            loss = F.cross_entropy(output.flatten(0, 1), tokens[:, 1:].flatten())
        else:
            loss = (output.mean(1)[:, 0] - tokens[:, 0] / 50).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_a_decoder_with_a_cache_continues_where_it_was():
    for positions in ("learned", "sinusoidal", "rotary"):
        model = scramble(Decoder(DecoderConfig(**SMALL, positions=positions)))
        tokens, cache = text(), model.new_cache()
        parts = [model(part, cache=cache) for part in tokens.split([4, 1, 2], 1)]
        close(torch.cat(parts, 1), model(tokens), 1e-5)
        assert len(cache) == 7
        with pytest.raises(ValueError, match="reaches position 17, but there are 16"):
            model(text(3, 10), cache=cache)


def test_a_cached_decoder_takes_a_mask_of_all_positions():
    model = scramble(Decoder(DecoderConfig(**SMALL)))
    tokens, cache = text(2, 6), model.new_cache()
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[1, 2] = False
    model(tokens[:, :4], mask[:, :4], cache=cache)
    close(model(tokens[:, 4:], mask, cache=cache), model(tokens, mask)[:, 4:], 1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@every_model
def test_cuda_agrees_with_the_cpu_and_names_a_wrong_token(build):
    model = build()
    expected = run(model, text())
    model.cuda()
    result = run(model, text().cuda())
    torch.testing.assert_close(result.cpu(), expected, rtol=1e-3, atol=1e-4)
    with pytest.raises(IndexError, match="50 rows"):
        run(model, text().cuda() + 50)


@every_model
@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        (torch.full((2, 3), 50), IndexError, r"run from 50 to 50, .* 50 rows, 0 to 49"),
        (torch.full((2, 3), -1), IndexError, "run from -1 to -1"),
        (
            torch.zeros(2, 17).long(),
            ValueError,
            "reaches position 17, but there are 16",
        ),
        (torch.zeros(3).long(), ValueError, r"give \(B, T\)"),
        (torch.zeros(2, 0).long(), ValueError, "at least one of each"),
        (torch.zeros(2, 3), TypeError, "whole numbers, int64"),
    ],
)
def test_tokens_it_cannot_read_are_named_in_the_error(build, tokens, error, message):
    with pytest.raises(error, match=message):
        run(build(), tokens)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: MODELS["decoder"](norm="middle"), ValueError, "'pre' or 'post'"),
        (
            lambda: MODELS["decoder"](activation="x"),
            ValueError,
            "relu, gelu, gelu_tanh",
        ),
        (lambda: MODELS["decoder"](num_heads=3), ValueError, "must divide channels"),
        (lambda: MODELS["decoder"](num_layers=0), ValueError, "num_layers is 0"),
        (lambda: MODELS["decoder"](dropout=1.0), ValueError, "dropout is 1.0"),
        (lambda: MODELS["decoder"](positions="x"), ValueError, "'learned', 'sinus"),
        (
            lambda: MODELS["encoder post"]()(text(), torch.ones(3, 6) > 0),
            ValueError,
            r"\(3, 7\)",
        ),
        (
            lambda: MODELS["encoder post"]()(text(), torch.ones(3, 7)),
            TypeError,
            r"mask\.bool\(\)",
        ),
        (
            lambda: MODELS["encoder post"]()(text(), head_mask=torch.ones(3, 4)),
            ValueError,
            "each of the 2 blocks",
        ),
        (
            lambda: MODELS["encoder post"]().pool(torch.zeros(1, 2, 16)),
            ValueError,
            "pooler=False",
        ),
        (
            lambda: MODELS["encoder post"]()(text(), segments=text()),
            IndexError,
            "2 rows",
        ),
    ],
)
def test_wrong_use_is_named_in_the_error(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()
