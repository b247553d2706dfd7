"""Heads: what makes outputs of the encoder's output, one file per kind.

Reading order: base ← decoder ← ctc ← pooled ← positions ← building.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
