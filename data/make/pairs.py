"""Makes data/pairs.jsonl: sentences in English and in Chinese (simplified characters).

    python data/make/pairs.py [--to FOLDER]

Two kinds of pair, both written for this course. "Written" ones were written one by one
(written/pairs.txt). "Composed" ones fill the patterns below, each of which is one point
of Chinese grammar (measure words, 正在 for what goes on, 过 for what one has once done,
比 to compare ...), with the words of written/pair_words.txt. A word stands in several
patterns, so that a small model can learn it; no sentence stands twice.

A fifth of each kind is the test part. Of the composed pairs that is a fifth of every
pattern: the test asks for new sentences, not for new grammar.
"""

import argparse
import json
import random
from itertools import product
from pathlib import Path

HERE = Path(__file__).resolve().parent
TEST = 0.2
EACH = 26  # composed pairs a pattern, at most

BARE = {"I", "you", "we", "they"}  # after which a verb has no s
BE = {"I": "am", "you": "are", "we": "are", "they": "are"}


def does(who: str) -> str:
    return "do" if who in BARE else "does"


def likes(who: str) -> str:
    return "like" if who in BARE else "likes"


def has(who: str) -> str:
    return "have" if who in BARE else "has"


def read_words() -> dict[str, list[tuple[str, ...]]]:
    """{name: rows} of written/pair_words.txt."""
    words: dict[str, list[tuple[str, ...]]] = {}
    path = HERE / "written" / "pair_words.txt"
    for line in path.read_text(encoding="utf-8").splitlines()[2:]:
        if line.startswith("# "):
            rows = words.setdefault(line[2:].partition(":")[0], [])
        else:
            rows.append(tuple(line.split(" = ")))
    return words


