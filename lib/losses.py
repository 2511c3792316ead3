"""How wrong a prediction is, as one number to make small, written out.

Cross-entropy: Bishop, "Pattern Recognition and Machine Learning", 2006, sections 4.2
and 4.3. Label smoothing: Szegedy et al., "Rethinking the Inception Architecture", CVPR
2016, section 7. Huber, "Robust Estimation of a Location Parameter", Annals of
Mathematical Statistics 35(1), 1964.

Every loss takes (predictions, targets), in this order, as `lib.training.train` does.
`cross_entropy` is the formula; `fused_cross_entropy` is the same numbers from torch's
kernel, for speed.

Left out: losses between two distributions (Kullback-Leibler) and between pairs of
examples (contrastive); penalties on the weights, which `regularizers` holds.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

REDUCTIONS = ("mean", "sum", "none")


def mean_squared_error(
    predictions: Tensor, targets: Tensor, reduction: str = "mean"
) -> Tensor:
    """(p − y)², averaged over every number; as `F.mse_loss`.

    Args:
        predictions, targets: any shape, the same one.
        reduction: "mean", "sum", or "none" for one number per prediction.

    Raises:
        ValueError: if the shapes differ. torch broadcasts (B, 1) against (B,) to all
            B × B pairs instead, a mistake that trains and never gets good.
    """
    _check_same_shape(predictions, targets)
    return _reduce((predictions - targets) ** 2, reduction)


def huber(
    predictions: Tensor, targets: Tensor, delta: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """Square of a small error, straight line for a large one; as `F.huber_loss`.

        e² / 2                 where |e| ≤ δ
        δ (|e| − δ / 2)        elsewhere

    An outlier pulls with the force δ and no more. Arguments as above; delta is above 0.
    """
    _check_same_shape(predictions, targets)
    if not 0 < delta < float("inf"):
        raise ValueError(f"delta is {delta}; give a positive, finite number.")
    size = (predictions - targets).abs()
    near = size.clamp(max=delta)  # both lines in one: near is |e|, then δ
    return _reduce(near * (size - near / 2), reduction)


def binary_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    positive_weight: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """−y log σ(z) − (1 − y) log(1 − σ(z)); as `F.binary_cross_entropy_with_logits`.

    With log(1 + eᶻ), which `logaddexp` computes without overflow, it is

        −log σ(z) = log(1 + e⁻ᶻ)        −log(1 − σ(z)) = log(1 + eᶻ)

    Args:
        logits: z, any shape: numbers before the sigmoid.
        targets: y, the same shape, from 0 to 1, floating-point.
        positive_weight: factor of the first term, for classes of unequal size.
        reduction: as in `mean_squared_error`.

    Raises:
        ValueError: if the shapes differ or a target is outside 0 to 1.
    """
    _check_same_shape(logits, targets)
    # Asking for a value would make a GPU wait at every step, so only the CPU checks.
    if targets.device.type == "cpu" and not ((targets >= 0) & (targets <= 1)).all():
        raise ValueError(
            f"targets go from {targets.min().item():g} to {targets.max().item():g}; "
            "give 0 for one class and 1 for the other, or a probability."
        )
    zero = torch.zeros_like(logits)
    positive, negative = torch.logaddexp(-logits, zero), torch.logaddexp(logits, zero)
    loss = positive_weight * targets * positive + (1 - targets) * negative
    return _reduce(loss, reduction)


def hinge(scores: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """max(0, 1 − y s), the loss of the support vector machine.

    Args:
        scores: s, any shape; its sign is the class.
        targets: y, the same shape, −1 or +1.
        reduction: as in `mean_squared_error`.

    Raises:
        ValueError: if the shapes differ or a target is not −1 or +1.
    """
    _check_same_shape(scores, targets)
    if targets.device.type == "cpu" and not (targets.abs() == 1).all():
        raise ValueError(
            f"targets hold {targets.unique().tolist()[:5]}; give −1 and +1, such as "
            "2 * y − 1 for classes 0 and 1."
        )
    return _reduce((1 - targets * scores).clamp(min=0), reduction)


def log_sum_exp(z: Tensor, dim: int = -1) -> Tensor:
    """log Σ eᶻ along one dimension, which goes away.

    e⁹⁰ overflows in float32. Taking the largest z out first, and adding it again
    after the logarithm, changes nothing but that: the largest power is then e⁰ = 1.
    """
    largest = z.detach().amax(dim, keepdim=True)
    # Trap: if all are −∞ (or one is +∞) then ∞ − ∞ would be NaN.
    largest = torch.where(largest.isinf(), torch.zeros_like(largest), largest)
    return (z - largest).exp().sum(dim).log() + largest.squeeze(dim)


def log_softmax(z: Tensor, dim: int = -1) -> Tensor:
    """log(eᶻ / Σ eᶻ), the logarithms of the probabilities; the same shape as z."""
    return z - log_sum_exp(z, dim).unsqueeze(dim)


def smooth_labels(targets: Tensor, classes: int, smoothing: float = 0.1) -> Tensor:
    """Whole classes as probabilities that are never quite sure.

        (1 − ε) [class is the target] + ε / V

    Args:
        targets: (...), whole numbers from 0 to below V.
        classes: V.
        smoothing: ε, from 0 to 1.

    Returns:
        (..., V), float32, each row with the sum 1; targets for `cross_entropy`.

    Raises:
        ValueError: a smoothing outside 0 to 1. IndexError: a class outside 0 to V − 1.
    """
    _check_smoothing(smoothing)
    _check_whole(targets)
    _check_range(targets, classes)
    return F.one_hot(targets, classes) * (1 - smoothing) + smoothing / classes


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    dim: int = -1,
    reduction: str = "mean",
) -> Tensor:
    """−log of the probability that the model gives to the right class.

        loss = −Σ over classes v of q(v) w(v) log p(v),    p = softmax(logits)

    q is 1 for the target and 0 elsewhere, or what `targets` or `label_smoothing` say.

    Args:
        logits: (..., V), numbers before the softmax.
        targets: (...), int64 classes from 0 to V − 1; or (..., V), floating-point
            probabilities q, from `smooth_labels` or `lib.augment.mixup`.
        weight: w (V,), factor of each class. The mean divides by the sum of the
            targets' factors, not by their number.
        ignore_index: a target that does not count, such as padding. If none counts,
            the mean is NaN, as in torch.
        label_smoothing: ε of `smooth_labels`, from 0 to 1.
        dim: where V stands in logits. It is last, (B, T, V); for pictures (B, V,
            height, width) give 1.
        reduction: "mean", "sum", or "none" for one number per target.

    Returns:
        () or, with "none", the shape of logits without V.

    Raises:
        ValueError: shapes that do not fit, a smoothing outside 0 to 1.
        IndexError: a class outside 0 to V − 1 (on a GPU, torch's own error).
        TypeError: targets of shape (...) that are not int64.
    """
    dim = _check_logits(logits, targets, weight, label_smoothing, dim)
    if not targets.is_floating_point():
        _check_range(targets, logits.shape[dim], ignore_index)
    logp = log_softmax(logits, dim).movedim(dim, -1)  # (..., V)
    if weight is None:
        weight = logp.new_ones(logp.shape[-1])
    if targets.is_floating_point():
        q = targets.movedim(dim, -1)
        q = q * (1 - label_smoothing) + label_smoothing / q.shape[-1]
        loss = -(q * weight * logp).sum(-1)
        return _reduce(loss, reduction)
    keep = targets != ignore_index
    index = torch.where(keep, targets, 0)
    factor = weight[index] * keep  # 0 for what does not count
    loss = -logp.gather(-1, index[..., None]).squeeze(-1) * factor
    if label_smoothing:
        spread = -(weight * logp).mean(-1)  # the part ε / V of every class
        loss = (1 - label_smoothing) * loss + label_smoothing * spread
    loss = torch.where(keep, loss, 0)  # 0 · ∞ is NaN, and it does not count
    return (
        loss.sum() / factor.sum() if reduction == "mean" else _reduce(loss, reduction)
    )


def fused_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    dim: int = -1,
    reduction: str = "mean",
) -> Tensor:
    """`cross_entropy` by torch's kernel: same arguments, numbers and errors."""
    dim = _check_logits(logits, targets, weight, label_smoothing, dim)
    _check_reduction(reduction)
    whole, V = not targets.is_floating_point(), logits.shape[dim]
    q = targets if whole else targets.movedim(dim, -1)
    try:
        loss = F.cross_entropy(
            logits.movedim(dim, -1).reshape(-1, V),
            q.reshape(-1) if whole else q.reshape(-1, V),
            weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            reduction=reduction,
        )
    except IndexError:  # found by the kernel: looking first would cost as much again
        _check_range(targets, V, ignore_index)
        raise
    if reduction == "none":
        loss = loss.reshape(q.shape if whole else q.shape[:-1])
    return loss


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    _check_reduction(reduction)
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def _check_reduction(reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"reduction is {reduction!r}; choose one of {', '.join(REDUCTIONS)}."
        )


def _check_same_shape(predictions: Tensor, targets: Tensor) -> None:
    if predictions.shape != targets.shape:
        raise ValueError(
            f"predictions have the shape {tuple(predictions.shape)}, targets "
            f"{tuple(targets.shape)}; give the same. squeeze(1) makes (B,) of (B, 1)."
        )
    if not targets.is_floating_point():
        raise TypeError(
            f"targets have the dtype {targets.dtype}; this loss computes with "
            "floating-point numbers: targets.float() converts them."
        )


def _check_smoothing(smoothing: float) -> None:
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing is {smoothing}; give a number from 0 to 1.")


def _check_whole(targets: Tensor) -> None:
    if targets.dtype != torch.int64:
        raise TypeError(
            f"targets have the dtype {targets.dtype}; classes are int64: "
            "targets.long() converts them."
        )


def _check_range(
    targets: Tensor, classes: int, ignore_index: int | None = None
) -> None:
    if targets.device.type != "cpu":  # as in `binary_cross_entropy`
        return
    wrong = (targets < 0) | (targets >= classes)
    if ignore_index is not None:
        wrong &= targets != ignore_index
    if wrong.any():
        raise IndexError(
            f"targets hold the class {targets[wrong][0].item()}, but the model gives "
            f"{classes} logits: classes go from 0 to {classes - 1}."
        )


def _check_logits(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    smoothing: float,
    dim: int,
) -> int:
    """Say what does not fit; the dimension of the classes, counted from the front."""
    _check_smoothing(smoothing)
    if not -logits.dim() <= dim < logits.dim():
        raise ValueError(
            f"dim is {dim}, but logits have the shape {tuple(logits.shape)}; they need "
            "a dimension for the classes."
        )
    dim %= logits.dim()
    V = logits.shape[dim]
    without = (*logits.shape[:dim], *logits.shape[dim + 1 :])
    wanted = tuple(logits.shape) if targets.is_floating_point() else without
    if tuple(targets.shape) != wanted:
        raise ValueError(
            f"logits have the shape {tuple(logits.shape)}, {V} classes in dimension "
            f"{dim}, targets {tuple(targets.shape)}; give classes {without}, int64, or "
            f"probabilities {tuple(logits.shape)}. Is dim= right?"
        )
    if weight is not None and weight.shape != (V,):
        raise ValueError(
            f"weight has the shape {tuple(weight.shape)}; give one factor for each "
            f"class, ({V},)."
        )
    if not targets.is_floating_point():
        _check_whole(targets)
    return dim
