"""Makes data/reviews.jsonl: short reviews of everyday things, praise or complaint.

    python data/make/reviews.py [--to FOLDER]

Two kinds of review. "Written" ones were written for this course one by one
(written/reviews.txt). "Composed" ones join clauses (written/review_clauses.txt) and
phrases (written/review_phrases.txt), also written for this course, in the frames below:
praise, complaint, contrast, hearsay. What is said last, or said against hearsay, wins.

Training and test reviews share no sentence, no clause and no frame: every written
review, clause, verdict and remark belongs to one part, and each part has frames of its
own. No two reviews of any kind have eight words in a row in common. What they share is
the vocabulary; that is what a model can learn.
"""

import argparse
import json
import random
import re
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMPOSED = {"train": 2300, "test": 334}
WRITTEN_TEST = 0.15  # the share of the written reviews that goes to the test part
USES = 6  # how often one clause may be used, each time with other neighbours

# {P} {Q} {R} clauses of the side that wins, {N} of the other, {X} what went before,
# {V} a verdict of the side that wins, {T} what the thing is called.
FRAMES = {
    "train": [
        "{P}, and {Q}.",
        "{Q}, and {P}.",
        "{X}. {P}, and {Q}.",
        "{X}. {Q}, and {P}.",
        "{P}. {Q}. {V}",
        "{Q}. {P}. {V}",
        "{P}, {Q}, and {R}.",
        "{V} {P}, {Q}, and {R}.",
        "{V} {X}. {Q}, and {P}.",
        "As for {T}, {P}. {Q}.",
        "{P}. {X}. {Q}. {V}",
        "About {T}: {P}, and {Q}.",
        "{X}. {P}, and what is more, {Q}.",
        "Let me be brief: {P}, and {Q}.",
        "First of all, {P}. Then {Q}. {V}",
        "If you ask me, {P}, and {Q}.",
        "{P}; I also noticed that {Q}. {V}",
        "Three weeks later I still say that {P}. {Q}.",
        "{Q}. As if that were not enough, {P}.",
        "{V} {Q}, and {P}.",
        "{X}. {Q}. {V}",
        "{P}. I mention in passing that {Q}, and {R}.",
        "To sum up: {Q}, and {P}. {V}",
    ],
    "test": [
        "{P}; {Q}. {V}",
        "{X}, and I must say that {P}. {Q}.",
        "{V} [Why|The reason]? {P}, and {Q}.",
        "{X}. {P}. On top of that, {Q}.",
        "{P}. Above all, {Q}. {V}",
        "What can I say about {T}? {P}. {Q}.",
        "{X}, and {P}. {Q}. {V}",
        "Two things about {T}. {P}, and {Q}.",
        "{Q}. I should add that {P}.",
        "In short, {P}, and {Q}. {V}",
        "Do you want the truth? {Q}, and {P}.",
    ],
}
CONTRASTS = {
    "train": [
        "[Although|Even though] {N}, {P}. {Q}. {V}",
        "{N}, but {P}, and {Q}.",
        "{N}, but {P}. {V}",
        "{X}. {N}, but {P}, and {Q}.",
        "[People|Critics|Two colleagues|My neighbours] [had told me|kept saying] that "
        "{N}. They were wrong: {P}, and {Q}.",
        "Yes, {N}. Even so, {P}, and {Q}. {V}",
        "It is true that {N}, yet {P}. {Q}. {V}",
        "I have read that {N}; I found the opposite. {P}, and {Q}.",
    ],
    "test": [
        "While {N}, {P}, and {Q}. {V}",
        "Granted, {N}. Still, {P}. {V}",
        "[My friends|The adverts|Some guides] [claim|say] that {N}. That was not my "
        "experience, because {P}, and {Q}.",
        "{N}. That hardly matters, since {P} and {Q}.",
    ],
}
# Clauses about one aspect: {a} the aspect, {j} an adjective of the side.
ASPECTS = {
    "train": [
        "{a} is {i}{j}",
        "{a} was {j} from start to finish",
        "I found {a} {i}{j}",
        "{a} turned out to be {i}{j}",
        "we agreed that {a} was {j}",
        "{a} has been {j} so far",
        "everyone called {a} {j}",
        "{a} strikes me as {j}",
        "{a} proved to be {i}{j}",
        "even {a} is {j}",
        "{a}, by the way, is {i}{j}",
        "you notice at once that {a} is {j}",
        "I still think that {a} is {i}{j}",
        "my wife thinks {a} {j}",
        "{a} remains {i}{j}",
        "in my eyes {a} is {i}{j}",
        "I cannot call {a} anything but {j}",
    ],
    "test": [
        "{a} really is {j}",
        "we all thought {a} {j}",
        "{a} seemed {i}{j} to me",
        "{a} was {i}{j}, no question",
        "my friends found {a} {i}{j}",
        "I would call {a} {j}",
        "{a} struck us as {i}{j}",
        "there is no doubt that {a} is {j}",
        "{a} is, in a word, {j}",
    ],
}
# The same with a word of the other side, {k}, that is turned round.
DENIALS = {
    "train": [
        "{a} is not {k} at all",
        "{a} is never {k}",
        "{a} is by no means {k}",
        "{a} was anything but {k}",
    ],
    "test": ["{a} was not {k} for a moment", "{a} is anything but {k}, believe me"],
}
CONTRAST, DENIAL, INTENSE = 0.12, 0.07, ("", "", "", "truly ", "absolutely ")
OTHER = {"+": "-", "-": "+"}


