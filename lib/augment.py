"""More examples than there are: pictures moved a little, texts with a word changed.

Shifts and rotations of digits: LeCun et al., "Gradient-Based Learning Applied to
Document Recognition", 1998. Cutout: DeVries, Taylor, 2017. Mixup: Zhang et al., "mixup:
Beyond Empirical Risk Minimization", ICLR 2018. Words dropped and swapped: Wei, Zou,
"EDA", EMNLP 2019.

Every picture of a batch gets random parameters of its own. All randomness comes from
the generator you give; if that is on the CPU, a seed gives the same pictures on every
device. With strength zero each function gives back its input, bit for bit. Use these in
training only.

Left out: colours, elastic bending, words exchanged for synonyms (needs a dictionary),
texts in languages that write no spaces between words.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.losses import smooth_labels


def affine(x: Tensor, degrees: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Turn, enlarge and move each picture by its own amount, about its middle.

    A pixel of the result looks up where it came from:

        source = R(−angle) (position − middle − shift) / scale + middle

    and mixes the four pixels around that place. Outside the picture everything is 0.

    Args:
        x: (B, C, height, width).
        degrees: (B,), anticlockwise as seen.
        scale: (B,), above 0; 2 is twice as large.
        shift: (B, 2), pixels down and to the right.

    Returns:
        the shape and dtype of x.
    """
    _check_pictures(x)
    height, width = x.shape[-2:]
    # Trap: bfloat16 has 8 bits, too few to tell one place in a picture from the next.
    place = {"device": x.device, "dtype": torch.promote_types(x.dtype, torch.float32)}
    degrees, scale, shift = (v.to(**place) for v in (degrees, scale, shift))
    angle = degrees.deg2rad()
    down = torch.arange(height, **place)[:, None] - (height - 1) / 2
    right = torch.arange(width, **place) - (width - 1) / 2
    down = (down - shift[:, 0, None, None]) / scale[:, None, None]  # (B, height, 1)
    right = (right - shift[:, 1, None, None]) / scale[:, None, None]  # (B, 1, width)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    # Trap: rows count downwards, so the usual signs of the sine are exchanged.
    source_right = cos * right - sin * down  # (B, height, width)
    source_down = sin * right + cos * down
    # grid_sample counts from −1 at the outer edge of the first pixel to 1 at the last's
    grid = torch.stack([source_right * 2 / width, source_down * 2 / height], -1)
    moved = F.grid_sample(x.to(grid.dtype), grid, align_corners=False)
    return moved.to(x.dtype)


def random_affine(
    x: Tensor,
    generator: torch.Generator,
    degrees: float = 10.0,
    shift: float = 2.0,
    scale: float = 0.1,
) -> Tensor:
    """Turn, move and enlarge each picture by chance, with one look-up for all three.

    Args:
        x: (B, C, height, width), floating-point.
        generator: of the draws.
        degrees: the angle is uniform from −degrees to degrees.
        shift: pixels; each direction is uniform from −shift to shift.
        scale: the size is uniform from 1 − scale to 1 + scale; below 1.

    Returns:
        the shape and dtype of x; at strength zero x itself.

    Raises:
        ValueError: x is not a batch of pictures, or a strength is out of range.
    """
    _check_pictures(x)
    _check_strength(degrees=degrees, shift=shift)
    _check_strength(below=1, scale=scale)
    if degrees == shift == scale == 0:
        return x
    u = 2 * _uniform(x, generator, len(x), 4) - 1  # four numbers a picture, −1 to 1
    return affine(x, degrees * u[:, 0], 1 + scale * u[:, 1], shift * u[:, 2:])


def random_rotation(x: Tensor, generator: torch.Generator, degrees: float) -> Tensor:
    """`random_affine` that only turns."""
    return random_affine(x, generator, degrees=degrees, shift=0, scale=0)


def random_scale(x: Tensor, generator: torch.Generator, scale: float) -> Tensor:
    """`random_affine` that only enlarges and shrinks."""
    return random_affine(x, generator, degrees=0, shift=0, scale=scale)


