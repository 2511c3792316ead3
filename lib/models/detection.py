"""A detector: what is in the picture, and where, in one look.

Redmon, Divvala, Girshick, Farhadi, "You Only Look Once: Unified, Real-Time Object
Detection", CVPR 2016. The picture is cut into a grid; the cell in which the centre of
an object lies answers for it.

Different from the paper: one box a cell instead of two, convolutions up to the end, and
cross entropies for objectness and class. Left out: anchors, several grids.

A box is (left, top, right, bottom) in parts of the picture, 0 to 1, so that it fits
the picture at any size.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.cnn import Conv2d, Pair, _check_pictures, _pair
from lib.models.mlp import _check_size, _generator
from lib.models.vision import BatchNorm2d


class Detections(NamedTuple):
    """What was found in one picture, the surest first: n objects."""

    boxes: Tensor  # (n, 4)
    scores: Tensor  # (n,), 0 to 1
    labels: Tensor  # (n,) int64


class Detector(nn.Module):
    """A grid of boxes over the picture, each with objectness and class.

        levels of (conv, norm, relu, max pooling) -> conv, norm, relu -> conv 1 x 1

    Args:
        image_size: (height, width) of the pictures, or one number for square ones.
        in_channels: 1 for grey pictures, 3 for colour.
        classes: K, kinds of objects.
        channels: of the first level; each further one has twice as many.
        levels: how often the picture is halved; the grid has height / 2 ** levels rows.
        seed, device, dtype: as in `lib.models.mlp.Linear`.

    Raises:
        ValueError: for sizes it cannot use.
    """

    def __init__(
        self,
        image_size: Pair = 64,
        in_channels: int = 3,
        classes: int = 3,
        channels: int = 16,
        levels: int = 3,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_size(levels, "levels")
        _check_size(channels, "channels")
        _check_size(classes, "classes")
        self.image_size, self.classes = _pair(image_size), classes
        if any(n % 2**levels for n in self.image_size):
            raise ValueError(
                f"image_size is {image_size!r}; with {levels} levels both sides must "
                f"be multiples of {2**levels}. Pad or crop the pictures."
            )
        self.grid = tuple(n // 2**levels for n in self.image_size)
        place = {"device": device, "dtype": dtype}
        options = {"seed": _generator(seed), **place}
        widths = [channels * 2**level for level in range(levels)] + [
            channels * 2 ** (levels - 1)
        ]
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for before, width in zip([in_channels, *widths], widths, strict=False):
            self.convs.append(
                Conv2d(before, width, 3, padding=1, bias=False, **options)
            )
            self.norms.append(BatchNorm2d(width, **place))
        self.head = Conv2d(widths[-1], 5 + classes, 1, **options)

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        grid = " x ".join(map(str, self.grid))
        return f"Detector({grid} cells, {self.classes} classes, {count:,} parameters)"

    def forward(
        self, x: Tensor, return_intermediates: bool = False
    ) -> Tensor | dict[str, Tensor]:
        """Logits for every cell; on request also everything computed on the way.

        Args:
            x: (B, in_channels, *image_size).
            return_intermediates: return the named tensors instead of the outputs.

        Returns:
            (B, rows, columns, 5 + K): objectness, x, y, width, height, K classes; see
            `decode`. Or a dict with "input", "hidden_i" for each convolution i, from 1,
            (B, channels, height, width), and "output".

        Raises:
            ValueError: if x has another shape.
        """
        _check_pictures(x, self.convs[0].weight.shape[1], self.image_size)
        seen, h = {"input": x}, x
        for i, (conv, norm) in enumerate(
            zip(self.convs, self.norms, strict=True), start=1
        ):
            h = h if i == 1 else F.max_pool2d(h, 2)
            seen[f"hidden_{i}"] = h = norm(conv(h)).relu()
        seen["output"] = self.head(h).permute(0, 2, 3, 1)  # (B, rows, columns, 5 + K)
        return seen if return_intermediates else seen["output"]

    @torch.no_grad()
    def detect(
        self, x: Tensor, least_score: float = 0.5, most_overlap: float = 0.5
    ) -> list[Detections]:
        """The objects in each picture. Call it in evaluation mode.

        Args:
            x: as in `forward`.
            least_score: what is less sure is left out.
            most_overlap: as in `non_max_suppression`.
        """
        found = []
        for cells in self(x):  # (rows, columns, 5 + K)
            boxes, scores, labels = (part.flatten(0, 1) for part in decode(cells))
            sure = scores >= least_score
            boxes, scores, labels = boxes[sure], scores[sure], labels[sure]
            keep = non_max_suppression(boxes, scores, labels, most_overlap)
            found.append(Detections(boxes[keep], scores[keep], labels[keep]))
        return found


def decode(output: Tensor) -> Detections:
    """The box that each cell names, from the logits (..., rows, columns, 5 + K).

        centre = (cell + σ(x, y)) / cells        size = σ(width, height)
        score  = σ(objectness) · largest softmax of the classes

    Returns:
        boxes (..., rows, columns, 4), scores and labels (..., rows, columns).
    """
    rows, columns = output.shape[-3:-1]
    objectness, inside, size, classes = output.split(
        (1, 2, 2, output.shape[-1] - 5), -1
    )
    centre = (inside.sigmoid() + _corners(rows, columns, output)) / output.new_tensor(
        [columns, rows]
    )
    half = size.sigmoid() / 2
    best, labels = classes.softmax(-1).max(-1)
    scores = objectness[..., 0].sigmoid() * best
    return Detections(torch.cat([centre - half, centre + half], -1), scores, labels)


def grid_targets(
    boxes: Tensor, labels: Tensor, grid: tuple[int, int], classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """What the cells should say about known objects.

    Args:
        boxes: (B, N, 4); rows beyond the objects of a picture are not read.
        labels: (B, N) int64, 0 to K - 1; -1 where a picture has fewer than N objects.
        grid: rows and columns of cells.
        classes: K.

    Returns:
        has (B, rows, columns) bool, whether a centre lies there; place (B, rows,
        columns, 4), the centre inside the cell and the size, all 0 to 1; label (B,
        rows, columns) int64. Where two centres share a cell the later object has it.

    Raises:
        ValueError: for boxes that are no boxes, or labels out of range.
    """
    _check_objects(boxes, labels, classes)
    (rows, columns), (B, N) = grid, labels.shape
    cells = boxes.new_tensor([columns, rows])
    scaled = (boxes[..., :2] + boxes[..., 2:]) / 2 * cells  # centres, in cells
    # Trap: a centre on the right or lower edge belongs to the last cell.
    cell = scaled.nan_to_num().floor().clamp(min=0).minimum(cells - 1)
    place = torch.cat([scaled - cell, boxes[..., 2:] - boxes[..., :2]], -1)
    number = (cell[..., 1] * columns + cell[..., 0]).long()  # (B, N)
    # owner: which object answers in each cell, 0 for none; padding never wins.
    index = torch.arange(1, N + 1, device=boxes.device) * (labels >= 0)
    owner = index.new_zeros(B, rows * columns).scatter_reduce(1, number, index, "amax")
    has = (owner > 0).view(B, rows, columns)
    place = F.pad(place, (0, 0, 1, 0))  # (B, 1 + N, 4), zeros for nobody
    place = place.gather(1, owner[..., None].expand(-1, -1, 4))
    label = F.pad(labels, (1, 0)).gather(1, owner)
    return has, place.view(B, rows, columns, 4), label.view(B, rows, columns)


def detection_loss(output: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
    """How wrong the cells are about known objects; (), a mean over the pictures.

        5 · Σ (x, y and the roots of width and height: squared differences)
        + Σ cross entropy of the class        both over cells with an object
        + Σ cross entropy of objectness       half as much in cells without one

    The roots make the same error count more in a small box. Weights as in the paper.

    Args:
        output: (B, rows, columns, 5 + K), of `Detector`.
        boxes, labels: as in `grid_targets`.
    """
    B, rows, columns, size = output.shape
    has, place, label = grid_targets(boxes, labels, (rows, columns), size - 5)
    weight = torch.where(has, 1.0, 0.5).to(output.dtype)
    objectness = F.binary_cross_entropy_with_logits(
        output[..., 0], has.to(output.dtype), weight, reduction="sum"
    )
    said, known = output[has], place[has].to(output.dtype)  # (objects, 5 + K), (.., 4)
    inside = (said[:, 1:3].sigmoid() - known[:, :2]).square().sum()
    shape = (said[:, 3:5].sigmoid().sqrt() - known[:, 2:].sqrt()).square().sum()
    kind = F.cross_entropy(said[:, 5:], label[has], reduction="sum")
    return (5 * (inside + shape) + kind + objectness) / B


def box_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every box of a (n, 4) with every one of b (m, 4).

    (n, m), 1 for equal boxes, 0 for boxes that do not touch or have no area.
    """
    corner = torch.maximum(a[:, None, :2], b[None, :, :2])
    opposite = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    both = (opposite - corner).clamp(min=0).prod(-1)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).prod(-1) for x in (a, b))
    union = area_a[:, None] + area_b - both
    return torch.where(union > 0, both / union, 0.0)


