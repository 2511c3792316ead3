"""Makes data/questions.jsonl: passages with questions and answers inside the passage.

    python data/make/questions.py [--to FOLDER]

Passages and questions were written for this course (written/questions.txt). A row is
one question, with the passage, the answer, and the offset of its first character in the
passage. A fifth of the passages, with all their questions, are the test part: a model
is judged on passages it has not seen.
"""

import argparse
import json
import random
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
TEST = 0.2


def read_passages() -> list[dict]:
    """[{"title", "passage", "questions": [(question, answer)]}] of the text file."""
    passages = []
    path = HERE / "written" / "questions.txt"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("@ "):
            passages.append({"title": line[2:], "passage": "", "questions": []})
        elif line.startswith("? "):
            question, _, answer = line[2:].partition(" = ")
            passages[-1]["questions"].append((question, answer))
        elif line and not line.startswith("#"):
            passages[-1]["passage"] = line
    return passages


def find(answer: str, passage: str) -> int:
    """Where the answer begins; whole words only."""
    match = re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", passage)
    if match is None:
        raise SystemExit(f"{answer!r} is not in the passage: {passage}")
    return match.start()


def make() -> list[dict]:
    """One row a question."""
    passages = read_passages()
    generator = random.Random(20261123)
    tests = set(generator.sample(range(len(passages)), round(TEST * len(passages))))
    return [
        {
            "question": question,
            "answer": answer,
            "start": find(answer, p["passage"]),
            "passage": p["passage"],
            "title": p["title"],
            "part": "test" if i in tests else "train",
        }
        for i, p in enumerate(passages)
        for question, answer in p["questions"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=HERE.parent)
    path = parser.parse_args().to / "questions.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in make()]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    print(f"{path}: {len(lines)} questions")


if __name__ == "__main__":
    main()
