"""One alphabet: each capital letter names a dimension, everywhere.

A letter stands in a variable's suffix, in its jaxtyping annotation and in the einsum, so that
``x_BSD: Float[Array, "B S D"]`` is a claim that the tests check at run time.

==  =========================================================================
B   batch rows
A   audio frames before the CNN (10 ms each); audio samples where it says so
C   mel channels
S   source positions (audio frames after the CNN, or source tokens)
T   target positions
D   model width
H   attention heads
K   width of one head
F   feed-forward width
V   vocabulary
Z   task-embedding width
W   beams
X   slots of what a decoder has said: one a position and beam
N   tasks
M   models that are compared
L   places of modulation, in the order in which the model reaches them
R   hidden units of an adapter
P   vectors that stand before a sequence to say what the task is
==  =========================================================================

Masks are True where something is kept. Token id 0 is padding.
"""

from typing import Any, NamedTuple

PAD, EOS, UNK = 0, 1, 2

FRAMES_PER_SECOND = 100
MEL_CHANNELS = 80
"""Of every frame: what ``data.features.log_mel`` makes and the speech frontend takes."""

# Arrays here may be NumPy (host), JAX (device) or tracers (inside a step).
Array = Any


class Speech(NamedTuple):
    """Rows whose source is speech: log-mel frames, zero beyond each row's length."""

    frames_BAC: Array  # float
    length_B: Array  # int32, frames


class Batch(NamedTuple):
    """Rows of any mix of tasks. The speech rows come first, then the text rows.

    ``target_BT`` and ``task_B`` hold all rows in that order; B differs between the two sources.
    A source that no row of the batch has is None.
    """

    speech: Speech | None
    source_BS: Array | None  # int32 tokens of the text rows
    target_BT: Array  # int32 tokens, each row ended by EOS
    task_B: Array  # int32, index into the experiment's tasks


class Cache(NamedTuple):
    """What decoding remembers from token to token."""

    beams: Any
    """Of each beam; leaves have axes B and W first, and a search picks among the beams."""
    rows: Any
    """Of each row, whatever its beams; a search hands it on as it is."""
