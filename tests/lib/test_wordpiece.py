"""WordPiece: the numbers of the library `tokenizers`, on very different texts."""

import json
import random
import unicodedata

import pytest
import torch

from lib.pretrained import find_minilm
from lib.wordpiece import Batch, WordPiece, normalise, split_words

SENTENCES = """
The quick brown fox jumps over the lazy dog.
I wasn't sure; she'd said "no" -- and then: yes!
Unaffable, antidisestablishmentarianism, supercalifragilisticexpialidocious.
Naïve café, résumé, Zürich, Ångström, São Paulo, piñata, fiancée, coöperate.
İstanbul'da ΑΣ ΟΔΥΣΣΕΥΣ ßtraße ﬁne ǅ ŉ
e\u0301 against é, a\u0323\u0302 against ậ, n\u0303 ñ
我喜欢学习大模型。你呢？「好」、《书》
日本語とカタカナ、한국어도 있습니다.
مرحبا بالعالم! שלום עולם נִקּוּד नमस्ते दुनिया ไทยแลนด์ Привет, мир
👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 ☃ ♥️ :-) ;) 🙂text
3.14159 1,000,000 50% $9.99 €5 £3 2026-11-23 12:30 1e-5 x² ½ Ⅷ
snake_case CamelCase kebab-case path/to/file.py a+b=c ^_^ ~`|\\<>{}[]()#@&*
http://example.com/?q=a&b=c#d mail@example.org
[CLS] [SEP] [MASK] [PAD] [UNK] [mask] [ MASK] x[MASK]y [MASK][MASK] [[SEP]] [CLS
The capital of France is [MASK].
##ing ## # un##able
— – - ‐ … · • ¶ § ° ¿que? ¡si! ‘a’ “b” «c»
𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘 ℕ ™ © ® ℃ №
""".strip().splitlines()
ODD = [
    "",
    " ",
    "\t\n\r",
    "a\0b\x01c\x7fd\x85e\u200be\u200df\ufeffg\u00adh",
    "a\u00a0b\u2003c\u3000d\u2028e\u2029f\x0bg\x0ch\x1ci",
    "\ufffd\ue000\u061c a",
    "x" * 100,
    "x" * 101,
    "é" * 101,
    "a" * 5000,
    "，" * 200,
    "\u0301",
    "a" + "\u0301" * 50,
    "퓞\u1100\u1161\u11a8",
]
ALPHABETS = [
    "abcdefghijklmnop qrstuvwxyz ' - ABC",
    "aeiou éàüñçøåßœĳ\u0301\u0308\u0327 ",
    "我你他的是不了一 在有。，！abc ",
    "0123456789 .,%$€-+/",
    "😀👍🏽\u200d\ufe0f♥☃ ab",
    "абвгд ЕЁЖ αβγΣς ",
    "a \t\n\r\0\x0b\u00a0\u200b\ufffd[]",
]


def made_up() -> list[str]:
    """Random strings: of one alphabet each, and of frequent words run together."""
    draw = random.Random(3)
    found = [
        "".join(draw.choices(alphabet, k=draw.randrange(1, 60)))
        for alphabet in ALPHABETS
        for _ in range(30)
    ]
    words = " ".join(SENTENCES).split()
    return found + [
        draw.choice(["", " ", "-"]).join(draw.choices(words, k=draw.randrange(1, 40)))
        for _ in range(60)
    ]


TEXTS = [*SENTENCES, *ODD, *made_up()]


@pytest.fixture(scope="module")
def path():
    try:
        return find_minilm()[1]
    except FileNotFoundError as error:
        pytest.skip(f"NOT RUN: {error}")


@pytest.fixture(scope="module")
def ours(path):
    return WordPiece.from_file(path)


@pytest.fixture
def theirs(path):
    library = pytest.importorskip("tokenizers").Tokenizer.from_file(str(path))
    library.no_padding()
    library.no_truncation()
    return library