def random_shift(x: Tensor, generator: torch.Generator, pixels: int) -> Tensor:
    """Move each picture by whole pixels, so that nothing is blurred; zeros come in.

    Args:
        x: (B, C, height, width).
        generator: of the draws.
        pixels: rows and columns are whole numbers, uniform from −pixels to pixels.

    Returns, raises: as in `random_affine`.
    """
    _check_pictures(x)
    _check_strength(pixels=pixels)
    if pixels == 0:
        return x
    if not isinstance(pixels, int):
        raise ValueError(f"pixels is {pixels}; give a whole number.")
    B, (height, width) = len(x), x.shape[-2:]
    start = (_uniform(x, generator, B, 2) * (2 * pixels + 1)).long()
    rows = start[:, :1] + torch.arange(height, device=x.device)  # (B, height)
    columns = start[:, 1:] + torch.arange(width, device=x.device)  # (B, width)
    wide = F.pad(x, (pixels,) * 4)
    picture = torch.arange(B, device=x.device)[:, None, None]
    moved = wide.movedim(1, -1)[picture, rows[:, :, None], columns[:, None]]
    return moved.movedim(-1, 1)


def random_flip(x: Tensor, generator: torch.Generator, p: float = 0.5) -> Tensor:
    """Exchange left and right with probability p. Not for digits or letters.

    Arguments otherwise, result and errors as in `random_affine`.
    """
    _check_pictures(x)
    _check_strength(most=1, p=p)
    if p == 0:
        return x
    flip = _uniform(x, generator, len(x), 1, 1, 1) < p
    return torch.where(flip, x.flip(-1), x)


def random_noise(x: Tensor, generator: torch.Generator, std: float) -> Tensor:
    """Add normal noise with the standard deviation std to each number, of any shape."""
    _check_strength(std=std)
    if std == 0:
        return x
    noise = torch.randn(x.shape, generator=generator, device=generator.device)
    return x + std * noise.to(x.device, x.dtype)


def cutout(
    x: Tensor, generator: torch.Generator, size: int, value: float = 0.0
) -> Tensor:
    """Cover a square of each picture, so that no single part decides everything.

    Args:
        x: (B, C, height, width).
        generator: of the middles, uniform over the pixels; so at an edge the square
            is cut off, as in the paper.
        size: pixels of a side.
        value: what covers it.

    Returns, raises: as in `random_affine`.
    """
    _check_pictures(x)
    _check_strength(size=size)
    if size == 0:
        return x
    pixels = torch.tensor(x.shape[-2:], device=x.device)
    first = (_uniform(x, generator, len(x), 2) * pixels).long() - size // 2
    covered = []
    for axis, length in enumerate(x.shape[-2:]):
        distance = torch.arange(length, device=x.device) - first[:, axis, None]
        covered.append((distance >= 0) & (distance < size))  # (B, length)
    square = covered[0][:, None, :, None] & covered[1][:, None, None, :]
    return torch.where(square, torch.full_like(x, value), x)


def mixup(
    x: Tensor,
    targets: Tensor,
    classes: int,
    generator: torch.Generator,
    alpha: float = 0.2,
) -> tuple[Tensor, Tensor]:
    """Mix each example, and its target, with another one of the batch.

        x' = λ x + (1 − λ) x_other        q' = λ q + (1 − λ) q_other

    Args:
        x: (B, ...), floating-point.
        targets: (B,) int64 classes.
        classes: V.
        generator: of the partners, and of λ for each example.
        alpha: λ is drawn from Beta(α, α): small leaves most examples nearly alone, 1
            is uniform, 0 mixes nothing.

    Returns:
        the shape of x; (B, V) probabilities in the dtype of x, for
        `lib.losses.cross_entropy`.

    Raises:
        ValueError: sizes that differ, an alpha below 0. IndexError: a class outside.
    """
    _check_strength(alpha=alpha)
    if x.shape[:1] != targets.shape:
        raise ValueError(
            f"x has the shape {tuple(x.shape)}, targets {tuple(targets.shape)}; give "
            "one class for each example, (B,)."
        )
    q = smooth_labels(targets, classes, 0.0).to(x.dtype)
    if alpha == 0:
        return x, q
    B, here = len(x), generator.device
    other = torch.randperm(B, generator=generator, device=here).to(x.device)
    # torch draws no Beta numbers from a generator of one's own; numpy does.
    seed = torch.randint(2**31, (), generator=generator, device=here).item()
    part = np.random.default_rng(seed).beta(alpha, alpha, size=B)
    part = torch.from_numpy(part).to(x.device, x.dtype)

    def mix(v: Tensor) -> Tensor:
        own = part.reshape(B, *[1] * (v.dim() - 1))
        return own * v + (1 - own) * v[other]

    return mix(x), mix(q)


