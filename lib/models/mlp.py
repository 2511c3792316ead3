"""Perceptron, linear layer and multi-layer perceptron, written out.

Rosenblatt, "The perceptron", Psychological Review 65(6), 1958, and Rumelhart, Hinton,
Williams, "Learning representations by back-propagating errors", Nature 323, 1986. The
initial weights are those of `torch.nn.Linear`: uniform with the bound 1 / sqrt(inputs),
in the manner of LeCun et al., "Efficient BackProp", 1998, section 4.6.

Left out: dropout and penalties, which `regularizers` holds; the training loop, in
`training`.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
    "identity": lambda z: z,
}


class Perceptron(nn.Module):
    """Rosenblatt's perceptron: one straight line between two classes.

    It has no loss and no gradient. It looks at one example after the other and moves
    the line only where it is wrong. It stops making mistakes if, and only if, some
    line separates the classes.

    Args:
        inputs: numbers that describe one example.
        learning_rate: how far one mistake moves the weights.
    """

    def __init__(self, inputs: int, learning_rate: float = 1.0) -> None:
        super().__init__()
        _check_size(inputs, "inputs")
        if not 0 < learning_rate < float("inf"):
            raise ValueError(
                f"learning_rate is {learning_rate}; give a positive, finite number."
            )
        self.learning_rate = learning_rate
        self.register_buffer("weight", torch.zeros(inputs))
        self.register_buffer("bias", torch.zeros(()))

    def extra_repr(self) -> str:
        return f"inputs={len(self.weight)}, learning_rate={self.learning_rate}"

    def score(self, x: torch.Tensor) -> torch.Tensor:
        """Which side of the line, and how far: (B, inputs) to (B,)."""
        _check_input(x, len(self.weight), "Perceptron")
        return x @ self.weight + self.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The class of each example: (B, inputs) to (B,) int64, 0 or 1."""
        return (self.score(x) > 0).long()

    @torch.no_grad()
    def learn(self, x: torch.Tensor, y: torch.Tensor) -> int:
        """One pass over the examples, in order.

        Args:
            x: (B, inputs).
            y: (B,), classes 0 and 1.

        Returns:
            how many mistakes it made. An example exactly on the line counts as one.

        Raises:
            ValueError: if y holds anything but 0 and 1, or its length differs from x.
        """
        _check_input(x, len(self.weight), "Perceptron")
        if y.shape != x.shape[:1] or not ((y == 0) | (y == 1)).all():
            raise ValueError(
                f"y has the shape {tuple(y.shape)} and the values "
                f"{y.unique().tolist()[:5]}; give one class, 0 or 1, for each of the "
                f"{len(x)} examples."
            )
        mistakes = 0
        for example, target in zip(x, 2.0 * y - 1, strict=True):  # targets -1 and +1
            if target * self.score(example) <= 0:
                self.weight += self.learning_rate * target * example
                self.bias += self.learning_rate * target
                mistakes += 1
        return mistakes


class Linear(nn.Module):
    """A linear layer: `x @ W.T + b`, the same as `torch.nn.Linear`.

    The same seed also gives the weights that `torch.nn.Linear` draws after
    `torch.manual_seed`.

    Args:
        inputs, outputs: numbers that go in and come out for one example.
        bias: False leaves out b.
        seed: an integer, or a `torch.Generator` to draw several layers from one.
        device, dtype: of the parameters. They are drawn on the CPU in float32, so one
            seed gives the same weights on every device; None is the CPU and float32.

    Parameters:
        weight: W, (outputs, inputs), uniform between -1 / sqrt(inputs) and
            1 / sqrt(inputs).
        bias: b, (outputs,), likewise; None without bias.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: bool = True,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_size(inputs, "inputs")
        _check_size(outputs, "outputs")
        generator = _generator(seed)
        bound = inputs**-0.5

        def uniform(*shape: int) -> nn.Parameter:
            w = torch.empty(shape).uniform_(-bound, bound, generator=generator)
            return nn.Parameter(w.to(device, dtype))

        self.weight = uniform(outputs, inputs)
        self.bias = uniform(outputs) if bias else None

    def extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}" + (
            "" if self.bias is not None else ", bias=False"
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs)."""
        _check_input(x, self.weight.shape[1], "Linear")
        z = x @ self.weight.T
        return z if self.bias is None else z + self.bias


