"""Beam and greedy search beside Hugging Face's ``generate`` and CTranslate2, of the same shape.

    pip install -e ".[train,peers]"
    export GLIBC_TUNABLES=glibc.malloc.hugetlb=1 JAX_NUM_CPU_DEVICES=2
    python experiments/benchmarks/decoding.py [WORK ...]

Works: greedy, beam (speech), text (a beam against Hugging Face's Marian and against CTranslate2's
copy of it, which runs two workers of one thread each). 16 utterances of 8 s, or 16 sentences of 40
tokens; 40 tokens come out of each, by random weights that hardly ever end a sentence. Rows are
split over as many devices as the second variable says, which ``taskaware decode`` sets by itself.
Both sides take turns; a ratio is the median of ``--rounds``. Writes
``results/benchmarks/decoding.json``.
"""

import tempfile
from typing import Any

import numpy as np
from peers import (
    ROWS,
    SIZES,
    SOURCE,
    TARGET,
    Run,
    Size,
    goal,
    line,
    measure_all,
    own_decoding,
    take_turns,
    torch_decoding,
    torch_model,
)

GOALS = {
    "greedy": (0.5, 0.5, 0.5),
    "beam": (0.42, 0.42, 0.42),
    "text": (0.42, 0.42, 0.42),
    "text, CTranslate2": (1.67, 1.11, 1.0),
}
"""Our time over the other's, at each size."""


def measure(work: str, size: str, rounds: int) -> list[dict[str, Any]]:
    """Return the lines of one work at one size."""
    source, beams = "text" if work == "text" else "speech", 1 if work == "greedy" else 4
    shape = SIZES[size]
    own = own_decoding(shape, source, beams)
    peers = {work: torch_decoding(shape, source, beams)}
    if work == "text":
        peers["text, CTranslate2"] = ctranslate2_decoding(shape, beams)
    return [
        line(kind, size, *take_turns(own, peer, rounds), goal(GOALS[kind], size), "s")
        for kind, peer in peers.items()
    ]


def ctranslate2_decoding(size: Size, beams: int) -> Run:
    """Return CTranslate2's search with a random Marian model."""
    import ctranslate2
    from ctranslate2.converters.transformers import MarianMTLoader

    spec = MarianMTLoader()(torch_model(size, "text").eval(), _Words(size.vocabulary))
    spec.validate()
    with tempfile.TemporaryDirectory() as folder:
        spec.save(folder)
        translator = ctranslate2.Translator(folder, inter_threads=2, intra_threads=1)
    numbers = np.random.default_rng(0).integers(3, size.vocabulary - 1, (ROWS, SOURCE))
    sentences = [[f"w{i}" for i in row] for row in numbers.tolist()]

    def run() -> None:
        translator.translate_batch(
            sentences,
            beam_size=beams,
            max_batch_size=ROWS // 2,  # so that both workers have something to do
            min_decoding_length=TARGET,
            max_decoding_length=TARGET,
        )

    return run


class _Words:
    """The part of a tokenizer that the converter reads."""

    eos_token, unk_token, bos_token = "</s>", "<unk>", "<s>"

    def __init__(self, count: int):
        self._count = count

    def get_vocab(self) -> dict[str, int]:
        words = [
            "w0",
            self.eos_token,
            self.unk_token,
            *(f"w{i}" for i in range(3, self._count - 1)),
        ]
        return {word: i for i, word in enumerate([*words, "<pad>"])}


if __name__ == "__main__":
    measure_all(__doc__ or "", ("greedy", "beam", "text"), measure, "decoding.json")
