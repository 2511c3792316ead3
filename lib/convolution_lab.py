"""One kernel on one picture, and a small CNN on a digit that somebody draws.

What `lib.widgets.convolution` computes in the kernel: the written-out convolution and
pooling of `lib.models.cnn` for any stride, padding and dilation; kernels with a name;
pictures; and `DigitNetwork`, a `CNN` that is trained epoch by epoch and keeps the
weights of each, so that all of them can be looked at again.

Left out: colour. The pictures are grey, so one kernel has one channel.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.augment import random_affine
from lib.datasets import Dataset, load
from lib.losses import fused_cross_entropy
from lib.metrics import accuracy
from lib.models.cnn import CNN, average_pool, convolve, max_pool
from lib.optimizers import Adam
from lib.training import evaluate, minibatches, train

SIZES = (3, 5)  # rows and columns of a kernel
PATCH = 28  # rows and columns of a piece of a photograph
EXAMPLES = 50  # digits to choose from, five of each class

_SMOOTH = {3: (1.0, 2.0, 1.0), 5: (1.0, 4.0, 6.0, 4.0, 1.0)}
_SLOPE = {3: (-1.0, 0.0, 1.0), 5: (-1.0, -2.0, 0.0, 2.0, 1.0)}
_WHERE = {"china": (1, 4), "flower": (6, 14)}  # first row and column of the patch


def kernels(size: int) -> dict[str, Tensor]:
    """The kernels with a name: identity, blur, sharpen, edges, Laplacian.

    Args:
        size: 3 or 5, rows and columns.

    Returns:
        (size, size) float32 by name. The edges are Sobel's: a slope in one direction,
        smoothed in the other; `edges left-right` answers to a picture that grows
        brighter to the right.

    Raises:
        ValueError: another size.
    """
    if size not in SIZES:
        raise ValueError(f"size is {size!r}; a kernel here has 3 or 5 rows.")
    identity = torch.zeros(size, size)
    identity[size // 2, size // 2] = 1.0
    smooth, slope = torch.tensor(_SMOOTH[size]), torch.tensor(_SLOPE[size])
    blur = torch.outer(smooth, smooth) / smooth.sum() ** 2
    edges = torch.outer(smooth, slope) / smooth.sum()
    around = torch.full((size, size), -1.0)
    around[size // 2, size // 2] = size**2 - 1.0
    return {
        "identity": identity,
        "blur": blur,
        "sharpen": 2 * identity - blur,
        "edges left-right": edges,
        "edges top-bottom": edges.T.contiguous(),
        "Laplacian": around,
    }


def random_kernel(size: int, seed: int) -> Tensor:
    """(size, size) float32, normal numbers rounded to tenths, the same for a seed."""
    generator = torch.Generator().manual_seed(seed)
    return (10 * torch.randn(size, size, generator=generator)).round() / 10


def digits() -> tuple[Tensor, Tensor]:
    """Fifty digits: x (50, 8, 8) float32 from 0 to 1, y (50,); each ten hold all."""
    dataset = load("digits", flat=False)
    rows = [(dataset.y == k).nonzero()[: EXAMPLES // 10, 0] for k in range(10)]
    rows = torch.stack(rows, 1).flatten()
    return dataset.x[rows, 0], dataset.y[rows]


def photographs() -> dict[str, Tensor]:
    """Pieces of two photographs in grey: (28, 28) float32 from 0 to 1, by name."""
    dataset = load("photographs")
    grey = F.avg_pool2d(dataset.x.mean(1, keepdim=True), 11)
    out = {}
    for picture, (name, (row, column)) in zip(grey, _WHERE.items(), strict=True):
        out[name] = picture[0, row : row + PATCH, column : column + PATCH]
    return out


def output_size(
    pixels: int, size: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    """Rows of the output: (n + 2 p − d (k − 1) − 1) // s + 1; 0 where none fits."""
    rest = pixels + 2 * padding - dilation * (size - 1) - 1
    return rest // stride + 1 if rest >= 0 else 0