class MLP(nn.Module):
    """A multi-layer perceptron: linear layers with an activation between them.

    Nothing follows the last layer: its outputs are logits, or the predicted numbers.

    Args:
        sizes: numbers per example from the input to the output; two or more.
        activation: a name in `ACTIVATIONS`.
        seed: of the initial weights, an integer or a `torch.Generator`.
        device, dtype: as in `Linear`.

    Raises:
        ValueError: for sizes or an activation it cannot use.
    """

    def __init__(
        self,
        sizes: Sequence[int] = (784, 128, 10),
        activation: str = "relu",
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise ValueError(
                f"sizes is {tuple(sizes)}; give two or more numbers, from the inputs "
                "to the outputs, such as (64, 32, 10)."
            )
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"There is no activation {activation!r}; choose one of "
                f"{', '.join(ACTIVATIONS)}."
            )
        self.sizes, self.activation = tuple(sizes), activation
        generator = _generator(seed)
        self.layers = nn.ModuleList(
            Linear(inputs, outputs, seed=generator, device=device, dtype=dtype)
            for inputs, outputs in pairwise(sizes)
        )

    @classmethod
    def one_hidden_layer(cls, **options) -> "MLP":
        """784-128-10: pictures of 28 x 28 pixels to ten classes. Options as in MLP."""
        return cls((784, 128, 10), **options)

    @classmethod
    def two_hidden_layers(cls, **options) -> "MLP":
        """784-64-64-10: the deeper, narrower of the two. Options as in MLP."""
        return cls((784, 64, 64, 10), **options)

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        sizes = "-".join(map(str, self.sizes))
        return f"MLP({sizes}, {self.activation}, {count:,} parameters)"

    def forward(
        self, x: torch.Tensor, return_intermediates: bool = False
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        """The outputs; on request also everything computed on the way.

        Args:
            x: (..., sizes[0]).
            return_intermediates: return the named tensors instead of the outputs.

        Returns:
            (..., sizes[-1]); or a dict with "input", then for each hidden layer i, from
            1, "linear_i" before and "hidden_i" after the activation, and "output".
            They belong to the graph: call `retain_grad()` on one to see its gradient.

        Raises:
            ValueError: if the last dimension of x is not sizes[0].
        """
        _check_input(x, self.sizes[0], "MLP")
        activation = ACTIVATIONS[self.activation]
        *hidden, last = self.layers
        seen, h = {"input": x}, x
        for i, layer in enumerate(hidden, start=1):
            seen[f"linear_{i}"] = z = layer(h)
            seen[f"hidden_{i}"] = h = activation(z)
        seen["output"] = last(h)
        return seen if return_intermediates else seen["output"]


def _generator(seed: int | torch.Generator) -> torch.Generator:
    """A generator of its own for an integer; a generator as it is."""
    if isinstance(seed, torch.Generator):
        return seed
    return torch.Generator().manual_seed(seed)


def _check_size(size: int, name: str) -> None:
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"{name} is {size!r}; give a whole number, 1 or more.")


def _check_input(x: torch.Tensor, inputs: int, layer: str) -> None:
    """Say which shape is wanted; torch's own message names two matrices instead."""
    if x.dim() == 0 or x.shape[-1] != inputs:
        raise ValueError(
            f"x has the shape {tuple(x.shape)}, but this {layer} takes {inputs} "
            f"numbers per example; give (..., {inputs}). For pictures: x.flatten(1)."
        )
    if not x.is_floating_point():
        raise TypeError(
            f"x has the dtype {x.dtype}; {layer} computes with floating-point numbers: "
            "x.float() converts it."
        )
