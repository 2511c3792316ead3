"""The texts in data/: what the sets promise, that nothing is there twice, and that the
scripts in data/make give these very files."""

import math
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from lib.datasets import load
from lib.text_data import PROSE, TEXTS, Article, Paragraph, TextSet

ROOT = Path(__file__).parents[2]
MAKE = ROOT / "data" / "make"
every_set = pytest.mark.parametrize("name", TEXTS)


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def eights(text: str) -> set[tuple[str, ...]]:
    """Every eight words in a row; all the words of a shorter text."""
    w = words(text)
    return {tuple(w[i : i + 8]) for i in range(len(w) - 7)} or {tuple(w)}


def repeated(texts) -> list[str]:
    """Texts that have eight words in a row in common with an earlier one."""
    seen, found = set(), []
    for text in texts:
        own = eights(text)
        if own & seen:
            found.append(text)
        seen |= own
    return found


def test_repetition_is_found():
    a = "the old clock in the hall has stopped again"
    b = "Today the old clock, in the hall, has STOPPED!"
    assert repeated([a, "another text", b]) == [b]
    assert repeated([a, "the old clock in the hall is new again"]) == []
    assert repeated(["short text", "Short text."]) == ["Short text."]


@every_set
def test_every_text_set_says_what_it_is(name):
    texts = load(name)
    assert texts.name == name
    assert len(texts) == len(texts.texts) == len(texts.labels) == len(list(texts))
    assert len(texts.train) + len(texts.test) == len(texts)
    assert texts.describe().count("\n") == 2
    assert texts.licence == "Apache-2.0"
    assert len(repr(texts)) < 100


def run(script: str, to: Path) -> None:
    command = [sys.executable, "-B", str(MAKE / script), "--to", str(to)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "prose"])
def test_the_scripts_give_the_files_of_the_repository(name, tmp_path):
    run(f"{name}.py", tmp_path)
    made, kept = tmp_path / f"{name}.jsonl", ROOT / "data" / f"{name}.jsonl"
    assert made.read_bytes() == kept.read_bytes()


def test_the_script_of_the_prose_gives_the_prose_of_today(tmp_path):
    """The snapshot in data/ is older, so only its beginning must be the same."""
    run("prose.py", tmp_path)
    text = (tmp_path / PROSE).read_text(encoding="utf-8")
    assert len(text) >= 60_000
    assert text.split("\n\n")[:20] == list(load("prose").texts[:20])


@every_set
def test_texts_are_clean(name):
    for row in load(name):
        for field in row:
            for text in field if isinstance(field, tuple) else (field,):
                if isinstance(text, str):
                    assert text == text.strip() != ""
                    assert not re.search(r"  |\t|\[.*\|| ,|\ufffd|[{}]", text), text


def test_a_set_gives_columns_parts_and_rows():
    rows = (Article("a", "b", "t", "train"), Article("c", "d", "u", "test"))
    texts = TextSet("x", rows, (), "two articles")
    assert texts.texts == ("a", "c")
    assert texts.labels == ("b", "d")
    assert texts.column("title") == ("t", "u")
    assert texts.train.rows == rows[:1]
    assert texts.test[0] is rows[1]
    assert repr(texts) == "TextSet('x': 2 rows of article, summary, title, part)"
    assert len(texts.select("title", "t", "u")) == 2
    with pytest.raises(ValueError, match="no column 'author'; choose one of article"):
        texts.column("author")
    with pytest.raises(ValueError, match=r"has title \['z'\]; choose of 't', 'u'"):
        texts.select("title", "t", "z")
    with pytest.raises(ValueError, match="lies on no device"):
        load("reviews", device="cpu")


# Reviews


def test_reviews_are_many_balanced_and_of_the_lengths_promised():
    reviews = load("reviews")
    assert len(reviews) >= 1000
    assert len(set(reviews.texts)) == len(reviews)
    for part in (reviews.train, reviews.test):
        assert Counter(part.labels)[1] * 2 == len(part)
    lengths = [len(words(text)) for text in reviews.texts]
    assert 6 <= min(lengths) <= max(lengths) <= 40
    domains = Counter(zip(*map(reviews.column, ("domain", "label")), strict=True))
    assert len(domains) == 32
    assert min(domains.values()) >= 60
    assert sum(kind == "written" for kind in reviews.column("kind")) >= 400


def test_no_two_reviews_are_alike():
    assert repeated(load("reviews").texts) == []


def test_training_and_test_reviews_share_no_sentence_but_what_is_tiny():
    def sentences(part):
        return {s for t in part.texts for s in re.split(r"(?<=[.?!;:]) ", t)}

    reviews = load("reviews")
    shared = sentences(reviews.train) & sentences(reviews.test)
    assert {s for s in shared if len(words(s)) > 5} == set()
    assert len(shared) <= 12


def test_frames_of_the_test_reviews_are_not_those_of_training():
    source = (MAKE / "reviews.py").read_text(encoding="utf-8")
    found = {}
    for table in ("FRAMES", "CONTRASTS", "ASPECTS", "DENIALS"):
        body = source.split(f"{table} = ", 1)[1].split("\n}\n", 1)[0]
        train, test = body.split('"test": [', 1)
        found[table] = [set(re.findall(r'"(.*\{.*)"', side)) for side in (train, test)]
    for train, test in found.values():
        assert train
        assert test
        assert not train & test