def padded(picture: Tensor, padding: int, mode: str = "zero") -> Tensor:
    """A frame round the picture, of zeros or of the picture seen in a mirror.

    Args:
        picture: (rows, columns).
        padding: cells on each side; with "reflect" below the number of rows.
        mode: "zero" or "reflect", in which the cell at the edge is not repeated.

    Raises:
        ValueError: another mode, or too wide a frame for the mirror.
    """
    if mode not in ("zero", "reflect"):
        raise ValueError(f"mode is {mode!r}; give 'zero' or 'reflect'.")
    if mode == "reflect" and padding >= min(picture.shape):
        raise ValueError(
            f"padding is {padding} for a picture of {tuple(picture.shape)}; a mirror "
            "needs more rows and columns than that."
        )
    options = {"mode": "reflect"} if mode == "reflect" else {"mode": "constant"}
    return F.pad(picture[None, None], (padding,) * 4, **options)[0, 0]


def feature_map(
    picture: Tensor,
    kernel: Tensor,
    stride: int = 1,
    padding: int = 0,
    mode: str = "zero",
    dilation: int = 1,
    bias: float = 0.0,
    relu: bool = False,
) -> Tensor:
    """The picture as this kernel sees it, by `lib.models.cnn.convolve`.

    Args:
        picture: (rows, columns).
        kernel: (size, size).
        stride, dilation: as in `convolve`; padding, mode: as in `padded`.
        bias: added to each sum. relu: negative results become 0.

    Returns:
        (rows', columns') as `output_size` says.

    Raises:
        ValueError: the kernel does not fit into the padded picture.
    """
    x = padded(picture, padding, mode)[None, None]
    b = torch.tensor([bias], dtype=kernel.dtype)
    y = convolve(x, kernel[None, None], b, stride, 0, dilation)[0, 0]
    return y.relu() if relu else y


def pooled(values: Tensor, kind: str, size: int) -> Tensor:
    """(rows, columns) pooled over size x size windows side by side; "max", "average".

    Raises:
        ValueError: another kind, or a window larger than the map.
    """
    kinds = {"max": max_pool, "average": average_pool}
    if kind not in kinds:
        raise ValueError(f"pooling is {kind!r}; give 'max' or 'average'.")
    return kinds[kind](values[None, None], size)[0, 0]


