"""Makes data/summaries.jsonl: short articles, each with a summary of one sentence.

    python data/make/summaries.py [--to FOLDER]

Articles and summaries were written for this course (written/summaries.txt). They read
like the local pages of a newspaper; the events and the people are invented, and so are
the results of the studies. A fifth of them is the test part.
"""

import argparse
import json
import random
from pathlib import Path

HERE = Path(__file__).resolve().parent
TEST = 0.2


def read_articles() -> list[dict]:
    """[{"article", "summary", "title"}] of the text file."""
    articles = []
    path = HERE / "written" / "summaries.txt"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("@ "):
            articles.append({"article": "", "summary": "", "title": line[2:]})
        elif line.startswith("= "):
            articles[-1]["summary"] = line[2:]
        elif line and not line.startswith("#"):
            articles[-1]["article"] = line
    return articles


def make() -> list[dict]:
    articles = read_articles()
    generator = random.Random(20261123)
    tests = set(generator.sample(range(len(articles)), round(TEST * len(articles))))
    return [
        article | {"part": "test" if i in tests else "train"}
        for i, article in enumerate(articles)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=HERE.parent)
    path = parser.parse_args().to / "summaries.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in make()]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    print(f"{path}: {len(lines)} articles")


if __name__ == "__main__":
    main()
