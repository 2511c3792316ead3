"""The optimizers, each as its book or paper writes it.

    GradientDescent  SGD  Momentum  Nesterov  AdaGrad  RMSProp  Adam  AdamW

One set of letters, the same in every rule:

    θ  theta          all parameters, one flat vector; every parameter is a view of it
    g                 the gradient of the loss with respect to θ
    η  learning_rate  the length of a step
    t                 the number of this step, counted from 1
    λ  weight_decay   the pull of every parameter towards zero

`rule` is one step. It writes into theta and the state vectors in place, because making
new vectors of that size takes longer than the arithmetic; `out=` and the trailing `_`
of `lerp_` mean just that. `scratch` holds two spare vectors. How the vectors are cut
into blocks and how gradients arrive is in `lib.flat`.

Every trajectory is that of `torch.optim` with the same settings (`tests/lib`), and each
line does the arithmetic in torch's order, so that even rounding agrees. Left out:
AMSGrad, maximize, dampening, centred RMSProp, sparse updates.
"""

import torch
from torch import Tensor

from lib.flat import Optimizer


def add_decay(g: Tensor, theta: Tensor, weight_decay: float, out: Tensor) -> Tensor:
    """g + λ θ, the gradient of the loss with the penalty (λ/2)‖θ‖² added to it."""
    if weight_decay == 0:
        return g
    return torch.add(g, theta, alpha=weight_decay, out=out)


class GradientDescent(Optimizer):
    """Step against the gradient of the loss over all the data.

        θ = θ − η g

    Cauchy, "Méthode générale pour la résolution des systèmes d'équations simultanées",
    1847.
    """

    def __init__(self, params, learning_rate: float = 0.01):
        super().__init__(params, learning_rate=learning_rate)

    def rule(self, theta, g, t, scratch, *, learning_rate):
        theta.add_(g, alpha=-learning_rate)  # θ = θ − η g


class SGD(Optimizer):
    """Gradient descent where g comes from one batch, so it is cheap and noisy.

        g = g + λ θ
        θ = θ − η g

    Robbins and Monro, "A Stochastic Approximation Method", 1951. As
    `torch.optim.SGD(weight_decay=)`.
    """

    def __init__(self, params, learning_rate: float = 0.01, weight_decay: float = 0.0):
        super().__init__(params, learning_rate=learning_rate, weight_decay=weight_decay)

    def rule(self, theta, g, t, scratch, *, learning_rate, weight_decay):
        g = add_decay(g, theta, weight_decay, out=scratch[0])  # g = g + λ θ
        theta.add_(g, alpha=-learning_rate)  # θ = θ − η g


class Momentum(Optimizer):
    """A heavy ball: the velocity u keeps a part μ of itself at every step.

        g = g + λ θ
        u = μ u + g
        θ = θ − η u

    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    This is torch's form, with η outside u: a new η acts at once on the whole velocity.
    As `torch.optim.SGD(momentum=μ)`.
    """

    state_names = ("u",)

    def __init__(
        self,
        params,
        learning_rate: float = 0.01,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
    ):
        super().__init__(
            params,
            learning_rate=learning_rate,
            momentum=momentum,
            weight_decay=weight_decay,
        )

    def rule(self, theta, g, t, scratch, *, u, learning_rate, momentum, weight_decay):
        g = add_decay(g, theta, weight_decay, out=scratch[0])  # g = g + λ θ
        u.mul_(momentum).add_(g)  # u = μ u + g
        theta.add_(u, alpha=-learning_rate)  # θ = θ − η u


class Nesterov(Momentum):
    """Momentum that looks ahead: it steps along where the velocity is going to be.

        g = g + λ θ
        u = μ u + g
        θ = θ − η (g + μ u)

    Nesterov, 1983, in the form of Sutskever et al., "On the importance of
    initialization and momentum in deep learning", 2013, rewritten so that g is taken at
    the θ that is stored. As
    `torch.optim.SGD(momentum=μ, nesterov=True)`.
    """

    def rule(self, theta, g, t, scratch, *, u, learning_rate, momentum, weight_decay):
        g = add_decay(g, theta, weight_decay, out=scratch[0])  # g = g + λ θ
        u.mul_(momentum).add_(g)  # u = μ u + g
        ahead = torch.add(g, u, alpha=momentum, out=scratch[0])  # g + μ u
        theta.add_(ahead, alpha=-learning_rate)  # θ = θ − η (g + μ u)


