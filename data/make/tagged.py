"""Makes data/tagged.jsonl: sentences with a part of speech and an entity tag a word.

    python data/make/tagged.py [--to FOLDER]

The sentences were written for this course (written/tagged.txt), with the entities in
brackets. The part of speech of a word is taken from written/tagged_words.txt, where
each word stands once; wherever a word is used otherwise, the sentence says so
("leaves/VERB"). The script stops at a word that neither names.

Tags: the universal parts of speech of Universal Dependencies 2, after the practice of
its English Web Treebank (possessives are PRON, "to" before a verb PART, copulas AUX).
Entities: BIO, with PER, LOC, ORG and DATE.
"""

import argparse
import json
import random
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
TEST = 0.2
ENTITY = re.compile(r"\[(PER|LOC|ORG|DATE) ([^\]]+)\]|(\S+)")
SEASONS = {"spring", "summer", "autumn", "winter"}


def read_words() -> dict[str, str]:
    """{word: tag}; stops at a word that stands twice."""
    tags: dict[str, str] = {}
    path = HERE / "written" / "tagged_words.txt"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            tag, *words = line.split()
            for word in words:
                if word in tags:
                    raise SystemExit(f"{word!r} is both {tags[word]} and {tag}.")
                tags[word] = tag
    return tags


def tag_in_entity(word: str, kind: str, tags: dict[str, str]) -> str:
    """Names are PROPN, but for numbers, seasons, and the "of" and "the" in them."""
    if word.isdigit():
        return "NUM"
    if kind == "DATE" and word in SEASONS:
        return "NOUN"
    if kind != "DATE" and word.lower() in {"of", "the"}:
        return tags[word.lower()]
    return "PROPN"


def parse(line: str, tags: dict[str, str]) -> dict:
    """One sentence: {"words": [...], "tags": [...], "entities": [...]}."""
    words, parts, entities = [], [], []
    for kind, name, plain in ENTITY.findall(line):
        if kind:
            for i, word in enumerate(name.split()):
                words.append(word)
                parts.append(tag_in_entity(word, kind, tags))
                entities.append(("I-" if i else "B-") + kind)
            continue
        word, slash, tag = plain.partition("/")
        if not slash and word.lower() not in tags:
            raise SystemExit(f"No tag for {word!r} in: {line}")
        words.append(word)
        parts.append(tag if slash else tags[word.lower()])
        entities.append("O")
    for i, word in enumerate(words[:-1]):  # "to" before a verb, unless marked
        if word == "to" and parts[i + 1] == "VERB" and "to/" not in line:
            parts[i] = "PART"
    return {"words": words, "tags": parts, "entities": entities}


def make() -> list[dict]:
    """All sentences; a fifth of them, drawn once, for the test."""
    tags = read_words()
    lines = (HERE / "written" / "tagged.txt").read_text(encoding="utf-8").splitlines()
    rows = [parse(line, tags) for line in lines if line and not line.startswith("#")]
    generator = random.Random(20261123)
    tests = set(generator.sample(range(len(rows)), round(TEST * len(rows))))
    return [
        row | {"part": "test" if i in tests else "train"} for i, row in enumerate(rows)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=HERE.parent)
    path = parser.parse_args().to / "tagged.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in make()]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    print(f"{path}: {len(lines)} sentences")


if __name__ == "__main__":
    main()
