"""What the kernel hands to the page: its code, its style sheet, and arrays as bytes.

The page code is plain ES modules in `js/`. They are joined here into one string per
widget, so nothing is bundled beforehand and nothing is fetched from a network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

JS = Path(__file__).parent / "js"


def page(*names: str) -> str:
    """Join ES modules from `js/` into one: their imports and exports fall away.

    The last module names what the page runs: it holds the one `export default`.
    """
    text = "\n".join((JS / name).read_text(encoding="utf-8") for name in names)
    text = re.sub(r"^import [^;]*;\n", "", text, flags=re.MULTILINE)
    return re.sub(
        r"^export (?=function|class|const|async)", "", text, flags=re.MULTILINE
    )


def styles(*names: str) -> str:
    """The style sheet that all widgets share, and a widget's own from `js/`."""
    return "\n".join((JS / n).read_text(encoding="utf-8") for n in ("live.css", *names))


def as_bytes(*arrays: Iterable) -> list[bytes]:
    """Arrays or tensors as little-endian float32, for the page's Float32Array."""
    return [np.ascontiguousarray(a, dtype="<f4").tobytes() for a in arrays]
