"""What another library says of the same weights: numbers to hold ours against.

The program on the card of all-MiniLM-L6-v2 (its `README.md`), run on the published
weights with transformers 5.23.0 and torch 2.13.0. A lesson compares with these few
numbers, so that it does not need that library; the tests run the program again, and
`tests/lib/test_pretrained.py` compares whole networks.

Left out: everything but the first six numbers of each vector.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """Two sentences, and what the other library computes from them.

    Attributes:
        sentences: as the card has them.
        tokens: of each, with the padding of a batch.
        vectors: the first six numbers of each sentence's vector, of length 1.
        cosine: between the two vectors.
        program: which one computed them.
    """

    sentences: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...]
    vectors: tuple[tuple[float, ...], ...]
    cosine: float
    program: str


MINILM = Reference(
    sentences=("This is an example sentence", "Each sentence is converted"),
    tokens=(
        (101, 2023, 2003, 2019, 2742, 6251, 102),
        (101, 2169, 6251, 2003, 4991, 102, 0),
    ),
    vectors=(
        (0.067657, 0.063496, 0.048713, 0.079305, 0.037448, 0.002653),
        (0.086439, 0.102763, 0.005395, 0.002044, -0.009963, 0.025386),
    ),
    cosine=0.404559,
    program="the card's program with transformers 5.23.0",
)
