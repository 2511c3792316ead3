"""Recurrent cells: the equations of one time step of an RNN, an LSTM and a GRU.

Elman, "Finding Structure in Time", Cognitive Science 14(2), 1990. Hochreiter,
Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997, with the forget
gate of Gers, Schmidhuber, Cummins, "Learning to Forget", 2000. Cho et al., "Learning
Phrase Representations using RNN Encoder-Decoder", EMNLP 2014, for the GRU.

    W  weight_ih (gates · C, inputs)   what the input says      b_ih its bias
    U  weight_hh (gates · C, C)        what the memory says     b_hh its bias
    σ  the sigmoid, between 0 (shut) and 1 (open)     ⊙  number by number

`lib.models.recurrent` makes layers of them. Left out: peepholes, projections.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.mlp import _check_size, _generator

State = Tensor | tuple[Tensor, Tensor]  # h for RNN and GRU, (h, c) for LSTM


class Cell(nn.Module):
    """One time step; a kind of cell adds `step`.

    Args:
        inputs: numbers that describe one time step.
        hidden: C, numbers in the memory.
        seed, device, dtype: as in `lib.models.mlp.Linear`.

    Parameters:
        weight_ih, weight_hh, bias_ih, bias_hh: in torch's order of the gates, uniform
            between -1 / sqrt(C) and 1 / sqrt(C).
    """

    gates: int  # how many gates and candidates share the stacked weights
    state_names = ("hidden",)  # what one step hands to the next

    def __init__(
        self,
        inputs: int,
        hidden: int,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_size(inputs, "inputs")
        _check_size(hidden, "hidden")
        self.inputs, self.hidden = inputs, hidden
        generator = _generator(seed)
        bound = hidden**-0.5

        def uniform(*shape: int) -> nn.Parameter:
            w = torch.empty(shape).uniform_(-bound, bound, generator=generator)
            return nn.Parameter(w.to(device, dtype))

        rows = self.gates * hidden
        self.weight_ih, self.weight_hh = uniform(rows, inputs), uniform(rows, hidden)
        self.bias_ih, self.bias_hh = uniform(rows), uniform(rows)

    def extra_repr(self) -> str:
        return f"{self.inputs}, {self.hidden}"

    def weights(self) -> list[Tensor]:
        """The parameters in the order in which torch's kernels take them."""
        return [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]

    def project(self, x: Tensor) -> Tensor:
        """What the input says, for all time steps in one multiplication: W x + b.

        (..., inputs) to (..., gates · C).
        """
        return F.linear(x, self.weight_ih, self.bias_ih + self.bias_hh)

    def step(self, a: Tensor, *state: Tensor) -> dict[str, Tensor]:
        """The equations: a = W x + b (B, gates · C) and the state to the new values."""
        raise NotImplementedError(f"{type(self).__name__} has no equations")

    def forward(
        self, x: Tensor, state: State | None = None, return_intermediates: bool = False
    ) -> State | dict[str, Tensor]:
        """One time step: (B, inputs) and the state to the next state.

        A state is h (B, C), for LSTM (h, c); None is zeros. On request every gate
        comes back too, in a dict; the names are in `step`.
        """
        if x.dim() != 2 or x.shape[1] != self.inputs:
            raise ValueError(
                f"x has the shape {tuple(x.shape)}; give one time step, "
                f"(B, {self.inputs})."
            )
        state = states_of(state, self.state_names, (len(x), self.hidden), x)
        seen = self.step(self.project(x), *state)
        if return_intermediates:
            return seen
        return as_given([seen[name] for name in self.state_names])

    def walk(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """Step through sequences; yields what each time step computed, by name.

        The state of a sequence that has ended stays as it is.

        Args:
            x: (B, T, inputs).
            state: to begin with, as in `forward`.
            lengths: (B,) int64, time steps of each sequence; None means all T.
        """
        state = states_of(state, self.state_names, (len(x), self.hidden), x)
        # Trap: a slice for each t would cost a gradient of the size of x for each t.
        for t, a in enumerate(self.project(x).unbind(1)):
            seen = self.step(a, *state)
            if lengths is not None:
                running = (t < lengths)[:, None]
                for name, old in zip(self.state_names, state, strict=True):
                    seen[name] = torch.where(running, seen[name], old)
            state = [seen[name] for name in self.state_names]
            yield seen


class RNNCell(Cell):
    """The plain recurrent cell: the memory is mixed anew at every step.

    h = tanh(W x + b_ih + U h + b_hh)
    """

    gates = 1

    def step(self, a: Tensor, h: Tensor) -> dict[str, Tensor]:
        """Returns "hidden" (B, C)."""
        return {"hidden": torch.tanh(torch.addmm(a, h, self.weight_hh.T))}


class LSTMCell(Cell):
    """Long short-term memory: a cell c that changes only where gates let it.

        i = σ(W_i x + U_i h + b_i)        input gate: how much to write
        f = σ(W_f x + U_f h + b_f)        forget gate: how much to keep
        g = tanh(W_g x + U_g h + b_g)     candidate: what to write
        o = σ(W_o x + U_o h + b_o)        output gate: how much to show
        c = f ⊙ c + i ⊙ g
        h = o ⊙ tanh(c)

    Each b is the sum of the two biases.
    """

    gates = 4
    state_names = ("hidden", "cell")

    def step(self, a: Tensor, h: Tensor, c: Tensor) -> dict[str, Tensor]:
        """Returns "input_gate", "forget_gate", "candidate", "output_gate", "cell" and
        "hidden", each (B, C)."""
        i, f, g, o = torch.addmm(a, h, self.weight_hh.T).chunk(4, dim=1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        h = o * c.tanh()
        names = ("input_gate", "forget_gate", "candidate", "output_gate")
        return dict(zip(names, (i, f, g, o), strict=True)) | {"cell": c, "hidden": h}


class GRUCell(Cell):
    """The gated recurrent unit: two gates and no separate cell.

        r = σ(W_r x + b_r + U_r h + d_r)          reset gate: how much memory to use
        z = σ(W_z x + b_z + U_z h + d_z)          update gate: how much to keep
        n = tanh(W_n x + b_n + r ⊙ (U_n h + d_n)) candidate
        h = (1 − z) ⊙ n + z ⊙ h

    b is bias_ih, d is bias_hh. As in torch and cuDNN r acts after the multiplication
    with U_n, in the paper before it; the paper's z is for the same gate.
    """

    gates = 3

    def project(self, x: Tensor) -> Tensor:
        """W x + b_ih: here b_hh stays with U h, because r acts on it."""
        return F.linear(x, self.weight_ih, self.bias_ih)

    def step(self, a: Tensor, h: Tensor) -> dict[str, Tensor]:
        """Returns "reset_gate", "update_gate", "candidate", "hidden", each (B, C)."""
        r, z, n = a.chunk(3, dim=1)
        u_r, u_z, u_n = F.linear(h, self.weight_hh, self.bias_hh).chunk(3, dim=1)
        r, z = (r + u_r).sigmoid(), (z + u_z).sigmoid()
        n = torch.tanh(n + r * u_n)
        h = torch.lerp(n, h, z)  # (1 − z) ⊙ n + z ⊙ h
        return {"reset_gate": r, "update_gate": z, "candidate": n, "hidden": h}


def states_of(state, names, shape, x: Tensor) -> list[Tensor]:
    """The state as a list of tensors of this shape; zeros for None."""
    if state is None:
        return [x.new_zeros(shape) for _ in names]
    states = [state] if isinstance(state, Tensor) else list(state)
    if [tuple(s.shape) for s in states] != [tuple(shape)] * len(names):
        given = ", ".join(str(tuple(s.shape)) for s in states)
        raise ValueError(
            f"the state has the shapes {given}; give {' and '.join(names)}, each "
            f"{tuple(shape)}, or None for zeros."
        )
    return states


def as_given(states: list[Tensor]) -> State:
    """One state as a tensor, two as a pair: the way they come in and go out."""
    return states[0] if len(states) == 1 else tuple(states)
