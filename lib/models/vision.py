"""Batch normalisation, a residual network, and a U-shaped network for segmentation.

Ioffe, Szegedy, "Batch Normalization", ICML 2015. He, Zhang, Ren, Sun, "Deep Residual
Learning for Image Recognition", CVPR 2016, section 4.2: the network for small pictures.
Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", MICCAI 2015.

Different from the papers: where a residual block changes the shape its shortcut is a
1 x 1 convolution (the paper's option B). The U-shaped network pads, so that its output
has the size of its input, normalises each batch, and enlarges by repeating pixels where
the paper learns to (transposed convolution). Left out: bottleneck blocks, dropout.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.cnn import Conv2d, _check_pictures
from lib.models.mlp import Linear, _check_size, _generator


def normalise_batch(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Give every channel the mean `bias` and the standard deviation `weight`.

        x̂ = (x − mean) / √(var + ε)        y = weight · x̂ + bias

    In training mean and var are those of this batch, and the running ones move towards
    them by the part `momentum`, in place. Afterwards the running ones are used, so that
    the answer for one picture does not depend on its neighbours in the batch.

    Args:
        x: (B, C, height, width).
        weight, bias, running_mean, running_var: (C,).
    """
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        n = x.numel() // x.shape[1]
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            # Trap: the batch is divided by √var with 1/n, what is kept has 1/(n − 1).
            running_var.lerp_(var * n / (n - 1), momentum)
    mean, var, weight, bias = (v[:, None, None] for v in (mean, var, weight, bias))
    return weight * (x - mean) / torch.sqrt(var + eps) + bias