def read_lines(name: str) -> list[str]:
    """The lines of a file in written/, without comments of the kind "# For ..."."""
    return (HERE / "written" / name).read_text(encoding="utf-8").splitlines()


def variants(text: str) -> list[str]:
    """All texts of "[a|b] c": "a c", "b c"."""
    choice = re.search(r"\[([^\]]*)\]", text)
    if choice is None:
        return [text]
    head, tail = text[: choice.start()], text[choice.end() :]
    return [v for c in choice[1].split("|") for v in variants(head + c + tail)]


def by_domain(name: str) -> dict[str, dict[str, list[str]]]:
    """{domain: {first character of the line: [rest of the line]}}."""
    found: dict[str, dict[str, list[str]]] = {}
    lines: dict[str, list[str]] = {}
    for line in read_lines(name):
        if re.fullmatch(r"# [a-z]+", line):
            lines = found.setdefault(line[2:], {})
        elif line and line[0] in "=*~+-":
            lines.setdefault(line[0], []).append(line[2:])
    return found


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def eights(text: str) -> set[tuple[str, ...]]:
    """Every eight words in a row."""
    w = words(text)
    return {tuple(w[i : i + 8]) for i in range(len(w) - 7)} or {tuple(w)}


def deal(items: list[str], generator: random.Random) -> dict[str, list[str]]:
    """About two thirds for training, one third for the test."""
    items = items[:]
    generator.shuffle(items)
    cut = round(len(items) * 0.67)
    return {"train": items[:cut], "test": items[cut:]}


def written_reviews(generator: random.Random) -> list[dict]:
    rows = []
    for domain, sides in by_domain("reviews.txt").items():
        for side in "+-":
            texts = sides[side]
            tests = generator.sample(
                range(len(texts)), round(len(texts) * WRITTEN_TEST)
            )
            rows += [
                row(text, side, domain, "test" if i in tests else "train", "written")
                for i, text in enumerate(texts)
            ]
    return rows


def row(text: str, side: str, domain: str, part: str, kind: str) -> dict:
    label = int(side == "+")
    return {
        "text": text, "label": label, "domain": domain, "part": part, "kind": kind
    }  # fmt: skip


