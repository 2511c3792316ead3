"""Transfer: a network in two parts, the body that moves to a new task, and its head.

`BodyAndHead` is a small network for pictures of 8 x 8 pixels, `start_from` copies the
weights of a trained one, and `few_labels` and `FewLabels` make the task hard: only a
few examples of each class have a label.

What to freeze is up to the lesson; adapters are in `lib.models.adapters`.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.examples import Dataset, Split
from lib.models.cnn import Conv2d
from lib.models.layers import Linear
from lib.models.mlp import _generator


class BodyAndHead(nn.Module):
    """Two convolutions and a dense layer, the body; one linear layer, the head.

        1 x 8 x 8 -> 16 x 4 x 4 -> 32 x 2 x 2 -> 64 features -> classes

    Args:
        classes: outputs.
        seed: of the initial weights, an integer or a `torch.Generator`.
    """

    def __init__(self, classes: int = 5, seed: int | torch.Generator = 0) -> None:
        super().__init__()
        draw = _generator(seed)
        self.body = nn.Sequential(
            OrderedDict(
                conv1=Conv2d(1, 16, 3, padding=1, seed=draw),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=Conv2d(16, 32, 3, padding=1, seed=draw),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flat=nn.Flatten(),
                dense=Linear(128, 64, seed=draw),
                relu3=nn.ReLU(),
            )
        )
        self.head = Linear(64, classes, seed=draw)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 8, 8) to (B, classes)."""
        return self.head(self.body(x))


def start_from(model: nn.Module, source: nn.Module, but: str = "head") -> nn.Module:
    """Give a model the weights of another one, in place, but for one part.

    Args:
        model: keeps its own first weights in the part `but`.
        source: of the same shape everywhere else.

    Raises:
        ValueError: no parameter belongs to that part, or the rest does not fit.
    """
    own, given = model.state_dict(), source.state_dict()
    moved = {name: w for name, w in given.items() if not name.startswith(f"{but}.")}
    kept = [name for name in own if name.startswith(f"{but}.")]
    same = {name: w.shape for name, w in own.items() if name not in kept}
    if not kept or same != {name: w.shape for name, w in moved.items()}:
        raise ValueError(
            f"the two models do not agree in all parts but {but!r}; give two models "
            "that differ in that part only."
        )
    model.load_state_dict(moved, strict=False)
    return model


def few_labels(y: Tensor, per_class: int, seed: int) -> Tensor:
    """Rows of so many examples of each class, drawn at random: (classes · per_class,).

    With one seed, a larger number keeps the rows of a smaller one.

    Raises:
        ValueError: a class has fewer examples.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for value in y.unique():
        rows = (y == value).nonzero().flatten()
        if not 1 <= per_class <= len(rows):
            raise ValueError(
                f"per_class is {per_class}, and the class {int(value)} has {len(rows)} "
                "examples; give a number from 1 to that."
            )
        chosen.append(rows[torch.randperm(len(rows), generator=generator)[:per_class]])
    return torch.cat(chosen)


@dataclass(frozen=True, eq=False)
class FewLabels(Dataset):
    """A data set whose training part has few examples, and a large rest to judge by.

    Fields:
        per_class: examples of each class in the training part.
    """

    per_class: int = 5

    def split(self, validation: float = 0.4, test: float = 0.1, seed: int = 0) -> Split:
        """As `Dataset.split`, with `per_class` examples of each class to train."""
        parts = super().split(validation, test, seed)
        rows = few_labels(parts.train.y, self.per_class, seed)
        return parts._replace(train=parts.train.take(rows))
