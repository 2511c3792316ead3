"""Still pictures of `Convolution`: a kernel at work, or every layer of a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from lib.convolution_lab import DigitNetwork, padded

# the page's colours for numbers with a sign: orange below 0, blue above
SIGNED = LinearSegmentedColormap.from_list(
    "signed",
    ["#8f3b00", "#d55e00", "#f2b98a", "#ffffff", "#9cc7e6", "#0072b2", "#003a63"],
)


def kernel_figure(widget: Any) -> Figure:
    """Padded picture, kernel, output and pooled map of a `Convolution` side by side."""
    v, result = widget.values, widget.result()
    framed = padded(widget.picture, v["padding"], v["padding_mode"])
    kernel = torch.tensor(v["kernel"])
    pictures = [("picture with padding", framed, None), ("kernel", kernel, "kernel")]
    if result["map"] is not None:
        pictures.append(("output", result["map"], "signed"))
    if result["pooled"] is not None:
        pictures.append((f"pooled ({v['pooling']})", result["pooled"], "signed"))
    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    for axes, (title, values, look) in zip(
        np.atleast_1d(figure.subplots(1, len(pictures))), pictures, strict=True
    ):
        show(axes, values, look)
        axes.set_title(f"{title}, {values.shape[0]} × {values.shape[1]}", fontsize=10)
        if look == "kernel":
            for (i, j), value in np.ndenumerate(values.numpy()):
                dark = abs(value) > 0.6 * float(kernel.abs().max())
                look_of = {"color": "white" if dark else "black", "fontsize": 9}
                axes.text(j, i, f"{value:.2g}", ha="center", va="center", **look_of)
    if result["map"] is None:
        figure.suptitle("the kernel does not fit into the padded picture")
    return figure


def network_figure(
    seen: dict[str, Tensor], network: DigitNetwork, epoch: int | None
) -> Figure:
    """The drawing, each channel after each layer, and the probabilities.

    Args:
        seen: what `DigitNetwork.see` gives.
        network: whose kernels are shown. epoch: after which; None is now.
    """
    channels = min(8, len(seen["conv"]))
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1, 4, 1.4))
    one = left.subplots()
    show(one, seen["input"][0], None)
    one.set_title("input", fontsize=10)
    rows = [
        ("kernel", network.weights(epoch)["conv.weight"][:, 0], "signed"),
        ("convolution", seen["conv"], "signed"),
        ("ReLU", seen["hidden"], "signed"),
        ("max pool", seen["pooled"], "signed"),
    ]
    for axes, (name, maps, look) in zip(
        middle.subplots(len(rows), 1), rows, strict=True
    ):
        show(axes, side_by_side(maps[:channels]), look, float(maps.abs().max()) or 1.0)
        axes.set_ylabel(name, fontsize=9)
    axes = right.subplots()
    shares = seen["probabilities"].numpy()
    axes.barh(range(len(shares)), shares, color="#0072b2")
    axes.set(xlim=(0, 1), xlabel="probability", yticks=range(len(shares)))
    axes.invert_yaxis()
    return figure


def side_by_side(maps: Tensor) -> Tensor:
    """(C, n, n) as one picture (n, C (n + gap)), with a gap that is left empty."""
    gap = max(1, maps.shape[-1] // 7)
    framed = torch.nn.functional.pad(maps, (0, gap), value=float("nan"))
    return torch.cat(list(framed), dim=1)[:, :-gap]


def show(axes: Any, values: Tensor, look: str | None, limit: float | None = None):
    """One map: grey for pictures, orange to blue about 0 for what has a sign."""
    values = values.numpy()
    if look is None:
        axes.imshow(values, cmap="gray", vmin=0, vmax=1)
    else:
        limit = limit or float(abs(values).max()) or 1.0
        axes.imshow(values, cmap=SIGNED, vmin=-limit, vmax=limit)
    axes.set(xticks=[], yticks=[])