def test_more_than_two_hundred_texts_get_the_numbers_of_the_library(ours, theirs):
    assert len(set(TEXTS)) > 280
    for text in TEXTS:
        expected = theirs.encode(text)
        assert ours.encode(text) == expected.ids, ascii(text)
        assert ours.tokens(text) == expected.tokens
        plain = theirs.encode(text, add_special_tokens=False)
        assert ours.encode_plain(text) == plain.ids


@pytest.mark.parametrize(
    "block",
    [
        (0x0, 0x530),  # Latin, Greek, Cyrillic
        (0x1E00, 0x2BFF),  # more of them, punctuation, symbols
        (0x3000, 0x3400),  # Chinese and Japanese signs
        (0x4DB0, 0x4E10),  # borders of the Chinese characters
        (0xABFF, 0xAC80),  # Korean
        (0xF8F0, 0x10000),  # borders and forms of compatibility
        (0x1F300, 0x1FAFF),  # emoji
        (0x2B730, 0x2B930),  # where the library leaves some out
    ],
    ids=lambda block: f"{block[0]:x}",
)
def test_every_character_of_these_blocks_is_treated_as_the_library_does(
    ours, theirs, block
):
    for code in range(*block):
        text = f"a{chr(code)}b"
        if unicodedata.category(chr(code)) != "Cn":  # not given to anything yet
            assert normalise(text) == theirs.normalizer.normalize_str(text), hex(code)
            assert ours.encode(text) == theirs.encode(text).ids, hex(code)


@pytest.mark.parametrize("length", [4, 5, 6, 7, 12, 31])
def test_texts_and_pairs_are_cut_where_the_library_cuts_them(ours, theirs, length):
    theirs.enable_truncation(length)
    short, middle, long = "one two", "a b c d e f", " ".join(SENTENCES)
    for text in (short, middle, long, ""):
        assert ours.encode(text, max_length=length) == theirs.encode(text).ids
        for pair in (short, middle, long, ""):
            expected = theirs.encode(text, pair)
            batch = ours.batch([text], [pair], max_length=length)
            assert ours.encode(text, pair, length) == expected.ids
            assert batch.tokens[0].tolist() == expected.ids
            assert batch.segments[0].tolist() == expected.type_ids


def test_a_batch_is_filled_up_as_the_library_fills_it(ours, theirs):
    theirs.enable_padding()
    theirs.enable_truncation(40)
    texts, pairs = TEXTS[:30], TEXTS[30:60]
    for second in (None, pairs):
        given = texts if second is None else list(zip(texts, second, strict=True))
        expected = theirs.encode_batch(given)
        batch = ours.batch(texts, second, max_length=40)
        assert batch.tokens.tolist() == [e.ids for e in expected]
        assert batch.mask.long().tolist() == [e.attention_mask for e in expected]
        assert batch.segments.tolist() == [e.type_ids for e in expected]


def test_decoding_joins_the_pieces(ours):
    text = "Unaffable, naïve people run!"
    assert ours.decode(ours.encode(text)) == "unaffable , naive people run !"
    assert ours.decode(ours.encode("a \ud83d b")) == "a [UNK] b"
    assert ours.decode(torch.tensor([101, 2175, 102]), show_special=True) == (
        "[CLS] go [SEP]"
    )
    with pytest.raises(IndexError, match="token 30522 is out of range"):
        ours.decode([30522])


VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able"]


def small(words=(), **options) -> WordPiece:
    tokens = [*VOCABULARY, *words]
    return WordPiece({token: i for i, token in enumerate(tokens)}, **options)


def test_the_longest_piece_wins_and_a_word_with_a_gap_is_unknown():
    tokenizer = small(["##affa", "a", "ab"])
    assert tokenizer.pieces("unaffable") == ["[UNK]"]  # after ##affa, no ##ble
    assert small().pieces("unaffable") == ["un", "##aff", "##able"]
    assert small().pieces("unaffably") == ["[UNK]"]
    assert tokenizer.pieces("ab") == ["ab"]
    assert tokenizer.pieces("") == []
    assert small(longest_word=4).pieces("unaff") == ["[UNK]"]


