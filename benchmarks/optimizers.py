"""Time of one optimizer step against torch.optim, from 25,000 to 10 million parameters.

    python -m benchmarks.optimizers            all sizes, all optimizers
    python -m benchmarks.optimizers --quick    fewer sizes and rounds, about 20 s
    python -m benchmarks.optimizers --threads 1

The models are Transformer encoders as shapes only: twelve tensors a layer, as
`torch.nn.TransformerEncoderLayer` has, and at 10 million also token embeddings. Many
tensors cost torch's default time for each of them; "wide" rows, an MLP of few large
tensors, show what is left where there are few, and have no bar.

Every contender has its own parameters. Gradients are drawn once and are in place when
the clock starts; `zero_grad` and `backward` are not timed. Rounds are interleaved: in
each round each contender takes one step to fill the cache and a few that are timed. The
table holds the medians over the rounds. A busy machine makes all of it worthless: the
load is printed first.

Bars: Adam at least 3 times faster than `torch.optim.Adam(params, lr)` as it comes up to
800,000 parameters, and 1.5 times at 10 million. The exit status is 1 where it is not.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from lib import optimizers
from lib.flat import BLOCK

RATE = 1e-3
BAR_SMALL, BAR_LARGE = 3.0, 1.5  # up to a million parameters, and above

TORCH_TWINS = {
    "GradientDescent": (torch.optim.SGD, {}),
    "SGD": (torch.optim.SGD, {}),
    "Momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "Nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "AdaGrad": (torch.optim.Adagrad, {}),
    "RMSProp": (torch.optim.RMSprop, {}),
    "Adam": (torch.optim.Adam, {}),
    "AdamW": (torch.optim.AdamW, {}),
}

Shapes = list[tuple[int, ...]]


def encoder(width: int, layers: int, tokens: int = 0) -> Shapes:
    """Shapes of a Transformer encoder, with an embedding table if `tokens` is given."""
    d = width
    layer = [(3 * d, d), (3 * d,), (d, d), (d,), (4 * d, d), (4 * d,), (d, 4 * d)]
    layer += [(d,)] * 5
    return ([(tokens, d)] if tokens else []) + layer * layers


def wide(width: int, layers: int) -> Shapes:
    """Shapes of an MLP with square layers."""
    return [(width, width), (width,)] * layers


MODELS = {
    "encoder 2 x 32": encoder(32, 2),
    "encoder 4 x 64": encoder(64, 4),
    "encoder 6 x 104": encoder(104, 6),
    "encoder 8 x 256": encoder(256, 8, tokens=14_400),
}
EXTRA = {"wide 4 x 220": wide(220, 4), "wide 4 x 1580": wide(1580, 4)}
QUICK = ("encoder 2 x 32", "encoder 6 x 104", "encoder 8 x 256")


def make_params(shapes: Shapes, seed: int = 0) -> list[Tensor]:
    """Leaves with normal values and gradients; not zeros, whose square root is slow."""
    generator = torch.Generator().manual_seed(seed)
    params = []
    for shape in shapes:
        p = (0.1 * torch.randn(shape, generator=generator)).requires_grad_()
        p.grad = torch.randn(shape, generator=generator)
        params.append(p)
    return params


def measure(contenders: dict[str, Callable], rounds: int, steps: int) -> dict:
    """Median milliseconds a step of each contender, interleaved round by round."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, step in contenders.items():
            step()
            start = time.perf_counter()
            for _ in range(steps):
                step()
            times[name].append((time.perf_counter() - start) / steps)
    return {name: 1e3 * statistics.median(t) for name, t in times.items()}


def measure_adam(shapes: Shapes, rounds: int) -> dict[str, float]:
    torch_adam = torch.optim.Adam
    large = sum(torch.Size(s).numel() for s in shapes) > 1_000_000
    contenders = {
        "lib": optimizers.Adam(make_params(shapes), RATE).step,
        "default": torch_adam(make_params(shapes), RATE).step,
        "foreach": torch_adam(make_params(shapes), RATE, foreach=True).step,
        "fused": torch_adam(make_params(shapes), RATE, fused=True).step,
    }
    return measure(contenders, rounds, steps=3 if large else 10)


