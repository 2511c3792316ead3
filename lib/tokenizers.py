"""From text to numbers and back: characters, words and pairs of bytes.

Byte-pair encoding: Sennrich, Haddow, Birch, "Neural machine translation of rare words
with subword units", 2016; over bytes, so that no text is unknown: Radford et al.
(GPT-2), 2019, section 2.2.

A tokenizer is what its constructor takes, so `state()` is all there is to save:
`BytePairTokenizer(**tokenizer.state())` is the same one, and JSON can hold the state.

Left out: how the merges are found (`lib.byte_pairs`); WordPiece, which BERT uses
(`lib.wordpiece`); the unigram model; leaving out merges at random (Provilkov et al.,
"BPE-dropout", 2020).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from lib.byte_pairs import (
    BytePairTraining,
    Pair,
    check_text,
    check_texts,
    merge,
    split,
    to_bytes,
)

PAD, UNKNOWN, START, END = SPECIAL = ("<pad>", "<unk>", "<start>", "<end>")


class Tokenizer:
    """What all of them share. The special tokens have the first numbers.

    A special token is only ever put in by its number, `special["<end>"]`. The same
    letters in a text are text.

    Attributes:
        vocabulary: the tokens as a reader sees them; its index is the token's number.
        special: number of each special token, by name.
    """

    def __init__(self, tokens: Iterable[str], special: Sequence[str]) -> None:
        self.vocabulary = [*special, *tokens]
        self.special = {name: i for i, name in enumerate(special)}
        if len(self.special) < len(special):
            raise ValueError(f"special is {list(special)}; give each name once.")

    def __len__(self) -> int:
        """V, the size of the vocabulary."""
        return len(self.vocabulary)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self):,} tokens)"

    def encode(self, text: str) -> list[int]:
        """The numbers of the tokens of a text."""
        raise NotImplementedError

    def decode(self, ids: Iterable[int] | Tensor, show_special: bool = False) -> str:
        """The text of these numbers.

        Args:
            ids: (T,), each from 0 to V - 1.
            show_special: True also writes `<pad>`, `<start>` and so on.

        Raises:
            IndexError: a number out of range.
        """
        raise NotImplementedError

    def tokens(self, text: str) -> list[str]:
        """The tokens of a text as a reader sees them."""
        return [self.vocabulary[i] for i in self.encode(text)]

    def _numbers(self, ids: Iterable[int] | Tensor, show_special: bool) -> list[int]:
        """Checked, and without the special tokens that are not to be seen."""
        ids = ids.tolist() if isinstance(ids, Tensor) else list(ids)
        for i in ids:
            if not 0 <= i < len(self):
                raise IndexError(
                    f"token {i} is out of range; this tokenizer has {len(self)} "
                    f"tokens, 0 to {len(self) - 1}. Was another one used?"
                )
        hidden = set() if show_special else set(self.special.values())
        return [i for i in ids if i not in hidden]


class _Listed(Tokenizer):
    """Tokens that are looked up in a list; what is not in it is unknown."""

    def __init__(self, tokens: Sequence[str], special: Sequence[str] = SPECIAL) -> None:
        super().__init__(tokens, special)
        self._known, self._unknown = list(tokens), self.special.get(UNKNOWN)
        self._numbers_of = {t: i for i, t in enumerate(tokens, start=len(special))}
        if len(self._numbers_of) < len(self._known):
            raise ValueError("tokens holds some token twice; give each once.")

    def state(self) -> dict:
        """What the constructor takes; lists and strings only."""
        return {"tokens": self._known, "special": list(self.special)}

    def _look_up(self, parts: Iterable[str]) -> list[int]:
        ids = [self._numbers_of.get(part, self._unknown) for part in parts]
        if None in ids:
            raise ValueError(
                "The text holds what this tokenizer has not seen in training, and it "
                f"has no {UNKNOWN!r} for that. Train it on more text, or with "
                f"{UNKNOWN!r} among its special tokens."
            )
        return ids

    def _strings(self, ids: Iterable[int] | Tensor, show_special: bool) -> list[str]:
        ids = self._numbers(ids, show_special=True)
        hidden = {i for i in self.special.values() if i != self._unknown}
        return [self.vocabulary[i] for i in ids if show_special or i not in hidden]


class CharacterTokenizer(_Listed):
    """One token for each character. Texts become long, the vocabulary stays small.

    Decoding gives the text back, if each of its characters was seen in training.

    Args:
        tokens: the characters that it knows.
        special: names of the special tokens; without `<unk>` an unknown character is
            an error.
    """

    @classmethod
    def train(
        cls, texts: Iterable[str], special: Sequence[str] = SPECIAL
    ) -> "CharacterTokenizer":
        """Every character of the texts, in the order of Unicode."""
        return cls(sorted({c for text in check_texts(texts) for c in text}), special)

    def encode(self, text: str) -> list[int]:
        return self._look_up(check_text(text))

    def decode(self, ids: Iterable[int] | Tensor, show_special: bool = False) -> str:
        return "".join(self._strings(ids, show_special))


class WordTokenizer(_Listed):
    """One token for each word or sign, in small letters. Rare words are unknown.

    Decoding puts one space between all tokens: spaces and capitals do not come back.

    Args: as in `CharacterTokenizer`, with words.
    """

    PATTERN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        size: int | None = None,
        min_count: int = 1,
        special: Sequence[str] = SPECIAL,
    ) -> "WordTokenizer":
        """The most frequent words; of equally frequent ones, the first by alphabet.

        Args:
            size: V, at most, special tokens included; None takes all words.
            min_count: leave out words that occur less often.
        """
        _check_size(size, len(special))
        counts = Counter(w for text in check_texts(texts) for w in cls.split(text))
        words = sorted(counts, key=lambda word: (-counts[word], word))
        words = [word for word in words if counts[word] >= min_count]
        return cls(words if size is None else words[: size - len(special)], special)

    @classmethod
    def split(cls, text: str) -> list[str]:
        """The words and signs of a text."""
        return cls.PATTERN.findall(check_text(text).lower())

    def encode(self, text: str) -> list[int]:
        return self._look_up(self.split(text))

    def decode(self, ids: Iterable[int] | Tensor, show_special: bool = False) -> str:
        return " ".join(self._strings(ids, show_special))


class BytePairTokenizer(Tokenizer):
    """Frequent strings are one token, rare ones several; no text is unknown.

    Decoding gives every text back exactly.

    Args:
        merges: pairs of numbers, in the order in which they were learned.
        special: names of the special tokens; the 256 bytes come after them.

    Raises:
        ValueError: a merge of tokens that do not exist yet, or a merge given twice.
    """

    def __init__(
        self, merges: Sequence[Pair] = (), special: Sequence[str] = SPECIAL
    ) -> None:
        first = len(special)
        self._bytes = [name.encode() for name in special]
        self._bytes += [bytes([byte]) for byte in range(256)]
        self._merged: dict[Pair, int] = {}
        for left, right in merges:
            token = len(self._bytes)
            if not (first <= left < token and first <= right < token):
                raise ValueError(
                    f"merge {len(self._merged)} joins {left} and {right}; both must be "
                    f"bytes or earlier merges, {first} to {token - 1}."
                )
            self._merged[left, right] = token
            self._bytes.append(self._bytes[left] + self._bytes[right])
        if len(self._merged) < len(merges):
            raise ValueError("merges holds some pair twice; give each once.")
        super().__init__(map(_show, self._bytes[first:]), special)
        self._seen: dict[str, list[int]] = {}

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        size: int = 1000,
        min_count: int = 2,
        special: Sequence[str] = SPECIAL,
    ) -> "BytePairTokenizer":
        """Learn merges from texts; `BytePairTraining` shows them one by one.

        Args:
            size: V, special tokens and 256 bytes included. Fewer where no pair is left
                that occurs `min_count` times.
        """
        _check_size(size, len(special) + 256)
        training = BytePairTraining(texts, special, min_count)
        for _ in range(size - len(special) - 256):
            if training.step() is None:
                break
        return cls([(m.left, m.right) for m in training.merges], special)

    def state(self) -> dict:
        """What the constructor takes; lists, strings and whole numbers only."""
        merges = [list(pair) for pair in self._merged]
        return {"merges": merges, "special": list(self.special)}

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for piece in split(text):
            if piece not in self._seen:
                if len(self._seen) > 50_000:  # a bound on memory, for endless text
                    self._seen.clear()
                self._seen[piece] = self._steps(piece)[-1]
            ids += self._seen[piece]
        return ids

    def steps(self, text: str) -> list[list[int]]:
        """The tokens of one piece: its bytes, then after each merge, the last `encode`.

        A text of several words is taken apart first; see `split`.
        """
        stages = [self._steps(piece) for piece in split(text)]
        longest = max(map(len, stages), default=1)
        stages = [s + [s[-1]] * (longest - len(s)) for s in stages]
        return [[t for s in stages for t in s[i]] for i in range(longest)]

    def _steps(self, piece: str) -> list[list[int]]:
        stages = [[len(self.special) + byte for byte in to_bytes(piece)]]
        while True:
            tokens = stages[-1]
            known = [p for p in pairwise(tokens) if p in self._merged]
            if not known:
                return stages
            pair = min(known, key=self._merged.__getitem__)  # learned first
            stages.append(merge(tokens, pair, self._merged[pair]))

    def decode(self, ids: Iterable[int] | Tensor, show_special: bool = False) -> str:
        """As in `Tokenizer.decode`; bytes that are no UTF-8, such as half a character
        at the end of what a model wrote so far, become "�"."""
        data = b"".join(self._bytes[i] for i in self._numbers(ids, show_special))
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return data.decode("utf-8", "replace")


def pad(
    sequences: Sequence[Sequence[int]], padding: int = 0, length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Sequences of different lengths as one batch, filled up on the right.

    Args:
        padding: the token to fill up with.
        length: T; None is the longest of them.

    Returns:
        tokens (B, T) int64, and the mask (B, T), True where a token is real.

    Raises:
        ValueError: no sequence, or one longer than `length`.
    """
    longest = max(map(len, sequences), default=0)
    T = longest if length is None else length
    if not longest or longest > T:
        raise ValueError(
            f"There are {len(sequences)} sequences, the longest with {longest} tokens; "
            "give one or more that are not all empty and not longer than "
            f"length={length}. To cut one off: ids[:{T}]."
        )
    tokens = torch.full((len(sequences), T), padding)
    mask = torch.zeros(len(sequences), T, dtype=torch.bool)
    for row, ids in enumerate(sequences):
        tokens[row, : len(ids)] = torch.tensor(ids, dtype=torch.int64)
        mask[row, : len(ids)] = True
    return tokens, mask


def _show(data: bytes) -> str:
    """Bytes as a reader sees them: a dot for a space, \\xe4 for part of a character."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "".join(f"\\x{byte:02x}" for byte in data)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text).replace(
        " ", "·"
    )


def _check_size(size: int | None, least: int) -> None:
    if size is not None and size < least:
        raise ValueError(
            f"size is {size}; give {least} or more, since {least} tokens are there "
            "before anything is learned."
        )
