"""Writes data/CHECKSUMS: the SHA-256 of every file in data/, as sha256sum writes it.

    python data/make/checksums.py

Run it after any change in data/. What lessons download is not listed.
"""

import hashlib
from pathlib import Path

DATA = Path(__file__).resolve().parents[1]
LEFT_OUT = {"README.md", "CHECKSUMS"}
HEADER = """\
# SHA-256 of every data file in this folder and of what made it, as sha256sum writes it.
# Check them all with: cd data && sha256sum -c CHECKSUMS. Written by make/checksums.py.
"""


def main() -> None:
    lines = []
    for path in sorted(DATA.rglob("*")):
        name = path.relative_to(DATA).as_posix()
        aside = name.startswith("downloads/") or "__pycache__" in name
        if path.is_file() and name not in LEFT_OUT and not aside:
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n")
    text = HEADER + "".join(lines)
    (DATA / "CHECKSUMS").write_text(text, encoding="utf-8", newline="\n")
    print(f"{DATA / 'CHECKSUMS'}: {len(lines)} files")


if __name__ == "__main__":
    main()