class BatchNorm2d(nn.Module):
    """A layer of `normalise_batch`, by torch's kernel; as `torch.nn.BatchNorm2d`.

    Parameters: weight (C,), ones; bias (C,), zeros. Buffers: running_mean (C,), zeros;
    running_var (C,), ones. torch's counter of batches is left out, it has no effect.
    """

    def __init__(
        self,
        channels: int,
        momentum: float = 0.1,
        eps: float = 1e-5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_size(channels, "channels")
        self.momentum, self.eps = momentum, eps
        options = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.ones(channels, **options))
        self.bias = nn.Parameter(torch.zeros(channels, **options))
        self.register_buffer("running_mean", torch.zeros(channels, **options))
        self.register_buffer("running_var", torch.ones(channels, **options))

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, momentum={self.momentum}, eps={self.eps}"

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, height, width) to the same shape."""
        _check_pictures(x, len(self.weight))
        if self.training and x.numel() // x.shape[1] < 2:
            raise ValueError(
                f"x has the shape {tuple(x.shape)}: one number in each channel has no "
                "spread to divide by. Train on larger batches or pictures, or call "
                "model.eval() to use the running mean and variance."
            )
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )


class ResidualBlock(nn.Module):
    """Two convolutions that learn what to add to their input.

        y = relu(x + F(x))        F = conv, norm, relu, conv, norm

    Where stride or channels change, x goes through a 1 x 1 convolution and a norm.
    Arguments as in `Conv2d`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, **options
    ) -> None:
        super().__init__()
        place = {k: v for k, v in options.items() if k != "seed"}
        self.conv_1 = Conv2d(
            in_channels, out_channels, 3, stride, 1, bias=False, **options
        )
        self.norm_1 = BatchNorm2d(out_channels, **place)
        self.conv_2 = Conv2d(out_channels, out_channels, 3, 1, 1, bias=False, **options)
        self.norm_2 = BatchNorm2d(out_channels, **place)
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                Conv2d(in_channels, out_channels, 1, stride, bias=False, **options),
                BatchNorm2d(out_channels, **place),
            )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The output, and the hidden maps between the two convolutions."""
        hidden = self.norm_1(self.conv_1(x)).relu()
        return (self.shortcut(x) + self.norm_2(self.conv_2(hidden))).relu(), hidden


class ResNet(nn.Module):
    """A small residual network for small pictures of any size.

        conv -> stages of residual blocks -> mean over all pixels -> dense

    Every stage after the first halves the picture and has its own number of channels.

    Args:
        in_channels: 1 for grey pictures, 3 for colour.
        widths: channels of each stage.
        blocks: residual blocks in each stage.
        classes: outputs.
        seed, device, dtype: as in `lib.models.mlp.Linear`.

    Raises:
        ValueError: for sizes it cannot use.
    """

    def __init__(
        self,
        in_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64),
        blocks: int = 1,
        classes: int = 10,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not widths:
            raise ValueError("widths is empty; give the channels of each stage.")
        _check_size(blocks, "blocks")
        place = {"device": device, "dtype": dtype}
        options = {"seed": _generator(seed), **place}
        self.widths = tuple(widths)
        self.stem = Conv2d(in_channels, widths[0], 3, padding=1, bias=False, **options)
        self.norm = BatchNorm2d(widths[0], **place)
        self.blocks = nn.ModuleList()
        before = widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                self.blocks.append(ResidualBlock(before, width, stride, **options))
                before = width
        self.dense = Linear(before, classes, **options)

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        widths = "-".join(map(str, self.widths))
        return f"ResNet({widths}, {len(self.blocks)} blocks, {count:,} parameters)"

    def forward(
        self, x: Tensor, return_intermediates: bool = False
    ) -> Tensor | dict[str, Tensor]:
        """Logits; on request also everything computed on the way.

        Args:
            x: (B, in_channels, height, width).
            return_intermediates: return the named tensors instead of the outputs.

        Returns:
            (B, classes); or a dict with "input", "stem", then for each block i, from 1,
            "block_i_hidden" between its convolutions and "block_i" after it, all
            (B, channels, rows, columns), then "pooled" (B, channels) and "output".
        """
        seen = {"input": x}
        seen["stem"] = h = self.norm(self.stem(x)).relu()
        for i, block in enumerate(self.blocks, start=1):
            h, hidden = block(h)
            seen[f"block_{i}_hidden"], seen[f"block_{i}"] = hidden, h
        seen["pooled"] = h.mean((2, 3))  # (B, C)
        seen["output"] = self.dense(seen["pooled"])
        return seen if return_intermediates else seen["output"]


class TwoConvolutions(nn.Sequential):
    """conv, norm, relu, conv, norm, relu: one level of the U. Arguments as `Conv2d`."""

    def __init__(self, in_channels: int, out_channels: int, **options) -> None:
        place = {k: v for k, v in options.items() if k != "seed"}
        super().__init__(
            Conv2d(in_channels, out_channels, 3, padding=1, bias=False, **options),
            BatchNorm2d(out_channels, **place),
            nn.ReLU(),
            Conv2d(out_channels, out_channels, 3, padding=1, bias=False, **options),
            BatchNorm2d(out_channels, **place),
            nn.ReLU(),
        )


class UNet(nn.Module):
    """A U-shaped network: one class for every pixel.

    Going down, the picture shrinks and the channels double: what is there. Going up,
    each level also sees the maps of the same size from the way down: where it is.

    Args:
        in_channels: 1 for grey pictures, 3 for colour.
        classes: outputs for each pixel, the background among them.
        channels: of the first level; each level further down has twice as many.
        depth: how often the picture is halved.
        seed, device, dtype: as in `lib.models.mlp.Linear`.

    Raises:
        ValueError: for sizes it cannot use.
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 2,
        channels: int = 8,
        depth: int = 2,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_size(channels, "channels")
        _check_size(depth, "depth")
        options = {"seed": _generator(seed), "device": device, "dtype": dtype}
        widths = [channels * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            TwoConvolutions(before, width, **options)
            for before, width in zip([in_channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            TwoConvolutions(
                3 * width, width, **options
            )  # 2 from below, 1 from the side
            for width in reversed(widths[:-1])
        )
        self.head = Conv2d(channels, classes, 1, **options)

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        return f"UNet(depth {len(self.up)}, {count:,} parameters)"

    def forward(
        self, x: Tensor, return_intermediates: bool = False
    ) -> Tensor | dict[str, Tensor]:
        """Logits for every pixel; on request also everything computed on the way.

        Args:
            x: (B, in_channels, height, width), both divisible by 2 ** depth.
            return_intermediates: return the named tensors instead of the outputs.

        Returns:
            (B, classes, height, width); or a dict with "input", "down_1" (full size) to
            "down_n" (smallest), "up_1" (next larger) to "up_m" (full size), "output".

        Raises:
            ValueError: if the picture cannot be halved `depth` times.
        """
        _check_pictures(x, self.down[0][0].weight.shape[1])
        self._check_halves(x)
        seen, h = {"input": x}, x
        for i, level in enumerate(self.down, start=1):
            h = h if i == 1 else F.max_pool2d(h, 2)
            seen[f"down_{i}"] = h = level(h)
        for i, level in enumerate(self.up, start=1):
            enlarged = F.interpolate(h, scale_factor=2, mode="nearest")
            aside = seen[f"down_{len(self.down) - i}"]
            seen[f"up_{i}"] = h = level(torch.cat([enlarged, aside], dim=1))
        seen["output"] = self.head(h)
        return seen if return_intermediates else seen["output"]

    def _check_halves(self, x: Tensor) -> None:
        factor = 2 ** len(self.up)
        if x.shape[2] % factor or x.shape[3] % factor:
            raise ValueError(
                f"x has {x.shape[2]} x {x.shape[3]} pixels; a network of depth "
                f"{len(self.up)} takes multiples of {factor}. Pad or crop the pictures."
            )
