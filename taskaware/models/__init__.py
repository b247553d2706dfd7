"""Models: frontends, blocks, the Transformer of all tasks, and models made elsewhere.

Reading order: frontends ← blocks ← conditioning ← heads ← joining ← seq2seq ← building ←
folding ← subset ← imported.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