def non_max_suppression(
    boxes: Tensor, scores: Tensor, labels: Tensor, most_overlap: float = 0.5
) -> Tensor:
    """Of boxes that name the same object keep the surest.

    From the highest score down, a box is kept unless one kept before it has the same
    label and overlaps it by more than `most_overlap`.

    Args:
        boxes, scores, labels: (n, 4), (n,), (n,).

    Returns:
        indices of the boxes to keep, int64, the highest score first.
    """
    order = scores.argsort(descending=True, stable=True)
    overlap, labels = box_overlap(boxes[order], boxes[order]), labels[order]
    rivals = (overlap > most_overlap) & (labels[:, None] == labels)
    kept: list[int] = []
    for i in range(len(order)):
        if not rivals[i, kept].any():
            kept.append(i)
    return order[kept]


def _corners(rows: int, columns: int, like: Tensor) -> Tensor:
    """(rows, columns, 2): column and row of each cell."""
    y, x = (torch.arange(n, device=like.device) for n in (rows, columns))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).to(like.dtype)


def _check_objects(boxes: Tensor, labels: Tensor, classes: int) -> None:
    if boxes.shape != (*labels.shape, 4) or labels.dim() != 2:
        raise ValueError(
            f"boxes and labels have the shapes {tuple(boxes.shape)} and "
            f"{tuple(labels.shape)}; give (B, N, 4) and (B, N)."
        )
    if labels.numel() and not (labels.min() >= -1 and labels.max() < classes):
        raise ValueError(
            f"labels run from {labels.min()} to {labels.max()}; they are 0 to "
            f"{classes - 1}, and -1 where there is no object."
        )
    real = boxes[labels >= 0]
    inside = ((real >= 0) & (real <= 1)).all(1)  # False for NaN too
    wrong = ~(inside & (real[:, :2] < real[:, 2:]).all(1))
    if wrong.any():
        raise ValueError(
            f"{real[wrong][0].tolist()} is not a box; give left < right and top < "
            "bottom, in parts of the picture from 0 to 1, not in pixels."
        )