def adam_table(names: list[str], rounds: int) -> bool:
    """Print Adam's times for each model; return whether every bar is met."""
    met = True
    print(f"{'Adam, ms a step':18}{'parameters':>11}{'tensors':>8}", end="")
    print(f"{'lib':>9}{'default':>9}{'foreach':>9}{'fused':>9}", end="")
    print(f"{'default/lib':>13}{'lib/fused':>11}{'bar':>6}")
    for name in names:
        shapes = (MODELS | EXTRA)[name]
        count = sum(torch.Size(s).numel() for s in shapes)
        t = measure_adam(shapes, rounds)
        ratio = t["default"] / t["lib"]
        bar = BAR_SMALL if count < 1_000_000 else BAR_LARGE
        verdict = ""
        if name in MODELS:
            verdict = f"{bar:6.1f}  {'met' if ratio >= bar else 'FALLS SHORT'}"
            met = met and ratio >= bar
        row = "".join(f"{t[k]:9.3f}" for k in ("lib", "default", "foreach", "fused"))
        print(f"{name:18}{count:11,}{len(shapes):8}{row}", end="")
        print(f"{ratio:12.1f}x{t['lib'] / t['fused']:10.1f}x{verdict}", flush=True)
    return met


def all_table(name: str, rounds: int) -> None:
    """Print every optimizer beside its twin in torch, on one model."""
    print(f"\nall optimizers, ms a step, {name}")
    print(f"{'':18}{'lib':>9}{'default':>9}{'default/lib':>13}")
    for kind, (twin, options) in TORCH_TWINS.items():
        ours = optimizers.OPTIMIZERS[kind](make_params(MODELS[name]), RATE)
        theirs = twin(make_params(MODELS[name]), RATE, **options)
        t = measure({"lib": ours.step, "default": theirs.step}, rounds, steps=10)
        ratio = t["default"] / t["lib"]
        print(f"{kind:18}{t['lib']:9.3f}{t['default']:9.3f}{ratio:12.1f}x")


def point_table(rounds: int) -> None:
    """Print the time of a step on one point of two float64 numbers."""
    print("\none point of two float64 numbers, microseconds a step")
    print(f"{'':18}{'gradient=':>10}{'p.grad':>9}{'torch':>9}")
    for kind, (twin, options) in TORCH_TWINS.items():
        points = [torch.ones(2, dtype=torch.float64) for _ in range(3)]
        for p in points:
            p.requires_grad_().grad = torch.ones_like(p)
        given, own = (optimizers.OPTIMIZERS[kind]([p], RATE) for p in points[:2])
        g = torch.ones(2, dtype=torch.float64)
        contenders = {
            "given": lambda step=given.step, g=g: step(gradient=g),
            "own": own.step,
            "torch": twin([points[2]], RATE, **options).step,
        }
        t = measure(contenders, rounds, steps=100)
        row = "".join(f"{1e3 * x:9.1f}" for x in t.values())
        print(f"{kind:18} {row}")


def describe_machine() -> str:
    return (
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"{os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}, "
        f"{platform.machine()}, load {os.getloadavg()[0]:.1f}, blocks of {BLOCK:,}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes and rounds")
    parser.add_argument("--threads", type=int, help="threads of torch; its own choice")
    options = parser.parse_args()
    if options.threads is not None:
        if options.threads < 1:
            parser.error(f"--threads is {options.threads}: give 1 or more")
        torch.set_num_threads(options.threads)
    rounds = 7 if options.quick else 15
    print(describe_machine(), end="\n\n")
    met = adam_table(list(QUICK) if options.quick else [*MODELS, *EXTRA], rounds)
    all_table("encoder 4 x 64", rounds)
    point_table(rounds)
    print("\nevery bar is met" if met else "\na bar is not met")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
