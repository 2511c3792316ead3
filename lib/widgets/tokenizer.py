"""Byte-pair encoding step by step: the pairs, the merges, and what they do to a text.

`TokenizerView()` learns merges from a text that you choose or type. The page can play,
step and scrub through them, and encodes a second text with the vocabulary of the
moment on show. What learns is `lib.merges`, on `lib.byte_pairs`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lib.merges import CANDIDATES, MergeFilm, compare, excerpt, pieces, texts_of
from lib.widgets.base import LiveWidget, Work, as_bytes, page, styles
from lib.widgets.controls import Control

SENTENCE = "The unknown river 🙂 学习语言模型"
TYPED = "low low low lower lowest new new newer newest wide wider widest"


class TokenizerView(LiveWidget):
    """The merges of byte-pair encoding, and the tokens of a sentence at each moment.

    Args:
        texts: to learn from; None takes what the control `source` says.
        **values: controls by name: source, text, merges, min_count, sentence.

    Raises:
        ValueError: no text, an unknown control or value.
        TypeError: texts that are one string, or no strings.
    """

    _esm = page("core.js", "ui.js", "plot.js", "tokenizer.js")
    _css = styles("tokenizer.css")

    CONTROLS = (
        Control("source", "Learn from", "choice", "poem",
                choices=(("poem", "a short poem"), ("prose", "the course's prose"),
                         ("pairs", "English and Chinese"), ("typed", "typed text")),
                help="The text whose pairs are counted"),
        Control("text", "Typed text", "text", TYPED, high=400,
                help="Typing here learns from this text"),
        Control("merges", "Merges", "range", 150, 10, 500, 10,
                help="Learning stops after so many"),
        Control("min_count", "Smallest count", "range", 2, 1, 10, 1,
                help="Rarer pairs are not merged"),
        Control("sentence", "Encode", "text", SENTENCE, high=120,
                help="Encoded with the vocabulary of the moment on show"),
    )  # fmt: skip

    def __init__(self, texts: Any = None, **values: Any) -> None:
        self.own = _checked_texts(texts)
        if self.own:
            self.CONTROLS = _with_own(self.CONTROLS)
        self.film: MergeFilm | None = None
        self._films = 0
        self._compared: list[dict[str, Any]] = []
        self._told: dict[str, Any] = {}
        if "text" in values:
            values.setdefault("source", "typed")
        super().__init__(**values)
        self._learn()
        self.finish()
        self._compare()

    def changed(self, name: str) -> None:
        if name == "sentence":
            self._compare()
            return
        if name == "text":
            self.values["source"] = "typed"
        if name in ("text", "source", "min_count"):
            self._learn()
            self._compare()
        else:
            self._learn(again=self.values["merges"] < len(self.film.merges))

    def set(self, **values: Any) -> None:
        """Set controls by name; a text without a source is learned from."""
        source = {"source": values.pop("source")} if "source" in values else {}
        self._checked(source)
        super().set(**values)  # a new text asks for "typed"; a source has the last word
        super().set(**source)

    def run(self) -> MergeFilm:
        """Learn all merges here and now, without a page."""
        self.finish()
        return self.film

    @property
    def texts(self) -> tuple[str, ...]:
        """What is learned from."""
        source = self.values["source"]
        if source == "own":
            return self.own
        return (self.values["text"],) if source == "typed" else texts_of(source)

    def tokens(self, merges: int | None = None) -> list[str]:
        """The tokens of the sentence after so many merges; None for all of them."""
        return self.film.tokenizer(merges).tokens(self.values["sentence"])

    def _learn(self, again: bool = True) -> None:
        if again:
            self._films += 1
            self.film = MergeFilm(self.texts, self.values["min_count"])
        self.film.complete = False
        self.start(self._merging(self.film))

    def _merging(self, film: MergeFilm) -> Work:
        for _ in film.work(self.values["merges"]):
            yield None

    def unwatched(self) -> None:
        """A short work: it ends by itself, and the next page sees all of it."""

    def _compare(self) -> None:
        rows = compare(self.values["sentence"], self.texts)
        self._compared = [asdict(row) for row in rows]

    # ---- to the page

    def state(self) -> dict[str, Any]:
        self._told = {}
        content, buffers = self.news()
        return {**content, **dict(zip(content.pop("parts"), buffers, strict=True))}

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        film, told = self.film, self._told
        now = {
            "values": dict(self.values),
            "film": self._films,
            "learned": len(film.merges),
            "complete": film.complete,
        }
        if told == now:
            return None
        content = {"kind": "news", **now, "candidates": CANDIDATES}
        again = told.get("film") != self._films
        old = told.get("values", {})
        if again or old.get("sentence") != self.values["sentence"]:
            content["pieces"] = pieces(self.values["sentence"])
            content["length"] = len(self.values["sentence"])
            content["compared"] = self._compared
        if again:
            content["excerpt"] = excerpt(film.texts)
            content["first_total"] = film.first_total
        first = 0 if again else told["learned"]
        content["from"] = first
        content["names"] = film.tokenizer().vocabulary[256 + first if first else 0 :]
        rows = [(m.left, m.right, m.count, m.total) for m in film.merges[first:]]
        moments = film.candidates[first if again else first + 1 :]
        self._told = now
        content["parts"] = ["merges", "pairs"]
        return content, as_bytes(_table(rows, 4), _padded(moments))

    # ---- without a page

    def describe(self) -> str:
        return "Byte-pair encoding, merge by merge, and the tokens of a sentence"

    def figure(self) -> Figure:
        from lib.widgets.tokenizer_still import tokenizer_figure

        return tokenizer_figure(self)


def _table(rows: list[tuple], columns: int) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, columns)


def _padded(moments: list[list[tuple[int, int, int]]]) -> np.ndarray:
    """(moments, CANDIDATES, 3): left, right, count; a count of 0 where none is left."""
    table = np.zeros((len(moments), CANDIDATES, 3), dtype=np.float32)
    for row, pairs in zip(table, moments, strict=True):
        row[: len(pairs)] = _table(pairs, 3)
    return table


def _checked_texts(texts: Any) -> tuple[str, ...]:
    if texts is None:
        return ()
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise TypeError("texts is not a list of strings; give a list: [text].")
    if not "".join(texts):
        raise ValueError("texts holds no text; give a list with at least one.")
    return tuple(texts)


def _with_own(controls: tuple[Control, ...]) -> tuple[Control, ...]:
    """The source "own" for texts that were given, chosen at first."""
    from dataclasses import replace

    source = controls[0]
    choices = (("own", "the given texts"), *source.choices)
    return (replace(source, default="own", choices=choices), *controls[1:])
