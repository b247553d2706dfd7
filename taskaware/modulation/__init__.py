"""FiLM and Task Characteristics Networks for any Flax model; imports no other room but ``nn``.

Reading order: affine ← adapter ← modulator ← tcn ← sites ← calls ← grafting ← folding ← linen.
"""

from taskaware.modulation import linen
from taskaware.modulation.adapter import Adapter, adapt
from taskaware.modulation.affine import FiLM, Modulation, TCNParam, film
from taskaware.modulation.folding import fold
from taskaware.modulation.grafting import GraftParam, bind, graft, sites_of, ungraft
from taskaware.modulation.modulator import Modulator, modulate
from taskaware.modulation.tcn import (
    ExplicitTCN,
    ImplicitTCN,
    bidirectional_attention,
    derangement,
)

__all__ = [
    "Adapter",
    "ExplicitTCN",
    "FiLM",
    "GraftParam",
    "ImplicitTCN",
    "Modulation",
    "Modulator",
    "TCNParam",
    "adapt",
    "bidirectional_attention",
    "bind",
    "derangement",
    "film",
    "fold",
    "graft",
    "linen",
    "modulate",
    "sites_of",
    "ungraft",
]