def drop_words(
    texts: Sequence[str], generator: torch.Generator, p: float = 0.1
) -> list[str]:
    """Leave out each word with probability p; one word at least stays.

    Args:
        texts: words with spaces between them.
        generator: on the CPU.
        p: from 0 to below 1; 0 gives back the texts as they are.

    Raises:
        ValueError: a p out of range. TypeError: one text in place of several.
    """
    _check_texts(texts)
    _check_strength(below=1, p=p)
    return [_drop(text, generator, p) if p else text for text in texts]


def _drop(text: str, generator: torch.Generator, p: float) -> str:
    words = text.split()
    draws = torch.rand(len(words), generator=generator).tolist()
    kept = [word for word, draw in zip(words, draws, strict=True) if draw >= p]
    if words and not kept:
        kept = [words[draws.index(max(draws))]]
    return " ".join(kept)


def swap_words(
    texts: Sequence[str], generator: torch.Generator, swaps: int = 1
) -> list[str]:
    """Exchange two neighbouring words, `swaps` times in each text.

    The paper exchanges any two; neighbours keep more of the sense. Arguments and
    errors otherwise as in `drop_words`.
    """
    _check_texts(texts)
    _check_strength(swaps=swaps)
    return [_swap(text, generator, swaps) if swaps else text for text in texts]


def _swap(text: str, generator: torch.Generator, swaps: int) -> str:
    words = text.split()
    for _ in range(swaps if len(words) > 1 else 0):
        i = torch.randint(len(words) - 1, (), generator=generator).item()
        words[i], words[i + 1] = words[i + 1], words[i]
    return " ".join(words)


def drop_tokens(
    tokens: Tensor,
    generator: torch.Generator,
    p: float,
    unknown: int,
    padding: int = 0,
) -> Tensor:
    """Exchange each token for the unknown one with probability p; padding stays.

    Args:
        tokens: int64, any shape.
        unknown: the number of the unknown token.
        padding: the number of the token that fills up short texts.

    Returns:
        the shape of tokens.
    """
    _check_strength(most=1, p=p)
    if p == 0:
        return tokens
    gone = _uniform(tokens, generator, *tokens.shape) < p
    return torch.where(gone & (tokens != padding), unknown, tokens)


def _uniform(like: Tensor, generator: torch.Generator, *shape: int) -> Tensor:
    """Numbers from 0 to below 1, drawn where the generator is, moved to `like`."""
    u = torch.rand(shape, generator=generator, device=generator.device)
    return u.to(like.device)


def _check_pictures(x: Tensor) -> None:
    if x.dim() != 4 or not x.is_floating_point():
        raise ValueError(
            f"x has the shape {tuple(x.shape)} and the dtype {x.dtype}; give a batch "
            "of pictures, (B, C, height, width), of floating-point numbers."
        )


def _check_strength(
    below: float = math.inf, most: float = math.inf, **strength: float
) -> None:
    for name, value in strength.items():
        if not 0 <= value < below or value > most:
            limit = f"from 0 up to {most:g}" if most < below else "from 0"
            limit += f" to below {below:g}" if below < math.inf else ""
            raise ValueError(f"{name} is {value}; give a finite number {limit}.")


def _check_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise TypeError("texts is one text; give several, such as [text].")
