"""The detector against torch.nn, its loss against a sum in a loop, boxes by hand."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.models.detection import (
    Detector,
    box_overlap,
    decode,
    detection_loss,
    grid_targets,
    non_max_suppression,
)

WHOLE = {torch.float32: 1e-5, torch.float64: 1e-12}
every_dtype = pytest.mark.parametrize("dtype", WHOLE, ids=str)
NAN = float("nan")
# Two pictures; the second has one object, its other row is padding.
BOXES = torch.tensor(
    [[[0.0, 0.1, 0.3, 0.4], [0.5, 0.25, 1.0, 1.0]], [[0.9, 0.9, 1.0, 1.0], [NAN] * 4]]
)
LABELS = torch.tensor([[2, 0], [1, -1]])


def normal(*shape: int, dtype=torch.float32, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def torch_detector(ours: Detector, dtype) -> nn.Sequential:
    layers = []
    for i, conv in enumerate(ours.convs):
        outputs, inputs = conv.weight.shape[:2]
        layers += [nn.MaxPool2d(2)] if i else []
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False, dtype=dtype),
            nn.BatchNorm2d(outputs, dtype=dtype),
            nn.ReLU(),
        ]
    outputs, inputs = ours.head.weight.shape[:2]
    theirs = nn.Sequential(*layers, nn.Conv2d(inputs, outputs, 1, dtype=dtype))
    body = [p for pair in zip(ours.convs, ours.norms, strict=True) for p in pair]
    weights = [p for part in [*body, ours.head] for p in part.parameters()]
    with torch.no_grad():
        for p, q in zip(theirs.parameters(), weights, strict=True):
            p.copy_(q)
    return theirs, weights


@every_dtype
@pytest.mark.parametrize("B", [1, 3])
@pytest.mark.parametrize("training", [True, False])
def test_detector_gives_torchs_outputs_and_gradients(B, training, dtype):
    ours = Detector((8, 16), 3, classes=2, channels=4, levels=2, seed=2, dtype=dtype)
    theirs, weights = torch_detector(ours, dtype)
    ours.train(training), theirs.train(training)
    x = normal(B, 3, 8, 16, dtype=dtype).requires_grad_()
    a, b = ours(x), theirs(x).permute(0, 2, 3, 1)
    assert a.shape == (B, 2, 4, 7)
    torch.testing.assert_close(a, b, rtol=WHOLE[dtype], atol=WHOLE[dtype])
    pull = normal(*a.shape, dtype=dtype, seed=4) / a.numel() ** 0.5
    left = torch.autograd.grad(a, [x, *weights], pull)
    right = torch.autograd.grad(b, [x, *theirs.parameters()], pull)
    for p, q in zip(left, right, strict=True):
        tolerance = WHOLE[dtype] * max(1, q.abs().max().item())
        torch.testing.assert_close(p, q, rtol=tolerance, atol=tolerance)


def test_intermediates_are_the_maps_of_every_convolution():
    model = Detector(16, 1, channels=4, levels=2).eval()
    x = normal(2, 1, 16, 16)
    seen = model(x, return_intermediates=True)
    assert {name: tuple(v.shape) for name, v in seen.items()} == {
        "input": (2, 1, 16, 16),
        "hidden_1": (2, 4, 16, 16),
        "hidden_2": (2, 8, 8, 8),
        "hidden_3": (2, 8, 4, 4),
        "output": (2, 4, 4, 8),
    }
    assert torch.equal(seen["output"], model(x))


def test_the_cell_with_the_centre_answers_for_an_object():
    has, place, label = grid_targets(BOXES, LABELS, (2, 4), classes=3)
    assert has.nonzero().tolist() == [[0, 0, 0], [0, 1, 3], [1, 1, 3]]
    # centre (0.15, 0.25) is at column 0.6 and row 0.5; the box is 0.3 by 0.3
    torch.testing.assert_close(place[0, 0, 0], torch.tensor([0.6, 0.5, 0.3, 0.3]))
    torch.testing.assert_close(place[0, 1, 3], torch.tensor([0.0, 0.25, 0.5, 0.75]))
    assert label[has].tolist() == [2, 0, 1]
    assert place.isfinite().all()
    assert (place[~has] == 0).all()


def test_of_two_centres_in_one_cell_the_later_object_has_it():
    boxes = torch.tensor([[[0.1, 0.1, 0.3, 0.3], [0.0, 0.0, 0.2, 0.2], [0.0] * 4]])
    has, _, label = grid_targets(boxes, torch.tensor([[0, 1, -1]]), (2, 2), 2)
    assert has.sum() == 1
    assert label[0, 0, 0] == 1


def test_a_centre_on_the_last_edge_belongs_to_the_last_cell():
    edge = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0)).item()
    has, place, _ = grid_targets(
        torch.tensor([[[edge, edge, 1.0, 1.0]]]), torch.tensor([[0]]), (3, 5), 1
    )
    assert has.nonzero().tolist() == [[0, 2, 4]]
    assert (place <= 1).all()


def answers(boxes, labels, grid, classes):
    """The logits of a detector that knows everything."""
    has, place, label = grid_targets(boxes, labels, grid, classes)
    output = torch.full((*has.shape, 5 + classes), -30.0)
    output[..., 0] = torch.where(has, 30.0, -30.0)
    output[..., 1:5] = place.clamp(1e-7, 1 - 1e-7).logit()
    output[..., 5:].scatter_(-1, label[..., None], 30.0)
    return output, has


def test_decode_turns_the_targets_back_into_the_boxes():
    output, has = answers(BOXES, LABELS, (2, 4), 3)
    boxes, scores, labels = decode(output)
    torch.testing.assert_close(boxes[has], BOXES[LABELS >= 0], rtol=0, atol=1e-6)
    assert labels[has].tolist() == [2, 0, 1]
    torch.testing.assert_close(scores, has.float())


def test_the_loss_is_nothing_for_the_right_answer():
    output, _ = answers(BOXES, LABELS, (2, 4), 3)
    assert detection_loss(output, BOXES, LABELS) < 1e-6


def test_the_loss_is_the_sum_that_its_formula_says():
    output = normal(2, 2, 4, 8, dtype=torch.float64)
    boxes = BOXES.double()
    has, place, label = grid_targets(boxes, LABELS, (2, 4), 3)

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    total = 0.0
    for b in range(2):
        for i in range(2):
            for j in range(4):
                o, *rest = output[b, i, j].tolist()
                if not has[b, i, j]:
                    total -= 0.5 * math.log(1 - sigmoid(o))
                    continue
                x, y, w, h = place[b, i, j].tolist()
                total -= math.log(sigmoid(o))
                total += 5 * ((sigmoid(rest[0]) - x) ** 2 + (sigmoid(rest[1]) - y) ** 2)
                total += 5 * (sigmoid(rest[2]) ** 0.5 - w**0.5) ** 2
                total += 5 * (sigmoid(rest[3]) ** 0.5 - h**0.5) ** 2
                powers = [math.exp(v) for v in rest[4:]]
                total -= math.log(powers[label[b, i, j]] / sum(powers))
    loss = detection_loss(output, boxes, LABELS)
    assert loss.item() == pytest.approx(total / 2, rel=1e-12)


def test_pictures_without_objects_have_a_loss_and_gradients():
    output = normal(2, 2, 4, 8).requires_grad_()
    loss = detection_loss(output, torch.zeros(2, 0, 4), torch.zeros(2, 0).long())
    loss.backward()
    expected = 0.25 * F.softplus(output.detach()[..., 0]).sum()
    torch.testing.assert_close(loss, expected)
    assert output.grad.isfinite().all()


def test_overlap_worked_out_by_hand():
    a = torch.tensor([[0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 6.0, 6.0], [1.0, 1.0, 1.0, 1.0]])
    b = torch.tensor([[1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 2.0, 2.0]])
    expected = torch.tensor([[1 / 7, 1.0], [0.0, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(box_overlap(a, b), expected)
    assert box_overlap(a[2:], a[2:]).tolist() == [[0.0]]


@pytest.mark.parametrize("seed", range(10))
def test_suppression_is_the_greedy_search_written_as_a_loop(seed):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(30, 2, generator=generator)
    size = 0.1 + torch.rand(30, 2, generator=generator) / 2
    boxes = torch.cat([corner, corner + size], 1)
    scores = torch.rand(30, generator=generator)
    labels = torch.randint(0, 2, (30,), generator=generator)
    left, expected = set(range(30)), []
    while left:
        best = max(left, key=lambda i: scores[i].item())
        expected.append(best)
        for i in list(left):
            near = box_overlap(boxes[best : best + 1], boxes[i : i + 1]).item() > 0.4
            if i == best or (near and labels[i] == labels[best]):
                left.remove(i)
    kept = non_max_suppression(boxes, scores, labels, 0.4)
    assert kept.tolist() == expected
    assert 1 < len(expected) < 30


def test_suppression_of_nothing_is_nothing():
    kept = non_max_suppression(
        torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    )
    assert kept.tolist() == []


def squares(N: int):
    """Pictures with one bright (class 0) or dark (class 1) square each."""
    generator = torch.Generator().manual_seed(5)
    x = 0.1 * torch.randn(N, 1, 32, 32, generator=generator)
    labels = torch.randint(0, 2, (N, 1), generator=generator)
    corner = torch.randint(0, 20, (N, 2), generator=generator)
    size = torch.randint(8, 13, (N,), generator=generator)
    boxes = torch.cat([corner, corner + size[:, None]], 1)
    for i, (left, top, right, bottom) in enumerate(boxes.tolist()):
        x[i, 0, top:bottom, left:right] += 1 - 2 * labels[i]
    return x, boxes[:, None] / 32, labels


def test_detector_learns_to_find_squares():
    x, boxes, labels = squares(32)
    model = Detector(32, 1, classes=2, channels=8, seed=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        detection_loss(model(x), boxes, labels).backward()
        optimizer.step()
    found = model.eval().detect(x)
    right = 0
    for (places, scores, kinds), box, label in zip(found, boxes, labels, strict=True):
        assert torch.equal(scores, scores.sort(descending=True).values)
        overlaps = box_overlap(places, box)[:, 0]
        right += len(places) == 1 and overlaps[0] > 0.6 and kinds[0] == label
    assert right >= 29


def test_seed_decides_the_weights_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    a, b, c = Detector(16, seed=1), Detector(16, seed=1), Detector(16, seed=2)
    assert torch.equal(before, torch.get_rng_state())
    assert all(map(torch.equal, a.parameters(), b.parameters()))
    assert not torch.equal(a.head.weight, c.head.weight)
    assert repr(a).startswith("Detector(2 x 2 cells, 3 classes, ")


def test_half_precision_gives_nearly_the_same():
    model, x = Detector(16).eval(), normal(2, 3, 16, 16)
    got = copy.deepcopy(model).bfloat16()(x.bfloat16())
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), model(x), rtol=0.05, atol=0.03)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_gpu_gives_the_outputs_and_the_loss_of_the_cpu():
    cpu, gpu = Detector(16, seed=1), Detector(16, seed=1, device="cuda")
    x = normal(2, 3, 16, 16)
    a, b = cpu(x), gpu(x.cuda())
    torch.testing.assert_close(b.cpu(), a, rtol=1e-2, atol=1e-2)
    loss = detection_loss(b, BOXES.cuda(), LABELS.cuda()).cpu()
    torch.testing.assert_close(
        loss, detection_loss(a, BOXES, LABELS), rtol=1e-2, atol=0
    )
    assert len(gpu.detect(x.cuda())) == 2


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Detector(20), "multiples of 8"),
        (lambda: Detector(16, classes=0), "classes is 0"),
        (lambda: Detector(16)(torch.ones(1, 3, 8, 8)), r"\(B, 3, 16, 16\)"),
        (lambda: grid_targets(BOXES[0], LABELS, (2, 2), 3), r"give \(B, N, 4\)"),
        (lambda: grid_targets(BOXES, LABELS, (2, 2), 2), "they are 0 to 1, and -1"),
        (lambda: grid_targets(BOXES, LABELS - 1, (2, 2), 3), "labels run from -2"),
        (lambda: grid_targets(BOXES * 32, LABELS, (2, 2), 3), "not in pixels"),
        (lambda: grid_targets(BOXES.flip(2), LABELS, (2, 2), 3), "left < right"),
        (lambda: grid_targets(BOXES, LABELS.abs(), (2, 2), 3), "nan.* is not a box"),
    ],
)
def test_what_it_cannot_use_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
