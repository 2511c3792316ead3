"""Characters, words and byte pairs: round trips, exact counts, known answers."""

import json
import random
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from lib.byte_pairs import BytePairTraining, merge, split
from lib.tokenizers import (
    SPECIAL,
    BytePairTokenizer,
    CharacterTokenizer,
    WordTokenizer,
    pad,
)

ROOT = Path(__file__).parents[2]
TEXTS = [
    "The cat sat on the mat. The other cat sat on the hat, and that was that.",
    "A model reads text as numbers; it doesn't read letters. 2026 was a good year!",
    "Ein Übermaß an Süßem. 我喜欢学习大模型。我喜欢猫。 naïve café",
    "def step(x):\n    return x_1 + 3.14 * x_2  # snake_case\n\n\n\tend",
]
ANY_TEXT = [
    "",
    " ",
    "  two  spaces  ",
    "\n\r\n\t\v\f\x85\u2028",
    "\0\x01\x7f",
    "<pad><end> are letters here",
    "日本語とか한국어",
    "é and e\u0301 differ",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ² ½ Ⅷ ٣",
    "_ __a_b_ ' '' it's",
    "\ud83d alone",
    "\ud83d\ude00",
    "\U0010ffff\ufffe\ufffd",
    "a" * 3000,
    "مرحبا שלום नमस्ते",
]


def every_character() -> str:
    """One of each 37 of Unicode, surrogates too, in a random order."""
    characters = [chr(i) for i in range(0, 0x110000, 37)]
    random.Random(1).shuffle(characters)
    return "".join(characters)


@pytest.fixture(scope="module")
def byte_pairs() -> BytePairTokenizer:
    return BytePairTokenizer.train(TEXTS, size=300)


@pytest.mark.parametrize("text", [*TEXTS, *ANY_TEXT], ids=lambda t: ascii(t)[:20])
def test_byte_pairs_give_any_text_back(byte_pairs, text):
    for tokenizer in (byte_pairs, BytePairTokenizer()):
        ids = tokenizer.encode(text)
        assert all(len(SPECIAL) <= i < len(tokenizer) for i in ids)
        assert tokenizer.decode(ids) == text
        assert tokenizer.decode(torch.tensor(ids, dtype=torch.int64)) == text


def test_byte_pairs_give_every_character_of_unicode_back(byte_pairs):
    text = every_character()
    assert byte_pairs.decode(byte_pairs.encode(text)) == text


@pytest.mark.parametrize("text", [*TEXTS, *ANY_TEXT, every_character()], ids=len)
def test_pieces_joined_are_the_text(text):
    assert "".join(split(text)) == text


def test_pieces_are_words_with_the_space_before_them():
    assert split("the cat's  30 x_1\n end.") == [
        *("the", " cat", "'", "s", " ", " 30", " x", "_", "1", "\n", " end", ".")
    ]


def test_first_merges_of_the_paper_are_found():
    # Sennrich et al. 2016, section 3.2, but without their mark of a word's end.
    training = BytePairTraining(
        ["low " * 5 + "lower " * 2, "newest " * 6 + "widest " * 3]
    )
    names = [bytes([i]) for i in range(256)]
    found = []
    for _ in range(3):
        done = training.step()
        names.append(names[done.left] + names[done.right])
        found.append((names[done.token].decode(), done.count))
    assert found == [("es", 9), ("est", 9), ("lo", 7)]


def recount(texts: list[str], merges: int) -> list[tuple[int, int, int]]:
    """Training by counting everything anew for each merge."""
    words = [list(p.encode()) for text in texts for p in split(text)]
    done = []
    for token in range(256, 256 + merges):
        counts = Counter(pair for word in words for pair in pairwise(word))
        pair, count = min(counts.items(), key=lambda item: (-item[1], item[0]))
        if count < 2:
            break
        words = [merge(word, pair, token) for word in words]
        done.append((*pair, count, sum(map(len, words))))
    return done


def test_training_equals_counting_anew_after_each_merge():
    training = BytePairTraining(TEXTS)
    while training.step():
        pass
    found = [(m.left, m.right, m.count, m.total) for m in training.merges]
    assert found == recount(TEXTS, 1000)
    assert 40 < len(found) < 1000  # it stopped by itself, at pairs that occur once


def test_candidates_are_the_pairs_and_the_first_is_merged():
    training = BytePairTraining(TEXTS)
    for _ in range(40):
        (pair, count), *others = training.candidates(5)
        done = training.step()
        assert (done.left, done.right, done.count) == (*pair, count)
        assert len(others) == 4
        assert all(other <= count for _, other in others)


