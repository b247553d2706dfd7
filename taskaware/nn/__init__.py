"""Layers, products, losses and reversed gradients: arrays in, arrays out.

Reading order: linear ← layers ← losses ← reversal.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
