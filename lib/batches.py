"""The data cut into small batches, and what the training loop asks of any batches.

Holds `minibatches` and the helpers with which `lib.training` walks through batches of
any kind: lists, torch's `DataLoader`, or an object of your own.

Left out: loading in other processes, for which torch has the `DataLoader`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler

Batch = tuple[Tensor, Tensor]


def pairs(batches: Iterable[Batch], epoch: int) -> Iterator[Batch]:
    """The batches of one epoch, each checked to be a pair."""
    empty = True
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise ValueError(
                f"a batch was a {type(batch).__name__}; give pairs (inputs, targets)."
            )
        empty = False
        yield batch[0], batch[1]
    if empty:
        raise ValueError(
            f"batches gave nothing in epoch {epoch}. An iterator is used up after one "
            "pass; give a list, minibatches(...) or a DataLoader."
        )


def groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of `size` batches; the last one of an epoch may be shorter."""
    while group := list(itertools.islice(batches, size)):
        yield group


def count(batches: Iterable[Batch]) -> int | None:
    """Batches in one pass; None where they do not say."""
    try:
        return len(batches)
    except TypeError:
        return None


def generator_of(batches: Iterable[Batch]) -> torch.Generator | None:
    """Where the order of the batches comes from; None for a fixed order.

    Raises:
        ValueError: a `DataLoader` that shuffles by torch's global generator, because
            its order cannot be had again.
    """
    generator = getattr(batches, "generator", None)
    if isinstance(batches, DataLoader) and generator is None:
        generator = getattr(batches.sampler, "generator", None)
        if generator is None and isinstance(batches.sampler, RandomSampler):
            raise ValueError(
                "the DataLoader shuffles by the global generator, so a run cannot be "
                "resumed. Give it one: DataLoader(..., generator=torch.Generator())."
            )
    return generator if isinstance(generator, torch.Generator) else None


def check_count(**counts: Any) -> None:
    """Raise ValueError for what is no whole number from 1."""
    for name, number in counts.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} was {number!r}; it is a whole number from 1 up.")


class minibatches:
    """The data in small batches, in a new random order at each pass.

    The order comes from a generator on the CPU, whatever device the data is on. So the
    same seed gives the same batches on every machine, and pass k of one object is pass
    k of another made alike.

    Args:
        x: (N, ...) inputs.
        y: (N, ...) targets, on the same device.
        batch_size: examples in a batch. None gives everything at once, in the order
            given: batch gradient descent.
        seed: of the order.
        generator: on the CPU, in place of a seed; it moves on at each pass.
        drop_last: True leaves out a last batch that is smaller.

    Raises:
        ValueError: x and y do not match or are empty, or there would be no batch.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        batch_size: int | None,
        *,
        seed: int = 0,
        generator: torch.Generator | None = None,
        drop_last: bool = False,
    ) -> None:
        N = _check_pair(x, y)
        if batch_size is not None:
            check_count(batch_size=batch_size)
            if drop_last and batch_size > N:
                raise ValueError(
                    f"batch_size was {batch_size} for {N} examples, and drop_last "
                    "leaves out the only batch. Take a smaller one."
                )
        if generator is None:
            generator = torch.Generator().manual_seed(seed)
        elif generator.device.type != "cpu":
            raise ValueError(
                f"the generator is on {generator.device}; the order of the batches "
                "takes one on the CPU, torch.Generator()."
            )
        self.x, self.y = x, y
        self.batch_size, self.drop_last = batch_size, drop_last
        self.generator = generator

    def __iter__(self) -> Iterator[Batch]:
        if self.batch_size is None:
            yield self.x, self.y
            return
        order = torch.randperm(len(self.x), generator=self.generator)
        order = order.to(self.x.device)
        for i in range(len(self)):
            chosen = order[i * self.batch_size : (i + 1) * self.batch_size]
            yield self.x[chosen], self.y[chosen]

    def __len__(self) -> int:
        """Batches in one pass."""
        if self.batch_size is None:
            return 1
        whole, rest = divmod(len(self.x), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __repr__(self) -> str:
        return f"minibatches({len(self)} of {self.batch_size or len(self.x)})"


def _check_pair(x: Tensor, y: Tensor) -> int:
    """The number of examples in x and in y."""
    for name, data in (("x", x), ("y", y)):
        if not isinstance(data, Tensor) or data.ndim == 0:
            raise ValueError(
                f"{name} was a {type(data).__name__}; give a tensor with one row for "
                "each example."
            )
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"x has {len(x)} examples and y has {len(y)}; both need the same number, "
            "at least 1."
        )
    if x.device != y.device:
        raise ValueError(
            f"x is on {x.device} and y on {y.device}; move one with .to(device)."
        )
    return len(x)