class Composer:
    """Writes reviews of one domain and part from the pieces dealt to that part."""

    def __init__(self, generator: random.Random) -> None:
        self.generator, self.uses = generator, Counter()
        lines = read_lines("review_phrases.txt")
        of = {c: [s[2:] for s in lines if s.startswith(c + " ")] for c in "+-><pnPN"}
        self.verdicts = {
            side: {"train": of[side], "test": of[{"+": ">", "-": "<"}[side]]}
            for side in "+-"
        }
        self.adjectives = {"+": of["p"][0].split(" | "), "-": of["n"][0].split(" | ")}
        self.deniable = {"-": of["P"][0].split(" | "), "+": of["N"][0].split(" | ")}
        self.domains = by_domain("review_clauses.txt")
        self.aspects = {
            domain: lines["*"][0].split(" | ") for domain, lines in self.domains.items()
        }
        self.clause_of: dict[str, str] = {}  # a variant -> the line it comes from
        self.dealt = {
            (domain, side): deal(lines[side], generator)
            for domain, lines in self.domains.items()
            for side in "+-"
        }
        self.before = {
            domain: deal(lines["~"][0].split(" | "), generator)
            for domain, lines in self.domains.items()
        }

    def about_aspect(self, domain: str, side: str, part: str) -> str:
        """ "The bread is superb", or, seldom, "the bread is anything but poor"."""
        pick = self.generator.choice
        aspect = pick(self.aspects[domain])
        if self.generator.random() < DENIAL:
            return pick(DENIALS[part]).format(a=aspect, k=pick(self.deniable[side]))
        adjective = pick(self.adjectives[side])
        intense = "" if " " in adjective else pick(INTENSE)
        return pick(ASPECTS[part]).format(a=aspect, j=adjective, i=intense)

    def clause(self, domain: str, side: str, part: str, aspects: float) -> str:
        """A clause about an aspect, with that probability, or one from the file."""
        if self.generator.random() < aspects:
            return self.about_aspect(domain, side, part)
        pick = self.generator.choice
        clause = pick(self.dealt[domain, side][part])
        text = pick(variants(clause))
        self.clause_of[text] = clause
        return text

    def review(self, domain: str, side: str, part: str) -> tuple[str, list[str]]:
        """One review, and the pieces it is made of."""
        pick = self.generator.choice
        frames = CONTRASTS if self.generator.random() < CONTRAST else FRAMES
        frame = pick(variants(pick(frames[part])))
        pieces = {
            "P": self.clause(domain, side, part, aspects=0.9),
            "Q": self.clause(domain, side, part, aspects=0.15),
            "R": self.clause(domain, side, part, aspects=0.5),
            "N": self.clause(domain, OTHER[side], part, aspects=0.4),
            "X": pick(self.before[domain][part]),
            "V": pick(self.verdicts[side][part]),
            "T": pick(self.domains[domain]["="][0].split(" | ")),
        }
        used = [pieces[key] for key in "PQRNX" if "{" + key + "}" in frame]
        used = [self.clause_of.get(piece, piece) for piece in used]
        text = frame.format(**pieces)
        # The first letter of each sentence is a capital.
        return re.sub(r"(^|[.?!] )(\w)", lambda m: m[1] + m[2].upper(), text), used

    def take(self, count: int, part: str, taken: set, known: set) -> list[dict]:
        """`count` reviews, half of them praise, that repeat nothing."""
        rows, domains = [], list(self.domains)
        while len(rows) < count:
            domain = domains[len(rows) // 2 % len(domains)]
            side = "+-"[len(rows) % 2]
            text, used = self.review(domain, side, part)
            own = eights(text)
            aspects = [a for u in used for a in self.aspects[domain] if a in u]
            if (
                own & taken
                or frozenset(used) in known
                or len(set(used)) < len(used)
                or len(set(aspects)) < len(aspects)
                or max(self.uses[piece] for piece in used) >= USES
                or not 8 <= len(words(text)) <= 40
            ):
                continue
            taken |= own
            known.add(frozenset(used))
            self.uses.update(used)
            rows.append(row(text, side, domain, part, "composed"))
        return rows


def make() -> list[dict]:
    """All reviews in a fixed, shuffled order."""
    generator = random.Random(20261123)
    rows = written_reviews(generator)
    taken = set().union(*(eights(r["text"]) for r in rows))
    composer, known = Composer(generator), set()
    for part, count in COMPOSED.items():
        rows += composer.take(count, part, taken, known)
    generator.shuffle(rows)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=HERE.parent)
    path = parser.parse_args().to / "reviews.jsonl"
    lines = [json.dumps(r, ensure_ascii=False) + "\n" for r in make()]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    print(f"{path}: {len(lines)} reviews")


if __name__ == "__main__":
    main()
