"""Byte-pair encoding as a film, and the same sentence under several tokenizers.

`MergeFilm` runs `lib.byte_pairs.BytePairTraining` and keeps what was most frequent
before each merge, so that every moment can be shown again. `compare` encodes one
sentence with the other tokenizers of the library.

Left out: how the merges are found (`lib.byte_pairs`), the view
(`lib.widgets.tokenizer`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from lib.byte_pairs import BytePairTraining, split, to_bytes
from lib.datasets import load
from lib.pretrained import SHA256, find_minilm
from lib.tokenizers import UNKNOWN, BytePairTokenizer, CharacterTokenizer, WordTokenizer
from lib.weights import check_sha256
from lib.wordpiece import WordPiece

CANDIDATES = 12  # pairs kept for each moment
WORDS = 8000  # V of the word tokenizer, at most
POEM = """The rain came down on the river,
the river ran down to the sea,
the sea went up to the clouds in the sky,
and the clouds came over to me.

And the rain that fell on the garden
was the rain that had fallen before:
for the river, the rain and the cloud and the sea
are the same old water, no more."""


@cache
def texts_of(source: str) -> tuple[str, ...]:
    """The texts to learn from: "poem", "prose" or "pairs" (English and Chinese).

    Raises:
        ValueError: another name.
    """
    if source == "poem":
        return (POEM,)
    if source == "prose":
        return load("prose").train.texts
    if source == "pairs":
        rows = load("pairs").train
        return tuple(text for row in rows for text in (row.english, row.chinese))
    raise ValueError(f"source is {source!r}; choose 'poem', 'prose' or 'pairs'.")


class MergeFilm:
    """The merges of byte-pair encoding, one after the other, to look back at.

        film = MergeFilm([POEM])
        for _ in film.work(100): ...
        film.tokenizer(20)         # as it was after 20 merges

    Args:
        texts: to learn from.
        min_count: stop at pairs that are less frequent.

    Attributes:
        merges: what was done so far, `lib.byte_pairs.Merge`.
        first_total: tokens before the first merge, that is bytes.
        candidates: one list for each moment, the first before any merge: the most
            frequent pairs as (left, right, count), the next merge first.
    """

    def __init__(self, texts: Sequence[str], min_count: int = 2) -> None:
        self.texts = tuple(texts)
        self._training = BytePairTraining(self.texts, min_count=min_count)
        self.first_total = sum(len(to_bytes(text)) for text in self.texts)
        self.merges = self._training.merges
        self.candidates: list[list[tuple[int, int, int]]] = []
        self.complete = False
        self._look()

    def __repr__(self) -> str:
        return f"MergeFilm({len(self.merges)} merges of {len(self.texts)} texts)"

    def work(self, merges: int) -> Iterator[None]:
        """Merge until there are so many, or no pair is left; yields after each."""
        while len(self.merges) < merges and self._training.step() is not None:
            self._look()
            yield
        self.complete = True

    def tokenizer(self, merges: int | None = None) -> BytePairTokenizer:
        """The tokenizer after so many merges; None takes all of them."""
        done = self.merges[:merges]
        return BytePairTokenizer([(m.left, m.right) for m in done], special=())

    def total(self, merges: int) -> int:
        """Tokens in all texts after so many merges."""
        return self.merges[merges - 1].total if merges else self.first_total

    def _look(self) -> None:
        best = self._training.candidates(CANDIDATES)
        self.candidates.append([(*pair, count) for pair, count in best])


def pieces(text: str) -> list[list[int]]:
    """The bytes of each piece that merges stay inside of."""
    return [list(to_bytes(piece)) for piece in split(text)]


def excerpt(texts: Sequence[str], length: int = 700) -> list[list[int]]:
    """The beginning of the texts in pieces, about so many bytes; [] between texts."""
    shown: list[list[int]] = []
    size = 0
    for text in texts:
        if shown:
            shown.append([])
        for piece in pieces(text):
            size += len(piece)
            if size > length and shown:
                return shown
            shown.append(piece)
    return shown


@dataclass(frozen=True)
class Encoding:
    """A sentence under one tokenizer.

    Attributes:
        name: of the tokenizer.
        size: of its vocabulary, 0 where it is not there.
        tokens: as a reader sees them.
        ids: their numbers.
        unknown: how many of them are the unknown token.
        note: what a reader should know.
    """

    name: str
    size: int
    tokens: list[str]
    ids: list[int]
    unknown: int
    note: str = ""


@lru_cache(8)
def _trained(texts: tuple[str, ...]) -> tuple[CharacterTokenizer, WordTokenizer]:
    special = (UNKNOWN,)
    characters = CharacterTokenizer.train(texts, special)
    return characters, WordTokenizer.train(texts, WORDS, special=special)


@cache
def minilm_tokenizer() -> WordPiece | None:
    """MiniLM's WordPiece from its checked file, or None where it is not installed."""
    try:
        _weights, vocabulary = find_minilm()
    except FileNotFoundError:
        return None
    check_sha256(vocabulary, SHA256["tokenizer.json"])
    return WordPiece.from_file(vocabulary)


def compare(sentence: str, texts: Sequence[str]) -> list[Encoding]:
    """The sentence as characters, words and WordPiece; the first two know `texts`."""
    characters, words = _trained(tuple(texts))
    rows = []
    for name, tokenizer in (("characters", characters), ("words", words)):
        ids = tokenizer.encode(sentence)
        unknown = ids.count(tokenizer.special[UNKNOWN])
        shown = [tokenizer.vocabulary[i].replace(" ", "·") for i in ids]
        note = "of the training text"
        if name == "words":
            note = "small letters, spaces are lost"
        rows.append(Encoding(name, len(tokenizer), shown, ids, unknown, note))
    return [*rows, _word_pieces(sentence)]


def _word_pieces(sentence: str) -> Encoding:
    tokenizer, name = minilm_tokenizer(), "WordPiece of MiniLM"
    if tokenizer is None:
        return Encoding(name, 0, [], [], 0, "its file is not installed here")
    ids = tokenizer.encode_plain(sentence)
    tokens = [tokenizer.vocabulary[i] for i in ids]
    unknown = ids.count(tokenizer.special["[UNK]"])
    note = "## goes on inside a word"
    return Encoding(name, len(tokenizer), tokens, ids, unknown, note)
