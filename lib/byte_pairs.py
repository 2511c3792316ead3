"""Byte-pair encoding learned from texts, one merge at a time.

Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units",
2016; over bytes, so that no text is unknown: Radford et al. (GPT-2), 2019, section 2.2.

Left out: using the merges (`BytePairTokenizer` in `lib.tokenizers`).
"""

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Pair = tuple[int, int]

# Letters, digits or signs, each with the space before it; other space. No merge crosses
# the border of a piece, so no token holds two words. Every character fits somewhere.
PIECES = re.compile(r" ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+(?!\S)|\s+")


@dataclass(frozen=True)
class Merge:
    """One step of training: a pair becomes a token.

    Attributes:
        left, right: numbers of the pair.
        token: the number that the pair gets.
        count: how often the two stood side by side.
        total: tokens in all texts after the merge.
    """

    left: int
    right: int
    token: int
    count: int
    total: int


class BytePairTraining:
    """Byte-pair encoding, one merge at a time (2016, algorithm 1).

        training = BytePairTraining(texts)
        training.candidates(5)     # what could be merged next
        training.step()            # merges the first of them

    Of pairs that are equally frequent, the one with the smaller numbers is merged, so
    the result depends on nothing but the texts, and not on their order.

    Args:
        texts: to learn from.
        special: names of the special tokens; the 256 bytes come after them.
        min_count: stop at pairs that are less frequent.

    Attributes:
        words: for each different piece of the texts, its tokens at present.
        times: for each piece, how often it occurs.
        counts: for each pair, how often it occurs.
        merges: what was done so far.
    """

    def __init__(
        self,
        texts: Iterable[str],
        special: Sequence[str] = (),
        min_count: int = 2,
    ) -> None:
        pieces = Counter(piece for text in check_texts(texts) for piece in split(text))
        self.words = [[len(special) + byte for byte in to_bytes(p)] for p in pieces]
        self.times = list(pieces.values())
        self.counts: Counter[Pair] = Counter()
        self.merges: list[Merge] = []
        self.min_count, self._next = min_count, len(special) + 256
        self._total = sum(
            n * len(w) for w, n in zip(self.words, self.times, strict=True)
        )
        self._where: defaultdict[Pair, set[int]] = defaultdict(set)
        for word in range(len(self.words)):
            self._count(word, self.times[word])
        # A heap finds the largest count without looking at all. Counts change, so it
        # also holds old entries; `_best` throws them away.
        self._heap = [(-count, pair) for pair, count in self.counts.items()]
        heapq.heapify(self._heap)

    def __repr__(self) -> str:
        return f"BytePairTraining({len(self.merges)} merges, {self._total:,} tokens)"

    def candidates(self, n: int = 10) -> list[tuple[Pair, int]]:
        """The n most frequent pairs with their counts, the next merge first."""
        return heapq.nsmallest(n, self.counts.items(), key=lambda x: (-x[1], x[0]))

    def step(self) -> Merge | None:
        """Merge the most frequent pair everywhere; None when no pair is left."""
        pair = self._best()
        if pair is None:
            return None
        count, token, changed = self.counts[pair], self._next, set()
        for word in self._where.pop(pair):
            before = self.words[word]
            changed |= self._count(word, -self.times[word])
            self.words[word] = merge(before, pair, token)
            changed |= self._count(word, self.times[word])
            self._total -= self.times[word] * (len(before) - len(self.words[word]))
        for other in changed:
            if self.counts[other]:
                heapq.heappush(self._heap, (-self.counts[other], other))
            else:
                del self.counts[other]
        self._next += 1
        self.merges.append(Merge(*pair, token, count, self._total))
        return self.merges[-1]

    def _count(self, word: int, times: int) -> set[Pair]:
        """Add the pairs of a word to the counts, or take them away."""
        pairs = list(pairwise(self.words[word]))
        for pair in pairs:
            self.counts[pair] += times
            if times > 0:
                self._where[pair].add(word)
        return set(pairs)

    def _best(self) -> Pair | None:
        while self._heap:
            count, pair = self._heap[0]
            if self.counts.get(pair) == -count:
                return pair if -count >= self.min_count else None
            heapq.heappop(self._heap)
        return None


def split(text: str) -> list[str]:
    """The pieces that merges stay inside of; joined, they are the text."""
    return PIECES.findall(check_text(text))


def merge(tokens: Sequence[int], pair: Pair, token: int) -> list[int]:
    """Put `token` in the place of each such pair, from left to right."""
    result, i = [], 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            result.append(token)
            i += 2
        else:
            result.append(tokens[i])
            i += 1
    return result


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # half a pair of UTF-16 is text, too


def check_text(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"text is a {type(text).__name__}; give a string.")
    return text


def check_texts(texts: Iterable[str]) -> Iterable[str]:
    if isinstance(texts, str):
        raise TypeError("texts is one string; give a list of them: [text].")
    return texts
