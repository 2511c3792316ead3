"""WordPiece as BERT uses it, read from a `tokenizer.json`.

Schuster, Nakajima, "Japanese and Korean voice search", 2012; Devlin et al., "BERT",
2019, section 3; the same numbers as the library `tokenizers` gives for such a file.

A text goes through four steps: `normalise`, `split_words`, `WordPiece.pieces`, and the
special tokens around it.

Which characters are punctuation or marks is what Unicode says now. `tokenizers` asks
Unicode 8 of 2015, so a text with characters that came later may differ.

Left out: training; other normalisers than the one of the uncased BERT; where in the
text each token stands.
"""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lib.byte_pairs import check_text
from lib.tokenizers import pad

CLS, SEP, MASK, PAD, UNKNOWN = "[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]"
# Chinese characters, which stand for themselves. Japanese kana and Korean do not count.
IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),  # a slip for 2B820 in `tokenizers`; kept, to get its numbers
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


@dataclass(frozen=True)
class Batch:
    """Texts as an encoder takes them.

    Attributes:
        tokens: (B, T) int64.
        mask: (B, T), True where a token is real.
        segments: (B, T) int64, 1 for the second text of a pair.
    """

    tokens: Tensor
    mask: Tensor
    segments: Tensor

    def to(self, device: torch.device | str) -> "Batch":
        """The same on another device."""
        parts = (self.tokens, self.mask, self.segments)
        return Batch(*(part.to(device) for part in parts))


def normalise(text: str) -> str:
    """Small letters without accents or control characters, Chinese characters apart."""
    text = "".join(map(_clean, text))
    text = unicodedata.normalize("NFD", text)  # é becomes e and a mark
    marks_gone = (c for c in text if unicodedata.category(c) != "Mn")
    # One by one: on a whole text, Python writes a Σ at the end of a word differently.
    return "".join(c.lower() for c in marks_gone)


def _clean(c: str) -> str:
    if c.isascii() and c.isprintable():
        return c
    if c in "\t\n\r":
        return " "
    if c in "\0\ufffd" or unicodedata.category(c) in ("Cc", "Cf", "Co"):
        return ""
    if c.isspace():
        return " "
    if any(first <= ord(c) <= last for first, last in IDEOGRAPHS):
        return f" {c} "
    return c


def split_words(text: str) -> list[str]:
    """Words between spaces; each sign of punctuation is a word of its own."""
    spaced = (f" {c} " if _is_punctuation(c) else c for c in text)
    return "".join(spaced).split()


def _is_punctuation(c: str) -> bool:
    if c.isascii():  # also $ + < = > ^ ` | ~, which Unicode calls symbols
        return c.isprintable() and not c.isalnum() and c != " "
    return unicodedata.category(c).startswith("P")