def test_each_step_is_as_the_docstring_says():
    assert normalise("Tschüß,\tΣΑΣ\0") == "tschuß, σασ"
    assert normalise("a中b") == "a 中 b"
    assert split_words("don't a+b  c") == ["don", "'", "t", "a", "+", "b", "c"]


def test_a_lone_half_of_utf_16_is_unknown_and_no_crash(ours):
    assert ours.tokens("\ud83d") == ["[CLS]", "[UNK]", "[SEP]"]


def test_batch_moves_to_a_device_and_padding_is_masked(ours):
    batch = ours.batch(["a", "a b c"]).to("cpu")
    assert isinstance(batch, Batch)
    assert batch.tokens.tolist() == [
        [101, 1037, 102, 0, 0],
        [101, 1037, 1038, 1039, 102],
    ]
    assert batch.mask.sum(1).tolist() == [3, 5]


def test_wrong_input_is_refused_with_a_sentence(ours):
    with pytest.raises(ValueError, match="list of one text or more"):
        ours.batch("one text")
    with pytest.raises(ValueError, match="list of one text or more"):
        ours.batch([])
    with pytest.raises(ValueError, match="one text for each"):
        ours.batch(["a", "b"], ["c"])
    with pytest.raises(ValueError, match="max_length is 2; give more than 2"):
        ours.encode("a", max_length=2)
    with pytest.raises(ValueError, match="more than 3"):
        ours.encode("a", "b", max_length=3)
    for wrong in (None, 3, b"a"):
        with pytest.raises(TypeError, match="give a string"):
            ours.encode(wrong)
    with pytest.raises(ValueError, match=r"has no \[CLS\], \[SEP\]"):
        WordPiece({"[PAD]": 0, "[UNK]": 1, "[MASK]": 2})
    with pytest.raises(ValueError, match="each once"):
        WordPiece(dict.fromkeys(VOCABULARY, 0))


def wrong_files():
    def change(**options):
        return lambda data: data | options

    def change_model(**options):
        return lambda data: data | {"model": data["model"] | options}

    def drop_mask(data):
        kept = [t for t in data["added_tokens"] if t["content"] != "[MASK]"]
        return data | {"added_tokens": kept}

    def add_gap(data):
        vocabulary = data["model"]["vocab"] | {"new": 10**6}
        return change_model(vocab=vocabulary)(data)

    return {
        "a model of another type": (change_model(type="BPE"), "asks for"),
        "no vocabulary": (change_model(vocab=None), "damaged"),
        "another prefix": (change_model(continuing_subword_prefix="_"), "asks for"),
        "a cased normaliser": (
            lambda d: d | {"normalizer": d["normalizer"] | {"lowercase": False}},
            "asks for",
        ),
        "another pre-tokeniser": (
            change(pre_tokenizer={"type": "Whitespace"}),
            "asks for",
        ),
        "no mask": (drop_mask, "asks for"),
        "a gap": (add_gap, "each once"),
        "no model": (lambda data: {"version": "1.0"}, "damaged"),
        "a list": (lambda data: [1], "damaged"),
    }


@pytest.mark.parametrize("kind", wrong_files())
def test_a_file_of_another_tokenizer_is_refused_with_its_name(path, tmp_path, kind):
    change, message = wrong_files()[kind]
    wrong = tmp_path / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    wrong.write_text(json.dumps(change(data)), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        WordPiece.from_file(wrong)
    assert str(wrong) in str(error.value)


@pytest.mark.parametrize("data", [b"", b'{"model": {"type"', b"\xff\xfe\0"])
def test_a_damaged_file_is_refused_with_its_name(tmp_path, data):
    wrong = tmp_path / "tokenizer.json"
    wrong.write_bytes(data)
    with pytest.raises(ValueError, match=r"tokenizer\.json is damaged"):
        WordPiece.from_file(wrong)


def test_words_of_any_length_take_a_moment(ours):
    text = "word " * 50_000 + "x" * 100_000
    assert len(ours.encode(text)) == 50_003
