"""Searches for the best output: greedy and beam, of a decoder, of CTC and of both.

Reading order: greedy ← beam ← ctc ← answers ← model.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