def test_of_equally_frequent_pairs_the_smaller_numbers_win():
    training = BytePairTraining(["zy zy ab ab ba ba"])
    done = training.step()
    assert (done.left, done.right, done.count) == (*b" a", 2)


def test_training_depends_on_neither_the_order_of_texts_nor_the_hash_seed():
    program = (
        "import sys, json\n"
        "from lib.byte_pairs import BytePairTraining\n"
        "training = BytePairTraining(json.load(sys.stdin))\n"
        "while training.step(): pass\n"
        "print([(m.left, m.right) for m in training.merges])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(TEXTS[::-1]),
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    here = BytePairTokenizer.train(TEXTS, special=()).state()["merges"]
    assert done.stdout.strip() == str([tuple(pair) for pair in here])
    words = WordTokenizer.train(TEXTS)
    assert WordTokenizer.train(TEXTS[::-1]).vocabulary == words.vocabulary


def test_encoding_applies_the_merges_in_the_order_they_were_learned(byte_pairs):
    merges = byte_pairs.state()["merges"]
    for text in [*TEXTS, "thethat catcat whattt"]:
        expected = []
        for piece in split(text):
            tokens = [len(SPECIAL) + byte for byte in piece.encode()]
            for i, pair in enumerate(merges):
                tokens = merge(tokens, tuple(pair), len(SPECIAL) + 256 + i)
            expected += tokens
        assert byte_pairs.encode(text) == expected


def test_the_merge_learned_first_goes_first_not_the_leftmost():
    tokenizer = BytePairTokenizer([(98, 99), (97, 98)], special=())  # bc, then ab
    assert tokenizer.encode("abc") == [97, 256]
    assert tokenizer.encode("abcab") == [97, 256, 257]


def test_encoding_equals_the_tokenizers_library(byte_pairs):
    library = pytest.importorskip("tokenizers")
    letters = [chr(0x4E00 + i) for i in range(256)]  # its tokens are no bytes
    names = [*SPECIAL, *letters]
    merges = []
    for left, right in byte_pairs.state()["merges"]:
        merges.append((names[left], names[right]))
        names.append(names[left] + names[right])
    theirs = library.models.BPE({n: i for i, n in enumerate(names)}, merges)
    for text in [*TEXTS, *ANY_TEXT[:-5]]:
        expected = []
        for piece in split(text):
            word = "".join(letters[b] for b in piece.encode("utf-8", "surrogatepass"))
            expected += [token.id for token in theirs.tokenize(word)]
        assert byte_pairs.encode(text) == expected


def test_steps_begin_with_bytes_and_end_with_the_encoding(byte_pairs):
    text = "the other cat"
    steps = byte_pairs.steps(text)
    assert steps[0] == [len(SPECIAL) + byte for byte in text.encode()]
    assert steps[-1] == byte_pairs.encode(text)
    lengths = [len(step) for step in steps]
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == len(steps) > 3
    assert all(byte_pairs.decode(step) == text for step in steps)
    assert byte_pairs.steps("") == [[]]


def test_frequent_words_become_one_token_and_vocabulary_has_the_asked_size(byte_pairs):
    assert len(byte_pairs) == len(byte_pairs.vocabulary) == 300
    assert "·cat" in byte_pairs.tokens("The cat")
    assert BytePairTokenizer().tokens("é\n ") == ["\\xc3", "\\xa9", "\\n", "·"]
    assert repr(byte_pairs) == "BytePairTokenizer(300 tokens)"


def test_half_a_character_is_decoded_as_a_sign_for_it():
    tokenizer = BytePairTokenizer()
    ids = tokenizer.encode("a猫")
    assert tokenizer.decode(ids[:-1]) == "a�"


def test_special_tokens_are_put_in_by_number_only(byte_pairs):
    special = byte_pairs.special
    assert special == {"<pad>": 0, "<unk>": 1, "<start>": 2, "<end>": 3}
    for tokenizer in (byte_pairs, CharacterTokenizer.train([*TEXTS, "<pad>"])):
        assert not set(tokenizer.encode("<pad>")) & set(special.values())
        ids = [special["<start>"], *tokenizer.encode("cat"), special["<end>"], 0]
        assert tokenizer.decode(ids) == "cat"
        assert tokenizer.decode(ids, show_special=True) == "<start>cat<end><pad>"


def test_characters_give_the_text_back_and_mark_what_they_do_not_know():
    tokenizer = CharacterTokenizer.train(TEXTS)
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert len(tokenizer.encode(text)) == len(text)
    assert tokenizer.vocabulary[len(SPECIAL) :] == sorted(set("".join(TEXTS)))
    assert tokenizer.decode(tokenizer.encode("cat ж")) == "cat <unk>"


def test_words_are_counted_and_the_rare_ones_unknown():
    texts = ["b a b c", "B! a, it's d_1"]
    tokenizer = WordTokenizer.train(texts)
    assert tokenizer.vocabulary == [
        *SPECIAL,
        *("b", "a", "!", ",", "c", "d_1", "it's"),
    ]
    assert tokenizer.decode(tokenizer.encode("It's B, A.")) == "it's b , a <unk>"
    assert len(WordTokenizer.train(texts, size=6)) == 6
    assert WordTokenizer.train(texts, min_count=2).vocabulary[4:] == ["b", "a"]
    assert WordTokenizer.split("Don’t stop") == ["don’t", "stop"]


@pytest.mark.parametrize("kind", [CharacterTokenizer, WordTokenizer, BytePairTokenizer])
def test_state_goes_through_json_and_makes_the_same_tokenizer(kind):
    tokenizer = kind.train(TEXTS, special=("<pad>", "<unk>", "<sep>"))
    again = kind(**json.loads(json.dumps(tokenizer.state())))
    assert again.vocabulary == tokenizer.vocabulary
    assert [again.encode(t) for t in TEXTS] == [tokenizer.encode(t) for t in TEXTS]
    assert again.special == tokenizer.special
    assert "<sep>" in again.special


def test_a_very_long_word_takes_a_moment_only(byte_pairs):
    # 200,000 letters without a space; a merge at a time would take minutes.
    assert len(byte_pairs.encode("ab" * 100_000)) <= 200_000


def test_pad_fills_up_on_the_right_and_marks_it():
    tokens, mask = pad([[5, 6], [], [7]], padding=9)
    assert tokens.tolist() == [[5, 6], [9, 9], [7, 9]]
    assert mask.tolist() == [[True, True], [False, False], [True, False]]
    assert tokens.dtype == torch.int64
    assert mask.dtype == torch.bool
    assert pad([[1]], length=3)[0].tolist() == [[1, 0, 0]]


@pytest.mark.parametrize(
    ("sequences", "length"), [([], None), ([[]], None), ([[1, 2]], 1), ([], 4)]
)
def test_pad_refuses_what_makes_no_batch(sequences, length):
    with pytest.raises(ValueError, match="give one or more"):
        pad(sequences, length=length)


@pytest.mark.parametrize("token", [-1, 300])
def test_a_token_out_of_range_is_named(byte_pairs, token):
    with pytest.raises(IndexError, match=f"token {token} is out of range.* 0 to 299"):
        byte_pairs.decode([5, token])
    with pytest.raises(IndexError, match="out of range"):
        CharacterTokenizer.train(TEXTS).decode([token])


@pytest.mark.parametrize("kind", [CharacterTokenizer, WordTokenizer, BytePairTokenizer])
def test_what_is_no_text_is_refused(kind):
    with pytest.raises(TypeError, match=r"give a list of them: \[text\]"):
        kind.train("one text")
    tokenizer = kind.train(TEXTS)
    for wrong in (None, b"bytes", ["a"], 3):
        with pytest.raises(TypeError, match="give a string"):
            tokenizer.encode(wrong)
    with pytest.raises(ValueError, match="each name once"):
        kind.train(TEXTS, special=("<a>", "<a>"))


def test_an_unknown_character_without_a_token_for_it_is_an_error():
    tokenizer = CharacterTokenizer.train(["abc"], special=("<pad>",))
    with pytest.raises(ValueError, match="has not seen in training"):
        tokenizer.encode("abd")


def test_sizes_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="give 260 or more"):
        BytePairTokenizer.train(TEXTS, size=259)
    with pytest.raises(ValueError, match="give 4 or more"):
        WordTokenizer.train(TEXTS, size=3)
    assert len(BytePairTokenizer.train(TEXTS, size=260)) == 260


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ([(3, 5)], "merge 0 joins 3 and 5"),
        ([(5, 6), (261, 5)], "merge 1 joins 261 and 5"),
        ([(5, 6), (5, 6)], "twice"),
    ],
)
def test_merges_that_cannot_be_are_refused(merges, message):
    with pytest.raises(ValueError, match=message):
        BytePairTokenizer(merges)
