"""The networks of the documents learn what they are said to learn, on real data.

One seed each, so that it stays quick; `benchmarks/accuracy.py` runs ten, and the larger
networks too.
"""

from pathlib import Path

import pytest

from benchmarks import accuracy

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "mnist-10k"


def test_the_documents_network_reads_mnist():
    if not REAL.is_dir():
        pytest.skip(f"NOT RUN: MNIST's files are not in {REAL.name}")
    assert accuracy.mlp(0, str(REAL)) >= 0.93


def test_the_documents_lstm_tells_good_reviews_from_bad_ones():
    assert accuracy.lstm(0) >= 0.80