class AdaGrad(Optimizer):
    """A rate for each parameter, which shrinks with all its gradients so far.

        g = g + λ θ
        s = s + g²
        θ = θ − η / (1 + (t − 1) κ) · g / (√s + ε)

    s starts at initial_accumulator_value, κ is learning_rate_decay. Duchi, Hazan and
    Singer, "Adaptive Subgradient Methods", JMLR 2011. As `torch.optim.Adagrad`.
    """

    state_names = ("s",)

    def __init__(
        self,
        params,
        learning_rate: float = 0.01,
        learning_rate_decay: float = 0.0,
        eps: float = 1e-10,
        initial_accumulator_value: float = 0.0,
        weight_decay: float = 0.0,
    ):
        super().__init__(
            params,
            learning_rate=learning_rate,
            learning_rate_decay=learning_rate_decay,
            eps=eps,
            initial_accumulator_value=initial_accumulator_value,
            weight_decay=weight_decay,
        )

    def rule(
        self,
        theta,
        g,
        t,
        scratch,
        *,
        s,
        learning_rate,
        learning_rate_decay,
        eps,
        initial_accumulator_value,
        weight_decay,
    ):
        if t == 1:
            s.fill_(initial_accumulator_value)
        g = add_decay(g, theta, weight_decay, out=scratch[0])  # g = g + λ θ
        s.addcmul_(g, g)  # s = s + g²
        root = torch.sqrt(s, out=scratch[1]).add_(eps)  # √s + ε
        slower = 1 + (t - 1) * learning_rate_decay  # 1 + (t − 1) κ
        theta.addcdiv_(g, root, value=-learning_rate / slower)


class RMSProp(Optimizer):
    """AdaGrad that forgets: v is a moving average of g², so the rate can recover.

        g = g + λ θ
        v = ρ v + (1 − ρ) g²
        θ = θ − η g / (√v + ε)

    ρ is decay. Tieleman and Hinton, Coursera "Neural Networks for Machine Learning",
    lecture 6.5, 2012. As `torch.optim.RMSprop(alpha=ρ)`.
    """

    state_names = ("v",)

    def __init__(
        self,
        params,
        learning_rate: float = 0.01,
        decay: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(
            params,
            learning_rate=learning_rate,
            decay=decay,
            eps=eps,
            weight_decay=weight_decay,
        )

    def rule(self, theta, g, t, scratch, *, v, learning_rate, decay, eps, weight_decay):
        g = add_decay(g, theta, weight_decay, out=scratch[0])  # g = g + λ θ
        v.mul_(decay).addcmul_(g, g, value=1 - decay)  # v = ρ v + (1 − ρ) g²
        root = torch.sqrt(v, out=scratch[1]).add_(eps)  # √v + ε
        theta.addcdiv_(g, root, value=-learning_rate)  # θ = θ − η g / (√v + ε)


class Adam(Optimizer):
    """Momentum over the size of the gradient, both corrected for their start at zero.

        g = g + λ θ
        m = β₁ m + (1 − β₁) g          m̂ = m / (1 − β₁ᵗ)
        v = β₂ v + (1 − β₂) g²         v̂ = v / (1 − β₂ᵗ)
        θ = θ − η m̂ / (√v̂ + ε)

    Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.
    Weight decay is added to the gradient, so √v̂ divides it too; `AdamW` differs there.
    As `torch.optim.Adam`.
    """

    state_names = ("m", "v")

    def __init__(
        self,
        params,
        learning_rate: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(
            params,
            learning_rate=learning_rate,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
        )

    def rule(
        self, theta, g, t, scratch, *, m, v, learning_rate, betas, eps, weight_decay
    ):
        beta1, beta2 = betas
        g = add_decay(g, theta, weight_decay, out=scratch[0])  # g = g + λ θ
        m.lerp_(g, 1 - beta1)  # m = β₁ m + (1 − β₁) g
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)  # v = β₂ v + (1 − β₂) g²
        root = torch.sqrt(v, out=scratch[1])
        root.div_((1 - beta2**t) ** 0.5).add_(eps)  # √v̂ + ε
        rate = learning_rate / (1 - beta1**t)  # η m̂ = η / (1 − β₁ᵗ) · m
        theta.addcdiv_(m, root, value=-rate)  # θ = θ − η m̂ / (√v̂ + ε)


class AdamW(Adam):
    """Adam with the weight decay taken out of the gradient: it pulls on θ directly.

        θ = θ − η λ θ
        then Adam's step with λ = 0

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019,
    algorithm 2. As `torch.optim.AdamW`.
    """

    def __init__(
        self,
        params,
        learning_rate: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        super().__init__(params, learning_rate, betas, eps, weight_decay)

    def rule(self, theta, g, t, scratch, *, learning_rate, weight_decay, **rest):
        if weight_decay:
            theta.mul_(1 - learning_rate * weight_decay)  # θ = θ − η λ θ
        super().rule(
            theta, g, t, scratch, learning_rate=learning_rate, weight_decay=0.0, **rest
        )


OPTIMIZERS: dict[str, type[Optimizer]] = {
    rule.__name__: rule
    for rule in (
        GradientDescent,
        SGD,
        Momentum,
        Nesterov,
        AdaGrad,
        RMSProp,
        Adam,
        AdamW,
    )
}
