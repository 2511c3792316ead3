"""The film of the merges, and one sentence under several tokenizers."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from lib import merges
from lib.byte_pairs import split
from lib.merges import POEM, MergeFilm, compare, excerpt, pieces, texts_of
from lib.pretrained import find_minilm
from lib.tokenizers import BytePairTokenizer
from lib.wordpiece import WordPiece

SENTENCE = "The unknown river 🙂 学习语言模型"


def film(texts=(POEM,), count: int = 30, **options) -> MergeFilm:
    made = MergeFilm(texts, **options)
    for _ in made.work(count):
        pass
    return made


def counted(words: list[list[int]]) -> Counter:
    """Pairs of tokens side by side, inside the pieces."""
    return Counter(pair for word in words for pair in pairwise(word))


@pytest.mark.parametrize(
    "texts", [(POEM,), ("学习语言，学习模型。", "low lower lowest")]
)
def test_each_moment_is_what_counting_all_pairs_again_says(texts):
    made = film(texts)
    words = [list(p.encode()) for text in texts for p in split(text)]
    assert made.first_total == sum(map(len, words))
    for k, merge in enumerate(made.merges):
        counts = counted(words)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        shown = made.candidates[k]
        assert shown == [(*pair, n) for pair, n in ordered[: merges.CANDIDATES]]
        assert (merge.left, merge.right, merge.count) == shown[0]
        assert merge.token == 256 + k
        for word in words:
            i = 0
            while i + 1 < len(word):
                if word[i : i + 2] == [merge.left, merge.right]:
                    word[i : i + 2] = [merge.token]
                i += 1
        assert made.total(k + 1) == merge.total == sum(map(len, words))
    assert len(made.candidates) == len(made.merges) + 1


def test_the_tokenizer_of_the_end_is_the_librarys_own():
    made = film(count=20)
    own = BytePairTokenizer.train([POEM], size=276, special=())
    assert made.tokenizer().state() == own.state()
    assert made.tokenizer().encode(SENTENCE) == own.encode(SENTENCE)
    assert made.tokenizer(0).encode(SENTENCE) == list(SENTENCE.encode())
    early = BytePairTokenizer.train([POEM], size=263, special=())
    assert made.tokenizer(7).encode(SENTENCE) == early.encode(SENTENCE)


def test_learning_in_two_parts_is_learning_at_once():
    made = film(count=5)
    assert made.complete
    for _ in made.work(20):
        pass
    assert made.merges == film(count=20).merges
    assert made.candidates == film(count=20).candidates


def test_it_ends_where_no_pair_is_frequent_enough():
    made = film(["aaaa bb bb"], count=50, min_count=2)
    assert made.complete
    assert len(made.merges) < 50
    assert all(merge.count >= 2 for merge in made.merges)
    assert not made.candidates[-1] or made.candidates[-1][0][2] < 2
    assert len(film(["aaaa bb bb"], min_count=1).merges) > len(made.merges)
    assert film([""]).merges == []


def test_merging_every_piece_in_order_is_encoding():
    made = film(count=40)
    for text in (POEM, SENTENCE, "the rain 🙂"):
        ids = []
        for piece in pieces(text):
            for merge in made.merges:
                out, i = [], 0
                while i < len(piece):
                    hit = piece[i : i + 2] == [merge.left, merge.right]
                    out.append(merge.token if hit else piece[i])
                    i += 2 if hit else 1
                piece = out
            ids += piece
        assert ids == made.tokenizer().encode(text)


def test_the_excerpt_is_the_beginning():
    shown = excerpt(["ab cd", "学 ef"], 100)
    assert shown == [[97, 98], [32, 99, 100], [], [0xE5, 0xAD, 0xA6], [32, 101, 102]]
    long = excerpt(texts_of("prose"), 300)
    text = bytes(byte for piece in long for byte in piece)
    assert 250 < len(text) <= 300
    assert "".join(texts_of("prose")).encode().startswith(text)
    assert excerpt(["a" * 900], 700) == [[97] * 900]  # one piece is never cut


@pytest.mark.parametrize("source", ["poem", "prose", "pairs"])
def test_every_source_has_texts(source):
    texts = texts_of(source)
    assert sum(map(len, texts)) > 200
    if source == "pairs":
        assert any("学" in text for text in texts)


def test_another_source_is_refused():
    with pytest.raises(ValueError, match="'novel'; choose 'poem'"):
        texts_of("novel")


# ---- the comparison


def test_characters_and_words_know_the_training_text_only():
    characters, words, _pieces = compare("the river 🙂", (POEM,))
    assert (characters.name, words.name) == ("characters", "words")
    assert characters.tokens[-3:] == ["r", "·", "<unk>"]
    assert characters.unknown == 1
    assert len(characters.ids) == len("the river 🙂")
    assert words.tokens == ["the", "river", "<unk>"]
    assert words.unknown == 1
    assert characters.size == len(set(POEM)) + 1


def test_word_pieces_are_those_of_the_file():
    try:
        _weights, path = find_minilm()
    except FileNotFoundError:
        pytest.skip("NOT RUN: all-MiniLM-L6-v2 is not installed")
    row = compare(SENTENCE, (POEM,))[2]
    own = WordPiece.from_file(path)
    assert row.ids == own.encode_plain(SENTENCE)
    assert row.tokens == [own.vocabulary[i] for i in row.ids]
    assert row.unknown == row.tokens.count("[UNK]") > 0
    assert row.size == len(own)


def test_without_the_file_the_row_says_so(monkeypatch):
    def missing():
        raise FileNotFoundError

    monkeypatch.setattr(merges, "find_minilm", missing)
    merges.minilm_tokenizer.cache_clear()
    row = compare(SENTENCE, (POEM,))[2]
    merges.minilm_tokenizer.cache_clear()
    assert (row.size, row.tokens) == (0, [])
    assert "not installed" in row.note
