"""A two-dimensional slice of a real model's loss, to draw beside its training.

A model has thousands of weights; a picture has two axes. `LossPlane` takes a point in
the space of weights and two directions, and gives the loss over the data at
`origin + a * first + b * second` for a grid of a and b. The directions are either
random, with filter normalisation, or the two along which training moved most: H. Li,
Z. Xu, G. Taylor, C. Studer, T. Goldstein, "Visualizing the Loss Landscape of Neural
Nets", 2018 (arXiv 1712.09913), sections 4 and 7.

A vector of weights here is always flat: `model.parameters()` end to end.

Left out: slices along one direction only, and the curvature of the surface.
"""

import copy
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn
from torch.func import functional_call, vmap

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def flat_weights(model: nn.Module) -> torch.Tensor:
    """A copy of all parameters of the model as one vector, (N,)."""
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def random_directions(model: nn.Module, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two random directions, filter-normalised (Li et al., section 4).

    Each row of a weight matrix, and each filter of a convolution, gets a normal random
    vector scaled to the length of that row or filter, so that pictures of different
    models have the same scale: one unit moves every row by its own length. Biases and
    other one-dimensional parameters stay where they are, as in the authors' program.

    Returns:
        two flat vectors (N,), on the model's device and in its dtype. The same seed
        gives the same directions on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    first = [_filter_normalised(p.detach(), generator) for p in model.parameters()]
    second = [_filter_normalised(p.detach(), generator) for p in model.parameters()]
    return torch.cat(first), torch.cat(second)


def _filter_normalised(weight: torch.Tensor, generator: torch.Generator):
    """A random vector as long as `weight`, row by row; zero if it has no rows."""
    if weight.dim() < 2:
        return torch.zeros_like(weight).reshape(-1)
    noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    noise = noise.to(weight.dtype).to(weight.device).flatten(1)
    length = weight.flatten(1).norm(dim=1, keepdim=True)
    return (noise / noise.norm(dim=1, keepdim=True) * length).reshape(-1)


def path_directions(
    trajectory: Sequence[torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """The two directions along which training moved most (Li et al., section 7.2).

    They are the principal directions of the differences `theta_t - theta_last`. The
    mean is not subtracted: the plane has to pass through the last weights, and this is
    then the plane nearest to the whole path.

    Args:
        trajectory: three or more flat weight vectors (N,), first to last.

    Returns:
        (first, second, share): orthogonal vectors (N,) of length 1, signed so that the
        first weights of the path have coordinates of at least zero, and the share of
        the squared distances to the last weights that lies in the plane, 0 to 1.

    Raises:
        ValueError: if there are fewer than three vectors, if they differ in shape or
            hold NaN or infinity, or if the path is one straight line.
    """
    theta = _stacked(trajectory)
    moves = (theta[:-1] - theta[-1]).cpu().double()  # (steps, N); MPS has no float64
    # Eigenvectors of the small (steps, steps) matrix give those of the large one.
    squares, mix = torch.linalg.eigh(moves @ moves.T)
    if squares[-2] <= 1e-12 * squares[-1]:
        raise ValueError(
            "The path is one straight line, so it has one direction only; take "
            "random_directions for the second."
        )
    directions = mix[:, [-1, -2]].T @ moves  # (2, N)
    directions /= directions.norm(dim=1, keepdim=True)
    start = directions @ moves[0]
    directions[start < 0] *= -1
    share = float(squares[-2:].sum() / squares.clamp(min=0).sum())
    first, second = directions.to(theta.dtype).to(theta.device)
    return first, second, share


def _stacked(trajectory: Sequence[torch.Tensor]) -> torch.Tensor:
    """The trajectory as one (steps, N) tensor, checked."""
    if len(trajectory) < 3:
        raise ValueError(
            f"The path has {len(trajectory)} points; a plane needs three or more."
        )
    shapes = {tuple(theta.shape) for theta in trajectory}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(
            f"The path has vectors of the shapes {sorted(shapes)}; give flat vectors "
            "of one length."
        )
    theta = torch.stack([theta.detach() for theta in trajectory])
    if not theta.isfinite().all():
        raise ValueError(
            "The path holds NaN or infinity: training diverged. Give the part before."
        )
    return theta


class LossPlane:
    """The loss of a model over some data, on a plane in the space of its weights.

    The plane holds a copy of the model, in evaluation mode, and evaluates that: the
    model itself is never touched, and may train on meanwhile.

    Args:
        model: any module with `model(x)`; N parameters.
        loss: `loss(model(x), y)`, a single number, such as the mean cross-entropy.
        x, y: all the data to evaluate, on the model's device. One point of the grid is
            one pass over them: take a few hundred examples for a live picture.
        origin: flat weights (N,) at the coordinates (0, 0).
        first, second: flat directions (N,), not parallel. They are used as given: one
            unit of a is one length of `first`.
        vectorise: evaluate several points of the grid in one call. Set False for a
            model that `torch.func.vmap` cannot take.

    Raises:
        ValueError: if a vector has the wrong length, holds NaN or infinity, the
            directions are zero or parallel, the loss is not a single number, or the
            model cannot be vectorised.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        x: torch.Tensor,
        y: torch.Tensor,
        origin: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        vectorise: bool = True,
    ) -> None:
        self._model = copy.deepcopy(model).eval()
        self._names = [name for name, _ in self._model.named_parameters()]
        self._shapes = [p.shape for p in self._model.parameters()]
        for parameter in self._model.parameters():
            parameter.grad = None
        self._like = flat_weights(self._model)
        self.loss, self.x, self.y, self.vectorise = loss, x, y, vectorise
        self.origin = self._checked(origin, "origin")
        self.directions = torch.stack(
            [self._checked(first, "first"), self._checked(second, "second")]
        )  # (2, N)
        self._inverse = self._least_squares()  # (2, N)
        self._try_out()

    def __repr__(self) -> str:
        n, kind = len(self._like), type(self._model).__name__
        return f"LossPlane({kind}, {n:,} weights, {len(self.x):,} examples)"

    def coordinates(self, theta: torch.Tensor) -> torch.Tensor:
        """Where weights fall on the plane: (N,) or (steps, N) to (2,) or (steps, 2).

        Weights off the plane get the coordinates (a, b) of its nearest point.
        """
        return (theta.detach() - self.origin) @ self._inverse.T

    def distance_off(self, theta: torch.Tensor) -> torch.Tensor:
        """How far weights (N,) or (steps, N) lie from the plane: () or (steps,)."""
        theta = theta.detach()
        return (theta - self.weights(self.coordinates(theta))).norm(dim=-1)

    def offset(self, theta: torch.Tensor) -> torch.Tensor:
        """What to add to the plane so that it passes through weights (N,): (N,)."""
        theta = self._checked(theta, "theta")
        return theta - self.weights(self.coordinates(theta))

    def weights(self, coordinates: torch.Tensor) -> torch.Tensor:
        """The flat weights at (a, b): (2,) or (points, 2) to (N,) or (points, N)."""
        return self.origin + coordinates @ self.directions

    def losses(
        self,
        a_values: torch.Tensor,
        b_values: torch.Tensor,
        offset: torch.Tensor | None = None,
        chunk: int | None = None,
    ) -> torch.Tensor:
        """The loss at every pair of a and b.

        Args:
            a_values, b_values: coordinates, (A,) and (B,).
            offset: a vector (N,) that moves the whole plane; see `offset()`.
            chunk: points evaluated in one call; None lets the clock decide.

        Returns:
            (B, A) on the CPU: row 0 belongs to `b_values[0]`. NaN or infinity where
            the loss is that.
        """
        parts = self.losses_in_chunks(a_values, b_values, offset, chunk)
        grid = torch.cat([part for _, part in parts])
        return grid.reshape(len(b_values), len(a_values))

    def losses_in_chunks(
        self,
        a_values: torch.Tensor,
        b_values: torch.Tensor,
        offset: torch.Tensor | None = None,
        chunk: int | None = None,
        seconds: float = 0.008,
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """The same grid piece by piece, for a page that must stay responsive.

        Without `chunk`, the size of a piece follows the clock: it grows while a piece
        takes less than `seconds`, and shrinks when it takes more. One point is never
        split. Stop at any time by leaving the loop.

        Yields:
            (done, part): how many of the B x A points are done, and the losses of the
            newest ones on the CPU, row by row.
        """
        if chunk is not None and chunk < 1:
            raise ValueError(f"chunk is {chunk}; give 1 or more, or None.")
        points = _pairs(a_values, b_values).to(self._like)  # (B * A, 2)
        base = self.origin if offset is None else self.origin + self._checked(offset)
        size, done = chunk or 1, 0
        while done < len(points):
            began = time.perf_counter()
            theta = base + points[done : done + size] @ self.directions
            part = self._evaluate(theta).cpu()  # waits for a GPU, so the clock is fair
            spent = time.perf_counter() - began
            done += len(part)
            if chunk is None:
                size = _next_size(size, spent / seconds)
            yield done, part

    @torch.no_grad()
    def _evaluate(self, theta: torch.Tensor) -> torch.Tensor:
        """The loss at each row of theta: (points, N) to (points,)."""
        if self.vectorise and len(theta) > 1:
            return vmap(self._loss_at)(theta)
        return torch.stack([self._loss_at(row) for row in theta])

    def _loss_at(self, theta: torch.Tensor) -> torch.Tensor:
        """The loss at one flat vector (N,)."""
        pieces = theta.split([shape.numel() for shape in self._shapes])
        parameters = {
            name: piece.view(shape)
            for name, piece, shape in zip(
                self._names, pieces, self._shapes, strict=True
            )
        }
        return self.loss(functional_call(self._model, parameters, (self.x,)), self.y)

    def _checked(self, vector: torch.Tensor, name: str = "offset") -> torch.Tensor:
        """A copy of the vector, in the model's dtype and on its device."""
        if vector.shape != self._like.shape:
            raise ValueError(
                f"{name} has the shape {tuple(vector.shape)}; this model needs a flat "
                f"vector of {len(self._like)} weights."
            )
        if not vector.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinity; give finite weights.")
        return vector.detach().to(self._like, copy=True)

    def _try_out(self) -> None:
        """Evaluate two points, so that a model or loss that does not fit shows now.

        It also takes the half second that torch needs for the very first vmap of a
        loss (it loads its shape checks then) out of the first live picture.
        """
        try:
            losses = self._evaluate(torch.stack([self.origin, self.origin]))
        except RuntimeError as error:
            if not self.vectorise:
                raise
            raise ValueError(
                "torch.func.vmap cannot take this model or loss; give vectorise=False. "
                f"It says: {error}"
            ) from error
        if losses.shape != (2,):
            raise ValueError(
                f"The loss has the shape {tuple(losses.shape[1:])}; give one that "
                "returns a single number, such as the mean over the examples."
            )

    def _least_squares(self) -> torch.Tensor:
        """The (2, N) matrix that turns a difference of weights into (a, b)."""
        rows = self.directions.cpu().double()  # MPS has no float64
        gram = rows @ rows.T
        area = gram[0, 0] * gram[1, 1]
        if area == 0 or torch.linalg.det(gram) <= 1e-10 * area:
            raise ValueError(
                "The two directions are zero or parallel, so they span no plane; "
                "give two that differ."
            )
        inverse = torch.linalg.solve(gram, rows)
        return inverse.to(self._like.dtype).to(self._like.device)


def _pairs(a_values: torch.Tensor, b_values: torch.Tensor) -> torch.Tensor:
    """Every (a, b), a fastest: (A,) and (B,) to (B * A, 2)."""
    for name, values in (("a_values", a_values), ("b_values", b_values)):
        if values.dim() != 1 or len(values) == 0:
            raise ValueError(
                f"{name} has the shape {tuple(values.shape)}; give a list of numbers, "
                "a tensor with one dimension that is not empty."
            )
    b, a = torch.meshgrid(b_values, a_values, indexing="ij")
    return torch.stack([a, b], dim=-1).reshape(-1, 2)


def _next_size(size: int, spent: float) -> int:
    """The next number of points, when `size` of them took `spent` of the time allowed.

    It at most doubles: a short call says little about a long one.
    """
    return max(1, int(size / max(spent, 0.5)))
