"""Costs of a Transformer: exact against the models, and against published numbers."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lib.models.transformer import Decoder, Encoder
from lib.scale import GPUS, PRESETS, Shape, gpu_hours, memory, operations, parameters

SMALL = [
    {"num_layers": L, "channels": C, "num_heads": H, "hidden": F, "vocab_size": V,
     "context": T}
    for L, C, H, F, V, T in [(1, 8, 2, 32, 11, 7), (3, 24, 3, 40, 50, 16),
                             (2, 16, 1, 16, 5, 33), (5, 12, 4, 48, 97, 4)]
]  # fmt: skip


@pytest.mark.parametrize("sizes", SMALL)
@pytest.mark.parametrize("pooler", [False, True])
def test_parameters_are_those_of_the_models(sizes, pooler):
    for kind, model in (("decoder", Decoder), ("encoder", Encoder)):
        shape = Shape(kind=kind, pooler=pooler and kind == "encoder", **sizes)
        made, parts = model(shape.config()), parameters(shape)
        count = {"attention": 0, "feed_forward": 0, "norms": 0}
        for name, p in made.named_parameters():
            for part in count:
                is_norm = "norm" in name
                if is_norm == (part == "norms") and (is_norm or f".{part}." in name):
                    count[part] += p.numel()
        assert {part: parts[part] for part in count} == count
        assert sum(parts.values()) == sum(p.numel() for p in made.parameters())
        assert sum(parts.values()) == shape.config().num_parameters


def test_an_untied_output_is_one_more_table():
    tied, free = (Shape(tied=tied, **SMALL[1]) for tied in (True, False))
    more = sum(parameters(free).values()) - sum(parameters(tied).values())
    assert more == 50 * 24


@pytest.mark.parametrize(
    ("preset", "count"),
    [("minilm", 22_713_216), ("bert", 109_482_240), ("gpt2", 124_439_808),
     ("gpt2-xl", 1_557_611_200)],
)  # fmt: skip
def test_published_models_have_their_published_size(preset, count):
    assert sum(parameters(PRESETS[preset][1]).values()) == count


def test_gpt3_has_its_175_billion_and_its_operations():
    shape = PRESETS["gpt3"][1]
    assert sum(parameters(shape).values()) == pytest.approx(175e9, rel=0.005)
    training = 3 * sum(operations(shape).values()) * 300e9
    assert training == pytest.approx(3.14e23, rel=0.05)  # Brown et al., table D.1


@pytest.mark.parametrize("sizes", SMALL)
def test_operations_are_those_that_torch_counts(sizes):
    shape = Shape(**sizes)
    model, T = Decoder(shape.config()), shape.context
    tokens = torch.zeros(1, T, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        logits = model(tokens, return_intermediates=True)["logits"]  # explicit form
        forward = counter.get_total_flops()
        logits.sum().backward()
    assert forward == T * sum(operations(shape).values())
    assert counter.get_total_flops() == 3 * forward


def test_activations_are_the_papers_without_dropout():
    shape = Shape(num_layers=2, channels=64, hidden=256, num_heads=4, vocab_size=100)
    B, T, C, L, H = 3, shape.context, 64, 2, 4
    layers = T * B * C * L * (32 + 2 * H * T / C)
    found = memory(shape, B)["activations"]
    assert found == layers + 2 * B * T * 100
    assert memory(shape, B, "fp32")["activations"] == 2 * found


def test_states_are_16_bytes_a_parameter_in_both_precisions():
    shape = PRESETS["gpt2"][1]
    N = sum(parameters(shape).values())
    for precision in ("fp32", "bf16"):
        found = memory(shape, 1, precision)
        states = found["weights"] + found["gradients"] + found["optimizer"]
        assert states == 16 * N


def test_hours_follow_peak_and_utilisation():
    shape = PRESETS["gpt2"][1]
    hours = gpu_hours(shape, 1e10, "a100", 0.5)
    work = 3 * sum(operations(shape).values()) * 1e10
    assert hours == pytest.approx(work / (312e12 * 0.5) / 3600)
    assert gpu_hours(shape, 1e10, "a100", 0.25) == pytest.approx(2 * hours)
    assert gpu_hours(shape, 1e10, "a100", 0.5, "fp32") == pytest.approx(16 * hours)
    slow = sorted(GPUS, key=lambda gpu: gpu_hours(shape, 1e9, gpu))
    assert slow == ["h100", "a100", "v100", "t4"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shape(kind="both"), "kind is 'both'"),
        (lambda: Shape(channels=0), "channels is 0"),
        (lambda: Shape(num_layers=1.5), "num_layers is 1.5"),
        (lambda: memory(Shape(), 0), "batch 0"),
        (lambda: memory(Shape(), 1, "int8"), "precision is 'int8'"),
        (lambda: gpu_hours(Shape(), 1e9, "abacus"), "gpu is 'abacus'"),
        (lambda: gpu_hours(Shape(), 1e9, utilisation=0), "utilisation 0"),
    ],
)
def test_what_cannot_be_used_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
