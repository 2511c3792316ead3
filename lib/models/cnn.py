"""Convolution and pooling, written out, and the small CNN of the lessons.

LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document
Recognition", Proceedings of the IEEE 86(11), 1998. As everywhere in this field,
"convolution" does not turn the kernel round: it is what mathematics calls
cross-correlation.

First the operations in plain tensor arithmetic, for reading: `windows`, `convolve`,
`max_pool`, `average_pool`. Then the layer `Conv2d` and the network `CNN`, which call
torch's kernels for speed. The tests hold both to the same numbers.

Left out: groups, padding other than zeros, transposed convolution, one and three
dimensions. Residual and U-shaped networks are in `vision`, the detector in `detection`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.mlp import Linear, _check_size, _generator

Pair = int | tuple[int, int]  # one number for both directions, or (height, width)


def windows(x: Tensor, size: Pair, stride: Pair = 1, dilation: Pair = 1) -> Tensor:
    """Every patch of the pictures that a kernel of this size covers, one after another.

    No number is copied: the result is a view in which neighbouring patches share the
    pixels that lie in both.

    Args:
        x: (B, C, height, width).
        size: rows and columns of a patch.
        stride: pixels from one patch to the next.
        dilation: pixels from one row or column of a patch to the next; 1 is dense.

    Returns:
        (B, C, rows, columns, *size). `result[b, :, i, j]` is the patch under the
        kernel at position (i, j) of the output.

    Raises:
        ValueError: if x is not a batch of pictures, or a patch is larger than they are.
    """
    _check_pictures(x)
    size, stride, dilation = _pair(size), _pair(stride), _pair(dilation)
    for axis in (0, 1):
        span = dilation[axis] * (size[axis] - 1) + 1  # pixels from first to last row
        _check_fits(span, x.shape[2 + axis])
        x = x.unfold(2 + axis, span, stride[axis])[..., :: dilation[axis]]
    return x


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
) -> Tensor:
    """Slide a kernel over pictures; each output is the inner product with one patch.

        y[o, i, j] = bias[o] + Σ over c, k, l of patch[c, k, l] · weight[o, c, k, l]

    where patch is the one under the kernel at position (i, j).

    Args:
        x: (B, C, height, width).
        weight: (outputs, C, kernel height, kernel width), one kernel for each output.
        bias: (outputs,).
        stride, dilation: as in `windows`.
        padding: zeros put around the picture, on each side.

    Returns:
        (B, outputs, rows, columns), rows = (height + 2 padding − dilation (kernel
        height − 1) − 1) // stride + 1, and columns likewise.

    Raises:
        ValueError: if the channels of x and weight differ, or the kernel does not fit.
    """
    _check_pictures(x, weight.shape[1])
    x = _pad(x, padding, 0.0)
    patches = windows(x, weight.shape[2:], stride, dilation)
    y = torch.einsum("bcijkl,ockl->boij", patches, weight)
    return y if bias is None else y + bias[:, None, None]


def max_pool(
    x: Tensor, size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Tensor:
    """The largest number of each patch: (B, C, height, width) to (B, C, rows, columns).

    Where several are equally large the gradient goes to the first of them. Padding
    counts as minus infinity, so it never wins; it is at most half of size. stride is
    size unless given. Errors as in `windows`.
    """
    _check_padding(size, padding)
    x = _pad(x, padding, float("-inf"))
    patches = windows(x, size, size if stride is None else stride)
    return patches.flatten(-2).max(-1).values


def average_pool(
    x: Tensor, size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Tensor:
    """The mean of each patch: (B, C, height, width) to (B, C, rows, columns).

    Zeros of the padding count as pixels. The rest is as in `max_pool`.
    """
    _check_padding(size, padding)
    x = _pad(x, padding, 0.0)
    return windows(x, size, size if stride is None else stride).mean((-2, -1))


class Conv2d(nn.Module):
    """A layer of kernels: `convolve` with weights to learn, by torch's fast kernel.

    The same as `torch.nn.Conv2d`, also in the weights that a seed gives.

    Args:
        in_channels, out_channels: numbers that describe a pixel, before and after.
        kernel_size, stride, padding, dilation: as in `convolve`.
        bias: False leaves it out, for a layer followed by batch normalisation.
        seed, device, dtype: as in `lib.models.mlp.Linear`.

    Parameters:
        weight: (out_channels, in_channels, *kernel_size), uniform between
            -1 / sqrt(n) and 1 / sqrt(n), n the pixels times channels under one kernel.
        bias: (out_channels,), likewise; None without bias.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        bias: bool = True,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_size(in_channels, "in_channels")
        _check_size(out_channels, "out_channels")
        self.stride, self.padding = _pair(stride), _pair(padding, "padding", 0)
        self.dilation = _pair(dilation)
        shape = (out_channels, in_channels, *_pair(kernel_size))
        generator = _generator(seed)
        bound = torch.Size(shape[1:]).numel() ** -0.5

        def uniform(*shape: int) -> nn.Parameter:
            w = torch.empty(shape).uniform_(-bound, bound, generator=generator)
            return nn.Parameter(w.to(device, dtype))

        self.weight = uniform(*shape)
        self.bias = uniform(out_channels) if bias else None

    def extra_repr(self) -> str:
        outputs, inputs, *size = self.weight.shape
        text = f"{inputs}, {outputs}, kernel_size={tuple(size)}"
        for name, usual in (("stride", 1), ("padding", 0), ("dilation", 1)):
            if getattr(self, name) != (usual, usual):
                text += f", {name}={getattr(self, name)}"
        return text + ("" if self.bias is not None else ", bias=False")

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, height, width) to (B, out_channels, rows, columns)."""
        _check_pictures(x, self.weight.shape[1])
        for axis in (0, 1):
            span = self.dilation[axis] * (self.weight.shape[2 + axis] - 1) + 1
            _check_fits(span, x.shape[2 + axis] + 2 * self.padding[axis])
        return F.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation
        )


class CNN(nn.Module):
    """One convolution, one pooling, one dense layer: the documents' MNIST network.

        28 x 28 -> 32 kernels of 3 x 3 -> relu -> max pooling 2 x 2 -> dense -> 10

    Args:
        image_size: (height, width) of the pictures, or one number for square ones.
        in_channels: 1 for grey pictures, 3 for colour.
        channels: kernels of the convolution.
        classes: outputs.
        seed, device, dtype: as in `lib.models.mlp.Linear`.

    Raises:
        ValueError: for sizes it cannot use; a picture must be at least 4 x 4.
    """

    def __init__(
        self,
        image_size: Pair = 28,
        in_channels: int = 1,
        channels: int = 32,
        classes: int = 10,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.image_size = height, width = _pair(image_size)
        if min(height, width) < 4:
            raise ValueError(
                f"image_size is {image_size!r}; after a 3 x 3 convolution and a 2 x 2 "
                "pooling nothing is left of it. Give pictures of 4 x 4 or more."
            )
        options = {"seed": _generator(seed), "device": device, "dtype": dtype}
        self.conv = Conv2d(in_channels, channels, 3, **options)
        features = channels * ((height - 2) // 2) * ((width - 2) // 2)
        self.dense = Linear(features, classes, **options)

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        channels, inputs = self.conv.weight.shape[:2]
        size = "x".join(map(str, self.image_size))
        classes = len(self.dense.weight)
        return f"CNN({inputs}x{size}, {channels} kernels, {classes} classes, " + (
            f"{count:,} parameters)"
        )

    def forward(
        self, x: Tensor, return_intermediates: bool = False
    ) -> Tensor | dict[str, Tensor]:
        """Logits; on request also everything computed on the way.

        Args:
            x: (B, in_channels, *image_size).
            return_intermediates: return the named tensors instead of the outputs.

        Returns:
            (B, classes); or a dict with "input", "conv" before and "hidden" after the
            relu (B, channels, height − 2, width − 2), "pooled" with half the rows and
            columns, "flat" (B, features) and "output".

        Raises:
            ValueError: if x has another shape.
        """
        _check_pictures(x, self.conv.weight.shape[1], self.image_size)
        seen = {"input": x}
        seen["conv"] = self.conv(x)
        seen["hidden"] = seen["conv"].relu()
        seen["pooled"] = F.max_pool2d(seen["hidden"], 2)
        seen["flat"] = seen["pooled"].flatten(1)
        seen["output"] = self.dense(seen["flat"])
        return seen if return_intermediates else seen["output"]


def _pair(value: Pair, name: str = "a size, stride or dilation", least: int = 1):
    """One number as two; two numbers as they are."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(n, int) and n >= least for n in pair):
        raise ValueError(
            f"{name} is {value!r}; give a whole number, {least} or more, or two."
        )
    return pair