def fit_digit(drawing: Tensor) -> Tensor:
    """A drawing moved and scaled as those of the digit set are: it fills the height.

    Args:
        drawing: (size, size) from 0 to 1; ink below 0.1 counts as paper.

    Returns:
        the same shape. Cells between the old ones are mixed; an empty drawing stays.
    """
    ink = drawing > 0.1
    if not ink.any():
        return drawing
    rows, columns = ink.any(1).nonzero()[:, 0], ink.any(0).nonzero()[:, 0]
    box = drawing[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    size = len(drawing)
    factor = size / max(box.shape)
    shape = [max(1, round(factor * n)) for n in box.shape]
    options = {"mode": "bilinear", "align_corners": False, "antialias": True}
    box = F.interpolate(box[None, None], size=shape, **options)[0, 0]
    top, left = ((size - n) // 2 for n in shape)
    out = torch.zeros_like(drawing)
    out[top : top + shape[0], left : left + shape[1]] = box.clamp(0, 1)
    return out


class DigitNetwork:
    """A `CNN` that learns to read digits, with its weights after each epoch.

    Args:
        model: a trained `CNN` for square grey pictures, to look into as it is; None
            makes one for 16 x 16 with 8 kernels, to be trained here.
        epochs: how many `work` trains.
        seed: of first weights, order and augmentation.
        device: where it trains.

    Raises:
        ValueError: a model that is no `CNN` for square grey pictures.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        epochs: int = 12,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.given = model is not None
        if model is None:
            model = CNN(16, channels=8, seed=seed)
        _check_model(model)
        self.model, self.epochs, self.seed = model, epochs, seed
        self.size = model.image_size[0]
        self.step = 0
        self.history: list[dict[str, Tensor]] = []  # weights after 0, 1, 2 ... epochs
        self.accuracies: list[float] = []  # on the validation part; NaN if not measured
        self.losses: list[float] = []  # of each step, on its batch
        if self.given:
            self.device = next(model.parameters()).device
            self._keep(float("nan"))
        else:
            self.device = torch.device(device)
            model.to(self.device)
            parts = load("digits", size=self.size, flat=False).split(test=0.0)
            self._validation = parts.validation.to(self.device)
            self._batches = _Augmented(parts.train, seed, self.device)
            self._steps = self._train()
            self._keep(self._measure())

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return len(self.history) - 1

    @property
    def steps_an_epoch(self) -> int:
        return 0 if self.given else len(self._batches)

    def work(self) -> Iterator[None]:
        """Train from here to the last epoch; yields after each step."""
        while not self.given and self.epoch < self.epochs:
            yield self.advance()

    def advance(self) -> None:
        """One step; the last of an epoch keeps the weights and measures them."""
        if self.given or self.epoch >= self.epochs:
            return
        loss = next(self._steps).loss
        self.step += 1
        self.losses.append(loss.item())
        if self.step % self.steps_an_epoch == 0:
            self._keep(self._measure())

    def _train(self) -> Iterator:
        optimizer = Adam(self.model.parameters(), learning_rate=0.01)
        options = {"epochs": self.epochs}
        return train(
            self.model, fused_cross_entropy, self._batches, optimizer, **options
        )

    def _measure(self) -> float:
        part = self._validation
        metrics = {"accuracy": lambda p, y: accuracy(p.argmax(1).cpu(), y.cpu())}
        data = (part.x, part.y)
        return evaluate(self.model, fused_cross_entropy, data, metrics)["accuracy"]

    def _keep(self, measured: float) -> None:
        weights = self.model.state_dict()
        self.history.append({k: v.detach().cpu().clone() for k, v in weights.items()})
        self.accuracies.append(measured)

    def weights(self, epoch: int | None = None) -> dict[str, Tensor]:
        """Weights by name on the CPU, after that epoch; None is as they are now."""
        if epoch is not None:
            return self.history[epoch]
        return {k: v.detach().cpu() for k, v in self.model.state_dict().items()}

    @torch.no_grad()
    def see(self, picture: Tensor, epoch: int | None = None) -> dict[str, Tensor]:
        """Everything the network computes of one picture on the CPU, without the batch.

        Args:
            picture: (size, size).
            epoch: after which epoch; None takes the weights as they are now.

        Returns:
            "conv" and "hidden" (channels, size − 2, size − 2), "pooled", "output"
            (classes,), "probabilities" (classes,) and the others of `CNN.forward`.
        """
        weights = {k: v.to(self.device) for k, v in self.weights(epoch).items()}
        x = picture.to(self.device)[None, None]
        seen = torch.func.functional_call(
            self.model, weights, (x,), {"return_intermediates": True}
        )
        seen["probabilities"] = seen["output"].softmax(1)
        return {name: value[0].cpu() for name, value in seen.items()}


class _Augmented:
    """Mini-batches of digits, each a little turned, moved and scaled."""

    def __init__(self, part: Dataset, seed: int, device: torch.device) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.batches = minibatches(part.x, part.y, 32, generator=self.generator)
        self.device = device

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in self.batches:
            x = random_affine(x, self.generator, degrees=10, shift=1.0, scale=0.1)
            yield x.to(self.device), y.to(self.device)


def _check_model(model: nn.Module) -> None:
    fits = isinstance(model, CNN) and model.conv.weight.shape[1] == 1
    if not fits or model.image_size[0] != model.image_size[1]:
        raise ValueError(
            f"model is {model!r}; give a lib.models.cnn.CNN for square grey pictures, "
            "such as CNN(16, channels=8), or none: the widget then trains one."
        )
