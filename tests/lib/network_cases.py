"""What the tests of Transformer parts and models share: inputs, weights, gradients."""

import torch
from torch import nn

NETWORK = 1e-5  # tolerance for whole networks
SMALL = {"vocab_size": 50, "context": 16, "channels": 16, "hidden": 24}


def data(*shape: int, dtype=torch.float32, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def text(B: int = 3, T: int = 7, V: int = 50, seed: int = 1) -> torch.Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(seed))


def close(a, b, tolerance=NETWORK):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@torch.no_grad()
def scramble(model: nn.Module) -> nn.Module:
    """Every parameter random, so that no bias is 0 and no norm's weight 1."""
    generator = torch.Generator().manual_seed(5)
    for p in model.parameters():
        p += 0.2 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return model


def gradients(output: torch.Tensor, inputs: list) -> list:
    """Gradients of a fixed random sum of the output."""
    weights = data(*output.shape, dtype=output.dtype, seed=7) / output.numel() ** 0.5
    return torch.autograd.grad((output * weights).sum(), inputs, retain_graph=True)