def _pad(x: Tensor, padding: Pair, value: float) -> Tensor:
    """A frame of `value` around the pictures."""
    _check_pictures(x)
    rows, columns = _pair(padding, "padding", 0)
    if rows == columns == 0:
        return x
    return F.pad(x, (columns, columns, rows, rows), value=value)


def _check_pictures(
    x: Tensor, channels: int | None = None, size: tuple[int, int] | None = None
) -> None:
    """Say which shape is wanted: (B, channels, height, width)."""
    wanted = (channels or "channels", *(size or ("height", "width")))
    fits = x.dim() == 4 and all(
        isinstance(want, str) or have == want
        for have, want in zip(x.shape[1:], wanted, strict=True)
    )
    if not fits:
        shape = ", ".join(map(str, ("B", *wanted)))
        raise ValueError(
            f"x has the shape {tuple(x.shape)}; give a batch of pictures, ({shape}). "
            "One picture becomes a batch with x[None], flat ones become pictures with "
            "x.unflatten(1, (channels, height, width))."
        )
    if not x.is_floating_point():
        raise TypeError(
            f"x has the dtype {x.dtype}; convolution and pooling compute with "
            "floating-point numbers: x.float() converts it."
        )


def _check_fits(span: int, pixels: int) -> None:
    if span > pixels:
        raise ValueError(
            f"a patch spans {span} pixels, the padded picture has {pixels}; give "
            "larger pictures, more padding, a smaller kernel or less dilation."
        )


def _check_padding(size: Pair, padding: Pair) -> None:
    for pixels, frame in zip(_pair(size), _pair(padding, "padding", 0), strict=True):
        if 2 * frame > pixels:
            raise ValueError(
                f"padding is {padding} for pooling over {size}; give at most half of "
                "it, or some patches hold nothing but padding."
            )