class WordPiece:
    """The longest known piece first, then the longest that continues it.

        WordPiece.from_file("tokenizer.json").tokens("unaffable")
        # [CLS] una ##ffa ##ble [SEP]

    The name of a special token in a text, such as "[MASK]", is that token.

    Args:
        vocabulary: number of each token; a piece inside a word begins with "##".
        longest_word: a word of more characters is unknown as a whole.

    Raises:
        ValueError: a vocabulary without the special tokens, or with gaps.
    """

    def __init__(self, vocabulary: dict[str, int], longest_word: int = 100) -> None:
        names = (CLS, SEP, MASK, PAD, UNKNOWN)
        missing = [name for name in names if name not in vocabulary]
        if missing:
            raise ValueError(f"The vocabulary has no {', '.join(missing)}.")
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise ValueError(
                f"The vocabulary has {len(vocabulary)} tokens, but its numbers are not "
                f"0 to {len(vocabulary) - 1}, each once."
            )
        self.numbers, self.longest_word = vocabulary, longest_word
        self.vocabulary = sorted(vocabulary, key=vocabulary.__getitem__)
        self.special = {name: vocabulary[name] for name in names}
        self._seen: dict[str, list[int]] = {}

    @classmethod
    def from_file(cls, path: str | Path) -> "WordPiece":
        """Read a `tokenizer.json`.

        Raises:
            ValueError: a file that is damaged or asks for another tokenizer; its name
                is in the message.
        """
        path = Path(path)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            model = data["model"]
            found = model["type"], data["normalizer"], data["pre_tokenizer"]["type"]
            special = {x["content"] for x in data["added_tokens"]}
            prefix, unknown = model["continuing_subword_prefix"], model["unk_token"]
            vocabulary = {str(t): int(i) for t, i in model["vocab"].items()}
            longest = model["max_input_chars_per_word"]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                f"{path} is damaged, or no tokenizer.json of the kind that BERT uses: "
                f"{error!r}. Get it again."
            ) from None
        expected = ("WordPiece", UNCASED, "BertPreTokenizer")
        if (*found, prefix, unknown) != (*expected, "##", UNKNOWN) or (
            special != {CLS, SEP, MASK, PAD, UNKNOWN}
        ):
            raise ValueError(
                f"{path} asks for {found} and the special tokens {sorted(special)}; "
                f"this class does {expected} with BERT's five special tokens only."
            )
        try:
            return cls(vocabulary, longest)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def __len__(self) -> int:
        """V, the size of the vocabulary."""
        return len(self.vocabulary)

    def __repr__(self) -> str:
        return f"WordPiece({len(self):,} tokens)"

    def pieces(self, word: str) -> list[str]:
        """The pieces of one normalised word, or [UNK] if any part of it is unknown."""
        if len(word) > self.longest_word:
            return [UNKNOWN]
        found, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            for stop in range(len(word), start, -1):
                if prefix + word[start:stop] in self.numbers:
                    found.append(prefix + word[start:stop])
                    break
            else:
                return [UNKNOWN]
            start = stop
        return found

    def encode_plain(self, text: str) -> list[int]:
        """The numbers of a text alone, without [CLS] and [SEP]."""
        ids: list[int] = []
        for part in self._apart(check_text(text)):
            if part in self.special:
                ids.append(self.special[part])
                continue
            for word in split_words(normalise(part)):
                ids += self._word(word)
        return ids

    def encode(
        self, text: str, pair: str | None = None, max_length: int | None = None
    ) -> list[int]:
        """[CLS] text [SEP], or [CLS] text [SEP] pair [SEP].

        Args:
            pair: a second text, such as a passage after a question.
            max_length: cut down to so many tokens, the longer text first, from its end.

        Raises:
            ValueError: a max_length that leaves no place for a text.
        """
        return self._with_segments(text, pair, max_length)[0]

    def tokens(self, text: str, pair: str | None = None) -> list[str]:
        """The tokens of `encode` as a reader sees them."""
        return [self.vocabulary[i] for i in self.encode(text, pair)]

    def batch(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        max_length: int | None = 256,
    ) -> Batch:
        """Many texts, or pairs of texts, filled up to the longest of them.

        Raises:
            ValueError: no text, or not one pair for each text.
        """
        if isinstance(texts, str) or not texts:
            raise ValueError(f"texts is {texts!r}; give a list of one text or more.")
        if pairs is not None and (isinstance(pairs, str) or len(pairs) != len(texts)):
            raise ValueError("pairs needs one text for each of texts.")
        both = zip(texts, pairs or [None] * len(texts), strict=True)
        rows = [self._with_segments(text, pair, max_length) for text, pair in both]
        tokens, mask = pad([ids for ids, _ in rows], self.special[PAD])
        segments, _ = pad([segments for _, segments in rows])
        return Batch(tokens, mask, segments)

    def decode(self, ids: Iterable[int] | Tensor, show_special: bool = False) -> str:
        """The words of these numbers with a space between them. Capitals, accents and
        the spaces of the text do not come back.

        Raises:
            IndexError: a number out of range.
        """
        ids = ids.tolist() if isinstance(ids, Tensor) else list(ids)
        wrong = [i for i in ids if not 0 <= i < len(self)]
        if wrong:
            raise IndexError(
                f"token {wrong[0]} is out of range; this tokenizer has {len(self)} "
                f"tokens, 0 to {len(self) - 1}. Was another one used?"
            )
        hidden = set(self.special.values()) - {self.special[UNKNOWN]}
        hidden = set() if show_special else hidden
        text = " ".join(self.vocabulary[i] for i in ids if i not in hidden)
        return text.replace(" ##", "")

    def _with_segments(
        self, text: str, pair: str | None, max_length: int | None
    ) -> tuple[list[int], list[int]]:
        first = self.encode_plain(text)
        second = [] if pair is None else self.encode_plain(pair)
        around = 2 if pair is None else 3  # special tokens
        if max_length is not None:
            if max_length <= around:
                raise ValueError(
                    f"max_length is {max_length}; give more than {around}, since so "
                    "many special tokens stand around the text."
                )
            a, b = _fit(len(first), len(second), max_length - around)
            first, second = first[:a], second[:b]
        cls, sep = self.special[CLS], self.special[SEP]
        ids = [cls, *first, sep]
        if pair is None:
            return ids, [0] * len(ids)
        return [*ids, *second, sep], [0] * len(ids) + [1] * (len(second) + 1)

    def _apart(self, text: str) -> list[str]:
        """The text cut at the names of special tokens, which are kept."""
        parts = [text]
        for name in self.special:
            for i in range(len(parts) - 1, -1, -1):
                if parts[i] not in self.special and name in parts[i]:
                    between = parts[i].split(name)
                    cut = [x for part in between[:-1] for x in (part, name)]
                    parts[i : i + 1] = [*cut, between[-1]]
        return parts

    def _word(self, word: str) -> list[int]:
        if word not in self._seen:
            if len(self._seen) > 50_000:  # a bound on memory, for endless text
                self._seen.clear()
            self._seen[word] = [self.numbers[piece] for piece in self.pieces(word)]
        return self._seen[word]


UNCASED = {
    "type": "BertNormalizer",
    "clean_text": True,
    "handle_chinese_chars": True,
    "strip_accents": None,  # as `lowercase` says
    "lowercase": True,
}


def _fit(a: int, b: int, room: int) -> tuple[int, int]:
    """How much of two lengths is kept, the longer one cut first."""
    short, long = min(a, b), max(a, b)
    if short + long > room:
        long = max(short, room - short) if short <= room else short
    if short + long > room:
        short = room // 2
        long = short + room % 2
    return (short, long) if a <= b else (long, short)
