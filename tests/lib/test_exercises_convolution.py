"""The reference answers of the lesson on convolution, against torch."""

import torch
import torch.nn.functional as F

from lib.exercises.engine import find


def test_slide_is_torchs_convolution():
    x, w = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    kernel = w[:3, :2]
    wanted = F.conv2d(x[None, None], kernel[None, None])[0, 0]
    torch.testing.assert_close(find("slide a kernel").reference(x, kernel), wanted)


def test_output_size_is_the_one_torch_gives():
    output_size = find("convolution output size").reference
    for case in [(28, 3, 1, 0), (28, 5, 2, 2), (9, 4, 3, 1), (5, 5, 2, 0)]:
        pixels, size, stride, padding = case
        x, w = torch.zeros(1, 1, pixels, pixels), torch.zeros(1, 1, size, size)
        rows = F.conv2d(x, w, stride=stride, padding=padding).shape[2]
        assert output_size(*case) == rows


def test_parameters_are_those_of_torchs_layer():
    count = find("convolution parameters").reference
    for case in [(1, 32, 3), (3, 8, 5)]:
        layer = torch.nn.Conv2d(*case)
        assert count(*case) == sum(p.numel() for p in layer.parameters())


def test_diagonal_kernel_answers_to_its_line_alone():
    kernel = find("diagonal kernel").reference()
    line = torch.eye(3)
    answers = [
        (kernel * p).sum().item() for p in (torch.ones(3, 3), line, line.flip(1))
    ]
    assert answers == [0.0, 6.0, 0.0]