def test_sentiment_can_be_learned_but_not_by_counting_words_alone():
    """A bag of words must be neither at chance nor nearly always right."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    reviews, counter = load("reviews"), CountVectorizer()
    model = LogisticRegression(max_iter=1000)
    model.fit(counter.fit_transform(reviews.train.texts), reviews.train.labels)
    test = counter.transform(reviews.test.texts)
    assert 0.80 <= model.score(test, reviews.test.labels) <= 0.93


# Tagged sentences

TAGS = {
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON",
    "PROPN", "PUNCT", "SCONJ", "VERB",
}  # fmt: skip


def bio_faults(entities) -> list[str]:
    """Inside tags that do not continue an entity of the same kind."""
    steps = pairwise(["O", *entities])
    return [b for a, b in steps if b[0] == "I" and a[1:] != b[1:]]


def test_bio_faults_are_found():
    assert bio_faults(["B-PER", "I-PER", "O", "B-LOC", "B-LOC"]) == []
    assert bio_faults(["O", "I-PER"]) == ["I-PER"]
    assert bio_faults(["B-LOC", "I-PER"]) == ["I-PER"]


def test_tagged_sentences_have_one_valid_tag_a_word():
    tagged = load("tagged")
    assert len(tagged) >= 500
    for row in tagged:
        assert len(row.words) == len(row.tags) == len(row.entities)
        assert set(row.tags) <= TAGS
        assert bio_faults(row.entities) == []
        assert row.words[-1] in ".?"
        assert row.words[0][0].isupper() or row.words[0].isdigit()
    kinds = Counter(e for row in tagged for e in row.entities if e[0] == "B")
    assert set(kinds) == {"B-PER", "B-LOC", "B-ORG", "B-DATE"}
    assert min(kinds.values()) >= 75


def test_tags_of_words_that_leave_no_choice():
    fixed = {
        "the": "DET", "and": "CCONJ", "she": "PRON", "he": "PRON", "they": "PRON",
        "not": "PART", "my": "PRON", ".": "PUNCT", ",": "PUNCT", "of": "ADP",
        "with": "ADP", "must": "AUX", "because": "SCONJ", "often": "ADV",
    }  # fmt: skip
    for row in load("tagged"):
        for word, tag in zip(row.words, row.tags, strict=True):
            assert tag == fixed.get(word.lower(), tag), " ".join(row.words)
            if word.isdigit():
                assert tag == "NUM"


def test_no_tagged_sentence_stands_twice():
    sentences = [" ".join(row.words) for row in load("tagged")]
    assert len({" ".join(words(s)) for s in sentences}) == len(sentences)
    assert repeated(sentences) == []


# Questions


def test_every_answer_stands_in_its_passage_as_whole_words():
    for row in load("questions"):
        end = row.start + len(row.answer)
        assert row.passage[row.start : end] == row.answer
        around = row.passage[max(0, row.start - 1) : row.start] + row.passage[end:][:1]
        assert not any(c.isalnum() for c in around)
        assert row.question.endswith("?")


def test_passages_have_three_questions_or_more_and_one_part():
    questions = load("questions")
    count = Counter(questions.column("passage"))
    assert len(count) >= 60
    assert min(count.values()) >= 3
    assert repeated(count) == []
    parts = set(zip(*map(questions.column, ("passage", "part")), strict=True))
    assert len(parts) == len(count)  # no passage in both parts
    asked = Counter(zip(*map(questions.column, ("passage", "question")), strict=True))
    assert max(asked.values()) == 1


# Pairs

IDEOGRAPH = re.compile(r"[\u4e00-\u9fff]")


def test_pairs_are_english_on_one_side_and_simplified_chinese_on_the_other():
    pairs = load("pairs")
    assert len(pairs) >= 600
    for row in pairs:
        assert row.english.isascii()
        assert row.english[-1] in ".?!"
        assert row.chinese[-1] in "。？！"
        assert (row.english[-1] == "?") == (row.chinese[-1] == "？")
        marks = IDEOGRAPH.sub("", row.chinese)
        assert not marks.strip("，。？！0123456789"), row.chinese
        # GB 2312 holds the simplified characters and no traditional form of them.
        row.chinese.encode("gb2312")


def test_traditional_characters_would_be_found():
    with pytest.raises(UnicodeEncodeError):
        "這是誰的書？".encode("gb2312")


def test_no_pair_stands_twice():
    pairs = load("pairs")
    for side in ("english", "chinese"):
        texts = [" ".join(words(text)) for text in pairs.column(side)]
        assert [t for t, n in Counter(texts).items() if n > 1] == []


def test_most_words_of_the_test_pairs_are_learned_in_training():
    pairs = load("pairs")
    known = {w for text in pairs.train.texts for w in words(text)}
    asked = [w for text in pairs.test.texts for w in words(text)]
    assert sum(w in known for w in asked) / len(asked) > 0.85


# Summaries and prose


def test_articles_and_summaries_have_the_lengths_promised():
    summaries = load("summaries")
    assert len(summaries) >= 80
    for row in summaries:
        assert 60 <= len(words(row.article)) <= 150
        assert 8 <= len(words(row.summary)) <= 28
        assert row.summary.count(".") == 1
    assert repeated([*summaries.texts, *summaries.labels]) == []


def test_a_summary_is_about_its_article():
    """It shares more words with its own article than with any other."""
    summaries = load("summaries")
    small = Counter(w for text in summaries.texts for w in set(words(text)))
    bags = [set(words(text)) for text in summaries.texts]

    def common(summary, bag):
        return sum(math.log(len(bags) / small[w]) for w in set(words(summary)) & bag)

    for i, summary in enumerate(summaries.labels):
        assert max(range(len(bags)), key=lambda j: common(summary, bags[j])) == i


def test_prose_is_long_plain_and_in_order():
    prose = load("prose")
    text = "\n\n".join(prose.texts)
    assert len(text) >= 60_000
    assert text.isascii()
    assert prose.labels == tuple(range(len(prose)))
    assert isinstance(prose[0], Paragraph)
    assert len(set(prose.texts)) == len(prose)
    assert 0.08 < len(prose.test) / len(prose) < 0.12
