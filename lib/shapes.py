"""Pictures of circles, squares and triangles, with a box and a mask for each.

Made from a seed when they are asked for; no file is read. They are the data for
detection (what is where?) and segmentation (what is each pixel?), with answers that are
exact because the program that draws knows them.

Left out: turned shapes, perspective, shadows.
"""

from dataclasses import dataclass, replace

import torch

KINDS = ("circle", "square", "triangle")
MOST = 3  # objects in a picture
TRIES = 30  # places tried for an object before it is left out
OVERLAP = 0.2  # of the smaller box, at most
CONTRAST = 0.5  # least sum of differences between a shape's colour and the ground


@dataclass(frozen=True, eq=False)
class Shapes:
    """Pictures with their objects.

    Fields, for N pictures of size x size and at most M objects in each:
        x: (N, 3, size, size) float32 from 0 to 1, red, green, blue.
        boxes: (N, M, 4) float32: left, top, right, bottom in parts of the picture, 0
            to 1; zeros beyond the objects of a picture.
        labels: (N, M) int64: 0 circle, 1 square, 2 triangle; -1 beyond the objects.
        masks: (N, size, size) int64: for each pixel 0 ground, or 1 + the label of the
            object on top.
        targets: the names of the kinds.
    """

    x: torch.Tensor
    boxes: torch.Tensor
    labels: torch.Tensor
    masks: torch.Tensor
    targets: tuple[str, ...] = KINDS
    name: str = "shapes"
    description: str = "Circles, squares and triangles on noisy grounds, one to three."
    source: str = "made for this course"
    licence: str = "Apache-2.0"

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.x.shape[1:]))
        objects = int((self.labels >= 0).sum())
        return f"Shapes({len(self):,} pictures of {size}, {objects:,} objects)"

    def describe(self) -> str:
        """What the set is, where it comes from, and its licence: three lines."""
        lines = (self.description, f"Source: {self.source}", f"Licence: {self.licence}")
        return "\n".join(lines)

    def take(self, rows: torch.Tensor) -> "Shapes":
        """The pictures with these row numbers, (n,) int64."""
        return self._each(lambda tensor: tensor[rows.to(tensor.device)])

    def to(self, device: torch.device | str) -> "Shapes":
        """The same set on another device."""
        return self._each(lambda tensor: tensor.to(device))

    def _each(self, change) -> "Shapes":
        names = ("x", "boxes", "labels", "masks")
        return replace(self, **{name: change(getattr(self, name)) for name in names})


def shapes(n: int = 500, size: int = 64, noise: float = 0.05, seed: int = 0) -> Shapes:
    """n pictures with one to three objects each, which may touch but hardly overlap.

    Args:
        n: how many pictures, 1 or more.
        size: pixels along each side, 32 to 256.
        noise: standard deviation of the normal noise on every pixel, 0 or more.
        seed: the same seed gives the same pictures; the first pictures of a larger n
            are those of a smaller one.

    Raises:
        ValueError: for numbers outside these bounds.
    """
    whole = isinstance(n, int) and isinstance(size, int)
    if not (whole and n >= 1 and 32 <= size <= 256 and 0 <= noise < 1):
        raise ValueError(
            f"n={n!r}, size={size!r}, noise={noise!r}: give whole numbers n of 1 or "
            "more and size from 32 to 256, and noise of 0 or more, below 1."
        )
    generator = torch.Generator().manual_seed(seed)
    drawn = [_picture(size, noise, generator) for _ in range(n)]
    x, boxes, labels, masks = (torch.stack(part) for part in zip(*drawn, strict=True))
    return Shapes(x, boxes, labels, masks)


def _picture(size: int, noise: float, generator: torch.Generator):
    ground = torch.rand(3, generator=generator)
    x = ground[:, None, None].expand(3, size, size).clone()
    mask = torch.zeros(size, size, dtype=torch.int64)
    boxes, labels = torch.zeros(MOST, 4), torch.full((MOST,), -1)
    count, found = _whole(1, MOST, generator), 0
    for _ in range(count * TRIES):
        label = _whole(0, len(KINDS) - 1, generator)
        inside = _draw(label, size, generator)
        box = _box(inside) / size
        if any(_overlap(box, other) > OVERLAP for other in boxes[:found]):
            continue
        x[:, inside] = _colour(ground, generator)[:, None]
        mask[inside] = 1 + label
        boxes[found], labels[found] = box, label
        found += 1
        if found == count:
            break
    x = x + noise * torch.randn(3, size, size, generator=generator)
    return x.clamp(0, 1), boxes, labels, mask


def _draw(label: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """The pixels of one shape, (size, size) bool, all inside the picture."""
    r = _whole(size // 10, size // 5, generator)  # half its width and height
    cx, cy = (_whole(r, size - 1 - r, generator) for _ in "xy")
    along = torch.arange(size)
    dx, dy = along[None, :] - cx, along[:, None] - cy  # (1, size), (size, 1)
    if label == 0:
        return dx**2 + dy**2 <= r**2 + r  # about (r + 1/2)²: round, not pointed
    if label == 1:
        return (dx.abs() <= r) & (dy.abs() <= r)
    return (dy.abs() <= r) & (2 * dx.abs() <= dy + r)  # from the tip down


def _colour(ground: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A colour that stands out from the ground."""
    while True:
        colour = torch.rand(3, generator=generator)
        if (colour - ground).abs().sum() >= CONTRAST:
            return colour


def _box(inside: torch.Tensor) -> torch.Tensor:
    """Left, top, right, bottom edge in pixels: tight around the shape."""
    rows, columns = inside.nonzero(as_tuple=True)
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    return torch.stack(edges).float()


def _overlap(a: torch.Tensor, b: torch.Tensor) -> float:
    """The common area of two boxes as a part of the smaller one."""
    sides = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0)
    smaller = min(float((box[2:] - box[:2]).prod()) for box in (a, b))
    return float(sides.prod()) / smaller


def _whole(low: int, high: int, generator: torch.Generator) -> int:
    """A whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))
