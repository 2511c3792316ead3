"""What the tests of the training loop share: ten examples, a small network, SGD."""

import torch
from torch import nn

N = 10


def linear_data():
    """x (N, 3) and y (N, 1), a linear function of x."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, 3, generator=generator)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.1
    return x, y


def make_model(dropout=0.0):
    """A perceptron (3, 4, 1) with the same weights at each call."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(dropout))
    model.append(nn.Linear(4, 1))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.5)
    return model


def sgd(model, rate=0.1):
    return torch.optim.SGD(model.parameters(), lr=rate)


def weights(model):
    """A copy of all parameters in one vector."""
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def modes(model):
    """Whether each part of the model is in training mode."""
    return [part.training for part in model.modules()]
