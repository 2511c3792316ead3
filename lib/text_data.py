"""The texts of this course: reviews, tagged sentences, questions, pairs, summaries.

All were written for the course; `data/README.md` says how, and `data/make/` holds the
scripts. They come as text and not as tensors, because how a text becomes numbers is a
lesson of its own (see `tokenizers`).

Left out: tokenising, padding, batches.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from lib.data_files import read, read_rows


class Review(NamedTuple):
    """A short review; label 1 is praise, 0 complaint."""

    text: str
    label: int
    domain: str  # what it is about: "film", "phone", ...
    kind: str  # "written" one by one, or "composed" of clauses by a program
    part: str


class Tagged(NamedTuple):
    """A sentence in words, with one part of speech and one entity tag a word."""

    words: tuple[str, ...]
    tags: tuple[str, ...]  # universal parts of speech: NOUN, VERB, ...
    entities: tuple[str, ...]  # BIO: B-PER, I-PER, ..., O
    part: str


class Question(NamedTuple):
    """A question whose answer is passage[start : start + len(answer)]."""

    question: str
    answer: str
    start: int
    passage: str
    title: str
    part: str


class Pair(NamedTuple):
    """The same sentence in English and in Chinese (simplified)."""

    english: str
    chinese: str
    kind: str  # "written" one by one, or "composed" from patterns of grammar
    part: str


class Article(NamedTuple):
    """A short article with a summary of one sentence."""

    article: str
    summary: str
    title: str
    part: str


class Paragraph(NamedTuple):
    """A paragraph or heading of the course's prose, and its place in the text."""

    text: str
    place: int
    part: str


@dataclass(frozen=True, eq=False)
class TextSet:
    """Texts with their labels.

    Fields:
        name: as in `TEXTS`.
        rows: one a text, of one of the classes above. The first field of a row is what
            a model reads, the second what it should say.
        targets: the names of the classes where labels are numbers, else empty.
        description, source, licence: in plain words.
    """

    name: str
    rows: tuple[NamedTuple, ...]
    targets: tuple[str, ...]
    description: str
    source: str = "written for this course"
    licence: str = "Apache-2.0"

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[NamedTuple]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> NamedTuple:
        return self.rows[index]

    def __repr__(self) -> str:
        columns = ", ".join(self.rows[0]._fields) if self.rows else "empty"
        return f"TextSet({self.name!r}: {len(self):,} rows of {columns})"

    @property
    def texts(self) -> tuple:
        """What a model reads: the first field of each row."""
        return tuple(row[0] for row in self.rows)

    @property
    def labels(self) -> tuple:
        """What it should say: the second field of each row."""
        return tuple(row[1] for row in self.rows)

    @property
    def train(self) -> "TextSet":
        """The rows to learn from."""
        return self.select("part", "train")

    @property
    def test(self) -> "TextSet":
        """The rows to judge by, which share no text with the others."""
        return self.select("part", "test")

    def column(self, name: str) -> tuple:
        """One field of every row, such as `reviews.column("domain")`.

        Raises:
            ValueError: for a name the rows do not have.
        """
        fields = self.rows[0]._fields if self.rows else ()
        if name not in fields:
            raise ValueError(
                f"{self.name!r} has no column {name!r}; choose one of "
                f"{', '.join(fields)}."
            )
        return tuple(getattr(row, name) for row in self.rows)

    def select(self, column: str, *values) -> "TextSet":
        """The rows whose column has one of these values: `select("domain", "film")`.

        Raises:
            ValueError: for a column the rows do not have, or a value that no row has.
        """
        found = self.column(column)
        unknown = [value for value in values if value not in found]
        if unknown or not values:
            known = ", ".join(map(repr, sorted(set(found))[:20]))
            raise ValueError(
                f"No row of {self.name!r} has {column} {unknown}; choose of {known}."
            )
        kept = zip(self.rows, found, strict=True)
        return replace(self, rows=tuple(row for row, value in kept if value in values))

    def describe(self) -> str:
        """What the set is, where it comes from, and its licence: three lines."""
        lines = (self.description, f"Source: {self.source}", f"Licence: {self.licence}")
        return "\n".join(lines)


def reviews() -> TextSet:
    """Short reviews of sixteen kinds of things, half praise and half complaint.

    Training and test reviews share no sentence and no frame, so a model must have
    learned what the words say; `data/README.md` says how that was done.
    """
    rows = tuple(Review(**row) for row in read_rows("reviews.jsonl"))
    return TextSet(
        "reviews",
        rows,
        ("complaint", "praise"),
        f"{len(rows):,} distinct short reviews of films, phones, hotels and other "
        "things, praise or complaint.",
    )


def tagged() -> TextSet:
    """Sentences with a part of speech and an entity tag for each word.

    The tags are the universal parts of speech (Petrov, Das, McDonald, 2012) in the
    second version of Universal Dependencies; entities are people, places,
    organisations and dates, as BIO.
    """
    rows = tuple(
        Tagged(tuple(r["words"]), tuple(r["tags"]), tuple(r["entities"]), r["part"])
        for r in read_rows("tagged.jsonl")
    )
    return TextSet(
        "tagged",
        rows,
        (),
        f"{len(rows)} sentences with universal parts of speech and named entities.",
    )


def questions() -> TextSet:
    """Questions about short passages; each answer stands in its passage."""
    rows = tuple(Question(**row) for row in read_rows("questions.jsonl"))
    passages = len({row.passage for row in rows})
    return TextSet(
        "questions",
        rows,
        (),
        f"{len(rows)} questions about {passages} passages, with the place of the "
        "answer.",
    )


def pairs() -> TextSet:
    """Sentences in English and Chinese, from greetings to subordinate clauses."""
    rows = tuple(Pair(**row) for row in read_rows("pairs.jsonl"))
    return TextSet(
        "pairs", rows, (), f"{len(rows)} sentences in English and simplified Chinese."
    )


def summaries() -> TextSet:
    """Short articles of an invented local newspaper, each with a summary."""
    rows = tuple(Article(**row) for row in read_rows("summaries.jsonl"))
    return TextSet(
        "summaries", rows, (), f"{len(rows)} short articles with a summary each."
    )


PROSE = "prose-2026-11.txt"


def prose() -> TextSet:
    """The course's own prose, as it stood on a fixed day: the language models' corpus.

    A snapshot, so that editing a lesson changes no number of another lesson. Every
    tenth paragraph is the test part. `"\\n\\n".join(load("prose").texts)` is the text.
    """
    paragraphs = read(PROSE).decode().rstrip("\n").split("\n\n")
    rows = tuple(
        Paragraph(text, place, "train" if place % 10 < 9 else "test")
        for place, text in enumerate(paragraphs)
    )
    return TextSet(
        "prose",
        rows,
        (),
        f"{len(rows):,} paragraphs about large models: essays, lessons, and what the "
        "library says of itself.",
    )


TEXTS: dict[str, Callable[[], TextSet]] = {
    "reviews": reviews,
    "tagged": tagged,
    "questions": questions,
    "pairs": pairs,
    "summaries": summaries,
    "prose": prose,
}