def patterns(words: dict[str, list]) -> dict[str, list[tuple[str, str]]]:
    """{point of grammar: every pair that it gives}."""
    return {
        "了 and measure words": [
            (f"{w} bought {n} {things}.", f"{c}买了{m}{mw}{z}。")
            for (w, c), (n, m), (_, things, mw, z) in product(
                words["who"], words["numbers"], words["things"]
            )
        ],
        "times before the verb": [
            (f"{t} {w} went to {p}.", f"{c}{s}去了{q}。")
            for (w, c), (t, s), (p, q) in product(
                words["who"], words["times"], words["places"]
            )
        ],
        "要 for the future": [
            (f"{t} {w} will go to {p}.", f"{c}{s}要去{q}。")
            for (w, c), (t, s), (p, q) in product(
                words["who"], words["soon"], words["places"]
            )
        ],
        "正在": [
            (f"{w} {BE.get(w, 'is')} {d}.", f"{c}正在{z}。")
            for (w, c), (_, d, z) in product(words["who"], words["deeds"])
        ],
        "喜欢": [
            (f"{w} {likes(w)} to {d}.", f"{c}喜欢{z}。")
            for (w, c), (d, _, z) in product(words["who"], words["deeds"])
        ],
        "不喜欢": [
            (f"{w} {does(w)} not like {f}.", f"{c}不喜欢{z}。")
            for (w, c), (f, z) in product(words["who"], words["food"])
        ],
        "没有": [
            (f"{w} {does(w)} not have a {t}.", f"{c}没有{z}。")
            for (w, c), (t, _, _, z) in product(words["who"], words["things"])
            if t != "umbrella"
        ],
        "有 for there is": [
            (f"there is {a} {s}.", f"{p}有{z}。")
            for (a, z), (s, p) in product(words["living"], words["spots"])
        ],
        "很": [
            (f"{n} is very {a}.", f"{c}很{z}。") for n, c, a, z in words["qualities"]
        ],
        "太……了": [
            (f"{n} is too {a}.", f"{c}太{z}了。")
            for n, c, a, z in words["qualities"]
            if a not in {"good", "beautiful", "fresh", "clean"}
        ],
        "吗": [(f"is {n} {a}?", f"{c}{z}吗？") for n, c, a, z in words["qualities"]],
        "比": [
            (f"{a} is {j} than {b}.", f"{p}比{q}{z}。")
            for (a, p), (b, q), (j, z) in product(
                words["people"], words["people"], words["compared"]
            )
            if a != b
        ],
        "过": [
            (f"{w} {has(w)} never {d}.", f"{c}没{z}。")
            for (w, c), (d, z) in product(words["who"], words["once"])
        ],
        "过 in questions": [
            (f"{has(w)} {w} ever {d}?", f"{c}{z}吗？")
            for (w, c), (d, z) in product(words["who"][1:], words["once"])
        ],
        "这 and that": [
            (f"whose {t} is this?", f"这是谁的{z}？") for t, _, _, z in words["things"]
        ],
        "那 and measure words": [
            (f"how much is that {t}?", f"那{m}{z}多少钱？")
            for t, _, m, z in words["things"]
        ],
        "在哪儿": [
            (f"where is {w} {t}?", f"{c}{z}在哪儿？")
            for (w, c), (t, _, _, z) in product(
                [("my", "我的"), ("your", "你的"), ("her", "她的")], words["things"]
            )
        ],
        "是": [
            (f"{w} {BE.get(w, 'is')} not {j}.", f"{c}不是{z}。")
            for (w, c), (j, z) in product(
                [x for x in words["who"] if x[0] not in {"we", "they", "the teacher"}],
                words["jobs"],
            )
        ],
        "想": [
            (
                f"{w} {'want' if w in BARE else 'wants'} to {d} at home.",
                f"{c}想在家{z}。",
            )
            for (w, c), (d, _, z) in product(words["who"], words["deeds"])
            if d not in {"swim", "repair the car", "take photographs"}
        ],
        "如果": [
            (
                f"if it rains {t}, {w} will not go to {p}.",
                f"如果{s}下雨，{c}就不去{q}。",
            )
            for (t, s), (w, c), (p, q) in product(
                words["soon"], words["who"], words["places"]
            )
        ],
        "跟……一起": [
            (
                f"{w} often {d if w in BARE else verb_s(d)} with Li Ming.",
                f"{c}常常跟李明一起{z}。",
            )
            for (w, c), (d, _, z) in product(
                [x for x in words["who"] if x[0] != "Li Ming"], words["deeds"]
            )
        ],
    }


def verb_s(deed: str) -> str:
    """ "watch television" -> "watches television"."""
    verb, space, rest = deed.partition(" ")
    return verb + ("es" if verb.endswith("ch") else "s") + space + rest


def row(english: str, chinese: str, part: str, kind: str) -> dict:
    english = english[0].upper() + english[1:]
    return {"english": english, "chinese": chinese, "part": part, "kind": kind}


def parted(pairs: list[tuple[str, str]], kind: str, generator: random.Random) -> list:
    tests = set(generator.sample(range(len(pairs)), round(TEST * len(pairs))))
    return [
        row(*pair, "test" if i in tests else "train", kind)
        for i, pair in enumerate(pairs)
    ]


def make() -> list[dict]:
    """All pairs, in a fixed, shuffled order."""
    generator = random.Random(20261123)
    lines = (HERE / "written" / "pairs.txt").read_text(encoding="utf-8").splitlines()
    pairs = [tuple(t.split(" = ")) for t in lines if t and not t.startswith("#")]
    rows = parted(pairs, "written", generator)
    seen = {row["english"].lower() for row in rows}
    for given in patterns(read_words()).values():
        fresh = [pair for pair in given if pair[0].lower() not in seen]
        chosen = generator.sample(fresh, min(EACH, len(fresh)))
        seen |= {pair[0].lower() for pair in chosen}
        rows += parted(chosen, "composed", generator)
    generator.shuffle(rows)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=HERE.parent)
    path = parser.parse_args().to / "pairs.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in make()]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    print(f"{path}: {len(lines)} pairs")


if __name__ == "__main__":
    main()
