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
G   heads of a model that answer
V   vocabulary
Z   task-vector width
W   beams
X   slots of a decoder's cache: one per position and beam
N   tasks; classes of a head
M   models that are compared
L   sites of modulation, in the order in which the model reaches them
R   hidden units of an adapter
P   vectors put before a sequence to tell the model its task
==  =========================================================================

Masks are True where a position is valid. Token id 0 is padding.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from jaxtyping import Bool, Float, Int

PAD, EOS, UNK = 0, 1, 2

FRAMES_PER_SECOND = 100
MEL_CHANNELS = 80
"""Of every frame: what ``data.audio.features.log_mel`` makes and the speech frontend takes."""

if TYPE_CHECKING:
    import jax
    import numpy as np

    AnyArray = np.ndarray | jax.Array
else:  # reading data needs no JAX, and jaxtyping looks at shape and dtype alone
    AnyArray = Any


class Speech(NamedTuple):
    """Sources that are speech: log-mel frames, zero beyond each row's length."""

    frames_BAC: Float[AnyArray, "B A C"]
    length_B: Int[AnyArray, " B"]
    """Frames of each row."""


class Text(NamedTuple):
    """Sources that are text: tokens, each row ended by EOS."""

    tokens_BS: Int[AnyArray, "B S"]


class Tokens(NamedTuple):
    """Targets that are text: tokens, each row ended by EOS; a row of padding has no target."""

    tokens_BT: Int[AnyArray, "B T"]


class Label(NamedTuple):
    """Targets that are one class per row: k of the k-th label from 1, or 0 for no target."""

    label_B: Int[AnyArray, " B"]


class Tags(NamedTuple):
    """Targets that are classes of source positions: k from 1, or 0 where none is judged."""

    label_BS: Int[AnyArray, "B S"]


class FrameLabels(NamedTuple):
    """Targets that are sets of labels per audio frame; frames beyond a row's length are not judged.

    A row of zero length has no target.
    """

    holds_BAN: Bool[AnyArray, "B A N"]
    length_B: Int[AnyArray, " B"]


class Number(NamedTuple):
    """Targets that are one number per row, or NaN for no target."""

    number_B: Float[AnyArray, " B"]


Source = Speech | Text
Target = Tokens | Label | Tags | FrameLabels | Number
"""The expected output of a row; further kinds join it by ``|``."""


class Rows(NamedTuple):
    """Some rows of one task."""

    source: Source
    target: Target
    counts_B: Bool[AnyArray, " B"]
    """Which rows are scored. Others with a target may still serve as examples of their task."""


Batch = dict[str, Rows]
"""Rows of any mix of tasks, by the task's name. Names are part of the pytree's
structure, and so static in compiled steps; JAX sorts them, so nothing may depend on their order."""


class Cache(NamedTuple):
    """What decoding remembers from token to token."""

    beams: Any
    """Of each beam; leaves have axes B and W first, and a search picks among the beams."""
    rows: Any
    """Of each row, whatever its beams; a search hands it on as it is."""
