"""Recurrent layers over whole sequences, RNN, GRU and LSTM, and a text classifier.

Elman, "Finding Structure in Time", 1990; Hochreiter, Schmidhuber, "Long Short-Term
Memory", 1997; Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder",
2014. The equations of one time step are in `lib.models.cells`.

A layer has two forms under the same weights: `explicit`, the loop over time for
reading, and `forward`, torch's fused kernel for speed. The tests hold both to the same
numbers, and both to `torch.nn`.

Left out: both directions, dropout between layers.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lib.models.cells import (
    Cell,
    GRUCell,
    LSTMCell,
    RNNCell,
    State,
    as_given,
    states_of,
)
from lib.models.layers import Embedding
from lib.models.mlp import Linear, _check_size, _generator


class _Layer(nn.Module):
    """One or more layers of cells over a whole sequence, batch first.

    Args:
        inputs, hidden: as in the cell.
        num_layers: layers on top of each other; each reads the hidden states below.
        seed, device, dtype: as in `lib.models.mlp.Linear`.
    """

    cell: type[Cell]

    def __init__(
        self,
        inputs: int,
        hidden: int,
        num_layers: int = 1,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_size(num_layers, "num_layers")
        options = {"seed": _generator(seed), "device": device, "dtype": dtype}
        self.cells = nn.ModuleList(
            self.cell(inputs if layer == 0 else hidden, hidden, **options)
            for layer in range(num_layers)
        )

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        first = self.cells[0]
        return (
            f"{type(self).__name__}({first.inputs} to {first.hidden}, "
            f"{len(self.cells)} layers, {count:,} parameters)"
        )

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        lengths: Tensor | None = None,
        return_intermediates: bool = False,
    ) -> tuple[Tensor, State] | dict[str, Tensor]:
        """All time steps, by torch's fused kernel.

        Args:
            x: (B, T, inputs).
            state: h (num_layers, B, C), for LSTM (h, c); None is zeros.
            lengths: (B,) whole numbers from 1 to T: what comes after is padding.
            return_intermediates: return the named tensors instead; runs the loop.

        Returns:
            the hidden states of the last layer (B, T, C), 0 where there is padding, and
            the state after the last time step of each sequence, shaped like `state`;
            or a dict with "input", for each layer l, from 1, "hidden_l" and the gates
            with names as in the cell's `step` and `_l`, all (B, T, C), and "output".

        Raises:
            ValueError: for a shape or a length it cannot use.
        """
        if return_intermediates:
            return self._loop(x, state, lengths, every_name=True)[0]
        states, lengths = self._check(x, state, lengths)
        with _weights_where_they_are(x):
            output, *states = self._fused(x, states, lengths)
        return output, as_given(states)

    def explicit(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """The same as `forward`, by the loop over time that is written out here."""
        seen, states = self._loop(x, state, lengths, every_name=False)
        return seen["output"], as_given(states)

    def _loop(self, x, state, lengths, every_name):
        """Tensors (B, T, C), of every name or only the hidden ones, and the states."""
        states, lengths = self._check(x, state, lengths)
        seen, h, finals = {"input": x}, x, []
        for i, cell in enumerate(self.cells):
            steps = list(cell.walk(h, as_given([s[i] for s in states]), lengths))
            for name in steps[0] if every_name else ("hidden",):
                seen[f"{name}_{i + 1}"] = torch.stack([s[name] for s in steps], dim=1)
            h = seen[f"hidden_{i + 1}"]
            finals.append([steps[-1][name] for name in cell.state_names])
        if lengths is not None:
            h = h.masked_fill(_padding(lengths, x)[..., None], 0.0)
        seen["output"] = h
        return seen, [torch.stack(s) for s in zip(*finals, strict=True)]

    def _fused(self, x, states, lengths) -> tuple[Tensor, ...]:
        """Output and states from `torch.rnn_tanh`, `torch.gru` or `torch.lstm`."""
        weights = [w for cell in self.cells for w in cell.weights()]
        # biases, layers, dropout, training, both directions
        settings = (True, len(self.cells), 0.0, self.training, False)
        if lengths is None:
            return self.kernel(x, as_given(states), weights, *settings, True)
        packed = pack_padded_sequence(x, lengths.cpu(), True, enforce_sorted=False)
        states = [s.index_select(1, packed.sorted_indices) for s in states]
        data, *states = self.kernel(
            packed.data, packed.batch_sizes, as_given(states), weights, *settings
        )
        states = [s.index_select(1, packed.unsorted_indices) for s in states]
        output = pad_packed_sequence(packed._replace(data=data), True, 0.0, x.shape[1])
        return output[0], *states

    def _check(self, x, state, lengths) -> tuple[list[Tensor], Tensor | None]:
        inputs, C = self.cells[0].inputs, self.cells[0].hidden
        if x.dim() != 3 or x.shape[2] != inputs or 0 in x.shape:
            raise ValueError(
                f"x has the shape {tuple(x.shape)}; give (B, T, {inputs}) with one "
                "sequence and one time step or more."
            )
        shape = (len(self.cells), len(x), C)
        states = states_of(state, self.cells[0].state_names, shape, x)
        return states, None if lengths is None else _check_lengths(lengths, x)


class RNN(_Layer):
    """Plain recurrent layers, equal to `torch.nn.RNN(batch_first=True)`."""

    cell, kernel = RNNCell, staticmethod(torch.rnn_tanh)


class LSTM(_Layer):
    """Long short-term memory, equal to `torch.nn.LSTM(batch_first=True)`."""

    cell, kernel = LSTMCell, staticmethod(torch.lstm)


class GRU(_Layer):
    """Gated recurrent units, equal to `torch.nn.GRU(batch_first=True)`."""

    cell, kernel = GRUCell, staticmethod(torch.gru)


RECURRENT: dict[str, type[_Layer]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


class RecurrentClassifier(nn.Module):
    """Reads a text token by token, and classifies it by what it remembers at the end.

        tokens -> embedding -> recurrent layer -> state at the last token -> dense

    Args:
        vocabulary: V, different tokens.
        classes: outputs.
        embedding, hidden: numbers for a token, and in the memory.
        kind: a name in `RECURRENT`.
        num_layers: recurrent layers on top of each other.
        padding: the token that fills up short texts at their end; it is not read.
        seed, device, dtype: as in `lib.models.mlp.Linear`.

    Raises:
        ValueError: for sizes or a kind it cannot use.
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int = 2,
        embedding: int = 64,
        hidden: int = 64,
        kind: str = "lstm",
        num_layers: int = 1,
        padding: int = 0,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if kind not in RECURRENT:
            raise ValueError(
                f"There is no kind {kind!r}; choose one of {', '.join(RECURRENT)}."
            )
        options = {"seed": _generator(seed), "device": device, "dtype": dtype}
        self.kind, self.padding = kind, padding
        self.embedding = Embedding(vocabulary, embedding, std=1.0, **options)
        self.recurrent = RECURRENT[kind](embedding, hidden, num_layers, **options)
        self.dense = Linear(hidden, classes, **options)

    def __repr__(self) -> str:
        V, C = self.embedding.weight.shape
        count = sum(p.numel() for p in self.parameters())
        classes, hidden = self.dense.weight.shape
        return (
            f"RecurrentClassifier({V:,} tokens, embedding {C}, {self.kind} {hidden}, "
            f"{classes} classes, {count:,} parameters)"
        )

    def lengths(self, tokens: Tensor) -> Tensor:
        """Tokens of each text up to the last that is no padding: (B, T) to (B,).

        A text of nothing but padding counts as one token long.
        """
        places = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
        return (places * (tokens != self.padding)).amax(1).clamp(min=1)

    def forward(
        self, tokens: Tensor, return_intermediates: bool = False
    ) -> Tensor | dict[str, Tensor]:
        """Logits; on request also everything computed on the way.

        Args:
            tokens: (B, T) whole numbers, each text filled up at its end with padding.
            return_intermediates: return the named tensors instead of the outputs.

        Returns:
            (B, classes); or a dict with "embedded" (B, T, embedding), the hidden states
            and gates of each layer as in `LSTM.forward`, "last" (B, hidden), the state
            that is classified, and "output".

        Raises:
            ValueError: if tokens are not (B, T). IndexError: for a token out of range.
        """
        if tokens.dim() != 2 or 0 in tokens.shape:
            raise ValueError(
                f"tokens have the shape {tuple(tokens.shape)}; give (B, T) with one "
                "text and one token or more. One text alone is tokens[None]."
            )
        seen = {"embedded": self.embedding(tokens)}
        # No lengths for the layer: what it reads after the end changes nothing before
        # it, and whole sequences are faster than packed ones.
        if return_intermediates:
            seen |= self.recurrent(seen["embedded"], return_intermediates=True)
            h = seen["output"]
        else:
            h, _ = self.recurrent(seen["embedded"])
        rows = torch.arange(len(tokens), device=tokens.device)
        seen["last"] = h[rows, self.lengths(tokens) - 1]  # (B, C)
        seen["output"] = self.dense(seen["last"])
        return seen if return_intermediates else seen["output"]


@contextmanager
def _weights_where_they_are(x: Tensor) -> Iterator[None]:
    """On CUDA, without the warning that cuDNN wants the weights in its own block.

    They lie in the optimizer's theta; cuDNN makes itself a copy at each call.
    """
    if not x.is_cuda:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "RNN module weights are not part of")
        yield


def _padding(lengths: Tensor, x: Tensor) -> Tensor:
    """(B, T), True where a sequence has ended."""
    return torch.arange(x.shape[1], device=x.device) >= lengths[:, None]


def _check_lengths(lengths: Tensor, x: Tensor) -> Tensor:
    B, T, _ = x.shape
    whole = not (lengths.is_floating_point() or lengths.dtype == torch.bool)
    if lengths.shape != (B,) or not whole or not ((lengths > 0) & (lengths <= T)).all():
        raise ValueError(
            f"lengths is {lengths.tolist()}; give one whole number from 1 to {T} for "
            f"each of the {B} sequences."
        )
    return lengths.to(x.device)
