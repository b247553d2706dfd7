"""Scores, what tasks share and forget, tables and figures.

Reading order: metrics ← results ← figures ← tables ← outputs ← selection ← scoring ← transfer ←
vector_map.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
