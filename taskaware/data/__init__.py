"""From corpora to batches of a bounded number of shapes; no JAX.

Reading order: audio ← toy ← corpora ← tokenizer ← targets ← tasks ← inventories ← buckets ← rows ←
inputs ← batches ← blanks ← passes ← provenance.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
