"""The reference numbers are what the other library gives, and what ours gives."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from lib.pretrained import find_minilm, minilm
from lib.reference_outputs import MINILM

WRITTEN = 1e-6  # the numbers have six places
OURS = 1e-5


@pytest.fixture(scope="module")
def files():
    try:
        return find_minilm()
    except FileNotFoundError as error:
        pytest.skip(f"NOT RUN: {error}")


def agree(tokens, vectors, tolerance):
    assert tokens.tolist() == [list(row) for row in MINILM.tokens]
    written = torch.tensor(MINILM.vectors)
    shown = vectors[:, : written.shape[1]]
    torch.testing.assert_close(shown, written, rtol=0, atol=tolerance)
    cosine = (vectors[0] @ vectors[1]).item()
    assert cosine == pytest.approx(MINILM.cosine, abs=tolerance)


@torch.no_grad()
def test_the_cards_program_gives_these_numbers(files):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")
    weights, vocabulary = files
    config = transformers.BertConfig.from_json_file(weights.with_name("config.json"))
    model = transformers.BertModel(config).eval()
    model.load_state_dict(load_file(weights), strict=False)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(vocabulary), pad_token="[PAD]"
    )
    batch = tokenizer(list(MINILM.sentences), padding=True, return_tensors="pt")
    mask = batch["attention_mask"]
    output = model(input_ids=batch["input_ids"], attention_mask=mask)
    real = mask[..., None].float()
    mean = (output.last_hidden_state * real).sum(1) / real.sum(1)
    agree(batch["input_ids"], F.normalize(mean, dim=1), WRITTEN)


def test_our_model_gives_these_numbers(files):
    model = minilm()
    tokens = model.tokenizer.batch(MINILM.sentences).tokens
    agree(tokens, model.embed(MINILM.sentences), OURS)
